// SPDX-License-Identifier: Apache-2.0
// hash.c - SipHash-1-3 (Aumasson, Bernstein) and linear probing with backward-shift deletion.
#include "agent/base/hash.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define HASH_SLOTS_MIN 16

static uint64_t seed[2];

static inline uint64_t rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static void seed_draw(void)
{
	struct timespec now;

	if (getrandom(seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
		clock_gettime(CLOCK_REALTIME, &now);
		seed[1] = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec;
	}
	seed[0] |= 1; // never 0: drawn
}

uint64_t hash_bytes(const void *data, size_t len)
{
	const uint8_t *bytes = data;
	uint64_t v[4], word = 0;

	if (!seed[0])
		seed_draw();
	v[0] = seed[0] ^ 0x736f6d6570736575ull;
	v[1] = seed[1] ^ 0x646f72616e646f6dull;
	v[2] = seed[0] ^ 0x6c7967656e657261ull;
	v[3] = seed[1] ^ 0x7465646279746573ull;
	for (size_t left = len; left >= 8; left -= 8, bytes += 8) {
		memcpy(&word, bytes, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)len << 56;
	for (size_t i = 0; i < (len & 7); i++)
		word |= (uint64_t)bytes[i] << (8 * i);
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_string(const char *s)
{
	return hash_bytes(s, strlen(s));
}

uint64_t hash_pointer(const void *p)
{
	return hash_bytes(&p, sizeof(p));
}

uint64_t hash_mix(uint64_t a, uint64_t b)
{
	a = (rotl(a, 23) ^ b) * 0x9e3779b97f4a7c15ull;
	return a ^ (a >> 32);
}

// ---- the table ------------------------------------------------------------------------------------------------

// Never 0, and where the search begins.
static uint32_t tag_of(uint64_t hash)
{
	return (uint32_t)hash | 1;
}

static size_t home_of(const struct hash *table, uint32_t tag)
{
	return (tag >> 1) & table->mask;
}

static size_t slots_of(const struct hash *table)
{
	return table->tags ? table->mask + 1 : 0;
}

size_t hash_memory(const struct hash *table)
{
	return slots_of(table) * (sizeof(*table->tags) + sizeof(*table->items));
}

void hash_fini(struct hash *table)
{
	free(table->items);
	*table = (struct hash){0};
}

// The slot that holds such an item, or the free slot where the search ended.
static size_t probe(const struct hash *table, uint64_t hash, hash_equal_fn equal, const void *key)
{
	uint32_t tag = tag_of(hash);
	size_t i = home_of(table, tag);

	for (; table->tags[i]; i = (i + 1) & table->mask) {
		if (table->tags[i] != tag)
			continue;
		if (equal ? equal(table->items[i], key) : table->items[i] == key)
			break;
	}
	return i;
}

void *hash_find(const struct hash *table, uint64_t hash, hash_equal_fn equal, const void *key)
{
	if (!table->n)
		return NULL;
	return table->items[probe(table, hash, equal, key)];
}

static void insert(struct hash *table, uint32_t tag, void *item)
{
	size_t i = home_of(table, tag);

	while (table->tags[i])
		i = (i + 1) & table->mask;
	table->tags[i] = tag;
	table->items[i] = item;
}

int hash_reserve(struct hash *table, size_t more)
{
	size_t slots = slots_of(table) ? slots_of(table) : HASH_SLOTS_MIN;
	struct hash next = {.n = table->n};

	while ((table->n + more) * 8 > slots * 7)
		slots *= 2;
	if (slots == slots_of(table))
		return 0;
	next.items = calloc(slots, sizeof(*next.items) + sizeof(*next.tags));
	if (!next.items)
		return -ENOMEM;
	next.tags = (uint32_t *)(next.items + slots);
	next.mask = slots - 1;
	for (size_t i = 0; i < slots_of(table); i++)
		if (table->tags[i])
			insert(&next, table->tags[i], table->items[i]);
	free(table->items);
	*table = next;
	return 0;
}

int hash_add(struct hash *table, uint64_t hash, void *item)
{
	int r;

	assert(item);

	r = hash_reserve(table, 1);
	if (r < 0)
		return r;
	insert(table, tag_of(hash), item);
	table->n++;
	return 0;
}

void hash_replace(struct hash *table, uint64_t hash, const void *before, void *after)
{
	size_t i;

	assert(table->n && after);

	i = probe(table, hash, NULL, before);
	assert(table->tags[i]);
	table->items[i] = after;
}

// Moves later items of the run back, so that no tombstone is ever needed.
static void close_gap(struct hash *table, size_t gap)
{
	for (size_t i = (gap + 1) & table->mask; table->tags[i]; i = (i + 1) & table->mask) {
		size_t home = home_of(table, table->tags[i]);

		if (((i - home) & table->mask) < ((i - gap) & table->mask))
			continue;
		table->tags[gap] = table->tags[i];
		table->items[gap] = table->items[i];
		gap = i;
	}
	table->tags[gap] = 0;
	table->items[gap] = NULL;
}

bool hash_remove(struct hash *table, uint64_t hash, const void *item)
{
	size_t i;

	if (!table->n)
		return false;
	i = probe(table, hash, NULL, item);
	if (!table->tags[i])
		return false;
	close_gap(table, i);
	table->n--;
	return true;
}

void *hash_next(const struct hash *table, size_t *at)
{
	while (*at < slots_of(table)) {
		void *item = table->items[(*at)++];

		if (item)
			return item;
	}
	return NULL;
}
