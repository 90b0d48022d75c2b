// SPDX-License-Identifier: Apache-2.0
// json.h - a record as one line of JSON: the schema of docs/flows.md and docs/flow.schema.json.
//
// World: host. Pure: yes. Owns: nothing.
#pragma once

#include <event2/buffer.h>
#include <json-c/json.h>

#include "agent/base/err.h"
#include "agent/base/jsonw.h"
#include "agent/flow/record.h"

// Writes one object. node: the name of this node. Text that is no UTF-8 has its bytes replaced by U+FFFD.
void flow_json_write(struct jsonw *w, const struct flow_record *record, const char *node);

// Appends the same, without a newline. 0 or -ENOMEM (nothing is appended then).
int flow_json(struct evbuffer *out, const struct flow_record *record, const char *node);

// The record that such an object tells, and who told it (borrowed from json). The caller ends the record. -EBADMSG
// with a sentence that names the field.
int flow_json_read(struct json_object *json, struct flow_record *ret, const char **retnode, struct err *reterr);
