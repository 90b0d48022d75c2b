// SPDX-License-Identifier: Apache-2.0
// roll.h - random frames between the scene's pod and others: every kind that the parser tells apart, then
// lies, cuts and flipped bits.
//
// World: host, tests. Pure: yes. Owns: nothing.
#pragma once

#include <bulkhead/abi.h>

#include "tests/diff/rng.h"
#include "tests/harness/packet.h"

struct rolled {
	struct packet frame;
	enum bh_dir dir; // of the hook that sees it
	bool gso; // gso_size > 0
};

void roll(struct rng *rng, struct rolled *ret);
