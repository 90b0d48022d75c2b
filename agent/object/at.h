// SPDX-License-Identifier: Apache-2.0
// at.h - a JSON value and the way to it, so that whoever refuses it can name the field.
//
// World: host. Pure: yes. Owns: nothing: json is borrowed, `up` points into the caller's stack
// frames. null and absent are the same, as in the API. Readers return 1 when the value was there, 0
// when it was not (the out-parameter is untouched), -EBADMSG with a sentence that begins with the
// field.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"

struct at {
	const struct at *up; // NULL: the object itself
	const char *field;   // NULL: an element of a list
	size_t index;
	struct json_object *json; // NULL: absent
};

static inline struct at at_root(struct json_object *json)
{
	return (struct at){.json = json};
}

struct at at_field(const struct at *up, const char *field);
struct at at_item(const struct at *up, size_t index);

// "spec.ingress[0].from" into buf, returned.
const char *at_path(const struct at *at, char *buf, size_t bytes);

// Sets reterr to "path: text" and returns -EBADMSG. What is not printable ASCII becomes '?'.
int at_fail(const struct at *at, struct err *reterr, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

int at_object(const struct at *at, struct err *reterr);
int at_list(const struct at *at, uint32_t max, uint32_t *retn, struct err *reterr);
int at_string(const struct at *at, const char **ret, struct err *reterr); // borrowed
int at_intern(const struct at *at, const char **ret, struct err *reterr); // counted; -ENOMEM, too
int at_int(const struct at *at, int64_t min, int64_t max, int64_t *ret, struct err *reterr);
int at_bool(const struct at *at, bool *ret, struct err *reterr);

// Refuses an object that has a field which is not in `fields` (NULL-terminated).
int at_only(const struct at *at, const char *const *fields, struct err *reterr);

// "a string", "a list", ...
const char *at_type_name(const struct at *at);
