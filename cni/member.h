// SPDX-License-Identifier: Apache-2.0
// member.h - the members of a JSON object, each with its value's own bytes.
//
// World: host. Pure: yes. Owns: nothing between calls.
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "agent/base/err.h"

struct member {
	const char *key; // decoded
	struct json_object *value; // NULL: null
	const char *text; // the value as it was written
	size_t len;
};

// Called for each member; key and value are borrowed for the call (json_object_get() keeps the value). Anything but
// 0 ends the walk and is returned.
typedef int (*member_fn)(void *arg, const struct member *member, struct err *reterr);

// -CNI_DECODE: text is no JSON object, or something stands behind it.
int member_each(const char *text, size_t len, int depth, member_fn fn, void *arg,
		struct err *reterr);
