// SPDX-License-Identifier: Apache-2.0
// memo.c - a table of restricted signatures.
#include "agent/policy/memo.h"

#include <string.h>

#include "agent/policy/must.h"

// A restricted signature and the number of its row or column.
struct memo {
	uint32_t number;
	uint32_t n;
	uint32_t sig[];
};

void memo_fini(struct hash *table)
{
	struct memo *memo;
	size_t at = 0;

	while ((memo = hash_next(table, &at)))
		free(memo);
	hash_fini(table);
}

static bool is_memo(const void *item, const void *key)
{
	const struct memo *memo = item;
	const atom_ids *sig = key;

	return memo->n == sig->n &&
	       (!sig->n || !memcmp(memo->sig, sig->v, sig->n * sizeof(*sig->v)));
}

static uint64_t sig_hash(const atom_ids *sig)
{
	return hash_bytes(sig->v, sig->n * sizeof(*sig->v));
}

void memo_add(struct hash *table, const atom_ids *sig, uint32_t number)
{
	struct memo *memo = must_new(sizeof(*memo) + sig->n * sizeof(*sig->v));

	memo->number = number;
	memo->n = (uint32_t)sig->n;
	if (sig->n)
		memcpy(memo->sig, sig->v, sig->n * sizeof(*sig->v));
	must_ok(hash_add(table, sig_hash(sig), memo));
}

// Position of an id in a sorted list, or n.
size_t sig_position(const uint32_t *v, size_t n, uint32_t id)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (v[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && v[lo] == id ? lo : n;
}

// The part of a signature that this list refers to, as positions in known[].
void sig_restrict(const uint32_t *sig, size_t nsig, const uint32_t *known, size_t n, atom_ids *out)
{
	for (size_t i = 0; i < nsig; i++) {
		size_t at = sig_position(known, n, sig[i]);

		if (at < n)
			must_push(out, (uint32_t)at);
	}
}

uint32_t memo_find(const struct hash *table, const atom_ids *sig)
{
	const struct memo *memo = hash_find(table, sig_hash(sig), is_memo, sig);

	return memo ? memo->number : MEMO_NONE;
}
