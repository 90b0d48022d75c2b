// SPDX-License-Identifier: Apache-2.0
// shift.c - pairs of classes, heirs, fresh ids, fragments.
#include "agent/policy/shift.h"

#include "agent/policy/must.h"

static void forget(struct cls *cls)
{
	if (!cls)
		return;
	cls->leaving = cls->arriving = 0;
	cls->from = cls->id;
}

void shift_fini(struct shift *shift)
{
	vec_each(struct pair, pair, &shift->pairs) {
		forget(pair->x);
		forget(pair->y);
	}
	vec_fini(&shift->pairs);
	hash_fini(&shift->index);
	vec_fini(&shift->born);
}

struct pair_key {
	const struct shift *shift;
	const struct cls *x, *y;
};

static bool is_pair(const void *item, const void *arg)
{
	const struct pair_key *key = arg;
	const struct pair *pair = &key->shift->pairs.v[(uintptr_t)item - 1];

	return pair->x == key->x && pair->y == key->y;
}

uint32_t shift_add(struct shift *shift, struct cls *x, struct cls *y)
{
	uint64_t hash = hash_mix((uintptr_t)x, (uintptr_t)y);
	struct pair_key key = { shift, x, y };
	uintptr_t at = (uintptr_t)hash_find(&shift->index, hash, is_pair, &key);

	if (!at) {
		must_push(&shift->pairs, (struct pair){ .x = x, .y = y });
		at = shift->pairs.n;
		must_ok(hash_add(&shift->index, hash, (void *)at));
	}
	shift->pairs.v[at - 1].n++;
	y->arriving++;
	if (x)
		x->leaving++;
	return (uint32_t)at - 1;
}

uint32_t shift_lane(const struct shift *shift, const struct matrix *matrix, uint32_t id)
{
	return shift->ports ? matrix_col_of(matrix, id) : matrix_row_of(matrix, id);
}

// Class 0 of ports is the empty signature for ever.
static bool can_vanish(const struct shift *shift, const struct cls *x)
{
	return x && x->id != IDS_NONE && x->leaving == x->members && !x->arriving &&
	       !(shift->ports && x->id == BH_PORT_CLASS_NONE);
}

// Every matrix that stays judges both alike, so that its lane need not change: a reader may still hold the
// id for an address that left the class in an earlier plan.
static bool alike(const struct shift *shift, const struct pair *pair, const matrices *staying)
{
	if (shift->ports)
		return true;
	for (size_t i = 0; i < staying->n; i++)
		if (matrix_row(staying->v[i], pair->y) != matrix_row_of(staying->v[i], pair->x->id))
			return false;
	return true;
}

static int larger_first(const void *a, const void *b)
{
	const struct pair *x = *(struct pair *const *)a, *y = *(struct pair *const *)b;

	if (x->n != y->n)
		return x->n > y->n ? -1 : 1;
	return x < y ? -1 : x > y;
}

// The largest first: its members are those that need not move.
void shift_inherit(struct shift *shift, const matrices *staying)
{
	VEC(struct pair *) order = { 0 };

	vec_each(struct pair, pair, &shift->pairs)
		if (can_vanish(shift, pair->x))
			must_push(&order, pair);
	vec_sort(&order, larger_first);
	vec_each(struct pair *, at, &order) {
		struct pair *pair = *at;

		if (pair->x->lent || pair->y->id != IDS_NONE || !alike(shift, pair, staying))
			continue;
		cls_inherit(shift->classes, pair->y, pair->x);
	}
	vec_fini(&order);
}

static bool same_lanes(const struct shift *shift, const matrices *replaced, uint32_t a, uint32_t b)
{
	for (size_t i = 0; a != b && i < replaced->n; i++)
		if (shift_lane(shift, replaced->v[i], a) != shift_lane(shift, replaced->v[i], b))
			return false;
	return true;
}

static bool give_birth(struct shift *shift, struct cls *cls, uint32_t from)
{
	if (!cls_number(shift->classes, cls))
		return false;
	cls->from = from;
	must_push(&shift->born, cls);
	return true;
}

bool shift_number(struct shift *shift, const matrices *replaced)
{
	bool enough = true;

	vec_each(struct pair, pair, &shift->pairs) {
		uint32_t from = pair->x ? pair->x->id : IDS_NONE;
		struct cls *fragment;

		pair->p = pair->y;
		if (pair->y->id == IDS_NONE) {
			enough &= give_birth(shift, pair->y, from);
			continue;
		}
		if (!pair->x || same_lanes(shift, replaced, from, pair->y->from))
			continue;
		fragment = cls_loose(shift->classes, pair->y->sig, pair->y->n);
		if (give_birth(shift, fragment, from))
			pair->p = fragment;
	}
	return enough;
}
