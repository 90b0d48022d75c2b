// SPDX-License-Identifier: Apache-2.0
// json.h - building answers: one line a field. Private to this room.
//
// World: host. Pure: yes. Owns: nothing; fields go to their object. Lack of memory leaves a field out.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/daemon/daemon.h"

static inline void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, text ? json_object_new_string(text) : NULL);
}

static inline void add_number(struct json_object *object, const char *key, uint64_t number)
{
	json_object_object_add(object, key, json_object_new_uint64(number));
}

static inline void add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

// Adds an empty object or array and returns it, borrowed.
static inline struct json_object *add_object(struct json_object *object, const char *key)
{
	struct json_object *child = json_object_new_object();

	json_object_object_add(object, key, child);
	return child;
}

static inline struct json_object *add_array(struct json_object *object, const char *key)
{
	struct json_object *child = json_object_new_array();

	json_object_object_add(object, key, child);
	return child;
}

static inline const char *dir_name(enum bh_dir dir)
{
	return dir == BH_INGRESS ? "ingress" : "egress";
}

const char *reason_name(uint32_t reason);
const char *reason_text(uint32_t reason);

// {"id","kind","policy","policies","index","name","text"}; see docs/json.md.
struct json_object *rule_json(const struct policy *policy, uint32_t rule);

// A record's state as users know it: waiting, quarantine, open, enforce.
const char *endpoint_state(const struct daemon *daemon, const struct endpoint *endpoint);
struct json_object *endpoint_json(struct daemon *daemon, const struct endpoint *endpoint);

struct json_object *attachment_state_json(struct daemon *daemon, const struct attachment *attachment);

// The pod or host that an address belongs to: "ns/name", "node NAME", or NULL. Into buf.
const char *address_owner(const struct daemon *daemon, const struct bh_addr *addr, char *buf,
			  size_t bytes);

// ops_*.c; see control_op_fn.
int op_status(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_version(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_sync(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_endpoint_list(void *arg, struct json_object *request, struct json_object **ret,
		     struct err *reterr);
int op_endpoint_get(void *arg, struct json_object *request, struct json_object **ret,
		    struct err *reterr);
int op_policy_list(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr);
int op_policy_show(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr);
int op_explain(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_ct_list(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_ct_flush(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);

int op_objects(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_flows(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);

int op_cni_add(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_cni_del(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_cni_check(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_cni_gc(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);
int op_cni_status(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr);

// The endpoint that `namespace` and `name` of a request say; *ret is NULL when both are absent.
int request_endpoint(struct daemon *daemon, struct json_object *request, struct endpoint **ret,
		     struct err *reterr);
