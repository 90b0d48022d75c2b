// SPDX-License-Identifier: Apache-2.0
// rng.h - numbers that a seed repeats: splitmix64.
//
// World: host, tests. Pure: yes. Owns: nothing.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline size_t rng_below(struct rng *rng, size_t n) // n > 0
{
	return (size_t)(rng_next(rng) % n);
}

static inline bool rng_chance(struct rng *rng, unsigned percent)
{
	return rng_below(rng, 100) < percent;
}

#define rng_pick(rng, array) ((array)[rng_below(rng, sizeof(array) / sizeof((array)[0]))])
