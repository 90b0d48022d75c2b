// SPDX-License-Identifier: Apache-2.0
// kernel_ids.h - which maps, programs and links an agent had, and which of them live on.
//
// World: host, tests; root. Pure: no. Owns: the list.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/base/vec.h"

struct kernel_ids {
	VEC(uint64_t) v; // kind in the high half
};

// Adds what the agent's descriptors and pins hold now, matrices in bh_policy too.
int kernel_ids_add(struct kernel_ids *ids, pid_t pid, const char *pin_dir);
// Those that are no more are forgotten.
void kernel_ids_prune(struct kernel_ids *ids);
// How many of `seen` still are and are not in `held`; the first one. The kernel frees after a grace period: waits
// for it, at most some seconds.
size_t kernel_ids_alive(const struct kernel_ids *seen, const struct kernel_ids *held,
			char *retfirst, size_t bytes);
void kernel_ids_fini(struct kernel_ids *ids);
