// SPDX-License-Identifier: Apache-2.0
// feature.h - what this kernel can, probed by doing it, and a switch that forces each fallback.
//
// World: host. Pure: no. Owns: nothing but what the probes said, once per process. Callable from
// every thread; feature_force_*() is called before anything else of this room.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"

enum feature {
	// The floor: without one of these nothing can be enforced and nothing starts.
	FEATURE_MMAP, // arrays mapped into the agent
	FEATURE_INNER_ARRAY, // matrices of any size in one array of maps
	FEATURE_LOOKUP_DELETE, // a hash element is read as it is deleted
	FEATURE_COARSE_CLOCK, // the programs' clock
	FEATURE_FLOOR, // end of the floor
	// What has a fallback.
	FEATURE_TCX = FEATURE_FLOOR,
	FEATURE_MEMBARRIER,
	FEATURE_BATCH,
	FEATURE_BATCH_POLICY,
	FEATURE_NETFILTER_LINK,
	FEATURE_MAX,
};

#define FEATURE_BIT(feature) (1u << (feature))

struct feature_info {
	const char *name;
	const char *kernel; // the first mainline kernel that has it
	const char *without; // behaviour without it
};
const struct feature_info *feature_info(enum feature feature);

bool feature_have(enum feature feature);

// mask of FEATURE_BIT(): these count as missing from now on. Replaces an earlier mask.
void feature_force_mask(uint32_t mask);

// The same by names, "tcx,batch" ("" or NULL: none). -EINVAL says which is unknown and lists what is known.
int feature_force_off(const char *names, struct err *reterr);

// The floor: 0, or -ENOSYS and a sentence for an administrator, which names what is missing and the kernel
// that has it.
int feature_check(struct err *reterr);
