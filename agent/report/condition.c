// SPDX-License-Identifier: Apache-2.0
// condition.c - the condition of one ClusterNetworkPolicy: made, compared, written down.
#include "agent/report/condition.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/object/object.h"
#include "agent/report/stamp.h"

static struct json_object *at(struct json_object *json, const char *key, enum json_type type)
{
	struct json_object *value = NULL;

	if (json_object_is_type(json, json_type_object))
		json_object_object_get_ex(json, key, &value);
	return json_object_is_type(value, type) ? value : NULL;
}

static const char *text_at(struct json_object *json, const char *key)
{
	struct json_object *value = at(json, key, json_type_string);

	return value ? json_object_get_string(value) : "";
}

static int64_t generation_of(struct json_object *item)
{
	return json_object_get_int64(
		at(at(item, "metadata", json_type_object), "generation", json_type_int));
}

// ---- the verdict ---------------------------------------------------------------------------------------------------

static void say(struct condition *ret, const char *reason, const char *text, const char *effect)
{
	ret->accepted = false;
	ret->reason = reason;
	snprintf(ret->message, sizeof(ret->message), "%.560s; %s", text, effect);
}

bool condition_of(struct json_object *item, const char *refused, const char *node,
		  struct condition *ret)
{
	_cleanup_(object_putp) struct object *object = NULL;
	struct err err = { 0 };
	int r = object_parse(KIND_CLUSTERNETPOL, item, &object, &err);
	char where[ERR_TEXT_BYTES + 64];

	if (r == -ENOMEM)
		return false;
	*ret = (struct condition){ .accepted = true,
				   .reason = "Accepted",
				   .message = "enforced as written" };
	if (r < 0) {
		say(ret, "NotEnforcedAsWritten", err.text,
		    "what was known of it before stays in force; without that it is not enforced");
	} else if (object->problem) {
		say(ret, "NotEnforcedAsWritten", object->problem, "what is affected fails closed");
	} else if (refused) {
		snprintf(where, sizeof(where), "on node %.63s: %.480s", node, refused);
		say(ret, "OverLimit", where, "its Accept rules are gone, Deny and Pass are Deny");
	}
	return true;
}

// ---- what status says ----------------------------------------------------------------------------------------------

static struct json_object *own_condition(struct json_object *item)
{
	struct json_object *list =
		at(at(item, "status", json_type_object), "conditions", json_type_array);

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		if (strcmp(text_at(one, "type"), CONDITION_TYPE) == 0)
			return one;
	}
	return NULL;
}

static const char *status_text(const struct condition *condition)
{
	return condition->accepted ? "True" : "False";
}

bool condition_is_said(struct json_object *item, const struct condition *condition)
{
	struct json_object *own = own_condition(item);

	return own && strcmp(text_at(own, "status"), status_text(condition)) == 0 &&
	       strcmp(text_at(own, "reason"), condition->reason) == 0 &&
	       strcmp(text_at(own, "message"), condition->message) == 0 &&
	       json_object_get_int64(at(own, "observedGeneration", json_type_int)) ==
		       generation_of(item);
}

// ---- what to apply -------------------------------------------------------------------------------------------------

static void add(struct json_object *json, const char *key, const char *text)
{
	json_object_object_add(json, key, json_object_new_string(text));
}

static struct json_object *condition_json(struct json_object *item,
					  const struct condition *condition, int64_t wall_us)
{
	struct json_object *own = own_condition(item), *json = json_object_new_object();
	const char *since = text_at(own, "lastTransitionTime");
	bool turns = strcmp(text_at(own, "status"), status_text(condition)) != 0;
	char now[STAMP_BYTES];

	stamp_second(wall_us, now);
	add(json, "type", CONDITION_TYPE);
	add(json, "status", status_text(condition));
	add(json, "reason", condition->reason);
	add(json, "message", condition->message);
	add(json, "lastTransitionTime", turns || !*since ? now : since);
	json_object_object_add(json, "observedGeneration",
			       json_object_new_int64(generation_of(item)));
	return json;
}

// The uid: an object of the same name that was made anew is another one, and gets its own.
struct json_object *condition_apply(struct json_object *item, const struct condition *condition,
				    int64_t wall_us)
{
	struct json_object *meta = at(item, "metadata", json_type_object);
	struct json_object *json = json_object_new_object(), *own_meta = json_object_new_object(),
			   *status = json_object_new_object(), *list = json_object_new_array();

	json_object_array_add(list, condition_json(item, condition, wall_us));
	json_object_object_add(status, "conditions", list);
	add(own_meta, "name", text_at(meta, "name"));
	if (*text_at(meta, "uid"))
		add(own_meta, "uid", text_at(meta, "uid"));
	add(json, "apiVersion", object_kind(KIND_CLUSTERNETPOL)->api_version);
	add(json, "kind", object_kind(KIND_CLUSTERNETPOL)->name);
	json_object_object_add(json, "metadata", own_meta);
	json_object_object_add(json, "status", status);
	return json;
}
