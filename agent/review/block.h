// SPDX-License-Identifier: Apache-2.0
// block.h - the address space as policies cut it: prefixes, each without what deeper ones and pods take from it.
//
// World: host, one thread. Pure: yes. Owns: the blocks. Lack of memory ends the process.
#pragma once

#include "agent/review/crowd.h"

struct block {
	struct bh_cidr cidr;
	bool empty; // other blocks and pods take all of it
	struct bh_addr addr; // one of its own
	uint8_t family; // 0: IPv4, 1: IPv6
};

struct blocks {
	size_t n, cap;
	struct block *v; // by length of the prefix, then address
	bool lengths[129]; // which there are
};

void blocks_add(struct blocks *blocks, const struct bh_cidr *cidr);
// Sorts them and finds their addresses; nothing is added afterwards.
void blocks_settle(struct blocks *blocks, const struct crowd *crowd);
const struct block *blocks_find(const struct blocks *blocks, const struct bh_addr *addr); // the deepest; NULL: none
void blocks_fini(struct blocks *blocks);
