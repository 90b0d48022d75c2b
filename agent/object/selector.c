// SPDX-License-Identifier: Apache-2.0
// selector.c - label selectors in one canonical form.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/object/kind.h"
#include "agent/object/names.h"

static const char *const selector_fields[] = {"matchLabels", "matchExpressions", NULL};
static const char *const term_fields[] = {"key", "operator", "values", NULL};

static const struct {
	const char *name;
	bool values;
} operators[] = {
	[SELECTOR_IN] = {"In", true},
	[SELECTOR_NOT_IN] = {"NotIn", true},
	[SELECTOR_EXISTS] = {"Exists", false},
	[SELECTOR_NOT_EXISTS] = {"DoesNotExist", false},
};

static void term_fini(struct selector_term *term)
{
	for (uint32_t i = 0; i < term->nvalues; i++)
		intern_put(term->values[i]);
	free(term->values);
	intern_put(term->key);
	*term = (struct selector_term){0};
}

void selector_fini(struct selector *selector)
{
	for (uint32_t i = 0; i < selector->nterms; i++)
		term_fini(&selector->terms[i]);
	free(selector->terms);
	*selector = (struct selector){0};
}

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int compare_terms(const void *a, const void *b)
{
	const struct selector_term *x = a, *y = b;
	int r = strcmp(x->key, y->key);

	if (!r)
		r = (int)x->op - (int)y->op;
	for (uint32_t i = 0; !r && i < x->nvalues && i < y->nvalues; i++)
		r = strcmp(x->values[i], y->values[i]);
	return r ? r : (x->nvalues > y->nvalues) - (x->nvalues < y->nvalues);
}

static void sort_values(struct selector_term *term)
{
	uint32_t n = 0;

	if (term->nvalues < 2)
		return;
	qsort(term->values, term->nvalues, sizeof(*term->values), compare_strings);
	for (uint32_t i = 0; i < term->nvalues; i++) {
		if (n && term->values[n - 1] == term->values[i])
			intern_put(term->values[i]);
		else
			term->values[n++] = term->values[i];
	}
	term->nvalues = n;
}

static void sort_terms(struct selector *selector)
{
	uint32_t n = 0;

	if (selector->nterms < 2)
		return;
	qsort(selector->terms, selector->nterms, sizeof(*selector->terms), compare_terms);
	for (uint32_t i = 0; i < selector->nterms; i++) {
		if (n && !compare_terms(&selector->terms[n - 1], &selector->terms[i]))
			term_fini(&selector->terms[i]);
		else
			selector->terms[n++] = selector->terms[i];
	}
	selector->nterms = n;
}

// The API names the map, not the key, when a pair is wrong.
static int read_pair(const struct at *map, const char *key, struct json_object *value,
		     struct selector_term *term, struct err *reterr)
{
	struct at item = {.up = map, .field = key, .json = value};
	const char *text = "";
	const char *wrong;

	if (at_string(&item, &text, NULL) < 0)
		return at_fail(map, reterr, "the value of \"%.80s\" is %s, not a string", key,
			       at_type_name(&item));
	wrong = name_check_label_key(key);
	if (wrong)
		return at_fail(map, reterr, "\"%.80s\" %s", key, wrong);
	wrong = name_check_label_value(text);
	if (wrong)
		return at_fail(map, reterr, "\"%.80s\" %s", text, wrong);
	term->op = SELECTOR_IN;
	term->key = intern(key);
	term->values = calloc(1, sizeof(*term->values));
	if (!term->key || !term->values)
		return no_memory(reterr);
	term->values[0] = intern(text);
	term->nvalues = term->values[0] != NULL;
	return term->nvalues ? 0 : no_memory(reterr);
}

static int read_pairs(const struct at *map, struct selector *selector, struct err *reterr)
{
	int r;

	if (!map->json)
		return 0;
	json_object_object_foreach(map->json, key, value)
	{
		r = read_pair(map, key, value, &selector->terms[selector->nterms++], reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_values(const struct at *at, struct selector_term *term, struct err *reterr)
{
	uint32_t n = 0;
	int r = at_list(at, OBJECT_MAX_VALUES, &n, reterr);

	if (r < 0)
		return r;
	if (operators[term->op].values && !n)
		return at_fail(at, reterr, "must not be empty when operator is In or NotIn");
	if (!operators[term->op].values && n)
		return at_fail(at, reterr, "must be empty when operator is Exists or DoesNotExist");
	if (!n)
		return 0;
	term->values = calloc(n, sizeof(*term->values));
	if (!term->values)
		return no_memory(reterr);
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(at, i);
		const char *text = NULL, *wrong;

		r = at_string(&item, &text, reterr);
		if (r < 0)
			return r;
		wrong = text ? name_check_label_value(text) : "is null, not a string";
		if (wrong)
			return at_fail(&item, reterr, "\"%.80s\" %s", text ? text : "", wrong);
		term->values[term->nvalues] = intern(text);
		if (!term->values[term->nvalues])
			return no_memory(reterr);
		term->nvalues++;
	}
	sort_values(term);
	return 0;
}

static int read_operator(const struct at *at, enum selector_op *ret, struct err *reterr)
{
	const char *text = "";
	int r = at_string(at, &text, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(operators); i++) {
		if (!strcmp(operators[i].name, text)) {
			*ret = (enum selector_op)i;
			return 0;
		}
	}
	return at_fail(at, reterr, "\"%.80s\" is none of In, NotIn, Exists, DoesNotExist", text);
}

static int read_term(const struct at *at, struct selector_term *term, struct err *reterr)
{
	struct at key = at_field(at, "key");
	struct at op = at_field(at, "operator");
	struct at values = at_field(at, "values");
	const char *text = "", *wrong;
	int r = at_only(at, term_fields, reterr);

	if (r <= 0)
		return r < 0 ? r : at_fail(at, reterr, "is null");
	r = read_operator(&op, &term->op, reterr);
	if (r < 0)
		return r;
	r = at_string(&key, &text, reterr);
	if (r < 0)
		return r;
	wrong = name_check_label_key(text);
	if (wrong)
		return at_fail(&key, reterr, "\"%.80s\" %s", text, wrong);
	term->key = intern(text);
	if (!term->key)
		return no_memory(reterr);
	return read_values(&values, term, reterr);
}

// Also checks the types, so that what follows can count on them.
static int count_terms(const struct at *at, const struct at *map, const struct at *list,
		       uint32_t *retpairs, uint32_t *retterms, struct err *reterr)
{
	int r = at_object(map, reterr);

	if (r < 0)
		return r;
	if (r > 0)
		*retpairs = (uint32_t)json_object_object_length(map->json);
	r = at_list(list, OBJECT_MAX_TERMS, retterms, reterr);
	if (r < 0)
		return r;
	if (*retpairs + *retterms > OBJECT_MAX_TERMS)
		return at_fail(at, reterr, "has %u requirements, at most %d are allowed",
			       *retpairs + *retterms, OBJECT_MAX_TERMS);
	return 0;
}

static int read_parts(const struct at *at, const struct at *map, const struct at *list,
		      struct selector *selector, struct err *reterr)
{
	uint32_t pairs = 0, terms = 0;
	int r = count_terms(at, map, list, &pairs, &terms, reterr);

	if (r < 0)
		return r;
	if (!pairs && !terms)
		return 1; // matches everything
	selector->terms = calloc((size_t)pairs + terms, sizeof(*selector->terms));
	if (!selector->terms)
		return no_memory(reterr);
	r = read_pairs(map, selector, reterr);
	for (uint32_t i = 0; r >= 0 && i < terms; i++) {
		struct at item = at_item(list, i);

		r = read_term(&item, &selector->terms[selector->nterms++], reterr);
	}
	if (r < 0) {
		selector_fini(selector);
		return r;
	}
	sort_terms(selector);
	return 1;
}

int selector_read(const struct at *at, struct selector *ret, struct err *reterr)
{
	struct at map = at_field(at, "matchLabels");
	struct at list = at_field(at, "matchExpressions");
	int r = at_only(at, selector_fields, reterr);

	return r > 0 ? read_parts(at, &map, &list, ret, reterr) : r;
}

int selector_read_map(const struct at *at, struct selector *ret, struct err *reterr)
{
	struct at none = {.up = at};
	int r = at_object(at, reterr);

	return r > 0 ? read_parts(at, at, &none, ret, reterr) : r;
}

static bool has_value(const struct selector_term *term, const char *value)
{
	for (uint32_t i = 0; i < term->nvalues; i++)
		if (term->values[i] == value)
			return true;
	return false;
}

static bool term_match(const struct selector_term *term, const struct labels *labels)
{
	const char *value = labels_find(labels, term->key);

	switch (term->op) {
	case SELECTOR_IN:
		return value && has_value(term, value);
	case SELECTOR_NOT_IN:
		return !value || !has_value(term, value);
	case SELECTOR_EXISTS:
		return value != NULL;
	case SELECTOR_NOT_EXISTS:
		return value == NULL;
	}
	return false;
}

bool selector_match(const struct selector *selector, const struct labels *labels)
{
	for (uint32_t i = 0; i < selector->nterms; i++)
		if (!term_match(&selector->terms[i], labels))
			return false;
	return true;
}

bool selector_equal(const struct selector *a, const struct selector *b)
{
	if (a->nterms != b->nterms)
		return false;
	for (uint32_t i = 0; i < a->nterms; i++)
		if (compare_terms(&a->terms[i], &b->terms[i]))
			return false;
	return true;
}
