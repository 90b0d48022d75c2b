// SPDX-License-Identifier: Apache-2.0
// condition.h - what status says of a ClusterNetworkPolicy: this engine takes it as written, or why not.
//
// World: host. Pure: yes. Owns: nothing.
//
// The verdict is that of the very object that is written to, parsed as every agent parses it, so it depends on no
// cache. Only this condition is ours: it is applied (server-side apply), others' conditions are not touched.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"

#define CONDITION_TYPE "bulkhead.io/Accepted"

struct condition {
	bool accepted;
	const char *reason; // "Accepted", "NotEnforcedAsWritten", "OverLimit"
	char message[ERR_TEXT_BYTES + 128];
};

// Of one item of a list of ClusterNetworkPolicies. refused: why the compiler of `node` refuses what the object
// says; NULL: it does not. False: without memory.
bool condition_of(struct json_object *item, const char *refused, const char *node,
		  struct condition *ret);

// Whether status says so of the object's present generation already.
bool condition_is_said(struct json_object *item, const struct condition *condition);

// What to apply. lastTransitionTime is now only when the condition turns. NULL for lack of memory.
struct json_object *condition_apply(struct json_object *item, const struct condition *condition,
				    int64_t wall_us);
