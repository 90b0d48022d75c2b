// SPDX-License-Identifier: Apache-2.0
// labels.c - label sets, sorted by key; equal ones are one.
#include "agent/object/labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/object/kind.h"

typedef VEC(struct label) label_vec;

static void strings_put(const struct label *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		intern_put(v[i].key);
		intern_put(v[i].value);
	}
}

static void draft_fini(label_vec *draft)
{
	strings_put(draft->v, draft->n);
	vec_fini(draft);
}

static int compare_labels(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

static int add_label(label_vec *draft, const char *key, const char *value)
{
	struct label label = {intern(key), intern(value)};

	if (label.key && label.value && vec_push(draft, label) == 0)
		return 0;
	strings_put(&label, 1);
	return -ENOMEM;
}

// Takes over the strings if it succeeds, and what *ret held goes.
static int settle(label_vec *draft, struct labels *ret)
{
	const void *kept;

	vec_sort(draft, compare_labels);
	kept = intern_n((const char *)draft->v, draft->n * sizeof(*draft->v));
	if (!kept)
		return -ENOMEM;
	labels_fini(ret);
	*ret = (struct labels){(uint32_t)draft->n, kept};
	vec_clear(draft);
	return 0;
}

int labels_read(const struct at *at, struct labels *ret, struct err *reterr)
{
	_cleanup_(draft_fini) label_vec draft = {0};
	int r = at_object(at, reterr);
	int n;

	if (r <= 0)
		return r;
	n = json_object_object_length(at->json);
	if (n > OBJECT_MAX_LABELS)
		return at_fail(at, reterr, "has %d labels, at most %d are allowed", n,
			       OBJECT_MAX_LABELS);
	json_object_object_foreach(at->json, key, value)
	{
		struct at item = {.up = at, .field = key, .json = value};
		const char *text = "";

		r = at_string(&item, &text, NULL);
		if (r < 0)
			return at_fail(at, reterr, "the value of \"%s\" is %s, not a string", key,
				       at_type_name(&item));
		if (add_label(&draft, key, text) < 0)
			return no_memory(reterr);
	}
	return n && settle(&draft, ret) < 0 ? no_memory(reterr) : 0;
}

int labels_default(struct labels *labels, const char *key, const char *value)
{
	_cleanup_(draft_fini) label_vec draft = {0};

	for (uint32_t i = 0; i < labels->n; i++)
		if (!strcmp(labels->v[i].key, key))
			return 0;
	for (uint32_t i = 0; i < labels->n; i++)
		if (add_label(&draft, labels->v[i].key, labels->v[i].value) < 0)
			return -ENOMEM;
	return add_label(&draft, key, value) < 0 ? -ENOMEM : settle(&draft, labels);
}

void labels_copy(struct labels *ret, const struct labels *labels)
{
	for (uint32_t i = 0; i < labels->n; i++) {
		intern_get(labels->v[i].key);
		intern_get(labels->v[i].value);
	}
	intern_get((const char *)labels->v);
	*ret = *labels;
}

void labels_fini(struct labels *labels)
{
	strings_put(labels->v, labels->n);
	intern_put((const char *)labels->v);
	*labels = (struct labels){0};
}

bool labels_equal(const struct labels *a, const struct labels *b)
{
	return a->v == b->v;
}

const char *labels_find(const struct labels *labels, const char *interned_key)
{
	for (uint32_t i = 0; i < labels->n; i++)
		if (labels->v[i].key == interned_key)
			return labels->v[i].value;
	return NULL;
}
