// SPDX-License-Identifier: Apache-2.0
// kernel.h - run conformance cases against running agents and real packets.
//
// World: host, tests. Pure: no; call it in a sandbox. Owns: the agents, their folders, the rig.
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"
#include "agent/sim/run.h"

struct kernel_config {
	const char *bulkheadd; // the agent's program; NULL: no agent, everything must pass
	const char *agent_options; // further words for it, parted by spaces; NULL: none
	const char *filter; // only cases whose name contains it; NULL: all
	unsigned families; // enum case_family, or-ed: those that are asked
	unsigned worker, workers; // which share of the cases: a sequence is never parted
	bool verbose; // the agents' logs go to standard error
};

// Beside those of struct run_events; may be NULL.
struct kernel_events {
	struct run_events run;
	// A question that was answered as expected or not, and is wrong in another way.
	void (*wrong)(void *arg, const struct sim_case *c, const struct case_expect *expect,
		      int family, bool allowed, const char *how);
	// A case is done; ms: what bringing its state into force and asking took.
	void (*done)(void *arg, const char *title, bool passed, double apply_ms, double ask_ms);
};

// As run_cases(). -errno when nothing can go on.
int kernel_run(struct cases *cases, const struct kernel_config *config,
	       const struct kernel_events *events, struct run_report *report, struct err *reterr);
