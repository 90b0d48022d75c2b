// SPDX-License-Identifier: Apache-2.0
// compare.h - the live kernel tables against a fresh compile and the naive evaluator, by questions and by sizes.
//
// World: host, tests; root. Pure: no (kernel tables, the agent's socket). Owns: nothing between calls.
#pragma once

#include "tests/soak/fresh.h"

struct compared {
	uint64_t questions;
	uint64_t different; // the fresh compile says another verdict, rule or shadow verdict
	uint64_t wrong; // the naive evaluator says another verdict
	bool same_sizes;
	char first[512]; // of what differs
	char sizes[512]; // both, where they differ
};

// Every endpoint, both directions, every address that an object has or a rule ends at, ports at random. Rules are
// told apart by their names: for the live ones the agent is asked.
int compare_tables(struct stage *stage, struct fresh *fresh, struct rng *rng, struct compared *ret,
		   struct err *reterr);
