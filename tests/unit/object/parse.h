// SPDX-License-Identifier: Apache-2.0
// parse.h - objects from JSON in one line, for the tests of this room.
//
// World: host, tests. Pure: yes. Owns: nothing.
#pragma once

#include "agent/object/object.h"
#include "tests/harness/test.h"

static inline struct object *parse(enum kind kind, const char *text)
{
	_cleanup_json_ struct json_object *json = test_json(text);
	struct object *object = NULL;
	struct err err = { 0 };

	assert_ok_err(object_parse(kind, json, &object, &err), &err);
	return object;
}

// Parsing fails and the sentence begins so.
static inline void refuse(enum kind kind, const char *text, const char *start)
{
	_cleanup_json_ struct json_object *json = test_json(text);
	struct object *object = NULL;
	struct err err = { 0 };

	assert_err(object_parse(kind, json, &object, &err), -EBADMSG);
	assert_null(object);
	assert_str_starts(err.text, start);
}
