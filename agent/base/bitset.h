// SPDX-License-Identifier: Apache-2.0
// bitset.h - sets of small numbers as words of bits.
//
// World: host. Pure: yes. Owns: nothing; the words are the caller's: uint64_t set[BITSET_WORDS(n)].
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITSET_WORDS(n) (((n) + 63) / 64)

static inline void bitset_set(uint64_t *set, size_t bit)
{
	set[bit / 64] |= 1ull << (bit % 64);
}

static inline void bitset_clear(uint64_t *set, size_t bit)
{
	set[bit / 64] &= ~(1ull << (bit % 64));
}

static inline bool bitset_test(const uint64_t *set, size_t bit)
{
	return set[bit / 64] >> (bit % 64) & 1;
}

// The first set bit at or after `from`, or n.
static inline size_t bitset_next(const uint64_t *set, size_t n, size_t from)
{
	while (from < n) {
		uint64_t word = set[from / 64] >> (from % 64);

		if (word) {
			from += (size_t)__builtin_ctzll(word);
			return from < n ? from : n;
		}
		from = (from / 64 + 1) * 64;
	}
	return n;
}

// The first clear bit, or n.
static inline size_t bitset_free(const uint64_t *set, size_t n)
{
	for (size_t i = 0; i < BITSET_WORDS(n); i++) {
		if (~set[i]) {
			size_t bit = i * 64 + (size_t)__builtin_ctzll(~set[i]);

			return bit < n ? bit : n;
		}
	}
	return n;
}

static inline size_t bitset_count(const uint64_t *set, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < BITSET_WORDS(n); i++)
		count += (size_t)__builtin_popcountll(set[i]);
	return count;
}
