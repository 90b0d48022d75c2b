// SPDX-License-Identifier: Apache-2.0
// write.c - POST, PUT, PATCH and DELETE.
#include <errno.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/apiserver/apiserver.h"

static const char *text_at(struct json_object *json, const char *a, const char *b)
{
	const char *text =
		json_object_get_string(json_object_object_get(json_object_object_get(json, a), b));

	return text ? text : "";
}

static struct json_object *meta_of(struct json_object *json)
{
	struct json_object *meta = json_object_object_get(json, "metadata");

	if (!meta) {
		meta = json_object_new_object();
		json_object_object_add(json, "metadata", meta);
	}
	return meta;
}

// The request's body, an object of the target's kind. NULL: answered.
static struct json_object *body(struct call *call)
{
	struct json_object *json =
		call->request->body ? json_tokener_parse(call->request->body) : NULL;
	const struct resource *r = call->target.resource;
	const char *kind = json_object_get_string(json_object_object_get(json, "kind"));
	const char *api = json_object_get_string(json_object_object_get(json, "apiVersion"));
	bool patch = !strcmp(call->target.verb, "patch");
	char want[96];

	if (!json_object_is_type(json, json_type_object)) {
		answer_status(
			call, 400, "BadRequest", DETAIL_NONE,
			"the object provided is unrecognized (must be of type %s): couldn't get version/kind; json parse "
			"error: unexpected end of JSON input",
			r->kind);
	} else if (!patch && (!kind || !api || strcmp(kind, r->kind) ||
			      strcmp(api, resource_api(r, want, sizeof(want))))) {
		answer_status(
			call, 400, "BadRequest", DETAIL_NONE,
			"the API version in the data (%s) does not match the expected API version (%s)",
			api ? api : "", resource_api(r, want, sizeof(want)));
	} else {
		return json;
	}
	json_object_put(json);
	return NULL;
}

static void answer_conflict(struct call *call)
{
	char title[160];

	answer_status(
		call, 409, "Conflict", DETAIL_TARGET,
		"Operation cannot be fulfilled on %s \"%s\": the object has been modified; please apply your changes to "
		"the latest version and try again",
		target_title(&call->target, title, sizeof(title)), call->target.name);
}

static void answer_missing(struct call *call)
{
	char title[160];

	answer_status(call, 404, "NotFound", DETAIL_TARGET, "%s \"%s\" not found",
		      target_title(&call->target, title, sizeof(title)), call->target.name);
}

static struct entry *find(struct call *call)
{
	const struct target *t = &call->target;

	return db_find(&call->server->db, t->resource, t->resource->namespaced ? t->ns : "",
		       t->name);
}

static void store(struct call *call, int code, struct json_object *json)
{
	struct entry *entry;
	struct err err = { 0 };

	if (db_put(&call->server->db, call->target.resource, json, &entry, &err) < 0)
		answer_status(call, 422, "Invalid", DETAIL_TARGET, "%s", err.text);
	else
		answer_entry(call, code, entry);
}

static void review(struct call *call, struct json_object *json)
{
	struct json_object *spec = json_object_object_get(json, "spec"),
			   *status = json_object_new_object(), *a;
	struct target t = { .is_resource = true };

	a = json_object_object_get(spec, "resourceAttributes");
#define COPY(field, key)                                                                           \
	snprintf(t.field, sizeof(t.field), "%s",                                                   \
		 json_object_get_string(json_object_object_get(a, key)) ?: "")
	COPY(verb, "verb");
	COPY(group, "group");
	COPY(plural, "resource");
	COPY(sub, "subresource");
	COPY(ns, "namespace");
	COPY(name, "name");
#undef COPY
	json_object_object_add(
		status, "allowed",
		json_object_new_boolean(rbac_allows(&call->server->rbac, &call->identity, &t)));
	json_object_object_add(json, "status", status);
	answer_json(call, 201, json_object_get(json));
}

static void name_it(struct call *call, struct json_object *meta)
{
	const char *prefix = json_object_get_string(json_object_object_get(meta, "generateName"));
	char name[256];

	if (json_object_object_get(meta, "name") || !prefix)
		return;
	snprintf(name, sizeof(name), "%s%05llx", prefix,
		 (unsigned long long)call->server->db.rv + 1);
	json_object_object_add(meta, "name", json_object_new_string(name));
}

void answer_create(struct call *call)
{
	_cleanup_json_ struct json_object *json = body(call);
	struct target *t = &call->target;
	struct json_object *meta;
	char title[160];

	if (!json)
		return;
	if (!strcmp(t->plural, "selfsubjectaccessreviews")) {
		review(call, json);
		return;
	}
	meta = meta_of(json);
	name_it(call, meta);
	if (t->resource->namespaced && !json_object_object_get(meta, "namespace"))
		json_object_object_add(meta, "namespace", json_object_new_string(t->ns));
	snprintf(t->name, sizeof(t->name), "%s", text_at(json, "metadata", "name"));
	if (t->resource->namespaced && strcmp(text_at(json, "metadata", "namespace"), t->ns))
		answer_status(
			call, 400, "BadRequest", DETAIL_NONE,
			"the namespace of the provided object does not match the namespace sent on the request");
	else if (*t->name && find(call))
		answer_status(call, 409, "AlreadyExists", DETAIL_TARGET, "%s \"%s\" already exists",
			      target_title(t, title, sizeof(title)), t->name);
	else
		store(call, 201, json);
}

// With a subresource only its field counts, else all but it.
static struct json_object *merged_status(const struct call *call, struct json_object *now,
					 struct json_object *json)
{
	bool sub = *call->target.sub;
	struct json_object *from = sub ? json : now, *to = sub ? now : json;
	struct json_object *status = json_object_object_get(from, "status");

	if (!call->target.resource->status)
		return json_object_get(json);
	if (status)
		json_object_object_add(to, "status", json_object_get(status));
	return json_object_get(to);
}

void answer_update(struct call *call)
{
	_cleanup_json_ struct json_object *json = body(call), *now = NULL, *result = NULL;
	const struct entry *entry = json ? find(call) : NULL;
	const char *rv;

	if (!json)
		return;
	rv = text_at(json, "metadata", "resourceVersion");
	if (!entry) {
		answer_missing(call);
	} else if (*rv && strtoull(rv, NULL, 10) != entry->rv) {
		answer_conflict(call);
	} else {
		now = entry_object(entry);
		result = merged_status(call, now, json);
		store(call, 200, result);
	}
}

// ---- patches ---------------------------------------------------------------------------------------------------------
static void merge(struct json_object *to, struct json_object *patch)
{
	json_object_object_foreach(patch, key, value)
	{
		struct json_object *now = json_object_object_get(to, key);

		if (!value)
			json_object_object_del(to, key);
		else if (json_object_is_type(value, json_type_object) &&
			 json_object_is_type(now, json_type_object))
			merge(now, value);
		else
			json_object_object_add(to, key, json_object_get(value));
	}
}

static const char *asked(const struct call *call, const char *name)
{
	const char *value = evhttp_find_header(&call->request->query, name);

	return value ? value : "";
}

static void answer_field_conflict(struct call *call, const char *field)
{
	answer_status(call, 409, "Conflict", DETAIL_TARGET, "Apply failed with 1 conflict: %s",
		      field);
}

static void apply(struct call *call, struct json_object *json)
{
	const struct entry *entry = find(call);
	_cleanup_json_ struct json_object *now = entry ? entry_object(entry) : NULL, *before = NULL;
	_cleanup_free_ char *field = NULL;
	const char *manager = asked(call, "fieldManager"),
		   *rv = text_at(json, "metadata", "resourceVersion");
	int r;

	if (!*manager) {
		answer_invalid(call, "PatchOptions.meta.k8s.io", "fieldManager",
			       "is required for apply patch");
		return;
	}
	if (!entry && *call->target.sub) {
		answer_missing(call);
		return;
	}
	if (entry && *rv && strtoull(rv, NULL, 10) != entry->rv) {
		answer_conflict(call);
		return;
	}
	if (!entry) {
		now = json_object_new_object();
		json_object_object_add(meta_of(now), "name",
				       json_object_new_string(call->target.name));
		if (call->target.resource->namespaced)
			json_object_object_add(meta_of(now), "namespace",
					       json_object_new_string(call->target.ns));
	} else {
		before = entry_object(entry);
	}
	r = apply_merge(now, json, manager, call->target.sub, !strcmp(asked(call, "force"), "true"),
			&field);
	if (r == -EEXIST)
		answer_field_conflict(call, field);
	else if (before && json_object_equal(before, now)) // nothing new: no revision
		answer_entry(call, 200, entry);
	else
		store(call, entry ? 200 : 201, now);
}

static void merge_patch(struct call *call, struct json_object *json)
{
	const struct entry *entry = find(call);
	_cleanup_json_ struct json_object *now = entry ? entry_object(entry) : NULL, *result = NULL,
					  *old = NULL;
	const char *rv = text_at(json, "metadata", "resourceVersion");

	if (!entry) {
		answer_missing(call);
		return;
	}
	if (*rv && strtoull(rv, NULL, 10) != entry->rv) {
		answer_conflict(call);
		return;
	}
	old = entry_object(entry);
	merge(now, json);
	result = merged_status(call, old, now);
	store(call, 200, result);
}

void answer_patch(struct call *call)
{
	const char *type = evhttp_find_header(&call->request->headers, "Content-Type");
	_cleanup_json_ struct json_object *json = NULL;

	if (!type || (strncmp(type, "application/merge-patch+json", 28) &&
		      strncmp(type, "application/apply-patch+yaml", 28))) {
		answer_status(
			call, 415, "UnsupportedMediaType", DETAIL_EMPTY,
			"the body of the request was in an unknown format - accepted media types include: "
			"application/merge-patch+json, application/apply-patch+yaml");
		return;
	}
	json = body(call);
	if (!json)
		return;
	if (strstr(type, "apply"))
		apply(call, json);
	else
		merge_patch(call, json);
}

void answer_delete(struct call *call)
{
	const struct target *t = &call->target;
	const struct entry *entry = find(call);
	struct json_object *json;

	if (!entry) {
		answer_missing(call);
		return;
	}
	db_remove(&call->server->db, t->resource, t->resource->namespaced ? t->ns : "", t->name);
	json = status_json(200, NULL, "");
	json_object_object_add(json, "status", json_object_new_string("Success"));
	json_object_object_del(json, "message");
	answer_json(call, 200, json);
}
