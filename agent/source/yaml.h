// SPDX-License-Identifier: Apache-2.0
// yaml.h - YAML text to JSON, as Kubernetes' own tools convert it. JSON beside it.
//
// World: host. Pure: yes. Owns: nothing between calls.
// Plain scalars become null, booleans (yes, on, ... too; y and n are strings), integers (0x, 0o, 0b,
// leading 0 octal) and numbers; quoted ones are strings. Keys become strings. Merge keys (<<) are applied.
// A key that stands twice is an error in YAML; in JSON the last one counts, as for Go.
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "agent/base/err.h"

#define YAML_MAX_ANCHORS 256 // of one document: they are looked for one by one
#define YAML_MAX_NODES 2000000 // of one text, with aliases counted as often as they are used

// Called once a document; json is borrowed and NULL for an empty one; line counts from 1. Values that an
// alias repeats are the same json_object: do not change them. Not 0: stops and is returned.
typedef int (*yaml_document_fn)(void *arg, struct json_object *json, size_t line);

// 0; -EBADMSG: reterr says "line 3: ...", and documents before it were handed on; -ENOMEM.
int yaml_parse(const char *text, size_t len, yaml_document_fn fn, void *arg, struct err *reterr);

// The same for JSON: one value or several behind each other.
int json_parse(const char *text, size_t len, yaml_document_fn fn, void *arg, struct err *reterr);

// A plain scalar's value; the pieces that yaml_parse uses.
int yaml_scalar(const char *text, struct json_object **ret);
