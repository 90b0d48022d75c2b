// SPDX-License-Identifier: Apache-2.0
// publish.h - the stages of making a plan, shared by publish.c (what changes) and emit.c (in which order).
//
// World: host, one thread. Pure: yes. Owns: the scratch of one plan.
#pragma once

#include "agent/policy/plan.h"
#include "agent/policy/shift.h"

#define PAIR_NONE UINT32_MAX

struct spot_move {
	struct spot *spot;
	uint32_t exact, prefix; // positions of pairs, PAIR_NONE: the class stays
};

struct port_move {
	uint32_t proto, lo, hi;
	struct cls *x, *y;
	uint32_t pair;
};

struct publish {
	struct policy *policy;
	struct plan *plan;
	matrices staying, replaced, fresh;
	struct shift peers, ports;
	VEC(struct spot_move) spots;
	VEC(struct port_move) port_moves;
	port_spans wanted[BH_PORT_PROTO_MAX];
	bool recut; // wanted is filled
	bool prefixes; // bh_cidr changes
};

// Writes the plan from what was found out. See the order in plan.h.
void emit(struct publish *pub);
