// SPDX-License-Identifier: Apache-2.0
// ids.c - a bitmap and two waiting lists.
#include "agent/policy/ids.h"

#include "agent/base/bitset.h"
#include "agent/policy/must.h"

#define IDS_CROWD 1024

static void cover(struct ids *ids, uint32_t id)
{
	while (ids->bits.n <= id / 64)
		must_push(&ids->bits, 0);
}

void ids_init(struct ids *ids, uint32_t first, uint32_t max)
{
	*ids = (struct ids){ .max = max, .hint = first };
	for (uint32_t i = 0; i < first; i++)
		ids_claim(ids, i);
}

void ids_fini(struct ids *ids)
{
	vec_fini(&ids->bits);
	vec_fini(&ids->stage);
	vec_fini(&ids->limbo);
}

bool ids_claim(struct ids *ids, uint32_t id)
{
	if (id >= ids->max)
		return false;
	cover(ids, id);
	if (bitset_test(ids->bits.v, id))
		return false;
	bitset_set(ids->bits.v, id);
	ids->used++;
	return true;
}

uint32_t ids_take(struct ids *ids)
{
	uint32_t id = ids->hint;

	for (; id < ids->max; id++) {
		cover(ids, id);
		if (!~ids->bits.v[id / 64]) {
			id |= 63;
			continue;
		}
		if (ids_claim(ids, id))
			break;
	}
	ids->hint = id;
	return id < ids->max ? id : IDS_NONE;
}

void ids_put(struct ids *ids, uint32_t id)
{
	must_push(&ids->stage, id);
}

static void release(struct ids *ids, uint32_t id)
{
	bitset_clear(ids->bits.v, id);
	ids->used--;
	if (id < ids->hint)
		ids->hint = id;
}

void ids_settle(struct ids *ids, bool waited, bool ended)
{
	if (waited) {
		vec_each(uint32_t, id, &ids->limbo)
			release(ids, *id);
		vec_clear(&ids->limbo);
	}
	vec_each(uint32_t, id, &ids->stage) {
		if (ended)
			release(ids, *id);
		else
			must_push(&ids->limbo, *id);
	}
	vec_clear(&ids->stage);
}

bool ids_crowded(const struct ids *ids)
{
	return ids->limbo.n + ids->stage.n > IDS_CROWD ||
	       (ids->limbo.n + ids->stage.n && ids->used > ids->max / 4 * 3);
}
