// SPDX-License-Identifier: Apache-2.0
// ruleid.h - which rule a 30-bit id in a cell stands for.
//
// World: host, one thread. Pure: yes. Owns: the records and their texts.
// An id is a hash of what the rule is called, so it survives a restart; a collision takes the next free
// number. It is never 0 (BH_RULE_NONE).
#pragma once

#include "agent/base/hash.h"
#include "agent/base/vec.h"
#include "agent/policy/policy.h"

struct ruleid {
	uint32_t id;
	uint32_t refs; // cells of live matrices and rules in force
	bool retired; // in the queue of those kept for records only
	char *key;
	struct rule_info info; // owned
};

struct ruleids {
	struct hash by_id;
	VEC(struct ruleid *) retired; // oldest first
};

void ruleids_fini(struct ruleids *ruleids);

// The record of one rule, or of a default deny; counted once more. name may be NULL.
struct ruleid *ruleid_rule(struct ruleids *ruleids, const struct object *policy, enum bh_dir dir,
			   uint32_t index, const struct rule *rule);
struct ruleid *ruleid_deny(struct ruleids *ruleids, enum bh_dir dir,
			   const struct object *const *policies, size_t n);

void ruleid_ref(struct ruleid *ruleid); // NULL is fine
void ruleid_put(struct ruleids *ruleids, struct ruleid *ruleid); // NULL is fine
struct ruleid *ruleid_find(const struct ruleids *ruleids, uint32_t id);

// Forgets the oldest retired ones beyond POLICY_RETIRED_MAX.
void ruleids_trim(struct ruleids *ruleids);
