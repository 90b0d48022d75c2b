// SPDX-License-Identifier: Apache-2.0
// status.c - answers with one JSON body.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/apiserver/apiserver.h"

static void add(struct json_object *json, const char *key, const char *text)
{
	json_object_object_add(json, key, json_object_new_string(text));
}

struct json_object *status_json(int code, const char *reason, const char *message)
{
	struct json_object *json = json_object_new_object();

	add(json, "kind", "Status");
	add(json, "apiVersion", "v1");
	json_object_object_add(json, "metadata", json_object_new_object());
	add(json, "status", "Failure");
	add(json, "message", message);
	if (reason)
		add(json, "reason", reason);
	json_object_object_add(json, "code", json_object_new_int(code));
	return json;
}

const char *target_title(const struct target *target, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s%s%s", target->plural, *target->group ? "." : "", target->group);
	return buf;
}

void answer_json(struct call *call, int code, struct json_object *json)
{
	const char *text = json_object_to_json_string_ext(json, JSON_PLAIN);
	_cleanup_free_ char *line = NULL;
	int n = asprintf(&line, "%s\n", text);

	if (n > 0)
		conn_reply(call->conn, code, "application/json", NULL, line, (size_t)n);
	json_object_put(json);
}

void answer_entry(struct call *call, int code, const struct entry *entry)
{
	size_t len;
	_cleanup_free_ char *text = entry_json(entry, &len);

	conn_reply(call->conn, code, "application/json", NULL, text, len);
}

// The code stands behind the details.
static void add_details(struct json_object *json, struct json_object *details, int code)
{
	json_object_object_add(json, "details", details);
	json_object_object_del(json, "code");
	json_object_object_add(json, "code", json_object_new_int(code));
}

static struct json_object *about(const struct target *target)
{
	struct json_object *details = json_object_new_object();

	if (*target->name)
		add(details, "name", target->name);
	if (*target->group)
		add(details, "group", target->group);
	add(details, "kind", target->plural);
	return details;
}

void answer_status(struct call *call, int code, const char *reason, enum detail detail,
		   const char *fmt, ...)
{
	_cleanup_free_ char *message = NULL;
	struct json_object *json;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&message, fmt, args);
	va_end(args);
	json = status_json(code, reason, n < 0 ? "" : message);
	if (detail != DETAIL_NONE)
		add_details(json,
			    detail == DETAIL_EMPTY ? json_object_new_object() :
						     about(&call->target),
			    code);
	answer_json(call, code, json);
}

static struct json_object *cause(const char *reason, const char *message, const char *field)
{
	struct json_object *list = json_object_new_array(), *item = json_object_new_object();

	add(item, "reason", reason);
	add(item, "message", message);
	if (field)
		add(item, "field", field);
	json_object_array_add(list, item);
	return list;
}

void answer_invalid(struct call *call, const char *kind, const char *field, const char *message)
{
	struct json_object *details = json_object_new_object(), *json;
	char text[512];

	snprintf(text, sizeof(text), "%s \"\" is invalid: %s: Forbidden: %s", kind, field, message);
	json = status_json(422, "Invalid", text);
	add(details, "group", "meta.k8s.io");
	add(details, "kind", "ListOptions");
	snprintf(text, sizeof(text), "Forbidden: %s", message);
	json_object_object_add(details, "causes", cause("FieldValueForbidden", text, field));
	add_details(json, details, 422);
	answer_json(call, 422, json);
}

void answer_too_large(struct call *call, uint64_t rv)
{
	struct json_object *details = json_object_new_object(), *json;
	bool watch = !strcmp(call->target.verb, "watch");
	char text[128];

	snprintf(text, sizeof(text), "Timeout: Too large resource version: %llu, current: %llu",
		 (unsigned long long)rv, (unsigned long long)call->server->db.rv);
	json = status_json(504, "Timeout", text);
	json_object_object_add(
		details, "causes",
		cause("ResourceVersionTooLarge", "Too large resource version", NULL));
	json_object_object_add(details, "retryAfterSeconds", json_object_new_int(1));
	add_details(json, details, 504);
	if (watch) {
		struct json_object *event = json_object_new_object();

		add(event, "type", "ERROR");
		json_object_object_add(event, "object", json);
		json = event;
	}
	answer_json(call, watch ? 200 : 504, json);
}
