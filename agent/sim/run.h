// SPDX-License-Identifier: Apache-2.0
// run.h - run a file of conformance cases in the simulator.
//
// World: host, one thread. Pure: reads the file. Owns: nothing between calls.
#pragma once

#include "agent/sim/cases.h"

// Told as they are found; each may be NULL.
struct run_events {
	void *arg;
	// One question that was answered otherwise than expected, in one family (4 or 6).
	void (*mismatch)(void *arg, const struct sim_case *c, const struct case_expect *expect,
			 int family, bool allowed);
	// A case that could not be read or asked, counted as failed.
	void (*unusable)(void *arg, const char *title, const char *text);
};

struct run_report {
	uint64_t passed, failed; // cases
	uint64_t questions, mismatches; // judged ones
	uint64_t loopback, loopback_mismatches; // a pod to itself; fails no case
	uint64_t skipped; // an end has no address of the family
};

// Adds to *report. filter: only cases whose name contains it; NULL: all. -errno only when nothing
// can go on (no memory).
int run_cases(struct cases *cases, const char *filter, const struct run_events *events,
	      struct run_report *report, struct err *reterr);
