// SPDX-License-Identifier: Apache-2.0
// shift.h - how locations go from their old classes to their new ones without a verdict changing early.
//
// World: host, one thread. Pure: yes. Owns: its pairs; classes are the set's.
// All locations with the same old class x and new class y take the same way: over an id p whose row
// under every matrix that is replaced is x's, and under every matrix that stays or is new is y's.
// p is y itself wherever that holds, else a fragment.
#pragma once

#include "agent/policy/room.h"

struct pair {
	struct cls *x; // NULL: nothing was published
	struct cls *y;
	struct cls *p; // what locations are set to before endpoints flip
	uint32_t n; // locations
};

typedef VEC(struct matrix *) matrices;

struct shift {
	struct classes *classes;
	bool ports; // columns, else rows
	VEC(struct pair) pairs;
	struct hash index; // by (x, y): 1 + position
	VEC(struct cls *) born; // classes and fragments that get an id in this plan
};

// Call it before classes_sweep().
void shift_fini(struct shift *shift);

// Counts one location; returns the pair's position.
uint32_t shift_add(struct shift *shift, struct cls *x, struct cls *y);

// Where every member of x leaves, one new class takes over the id. staying: matrices that will stay.
void shift_inherit(struct shift *shift, const matrices *staying);

// Decides p of every pair. False: no ids are left (such a class stays without one).
bool shift_number(struct shift *shift, const matrices *replaced);

// The row or column that a matrix has for a class id.
uint32_t shift_lane(const struct shift *shift, const struct matrix *matrix, uint32_t id);
