// SPDX-License-Identifier: Apache-2.0
// verdicts.h - sums of what the programs counted, by direction and reason, and by policy for a bounded number of them.
//
// World: host; a lock makes it fit for any thread. Pure: yes. Owns: its sums, and labels of policies.
//
// The datapath counts by endpoint and rule, and its counters go with their endpoint. Here are sums that only grow, from 0
// at the agent's start: what counters held then is not told, and what they held last of an endpoint that is gone is.
// What came since the last reading is added to a policy's sum by what the rule is called at that time, so that a rule
// nobody knows any more takes nothing away from its policy.
#pragma once

#include <stdint.h>

#include <bulkhead/abi.h>
#include <bulkhead/reason.h>

#include "agent/base/cleanup.h"

#define VERDICTS_POLICIES 200 // told one by one; all others together: default of --metrics-policies
#define VERDICTS_OTHER "other" // as kind, policy and rule of those

struct verdicts;

// What decided, in words that stay the same. Borrowed until the next call.
struct verdict_name {
	const char *kind, *policy, *rule; // "": none
};
typedef void (*verdict_name_fn)(void *arg, enum bh_reason reason, uint32_t rule, struct verdict_name *ret);

int verdicts_new(uint32_t policies, struct verdicts **ret);
void verdicts_free(struct verdicts *verdicts); // NULL is fine
DEFINE_CLEANUP(struct verdicts *, verdicts_free)

// Held from the first counter that is read to the last, and while an endpoint's counters are told as gone and cleared.
void verdicts_lock(struct verdicts *verdicts);
void verdicts_unlock(struct verdicts *verdicts);

// Under the lock: begin, each counter that there is, end. Of one that finds no memory nothing is told this time.
void verdicts_begin(struct verdicts *verdicts);
void verdicts_add(struct verdicts *verdicts, const struct bh_total_key *key, const struct bh_count *count);
void verdicts_end(struct verdicts *verdicts, verdict_name_fn name, void *arg);
void verdicts_start(struct verdicts *verdicts); // in place of end: what was read is where counting starts

// Under the lock: this counter is cleared next, with its endpoint.
void verdicts_gone(struct verdicts *verdicts, const struct bh_total_key *key, const struct bh_count *count);

struct bh_count verdicts_sum(const struct verdicts *verdicts, enum bh_dir dir, enum bh_reason reason);

// Every policy that has one, then the others.
typedef void (*verdict_fn)(void *arg, enum bh_dir dir, enum bh_reason reason, const struct verdict_name *name,
			   const struct bh_count *count);
void verdicts_each(const struct verdicts *verdicts, verdict_fn fn, void *arg);
