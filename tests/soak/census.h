// SPDX-License-Identifier: Apache-2.0
// census.h - what an agent holds: descriptors, threads, pins, elements of tables, memory.
//
// World: host, tests; root. Pure: no. Owns: a census its text.
#pragma once

#include <sys/types.h>

#include "agent/base/err.h"
#include "agent/base/vec.h"

// Lines "WHAT NUMBER", sorted: two that are equal hold the same.
struct census {
	VEC(char *) lines;
	uint64_t rss_bytes;
};

// pid 0: no agent runs, pins only. Pins' own numbers (slots) are left out, as are elements that an endpoint
// which is there may have by right: its connections, denies and totals; those of endpoints that are gone
// are in it.
int census_take(pid_t pid, const char *pin_dir, struct census *ret, struct err *reterr);
void census_free(struct census *census);

// The first lines that one of them has alone, or "".
const char *census_difference(const struct census *a, const struct census *b, char *buf,
			      size_t bytes);

uint64_t census_rss(pid_t pid);
