// SPDX-License-Identifier: Apache-2.0
// judge.h - a store and a compiler for tests that read as sentences: put objects, ask who may reach whom.
//
// World: host, tests. Pure: yes. Owns: store, policy and tables in memory that run every plan.
#pragma once

#include "agent/policy/policy.h"
#include "tests/harness/tables.h"

struct judge {
	struct store *store;
	struct policy *policy;
	struct memtables *tables;
	uint32_t steps; // of the last plan
	uint32_t slots;
};

// limits may be NULL.
void judge_start(struct judge *judge, const struct policy_limits *limits);
void judge_stop(struct judge *judge);

// JSON with ' for "; metadata and spec suffice.
void judge_put(struct judge *judge, enum kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void judge_remove(struct judge *judge, enum kind kind, const char *ns, const char *name);

// A pod with one address ("10.0.0.1" or "10.0.0.1 fd00::1"), labels as JSON members, and more of its
// spec ("'hostNetwork':true" or ""). judge_local() makes it an endpoint, too, and returns its slot.
void judge_pod(struct judge *judge, const char *ns, const char *name, const char *labels,
	       const char *addrs, const char *spec);
uint32_t judge_local(struct judge *judge, const char *ns, const char *name, const char *labels,
		     const char *addrs, const char *spec);

// Compiles and runs the plan; returns its number of steps. The questions below do it first.
uint32_t judge_compile(struct judge *judge);

// Fails when the compiled state and the tables do not agree.
enum bh_verdict judge_verdict(struct judge *judge, uint32_t slot, enum bh_dir dir,
			      const char *remote, const char *proto, uint16_t port,
			      struct bh_judgement *ret);
const char *judge_rule(struct judge *judge, uint32_t slot, enum bh_dir dir, const char *remote,
		       const char *proto,
		       uint16_t port); // text of the deciding rule; static buffer

#define assert_allowed(judge, slot, dir, remote, proto, port)                                      \
	assert_verdict_(judge, slot, dir, remote, proto, port, BH_VERDICT_ALLOW)
#define assert_denied(judge, slot, dir, remote, proto, port)                                       \
	assert_verdict_(judge, slot, dir, remote, proto, port, BH_VERDICT_DENY)
#define assert_denied_cluster(judge, slot, dir, remote, proto, port)                               \
	assert_verdict_(judge, slot, dir, remote, proto, port, BH_VERDICT_DENY_CLUSTER)

#define assert_verdict_(judge, slot, dir, remote, proto, port, want)                               \
	do {                                                                                       \
		enum bh_verdict v_ = judge_verdict(judge, slot, dir, remote, proto, port, NULL);   \
		if (v_ != (want))                                                                  \
			fail_msg("%s %s %s/%d: verdict %d (%s), expected %d", #dir, remote, proto, \
				 port, v_, judge_rule(judge, slot, dir, remote, proto, port),      \
				 want);                                                            \
	} while (0)
