// SPDX-License-Identifier: Apache-2.0
// stall_plan.h - plans that are wrong on purpose: steps left out, or in another order.
//
// World: host, tests.
#pragma once

#include "tests/harness/test.h"

#include "agent/policy/plan.h"

enum flaw {
	SOUND,
	GROW_LAST, // addresses move to classes for which a matrix has no room yet
	NO_WAIT_AFTER_FLIP, // a matrix goes while a reader is on its way to it
	NO_WAIT_BEFORE_MERGE, // no wait after the flip, and no matrix goes
	NO_WAITS, // none, and no matrix goes
	FLIP_FIRST, // endpoints switch before addresses and ports have moved
	MOVES_FIRST, // addresses move before matrices know their classes
};

#define BIT(kind) (1ull << (kind))
#define MOVES (BIT(STEP_PEER_SET) | BIT(STEP_CIDR_SET) | BIT(STEP_PORT_SET) | BIT(STEP_PEER_DEL))

static inline bool is(const struct plan *plan, uint32_t i, uint64_t kinds)
{
	return kinds >> plan->steps[i].kind & 1;
}

// The last step of these kinds before step `end`; 0 if there is none.
static inline uint32_t last_of(const struct plan *plan, uint64_t kinds, uint32_t end)
{
	while (end && !is(plan, end - 1, kinds))
		end--;
	return end ? end - 1 : 0;
}

static inline uint32_t first_of(const struct plan *plan, uint64_t kinds)
{
	uint32_t i = 0;

	while (i < plan->nsteps && !is(plan, i, kinds))
		i++;
	return i;
}

// Steps of these kinds from `from` until `end` are left out, or come last of those.
static inline void put_off(struct plan *plan, uint64_t kinds, uint32_t from, uint32_t end,
			   bool drop)
{
	struct step *late = calloc(plan->nsteps + 1, sizeof(*late));
	uint32_t n = 0, kept = from;

	for (uint32_t i = from; i < end; i++)
		if (is(plan, i, kinds))
			late[n++] = plan->steps[i];
		else
			plan->steps[kept++] = plan->steps[i];
	if (drop) {
		memmove(plan->steps + kept, plan->steps + end,
			(plan->nsteps - end) * sizeof(*late));
		plan->nsteps -= n;
	} else {
		memcpy(plan->steps + kept, late, n * sizeof(*late));
	}
	free(late);
}

static inline void spoil(struct plan *plan, enum flaw flaw)
{
	uint32_t flip = last_of(plan, BIT(STEP_ENDPOINT), plan->nsteps), n = plan->nsteps;
	uint32_t wait = first_of(plan, BIT(STEP_WAIT));

	switch (flaw) {
	case GROW_LAST:
		put_off(plan, BIT(STEP_MATRIX_NEW) | BIT(STEP_MATRIX_UNIT), 0,
			last_of(plan, MOVES, n) + 1, false);
		break;
	case NO_WAIT_AFTER_FLIP:
		put_off(plan, BIT(STEP_WAIT), flip, n, true);
		break;
	case NO_WAIT_BEFORE_MERGE:
		put_off(plan, BIT(STEP_WAIT) | BIT(STEP_MATRIX_FREE), flip, n, true);
		break;
	case NO_WAITS:
		put_off(plan, BIT(STEP_WAIT) | BIT(STEP_MATRIX_FREE), 0, n, true);
		break;
	case FLIP_FIRST:
		put_off(plan, MOVES | BIT(STEP_MATRIX_UNIT), 0, flip + 1, false);
		break;
	case MOVES_FIRST:
		put_off(plan, BIT(STEP_MATRIX_UNIT), 0, wait, false);
		break;
	case SOUND:
		break;
	}
}
