// SPDX-License-Identifier: Apache-2.0
#include "tests/apiserver/match.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"

static int add(struct filter *filter, struct term term)
{
	struct term *grown = reallocarray(filter->terms, filter->n + 1, sizeof(term));

	if (!grown)
		return -ENOMEM;
	filter->terms = grown;
	grown[filter->n++] = term;
	return 0;
}

static const char *skip(const char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	return s;
}

static size_t word(const char *s)
{
	return strcspn(s, " ,=!()");
}

// Values in brackets without spaces: "(a, b)" is "a,b". The first character behind, or NULL.
static const char *values(const char *at, char **ret)
{
	size_t n = 0;

	*ret = calloc(1, strlen(at) + 1);
	for (at = skip(at + 1); *at && *at != ')'; at++)
		if (!isspace((unsigned char)*at))
			(*ret)[n++] = *at;
	return *at ? at + 1 : NULL;
}

static int unreadable(struct err *reterr, const char *at, const char *want)
{
	return err_set(reterr, -EINVAL, "unable to parse requirement: found '%.1s' expected: '%s'",
		       at, want);
}

static int parse_in(struct term *term, const char *op, size_t len, const char **at,
		    struct err *reterr)
{
	if (len == 2 && !strncmp(op, "in", 2))
		term->op = TERM_IN;
	else if (len == 5 && !strncmp(op, "notin", 5))
		term->op = TERM_NOT_IN;
	else
		return unreadable(reterr, op, "in");
	*at = skip(op + len);
	if (**at != '(')
		return unreadable(reterr, *at, "(");
	*at = values(*at, &term->values);
	return *at ? 0 : unreadable(reterr, "", ")");
}

static int parse_term(struct term *term, const char **at, struct err *reterr)
{
	const char *s = skip(*at);
	bool absent = *s == '!';
	size_t len;

	s = skip(s + absent);
	len = word(s);
	if (!len)
		return unreadable(reterr, s, "!, identifier");
	term->key = strndup(s, len);
	s = skip(s + len);
	term->op = absent ? TERM_ABSENT : TERM_EXISTS;
	if (*s == '=' || (*s == '!' && s[1] == '=')) {
		term->op = *s == '!' ? TERM_NOT : TERM_EQUAL;
		s = skip(s + (s[1] == '=' ? 2 : 1));
		len = word(s);
		term->values = strndup(s, len);
		s = skip(s + len);
	} else if (*s && *s != ',') {
		int r = parse_in(term, s, word(s), &s, reterr);

		if (r < 0)
			return r;
	}
	s = skip(s);
	if (*s && *s != ',')
		return unreadable(reterr, s, ",");
	*at = *s ? s + 1 : s;
	return 0;
}

const struct match_field match_fields[MATCH_FIELDS] = {
	{ "*", "metadata", "name" },         { "*", "metadata", "namespace" },
	{ "pods", "spec", "nodeName" },      { "pods", "status", "phase" },
	{ "services", "spec", "clusterIP" }, { "services", "spec", "type" },
};

static int find_field(struct term *term, const char *resource, struct err *reterr)
{
	for (int i = 0; i < MATCH_FIELDS; i++) {
		const struct match_field *field = &match_fields[i];
		size_t map = strlen(field->map);

		if ((*field->resource == '*' || !strcmp(field->resource, resource)) &&
		    !strncmp(term->key, field->map, map) && term->key[map] == '.' &&
		    !strcmp(term->key + map + 1, field->key)) {
			term->field = i;
			return 0;
		}
	}
	return err_set(reterr, -EINVAL, "field label not supported: %s", term->key);
}

// resource NULL: labels.
static int parse(struct filter *filter, const char *text, const char *resource, struct err *reterr)
{
	while (text && *skip(text)) {
		struct term term = { .field = -1 };
		int r = parse_term(&term, &text, reterr);

		if (r == 0 && resource)
			r = find_field(&term, resource, reterr);
		if (r == 0)
			r = add(filter, term);
		if (r < 0) {
			free(term.key);
			free(term.values);
			return r;
		}
	}
	return 0;
}

int filter_parse(const char *resource, const char *ns, const char *labels, const char *fields,
		 struct filter *ret, struct err *reterr)
{
	int r;

	*ret = (struct filter){ .ns = ns && *ns ? strdup(ns) : NULL };
	r = parse(ret, labels, NULL, reterr);
	if (r == 0)
		r = parse(ret, fields, resource, reterr);
	if (r < 0)
		filter_fini(ret);
	return r;
}

void filter_fini(struct filter *filter)
{
	for (size_t i = 0; i < filter->n; i++) {
		free(filter->terms[i].key);
		free(filter->terms[i].values);
	}
	free(filter->terms);
	free(filter->ns);
	*filter = (struct filter){ 0 };
}

static const char *value_of(const struct term *term, const struct traits *traits)
{
	if (term->field >= 0)
		return traits->fields[term->field];
	for (size_t i = 0; i < traits->nlabels; i++)
		if (!strcmp(traits->labels[2 * i], term->key))
			return traits->labels[2 * i + 1];
	return NULL;
}

static bool one_of(const char *value, const char *list)
{
	size_t len = strlen(value), n;

	for (const char *at = list;; at += n + 1) {
		n = strcspn(at, ",");
		if (n == len && !strncmp(at, value, n))
			return true;
		if (!at[n])
			return false;
	}
}

static bool term_match(const struct term *term, const struct traits *traits)
{
	const char *value = value_of(term, traits);

	switch (term->op) {
	case TERM_EQUAL:
		return value && !strcmp(value, term->values);
	case TERM_NOT:
		return !value || strcmp(value, term->values);
	case TERM_IN:
		return value && one_of(value, term->values);
	case TERM_NOT_IN:
		return !value || !one_of(value, term->values);
	case TERM_EXISTS:
		return value;
	case TERM_ABSENT:
		return !value;
	}
	return false;
}

bool filter_match(const struct filter *filter, const struct traits *traits)
{
	if (filter->ns && strcmp(filter->ns, traits->ns))
		return false;
	for (size_t i = 0; i < filter->n; i++)
		if (!term_match(&filter->terms[i], traits))
			return false;
	return true;
}
