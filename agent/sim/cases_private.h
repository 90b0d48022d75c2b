// SPDX-License-Identifier: Apache-2.0
// cases_private.h - what the files that read cases share.
//
// World: host, one thread. Pure: yes. Owns: nothing.
#pragma once

#include "agent/sim/cases.h"

// Fields of a JSON object: 0, or -EBADMSG with a sentence that begins with the field. What is not
// required and absent or null is NULL.
int case_field(struct json_object *json, const char *field, enum json_type type, bool required,
	       struct json_object **ret, struct err *reterr);
int case_text(struct json_object *json, const char *field, bool required, const char **ret,
	      struct err *reterr);
int case_number(struct json_object *json, const char *field, uint64_t max, uint64_t *ret,
		struct err *reterr); // in 1..max
int case_port_get(struct json_object *json, uint16_t *retport, uint8_t *retproto,
		  struct err *reterr);

// Fills pods, nodes and objects (sorted) from c->json.
int case_parse_state(struct sim_case *c, struct err *reterr);
int case_object_compare(const struct case_object *a, const struct case_object *b);

// New references: whole objects out of the case's short form.
struct json_object *case_manifest(const struct case_object *object, struct json_object *item);
struct json_object *case_pod_json(const struct case_object *object, struct json_object *item,
				  const struct case_pod *pod);
struct json_object *case_node_json(const struct case_object *object, struct json_object *item,
				   const struct case_node *node);
