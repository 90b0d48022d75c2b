// SPDX-License-Identifier: Apache-2.0
// class.c - interning of signatures, membership, ids.
#include "agent/policy/class.h"

#include <assert.h>
#include <string.h>

#include "agent/policy/must.h"

struct sig {
	const uint32_t *v;
	size_t n;
};

void classes_init(struct classes *classes, uint32_t first, uint32_t max)
{
	*classes = (struct classes){ 0 };
	ids_init(&classes->ids, first, max);
}

void classes_fini(struct classes *classes)
{
	struct cls *cls;
	size_t at = 0;

	vec_each(struct cls *, loose, &classes->by_id)
		if (*loose && !(*loose)->interned)
			free(*loose);
	while ((cls = hash_next(&classes->by_sig, &at)))
		free(cls);
	hash_fini(&classes->by_sig);
	ids_fini(&classes->ids);
	vec_fini(&classes->by_id);
	vec_fini(&classes->touched);
}

static bool equal(const void *item, const void *key)
{
	const struct cls *cls = item;
	const struct sig *sig = key;

	return cls->n == sig->n && (!sig->n || !memcmp(cls->sig, sig->v, sig->n * sizeof(*sig->v)));
}

static void touch(struct classes *classes, struct cls *cls)
{
	if (!cls->touched)
		must_push(&classes->touched, cls);
	cls->touched = true;
}

struct cls *cls_loose(struct classes *classes, const uint32_t *sig, size_t n)
{
	struct cls *cls = must_new(sizeof(*cls) + n * sizeof(*sig));

	cls->id = cls->from = IDS_NONE;
	cls->n = (uint32_t)n;
	if (n)
		memcpy(cls->sig, sig, n * sizeof(*sig));
	touch(classes, cls);
	return cls;
}

struct cls *cls_find(const struct classes *classes, const uint32_t *sig, size_t n)
{
	return hash_find(&classes->by_sig, hash_bytes(sig, n * sizeof(*sig)), equal,
			 &(struct sig){ sig, n });
}

void cls_intern(struct classes *classes, struct cls *cls)
{
	cls->hash = hash_bytes(cls->sig, cls->n * sizeof(*cls->sig));
	cls->interned = true;
	classes->services += cls_is_service(cls);
	must_ok(hash_add(&classes->by_sig, cls->hash, cls));
}

void cls_unintern(struct classes *classes, struct cls *cls)
{
	hash_remove(&classes->by_sig, cls->hash, cls);
	classes->services -= cls_is_service(cls);
	cls->interned = false;
}

struct cls *cls_get(struct classes *classes, const uint32_t *sig, size_t n)
{
	struct cls *cls = cls_find(classes, sig, n);

	if (cls)
		return cls;
	cls = cls_loose(classes, sig, n);
	cls_intern(classes, cls);
	return cls;
}

void cls_join(struct cls *cls)
{
	cls->members++;
}

void cls_leave(struct classes *classes, struct cls *cls)
{
	if (!cls)
		return;
	assert(cls->members);
	cls->members--;
	touch(classes, cls);
}

void cls_number_as(struct classes *classes, struct cls *cls, uint32_t id)
{
	while (classes->by_id.n <= id)
		must_push(&classes->by_id, NULL);
	classes->by_id.v[id] = cls;
	cls->id = cls->from = id;
}

bool cls_number(struct classes *classes, struct cls *cls)
{
	uint32_t id = ids_take(&classes->ids);

	if (id == IDS_NONE)
		return false;
	cls_number_as(classes, cls, id);
	return true;
}

void cls_inherit(struct classes *classes, struct cls *heir, struct cls *from)
{
	cls_number_as(classes, heir, from->id);
	from->lent = true;
}

static void drop(struct classes *classes, struct cls *cls)
{
	if (cls->id != IDS_NONE && !cls->lent) {
		classes->by_id.v[cls->id] = NULL;
		ids_put(&classes->ids, cls->id);
	}
	if (cls->interned)
		cls_unintern(classes, cls);
	free(cls);
}

void classes_sweep(struct classes *classes)
{
	vec_each(struct cls *, cls, &classes->touched) {
		(*cls)->touched = false;
		if (!(*cls)->members)
			drop(classes, *cls);
	}
	vec_clear(&classes->touched);
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

size_t sig_sort(uint32_t *sig, size_t n)
{
	size_t kept = 0;

	if (n > 1)
		qsort(sig, n, sizeof(*sig), ascending);
	for (size_t i = 0; i < n; i++)
		if (!kept || sig[i] != sig[kept - 1])
			sig[kept++] = sig[i];
	return kept;
}
