// SPDX-License-Identifier: Apache-2.0
// fresh.h - the same objects compiled by a compiler that saw nothing before, into tables in memory.
//
// World: host, tests. Pure: yes. Owns: store, compiler, tables.
#pragma once

#include "agent/policy/policy.h"
#include "tests/harness/naive.h"
#include "tests/harness/tables.h"
#include "tests/soak/stage.h"

struct fresh {
	struct store *store;
	struct policy *policy;
	struct memtables *tables;
	struct naive naive;
	const struct live *live; // borrowed: who is an endpoint
	size_t nlive;
};

int fresh_open(struct fresh *fresh, const struct state *force, const struct live *live,
	       size_t nlive, struct err *reterr);
void fresh_close(struct fresh *fresh);

bool live_is_judged(const struct live *live); // it has an object and its programs

// What tables hold, counted.
struct sizes {
	uint32_t peers, cidrs, peer_classes, port_classes, matrices, cells;
};
struct sizes sizes_of(const struct policy_tables *tables);
const char *sizes_text(const struct sizes *sizes, char *buf, size_t bytes);
