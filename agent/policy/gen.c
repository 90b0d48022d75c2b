// SPDX-License-Identifier: Apache-2.0
// gen.c - generations: each is given once, and where the counter cannot know that, connections forget.
#include "agent/policy/must.h"
#include "agent/policy/room.h"

void gen_hold(struct policy *policy)
{
	vec_clear(&policy->held_gens);
	vec_each(struct matrix *, matrix, &policy->matrices)
		must_push(&policy->held_gens, (*matrix)->gen);
	vec_each(struct endpoint *, endpoint, &policy->slots)
		for (int dir = 0; *endpoint && dir < BH_DIR_MAX; dir++)
			must_push(&policy->held_gens, (*endpoint)->gen[dir]);
	policy->held_gens.n = sig_sort(policy->held_gens.v, policy->held_gens.n);
	policy->forget = true;
}

// A plan gives each matrix one at most, new or changed.
void gen_renew(struct policy *policy)
{
	uint64_t most = 2ull * policy->limits.policies + policy->held_gens.n;

	if (UINT32_MAX - policy->last_gen > most)
		return;
	gen_hold(policy);
	policy->last_gen = BH_GEN_FIRST - 1;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

uint32_t gen_next(struct policy *policy)
{
	do
		policy->last_gen++;
	while (policy->held_gens.n && bsearch(&policy->last_gen, policy->held_gens.v,
					      policy->held_gens.n, sizeof(uint32_t), by_number));
	return policy->last_gen;
}
