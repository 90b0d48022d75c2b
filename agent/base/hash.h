// SPDX-License-Identifier: Apache-2.0
// hash.h - a keyed hash of bytes, and an open table of pointers over it.
//
// World: host, one thread. Pure: yes (the seed is drawn once from the kernel). Owns: its slots,
// never what they point to. Keys come from tenants, so the hash is SipHash-1-3 with a secret seed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t len);
uint64_t hash_string(const char *s);
uint64_t hash_pointer(const void *p); // for interned strings and other identities

// Folds another hash into one, order mattering.
uint64_t hash_mix(uint64_t a, uint64_t b);

// All zero is an empty table. Tags stand apart from items: a search reads them only, sixteen a cache line, and so may
// take place in a table that is nearly full.
struct hash {
	size_t n;
	size_t mask; // slots - 1; 0 when there are none
	void **items;
	uint32_t *tags; // what is kept of a hash, 0: free; behind the items in one piece of memory
};

size_t hash_memory(const struct hash *table); // bytes

typedef bool (*hash_equal_fn)(const void *item, const void *key);

void hash_fini(struct hash *table);

// The item whose hash is `hash` and that equal() says is `key`, or NULL.
void *hash_find(const struct hash *table, uint64_t hash, hash_equal_fn equal, const void *key);

// Adds an item that is not there yet. 0 or -ENOMEM; after hash_reserve(table, 1) it cannot fail.
int hash_add(struct hash *table, uint64_t hash, void *item);
int hash_reserve(struct hash *table, size_t more);

// Puts another item in the place of one that equals it. The item must be there.
void hash_replace(struct hash *table, uint64_t hash, const void *before, void *after);

// Removes this item (by address). False: was not there.
bool hash_remove(struct hash *table, uint64_t hash, const void *item);

// Walks all items: size_t at = 0; while ((item = hash_next(table, &at))) ... The table must not
// change.
void *hash_next(const struct hash *table, size_t *at);
