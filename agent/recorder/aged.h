// SPDX-License-Identifier: Apache-2.0
// aged.h - when a flow began that is older than its time stamp can say: stamps wrap after 52 days.
//
// World: host, one thread. Pure: yes. Owns: its flows. A flow that half of that time after it began is met, and after
// all of it is met again, is one round older than its stamp says. An agent that does not meet it in these 26 days (it was
// started later) takes it for a young one.
#pragma once

#include "agent/base/hash.h"
#include "agent/recorder/when.h"

#define AGED_FROM 0x80000000u // units: younger ones are not remembered

struct aged {
	struct hash flows; // struct aged_flow *, by id
	uint32_t reading;
};

void aged_fini(struct aged *aged);

// Is there more to know than when_of() says?
static inline bool aged_concerns(const struct aged *aged, uint32_t created, int64_t now)
{
	return aged->flows.n || (uint32_t)now - created >= AGED_FROM;
}

// When the flow began that is met now. id: of the flow, the same as long as it lasts. Without memory: when_of().
int64_t aged_began(struct aged *aged, uint64_t id, uint32_t created, int64_t now);

// A reading begins; whole: the last one met all flows. Forgets those that neither it nor the one before has met.
void aged_next(struct aged *aged, bool whole);
