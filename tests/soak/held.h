// SPDX-License-Identifier: Apache-2.0
// held.h - what the agent holds of the cluster against what the API server has of it.
//
// World: host, tests. Pure: no (both sockets). Owns: nothing between calls.
#pragma once

#include "tests/soak/stage.h"

struct held {
	uint64_t objects; // of the server's that were compared
	bool same;
	char first[512]; // what one of them has alone
};

// Pods, namespaces, nodes and policies word by word, Services and their slices by number: of each what is watched.
// What was sent last may still be read: waits for it, at most some seconds.
int held_compare(struct stage *stage, struct held *ret, struct err *reterr);
