// SPDX-License-Identifier: Apache-2.0
// svcsig.c - drafts of signatures, and reading them.
#include "agent/policy/svcsig.h"

#include <string.h>

#include "agent/policy/must.h"

#define FLAGS (SIG_OWN_NODE | SIG_REFUSED)

bool svcsig_next(const struct cls *cls, uint32_t *at, struct svcpart *ret)
{
	const uint32_t *word;

	if (!*at)
		*at = 1;
	if (*at >= cls->n)
		return false;
	word = cls->sig + *at;
	ret->own_node = word[0] & SIG_OWN_NODE;
	ret->refused = word[0] & SIG_REFUSED;
	ret->npeers = word[0] & ~FLAGS;
	ret->nports = word[1];
	ret->peers = word + 2;
	ret->ports = ret->peers + ret->npeers;
	*at += 2 + ret->npeers + ret->nports;
	return true;
}

void svcsig_fini(struct svcsig *draft)
{
	vec_fini(&draft->words);
	vec_fini(&draft->parts);
}

void svcsig_ports(const struct portset *set, const struct cls *cls, atom_ids *out)
{
	for (uint32_t i = 0; i < cls->n; i++)
		if (set->atoms.v[cls->sig[i]]->dir == BH_EGRESS)
			must_push(out, cls->sig[i]);
}

void svcsig_add(struct svcsig *draft, const struct atoms *atoms, const struct cls *cls,
		const atom_ids *ports, bool own_node)
{
	size_t begin = draft->words.n;
	uint32_t npeers = 0;

	must_push(&draft->parts, begin);
	must_push(&draft->words, 0);
	must_push(&draft->words, (uint32_t)ports->n);
	for (uint32_t i = 0; i < cls->n; i++) {
		if (atoms->by_id.v[cls->sig[i]]->dir != BH_EGRESS)
			continue;
		must_push(&draft->words, cls->sig[i]);
		npeers++;
	}
	draft->words.v[begin] = npeers | (own_node ? SIG_OWN_NODE : 0);
	for (size_t i = 0; i < ports->n; i++)
		must_push(&draft->words, ports->v[i]);
}

void svcsig_refuse(struct svcsig *draft)
{
	must_push(&draft->parts, draft->words.n);
	must_push(&draft->words, SIG_REFUSED);
	must_push(&draft->words, 0);
}

static size_t part_words(const uint32_t *words, size_t at)
{
	return 2 + (words[at] & ~FLAGS) + words[at + 1];
}

static int by_content(const void *a, const void *b, void *arg)
{
	const uint32_t *words = arg;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	size_t nx = part_words(words, x), ny = part_words(words, y);

	if (nx != ny)
		return nx < ny ? -1 : 1;
	return memcmp(words + x, words + y, nx * sizeof(*words));
}

void svcsig_finish(struct svcsig *draft, atom_ids *out)
{
	const uint32_t *words = draft->words.v;

	must_push(out, SIG_SERVICE);
	if (draft->parts.n > 1)
		qsort_r(draft->parts.v, draft->parts.n, sizeof(*draft->parts.v), by_content,
			draft->words.v);
	for (size_t i = 0; i < draft->parts.n; i++) {
		size_t at = draft->parts.v[i], n = part_words(words, at);

		if (i && !by_content(&draft->parts.v[i - 1], &at, draft->words.v))
			continue;
		for (size_t j = 0; j < n; j++)
			must_push(out, words[at + j]);
	}
	vec_clear(&draft->words);
	vec_clear(&draft->parts);
}
