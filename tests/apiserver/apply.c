// SPDX-License-Identifier: Apache-2.0
// apply.c - server-side apply, as far as conditions and Leases need it: who owns which field, what conflicts, what goes.
//
// Lists are one value, but for conditions, whose items are told apart by their type. Who owns what stands in
// metadata.managedFields as a real server writes it; its time is left out, so that applying the same again changes nothing.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/apiserver/apiserver.h"

struct merging {
	struct json_object *managed; // metadata.managedFields
	const char *manager, *sub;
	bool force;
	char *field; // of the conflict
};

static const char *text_at(struct json_object *json, const char *key)
{
	const char *text = json_object_get_string(json_object_object_get(json, key));

	return text ? text : "";
}

static bool is_own(const struct merging *m, struct json_object *entry)
{
	return !strcmp(text_at(entry, "manager"), m->manager) &&
	       !strcmp(text_at(entry, "operation"), "Apply") &&
	       !strcmp(text_at(entry, "subresource"), m->sub);
}

static struct json_object *own_fields(const struct merging *m)
{
	for (size_t i = 0; i < json_object_array_length(m->managed); i++) {
		struct json_object *entry = json_object_array_get_idx(m->managed, i);

		if (is_own(m, entry))
			return json_object_object_get(entry, "fieldsV1");
	}
	return NULL;
}

// The name of an item of a list of conditions in a set of fields; false: the list is one value.
static bool item_key(const char *list, struct json_object *item, char *buf, size_t bytes)
{
	const char *type = text_at(item, "type");

	if (strcmp(list, "conditions") || !*type)
		return false;
	snprintf(buf, bytes, "k:{\"type\":\"%s\"}", type);
	return true;
}

static struct json_object *item_find(struct json_object *list, const char *type)
{
	for (size_t i = 0; list && i < json_object_array_length(list); i++)
		if (!strcmp(text_at(json_object_array_get_idx(list, i), "type"), type))
			return json_object_array_get_idx(list, i);
	return NULL;
}

// The fields that an applied configuration names.
static struct json_object *fields_of(struct json_object *config)
{
	struct json_object *fields = json_object_new_object();
	char key[300];

	json_object_object_foreach(config, name, value)
	{
		struct json_object *inner = json_object_new_object();

		snprintf(key, sizeof(key), "f:%s", name);
		if (json_object_is_type(value, json_type_object)) {
			json_object_put(inner);
			inner = fields_of(value);
		} else if (json_object_is_type(value, json_type_array) &&
			   !strcmp(name, "conditions")) {
			for (size_t i = 0; i < json_object_array_length(value); i++) {
				struct json_object *item = json_object_array_get_idx(value, i);
				char own[300];

				if (item_key(name, item, own, sizeof(own)))
					json_object_object_add(inner, own, fields_of(item));
			}
		}
		json_object_object_add(fields, key, inner);
	}
	return fields;
}

// ---- who else owns a field ------------------------------------------------------------------------------------------
#define DEPTH 16
struct path {
	size_t n;
	const char *keys[DEPTH]; // as in fieldsV1: "f:status", "k:{...}"
};

static bool owns(struct json_object *fields, const struct path *path)
{
	for (size_t i = 0; i < path->n; i++)
		if (!json_object_object_get_ex(fields, path->keys[i], &fields))
			return false;
	return true;
}

static const char *other_owner(const struct merging *m, const struct path *path)
{
	for (size_t i = 0; i < json_object_array_length(m->managed); i++) {
		struct json_object *entry = json_object_array_get_idx(m->managed, i);

		if (!is_own(m, entry) && owns(json_object_object_get(entry, "fieldsV1"), path))
			return text_at(entry, "manager");
	}
	return NULL;
}

static int conflict(struct merging *m, const struct path *path)
{
	const char *owner = m->force ? NULL : other_owner(m, path);
	char text[1024];
	size_t n = 0;

	if (!owner)
		return 0;
	n = (size_t)snprintf(text, sizeof(text), "conflict with \"%s\": ", owner);
	for (size_t i = 0; i < path->n && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, ".%s", path->keys[i] + 2);
	m->field = strdup(text);
	return -EEXIST;
}

// ---- setting, removing ------------------------------------------------------------------------------------------------
static int set_all(struct merging *m, struct json_object *to, struct json_object *config,
		   struct path *path);

static int set_conditions(struct merging *m, struct json_object *list, struct json_object *config,
			  struct path *path)
{
	char key[300];
	int r = 0;

	for (size_t i = 0; i < json_object_array_length(config) && r == 0; i++) {
		struct json_object *item = json_object_array_get_idx(config, i), *now;

		if (!item_key("conditions", item, key, sizeof(key)))
			return -EINVAL;
		now = item_find(list, text_at(item, "type"));
		if (!now) {
			now = json_object_new_object();
			json_object_array_add(list, now);
		}
		path->keys[path->n++] = key;
		r = set_all(m, now, item, path);
		path->n--;
	}
	return r;
}

static int set_one(struct merging *m, struct json_object *to, const char *name,
		   struct json_object *value, struct path *path)
{
	struct json_object *now = json_object_object_get(to, name);
	bool list = json_object_is_type(value, json_type_array) && !strcmp(name, "conditions");

	if (json_object_is_type(value, json_type_object) || list) {
		if (!now) {
			now = list ? json_object_new_array() : json_object_new_object();
			json_object_object_add(to, name, now);
		}
		return list ? set_conditions(m, now, value, path) : set_all(m, now, value, path);
	}
	if (now && !json_object_equal(now, value)) {
		int r = conflict(m, path);

		if (r < 0)
			return r;
	}
	json_object_object_add(to, name, json_object_get(value));
	return 0;
}

static int set_all(struct merging *m, struct json_object *to, struct json_object *config,
		   struct path *path)
{
	char key[300];
	int r = 0;

	json_object_object_foreach(config, name, value)
	{
		if (path->n == DEPTH)
			return -EINVAL;
		snprintf(key, sizeof(key), "f:%s", name);
		path->keys[path->n++] = key;
		r = set_one(m, to, name, value, path);
		path->n--;
		if (r < 0)
			break;
	}
	return r;
}

static bool is_empty(struct json_object *json)
{
	return (json_object_is_type(json, json_type_object) && !json_object_object_length(json)) ||
	       (json_object_is_type(json, json_type_array) && !json_object_array_length(json));
}

// What this manager owned and does not name any more goes, unless another one owns it as well.
static void remove_left(const struct merging *m, struct json_object *from,
			struct json_object *before, struct json_object *after, struct path *path);

static void remove_items(const struct merging *m, struct json_object *list,
			 struct json_object *before, struct json_object *after, struct path *path)
{
	for (size_t i = json_object_array_length(list); i-- > 0;) {
		struct json_object *item = json_object_array_get_idx(list, i), *was;
		char key[300];

		if (!item_key("conditions", item, key, sizeof(key)) ||
		    !json_object_object_get_ex(before, key, &was))
			continue;
		path->keys[path->n++] = key;
		remove_left(m, item, was, json_object_object_get(after, key), path);
		path->n--;
		if (is_empty(item))
			json_object_array_del_idx(list, i, 1);
	}
}

static void remove_left(const struct merging *m, struct json_object *from,
			struct json_object *before, struct json_object *after, struct path *path)
{
	json_object_object_foreach(before, key, inner)
	{
		struct json_object *now = json_object_object_get(from, key + 2), *kept = NULL;
		bool named = after && json_object_object_get_ex(after, key, &kept);

		if (!now || path->n == DEPTH)
			continue;
		path->keys[path->n++] = key;
		if (json_object_is_type(now, json_type_array) && !is_empty(inner))
			remove_items(m, now, inner, kept, path);
		else if (!is_empty(inner))
			remove_left(m, now, inner, kept, path);
		else if (!named && !other_owner(m, path))
			json_object_object_del(from, key + 2);
		path->n--;
		if (!named && is_empty(now) && !is_empty(inner))
			json_object_object_del(from, key + 2);
	}
}

static void set_owner(struct merging *m, struct json_object *fields, const char *api)
{
	struct json_object *entry = json_object_new_object();
	size_t at = 0;

	while (at < json_object_array_length(m->managed) &&
	       !is_own(m, json_object_array_get_idx(m->managed, at)))
		at++;
	json_object_object_add(entry, "manager", json_object_new_string(m->manager));
	json_object_object_add(entry, "operation", json_object_new_string("Apply"));
	json_object_object_add(entry, "apiVersion", json_object_new_string(api));
	json_object_object_add(entry, "fieldsType", json_object_new_string("FieldsV1"));
	json_object_object_add(entry, "fieldsV1", fields);
	if (*m->sub)
		json_object_object_add(entry, "subresource", json_object_new_string(m->sub));
	json_object_array_put_idx(m->managed, at, entry);
}

int apply_merge(struct json_object *object, struct json_object *config, const char *manager,
		const char *sub, bool force, char **retfield)
{
	struct json_object *meta = json_object_object_get(object, "metadata"), *fields, *before;
	struct merging m = { .manager = manager, .sub = sub, .force = force };
	_cleanup_free_ char *api = strdup(text_at(config, "apiVersion"));
	struct path path = { 0 };
	int r;

	m.managed = json_object_object_get(meta, "managedFields");
	if (!m.managed) {
		m.managed = json_object_new_array();
		json_object_object_add(meta, "managedFields", m.managed);
	}
	json_object_object_del(config, "kind");
	json_object_object_del(config, "apiVersion");
	if (*sub || !json_object_object_get(config, "metadata"))
		json_object_object_del(config, "metadata");
	else
		for (const char *const *key =
			     (const char *const[]){ "name", "namespace", "resourceVersion", "uid",
						    NULL };
		     *key; key++)
			json_object_object_del(json_object_object_get(config, "metadata"), *key);
	fields = fields_of(config);
	r = set_all(&m, object, config, &path);
	if (r < 0) {
		json_object_put(fields);
		*retfield = m.field;
		return r;
	}
	before = own_fields(&m);
	path.n = 0;
	if (before)
		remove_left(&m, object, before, fields, &path);
	set_owner(&m, fields, api);
	return 0;
}
