// SPDX-License-Identifier: Apache-2.0
// intern.c - the one copy of each string, in one table.
#include "agent/base/intern.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"

struct atom {
	uint64_t hash;
	uint32_t refs;
	uint32_t len;
	_Alignas(max_align_t) char text[];
};

struct text {
	const char *s;
	size_t len;
};

static struct hash atoms;
static size_t atom_bytes;

static bool atom_equal(const void *item, const void *key)
{
	const struct atom *atom = item;
	const struct text *text = key;

	return atom->len == text->len && !memcmp(atom->text, text->s, text->len);
}

static struct atom *atom_of(const char *s)
{
	return (struct atom *)(s - offsetof(struct atom, text));
}

const char *intern_n(const char *s, size_t len)
{
	struct text text = {s, len};
	uint64_t hash = hash_bytes(s, len);
	struct atom *atom;

	assert(len < UINT32_MAX);

	atom = hash_find(&atoms, hash, atom_equal, &text);
	if (atom) {
		atom->refs++;
		return atom->text;
	}
	atom = malloc(sizeof(*atom) + len + 1);
	if (!atom)
		return NULL;
	*atom = (struct atom){.hash = hash, .refs = 1, .len = (uint32_t)len};
	memcpy(atom->text, s, len);
	atom->text[len] = '\0';
	if (hash_add(&atoms, hash, atom) < 0) {
		free(atom);
		return NULL;
	}
	atom_bytes += sizeof(*atom) + len + 1;
	return atom->text;
}

const char *intern(const char *s)
{
	return intern_n(s, strlen(s));
}

const char *intern_get(const char *s)
{
	if (s)
		atom_of(s)->refs++;
	return s;
}

const char *intern_find(const char *s)
{
	struct text text = {s, strlen(s)};
	struct atom *atom = hash_find(&atoms, hash_bytes(s, text.len), atom_equal, &text);

	return atom ? atom->text : NULL;
}

void intern_put(const char *s)
{
	struct atom *atom;

	if (!s)
		return;
	atom = atom_of(s);
	assert(atom->refs > 0);
	if (--atom->refs)
		return;
	hash_remove(&atoms, atom->hash, atom);
	atom_bytes -= sizeof(*atom) + atom->len + 1;
	free(atom);
	if (!atoms.n)
		hash_fini(&atoms);
}

void intern_stats(size_t *retstrings, size_t *retbytes)
{
	*retstrings = atoms.n;
	*retbytes = atom_bytes + hash_memory(&atoms);
}
