// SPDX-License-Identifier: Apache-2.0
// must.h - memory that is there, or the process ends.
//
// World: host. Pure: yes. Owns: nothing.
// The compiler changes its state in place. A half-made change could publish a hole, so when the machine
// has no memory left the process ends instead: the tables in the kernel keep enforcing what they hold,
// and the next start adopts them.
#pragma once

#include <stdlib.h>

#include "agent/base/vec.h"

static inline void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static inline void must_ok(int r)
{
	if (r < 0)
		abort();
}

// Zeroed memory.
static inline void *must_new(size_t bytes)
{
	return must(calloc(1, bytes ? bytes : 1));
}

#define must_push(vec, ...) must_ok(vec_push(vec, __VA_ARGS__))
