// SPDX-License-Identifier: Apache-2.0
// match.h - label and field selectors of a query, and the namespace, as one filter.
//
// World: host, tests. Pure: yes. Owns: struct filter its terms.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/base/err.h"

enum term_op { TERM_EQUAL, TERM_NOT, TERM_IN, TERM_NOT_IN, TERM_EXISTS, TERM_ABSENT };

struct term {
	int field; // of a field selector: index into match_fields; -1: a label
	enum term_op op;
	char *key;
	char *values; // "a,b,c"
};

struct filter {
	char *ns; // NULL: all
	size_t n;
	struct term *terms;
};

// The fields that selectors may name, and of which resource ("*": of all).
struct match_field {
	const char *resource, *map, *key; // "pods", "spec", "nodeName"
};
#define MATCH_FIELDS 6
extern const struct match_field match_fields[MATCH_FIELDS];

// What a filter looks at.
struct traits {
	const char *ns, *name;
	const char *fields[MATCH_FIELDS]; // "" where there is none
	size_t nlabels;
	char **labels; // key, value, key, value, ...
};

// NULL selectors are none. -EINVAL with the server's own sentence.
int filter_parse(const char *resource, const char *ns, const char *labels, const char *fields,
		 struct filter *ret, struct err *reterr);
void filter_fini(struct filter *filter);
bool filter_match(const struct filter *filter, const struct traits *traits);
