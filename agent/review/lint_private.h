// SPDX-License-Identifier: Apache-2.0
// lint_private.h - what the checks share.
//
// World: host, one thread. Pure: yes. Owns: nothing beyond a run.
#pragma once

#include <bulkhead/abi.h>

#include "agent/policy/must.h"
#include "agent/review/cover.h"
#include "agent/review/crowd.h"
#include "agent/review/lint.h"

enum { DNS_UDP = 1 << 0, DNS_TCP = 1 << 1, DNS_BOTH = DNS_UDP | DNS_TCP };

// A policy of either kind, as the checks see it.
struct subject {
	const struct object *object;
	const struct netpol *netpol; // one of these
	const struct clusternetpol *cluster;
	struct realm *realm; // of a NetworkPolicy
	const struct rules *rules; // [BH_DIR_MAX]
	bool pods_known; // there are pods that it could select
	unsigned dns; // what it allows of it
	VEC(struct group *) selected;
};

struct lint {
	const struct review *review;
	const bool *disabled;
	struct findings *findings;
	struct crowd crowd;
	VEC(struct subject *) subjects; // NetworkPolicies by namespace and name, then the cluster's as evaluated
	struct hash group_dns; // groups to struct lint_dns
};

// A finding about the policy. dir < 0: field is the whole way; else "spec.ingress[rule]" stands in front of it.
void lint_add(struct lint *lint, const struct subject *subject, enum lint_code code,
	      enum severity severity, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

// "spec.ingress[2].from[1]": peer < 0 the rule alone; of the cluster's rules the rule alone always.
#define LINT_FIELD_BYTES 96
const char *lint_peer_field(char *buf, const struct subject *subject, enum bh_dir dir, uint32_t rule,
			    int64_t peer);
const char *lint_port_field(char *buf, const struct subject *subject, enum bh_dir dir, uint32_t rule,
			    int64_t port);

const char *lint_title(const struct group *group, char *buf, size_t bytes); // of its workload

// The rule says something else than that traffic passes: a Deny or Pass of the cluster's.
static inline bool rule_accepts(const struct rule *rule)
{
	return rule->action == ACTION_ACCEPT;
}

// ---- checks, one file each -----------------------------------------------------------------------
void lint_selection(struct lint *lint, const struct subject *subject); // lint_select.c
void lint_peers(struct lint *lint, const struct subject *subject);
void lint_openness(struct lint *lint, const struct subject *subject); // lint_open.c
void lint_dns(struct lint *lint);
unsigned lint_dns_of(const struct lint *lint, const struct subject *subject);
void lint_shadows(struct lint *lint); // lint_shadow.c
void lint_ports(struct lint *lint, const struct subject *subject); // lint_port.c
void lint_blocks(struct lint *lint, const struct subject *subject); // lint_block.c
