// SPDX-License-Identifier: Apache-2.0
// exposure.h - who may reach whom: the compiled matrices asked once for each pair of kinds of pods.
//
// World: host, one thread. Pure: yes. Owns: a compiled policy; borrows the review, whose store must not change meanwhile. Lack
// of memory ends the process.
//
// A *cohort* is the pods of a namespace that no policy tells apart: equal in the labels that selectors mention, in their named
// ports, and in the blocks that their addresses lie in. A *block* is a prefix that a policy names, or the whole of a family,
// without what deeper blocks and pods take from it. The port space is cut where rules of the two ends begin and end. So asking
// one of each is asking all, with the same compiler and the same reading of a matrix as the agent's.
//
// What this leaves out: a pod's own node, which always reaches it, and what Services translate (the pods behind are judged).
#pragma once

#include <bulkhead/abi.h>

#include "agent/policy/policy.h"
#include "agent/review/block.h"
#include "agent/review/crowd.h"
#include "agent/review/reach.h"
#include "agent/review/review.h"

struct exposure;

struct cohort {
	const struct pod *pod; // one of them, the first by name
	uint32_t npods;
	uint32_t index;
	struct realm *realm;
	bool has[2]; // an address of IPv4, of IPv6
	struct bh_addr addr[2];
	bool isolated[BH_DIR_MAX]; // by a NetworkPolicy that is enforced
};

// Gives pods without an address (those of templates) one of 240.0.0.0/4, which nobody has.
struct exposure *exposure_new(struct review *review);
void exposure_free(struct exposure *exposure);
DEFINE_CLEANUP(struct exposure *, exposure_free)

const struct crowd *exposure_crowd(const struct exposure *exposure);
size_t exposure_cohorts(const struct exposure *exposure, const struct cohort **ret);
size_t exposure_blocks(const struct exposure *exposure, const struct block **ret);
const struct cohort *exposure_cohort(const struct exposure *exposure, const struct pod *pod); // NULL: it has no traffic of its own
const struct block *exposure_block(const struct exposure *exposure, const struct bh_addr *addr);

// What passes from pods of one cohort to (other) pods of another; family 0 or 1. *ret is added to.
void exposure_pair(const struct exposure *exposure, const struct cohort *from, const struct cohort *to,
		   int family, struct reach *ret);
// What passes between a cohort's pods and a block's addresses: in from them, or out to them.
void exposure_outside(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
		      const struct block *block, struct reach *ret);

// NetworkPolicies that select the cohort and isolate the direction, those in audit mode left out.
typedef void (*exposure_fn)(void *arg, const struct netpol *netpol);
void exposure_isolating(const struct exposure *exposure, const struct cohort *cohort, enum bh_dir dir,
			exposure_fn fn, void *arg);

// Policies that are not enforced as written.
void exposure_problems(const struct exposure *exposure, policy_problem_fn fn, void *arg);
