// SPDX-License-Identifier: Apache-2.0
// aged.c - flows that are older than half of the clock's round.
#include "agent/recorder/aged.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/vec.h"

struct aged_flow {
	uint64_t id;
	uint32_t rounds; // of the clock since it began
	uint32_t reading; // that met it last
	bool late; // when last met: in the second half of a round
};

static bool is_of(const void *item, const void *key)
{
	return ((const struct aged_flow *)item)->id == *(const uint64_t *)key;
}

static struct aged_flow *get(struct aged *aged, uint64_t id, bool add)
{
	struct aged_flow *flow = hash_find(&aged->flows, id, is_of, &id);

	if (flow || !add)
		return flow;
	flow = calloc(1, sizeof(*flow));
	if (!flow || hash_add(&aged->flows, id, flow) < 0) {
		free(flow);
		return NULL;
	}
	flow->id = id;
	return flow;
}

int64_t aged_began(struct aged *aged, uint64_t id, uint32_t created, int64_t now)
{
	uint32_t age = (uint32_t)now - created;
	struct aged_flow *flow = get(aged, id, age >= AGED_FROM && age <= WHEN_AGE_MAX);

	if (!flow)
		return when_of(created, now);
	flow->rounds += flow->late && age < AGED_FROM;
	flow->late = age >= AGED_FROM;
	flow->reading = aged->reading;
	return now - age - ((int64_t)flow->rounds << 32);
}

static void forget(struct aged *aged)
{
	VEC(struct aged_flow *) gone = { 0 };
	struct aged_flow *flow;

	for (size_t at = 0; (flow = hash_next(&aged->flows, &at));)
		if (aged->reading - flow->reading > 1 && vec_push(&gone, flow) < 0)
			break; // the next reading forgets the others
	vec_each(struct aged_flow *, one, &gone) {
		hash_remove(&aged->flows, (*one)->id, *one);
		free(*one);
	}
	vec_fini(&gone);
}

void aged_next(struct aged *aged, bool whole)
{
	if (!whole)
		return;
	forget(aged);
	aged->reading++;
}

void aged_fini(struct aged *aged)
{
	struct aged_flow *flow;

	for (size_t at = 0; (flow = hash_next(&aged->flows, &at));)
		free(flow);
	hash_fini(&aged->flows);
	memset(aged, 0, sizeof(*aged));
}
