// SPDX-License-Identifier: Apache-2.0
// ids.h - small numbers for classes and matrices, lowest first, each reused only when no reader can hold it.
//
// World: host, one thread. Pure: yes. Owns: its bits and lists.
// A number given back was last visible before the end of the plan that gave it back; it is free after a
// STEP_WAIT that follows that plan.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/vec.h"

#define IDS_NONE UINT32_MAX

struct ids {
	uint32_t max; // numbers below it exist
	uint32_t used; // taken, with those that wait
	uint32_t hint; // nothing below it is free
	VEC(uint64_t) bits;
	VEC(uint32_t) stage; // given back by the plan that is being made
	VEC(uint32_t) limbo; // given back by earlier plans
};

void ids_init(struct ids *ids, uint32_t first,
	      uint32_t max); // numbers below first are taken for good
void ids_fini(struct ids *ids);

uint32_t ids_take(struct ids *ids); // IDS_NONE: all are taken
bool ids_claim(struct ids *ids, uint32_t id); // takes this one; false: taken, or not below max
void ids_put(struct ids *ids, uint32_t id);

// A plan is complete. waited: it holds a STEP_WAIT; ended: it ends with one.
void ids_settle(struct ids *ids, bool waited, bool ended);

// Enough numbers wait that a plan should end with a STEP_WAIT.
bool ids_crowded(const struct ids *ids);
