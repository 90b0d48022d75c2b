// SPDX-License-Identifier: Apache-2.0
// claims.c - objects and the files that hold them.
#include "agent/source/claims.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "agent/source/claims_private.h"
#include "agent/source/keep.h"

#define WHERE_BYTES (PATH_MAX + 512)

struct slot_key {
	enum kind kind;
	const char *ns;
	const char *name; // both interned
};

static uint64_t slot_hash(const struct slot_key *key)
{
	uintptr_t words[3] = { key->kind, (uintptr_t)key->ns, (uintptr_t)key->name };

	return hash_bytes(words, sizeof(words));
}

static struct slot_key slot_key(const struct slot *slot)
{
	return (struct slot_key){ slot->kind, slot->ns, slot->name };
}

static bool slot_equal(const void *item, const void *arg)
{
	const struct slot *slot = item;
	const struct slot_key *key = arg;

	return slot->kind == key->kind && slot->ns == key->ns && slot->name == key->name;
}

static struct slot *slot_find(const struct claims *claims, const struct slot_key *key)
{
	return hash_find(&claims->slots, slot_hash(key), slot_equal, key);
}

static struct slot *slot_get(struct claims *claims, const struct object *object)
{
	struct slot_key key = { object->kind, object->ns, object->name };
	struct slot *slot = slot_find(claims, &key);

	if (slot)
		return slot;
	slot = calloc(1, sizeof(*slot));
	if (!slot)
		return NULL;
	if (hash_add(&claims->slots, slot_hash(&key), slot) < 0) {
		free(slot);
		return NULL;
	}
	slot->kind = object->kind;
	slot->ns = intern_get(object->ns);
	slot->name = intern_get(object->name);
	return slot;
}

static void slot_free(struct claims *claims, struct slot *slot)
{
	struct slot_key key = slot_key(slot);

	hash_remove(&claims->slots, slot_hash(&key), slot);
	vec_each(struct claim, claim, &slot->claims)
		object_put(claim->object);
	vec_fini(&slot->claims);
	intern_put(slot->ns);
	intern_put(slot->name);
	free(slot);
}

static void touch(struct claims *claims, struct slot *slot)
{
	if (slot->touched)
		return;
	slot->touched = true;
	slot->next_touched = claims->touched;
	claims->touched = slot;
}

static int compare_claims(const void *a, const void *b)
{
	return strcmp(((const struct claim *)a)->file->path, ((const struct claim *)b)->file->path);
}

int slot_claim(struct claims *claims, struct file *file, struct object *object)
{
	struct claim claim = { file, object };
	struct slot *slot = slot_get(claims, object);

	if (!slot)
		return -ENOMEM;
	touch(claims, slot);
	vec_each(struct claim, held, &slot->claims) {
		if (held->file != file)
			continue;
		object_put(held->object);
		held->object = object_get(object);
		return 0;
	}
	if (vec_push(&slot->claims, claim) < 0)
		return -ENOMEM;
	object_get(object);
	vec_sort(&slot->claims, compare_claims);
	return 0;
}

static void say_duplicate(struct claims *claims, const struct slot *slot, const struct file *file,
			  const struct file *winner)
{
	char where[WHERE_BYTES], text[WHERE_BYTES];

	snprintf(where, sizeof(where), "%s: %s %s%s%s: duplicate", file->path,
		 object_kind(slot->kind)->name, slot->ns ? slot->ns : "", slot->ns ? "/" : "",
		 slot->name);
	snprintf(text, sizeof(text), "is also in %s, which is used", winner ? winner->path : "");
	problems_set(&claims->problems, where, winner ? text : NULL);
}

void slot_unclaim(struct claims *claims, struct file *file, const struct object *object)
{
	struct slot_key key = { object->kind, object->ns, object->name };
	struct slot *slot = slot_find(claims, &key);

	assert(slot);

	touch(claims, slot);
	for (size_t i = 0; i < slot->claims.n; i++) {
		if (slot->claims.v[i].file != file)
			continue;
		say_duplicate(claims, slot, file, NULL);
		object_put(slot->claims.v[i].object);
		vec_cut(&slot->claims, i);
		return;
	}
}

static int put_winner(struct claims *claims, struct slot *slot)
{
	const struct claim *winner = &slot->claims.v[slot->claims.n - 1];

	for (size_t i = 0; i < slot->claims.n; i++) {
		const struct file *file = slot->claims.v[i].file;

		say_duplicate(claims, slot, file, file == winner->file ? NULL : winner->file);
	}
	slot->stored = true;
	return store_put(claims->store, object_get(winner->object));
}

static int remove_slot(struct claims *claims, struct slot *slot)
{
	int r = 0;

	if (slot->stored)
		r = store_remove(claims->store, slot->kind, slot->ns, slot->name);
	slot_free(claims, slot);
	return r;
}

// Additions before removals: a pod that moved to another file must not be gone in between.
int claims_apply(struct claims *claims)
{
	struct slot *slot, *next, *gone = NULL;
	int changes = 0, r;

	while ((slot = claims->touched)) {
		if (slot->claims.n) {
			r = put_winner(claims, slot);
			if (r < 0)
				break;
			changes += r;
		}
		claims->touched = slot->next_touched;
		slot->touched = false;
		if (slot->claims.n)
			continue;
		slot->touched = true;
		slot->next_touched = gone;
		gone = slot;
	}
	for (slot = gone; slot && !claims->touched; slot = next) {
		next = slot->next_touched;
		changes += remove_slot(claims, slot);
	}
	if (!claims->touched)
		return changes;
	while (gone) { // not now: they wait for the next call
		next = gone->next_touched;
		gone->next_touched = claims->touched;
		claims->touched = gone;
		gone = next;
	}
	return -ENOMEM;
}

int claims_new(struct store *store, const char *root, const struct source_events *events, struct claims **ret)
{
	struct claims *claims = calloc(1, sizeof(*claims));

	if (!claims)
		return -ENOMEM;
	claims->store = store;
	claims->root = root;
	claims->problems.events = events;
	claims->whole = events && events->keep && events->in_force && keep_is_whole(events->keep, root);
	*ret = claims;
	return 0;
}

void claims_free(struct claims *claims)
{
	struct file *file;
	struct slot *slot;
	size_t at = 0;

	if (!claims)
		return;
	while ((file = hash_next(&claims->files, &at)))
		file_free(file);
	while (claims->slots.n) {
		at = 0;
		slot = hash_next(&claims->slots, &at);
		slot_free(claims, slot);
	}
	hash_fini(&claims->files);
	hash_fini(&claims->slots);
	problems_fini(&claims->problems);
	free(claims);
}

int claims_problem(struct claims *claims, const char *where, const char *text)
{
	return problems_set(&claims->problems, where, text);
}

size_t claims_files(const struct claims *claims)
{
	const struct file *file;
	size_t at = 0, n = 0;

	while ((file = hash_next(&claims->files, &at)))
		n += !file->absent;
	return n;
}

struct json_object *claims_problems(const struct claims *claims)
{
	return problems_describe(&claims->problems);
}
