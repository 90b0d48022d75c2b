// SPDX-License-Identifier: Apache-2.0
// labels.c - label sets, sorted by key.
#include "agent/object/labels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/object/kind.h"

static int compare_labels(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

static int add_label(struct labels *labels, const char *key, const char *value)
{
	struct label *label = &labels->v[labels->n];

	label->key = intern(key);
	label->value = intern(value);
	labels->n++;
	return label->key && label->value ? 0 : -ENOMEM;
}

int labels_read(const struct at *at, struct labels *ret, struct err *reterr)
{
	int r = at_object(at, reterr);
	int n;

	if (r <= 0)
		return r;
	n = json_object_object_length(at->json);
	if (n > OBJECT_MAX_LABELS)
		return at_fail(at, reterr, "has %d labels, at most %d are allowed", n,
			       OBJECT_MAX_LABELS);
	ret->v = calloc(n ? (size_t)n : 1, sizeof(*ret->v));
	if (!ret->v)
		return no_memory(reterr);
	json_object_object_foreach(at->json, key, value)
	{
		struct at item = {.up = at, .field = key, .json = value};
		const char *text = "";

		r = at_string(&item, &text, NULL);
		if (r < 0)
			return at_fail(at, reterr, "the value of \"%s\" is %s, not a string", key,
				       at_type_name(&item));
		if (add_label(ret, key, text) < 0)
			return no_memory(reterr);
	}
	qsort(ret->v, ret->n, sizeof(*ret->v), compare_labels);
	return 0;
}

int labels_default(struct labels *labels, const char *key, const char *value)
{
	struct label *grown;

	for (uint32_t i = 0; i < labels->n; i++)
		if (!strcmp(labels->v[i].key, key))
			return 0;
	grown = reallocarray(labels->v, labels->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	labels->v = grown;
	if (add_label(labels, key, value) < 0)
		return -ENOMEM;
	qsort(labels->v, labels->n, sizeof(*labels->v), compare_labels);
	return 0;
}

int labels_copy(struct labels *ret, const struct labels *labels)
{
	ret->v = calloc(labels->n ? labels->n : 1, sizeof(*ret->v));
	if (!ret->v)
		return -ENOMEM;
	for (; ret->n < labels->n; ret->n++)
		ret->v[ret->n] = (struct label){ intern_get(labels->v[ret->n].key),
						 intern_get(labels->v[ret->n].value) };
	return 0;
}

void labels_fini(struct labels *labels)
{
	for (uint32_t i = 0; i < labels->n; i++) {
		intern_put(labels->v[i].key);
		intern_put(labels->v[i].value);
	}
	free(labels->v);
	*labels = (struct labels){0};
}

bool labels_equal(const struct labels *a, const struct labels *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (a->v[i].key != b->v[i].key || a->v[i].value != b->v[i].value)
			return false;
	return true;
}

const char *labels_find(const struct labels *labels, const char *interned_key)
{
	for (uint32_t i = 0; i < labels->n; i++)
		if (labels->v[i].key == interned_key)
			return labels->v[i].value;
	return NULL;
}
