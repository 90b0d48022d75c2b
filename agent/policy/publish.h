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

struct key_move {
	struct svckey *key;
	uint32_t pair; // PAIR_NONE: the class stays
	bool comes, goes; // into the table, out of it
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
	VEC(struct key_move) keys;
	VEC(struct port_move) port_moves;
	bool prefixes; // bh_cidr changes
};

// ---- lanes.c ----------------------------------------------------------------------------------------------
void lanes_sort(struct publish *pub); // fills staying, replaced, fresh
bool lanes_weigh(struct publish *pub); // false: it is too much, someone was refused
void lanes_take_over(
	struct publish *pub); // matrices read from the kernel that say what is wanted stay
void lanes_fork(
	struct publish *pub); // gives endpoints that leave a matrix which stays a copy to leave
void lanes_plan(struct publish *pub); // pending lanes of old matrices, images of new ones

// ---- moves.c ----------------------------------------------------------------------------------------------
void moves_run(struct publish *pub); // c: what is about locations
void moves_clean(struct publish *pub); // e: likewise

// ---- svcmoves.c: keys of Services ---------------------------------------------------------------------------
void svcmoves_find(struct publish *pub); // which move; once it is known which matrices stay
// The keys that come or go, and pods of this node among backends, make a matrix that stays less free somewhere.
bool svcmoves_tighten(struct publish *pub, struct matrix *matrix);
void svcmoves_before(struct publish *pub); // c: what must be written before any key moves
void svcmoves_run(struct publish *pub); // c
void svcmoves_clean(struct publish *pub); // e
void svcmoves_settle(struct publish *pub, bool taken); // the plan is made, or given up
void svcmoves_resolve(struct publish *pub); // svcresolve.c: flows that must know their backend first
bool matrix_is_real(const struct policy *policy, const struct matrix *matrix); // none of the fixed ones
uint32_t service_word(const struct matrix *matrix, uint32_t row); // of a row of Services, which is one cell
uint32_t service_word_at(const struct matrix *matrix, const struct cls *cls);
bool svcmoves_mixed(const struct policy *policy); // of what is shown after the plan
// Some Service changes its class in this plan while a policy judges what pods send.
bool svcmoves_unsettled(const struct policy *policy, const struct plan *plan);

// ---- emit.c -----------------------------------------------------------------------------------------------
// Writes the plan from what was found out. See the order in plan.h.
void emit(struct publish *pub);
