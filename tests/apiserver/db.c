// SPDX-License-Identifier: Apache-2.0
#include "tests/apiserver/db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/cleanup.h"

#define PLAIN (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

struct entry *entry_get(struct entry *entry)
{
	entry->refs++;
	return entry;
}

void entry_put(struct entry *entry)
{
	if (!entry || --entry->refs > 0)
		return;
	free(entry->traits.labels);
	free(entry->names);
	free(entry->text);
	free(entry);
}

const char *entry_head(const struct resource *resource, bool item, char *buf, size_t bytes)
{
	char api[96];

	resource_api(resource, api, sizeof(api));
	if (item && !resource->custom)
		snprintf(buf, bytes, "{");
	else if (resource->custom)
		snprintf(buf, bytes, "{\"apiVersion\":\"%s\",\"kind\":\"%s\",", api,
			 resource->kind);
	else
		snprintf(buf, bytes, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",", resource->kind,
			 api);
	return buf;
}

char *entry_json(const struct entry *entry, size_t *retlen)
{
	char head[192];
	char *text;
	int n;

	entry_head(entry->resource, false, head, sizeof(head));
	n = asprintf(&text, "%s%s", head, entry->text);
	if (n < 0)
		return NULL;
	if (retlen)
		*retlen = (size_t)n;
	return text;
}

struct json_object *entry_object(const struct entry *entry)
{
	_cleanup_free_ char *text = entry_json(entry, NULL);

	return text ? json_tokener_parse(text) : NULL;
}

// ---- making an entry of an object --------------------------------------------------------------------------
static const char *text_at(struct json_object *json, const char *a, const char *b)
{
	struct json_object *map, *value;

	if (!json_object_object_get_ex(json, a, &map) ||
	    !json_object_object_get_ex(map, b, &value) || !value)
		return "";
	return json_object_get_string(value);
}

static const char *keep(char **at, const char *text)
{
	char *kept = *at;

	*at = stpcpy(*at, text) + 1;
	return kept;
}

static const char *field_of(struct json_object *json, size_t i)
{
	return text_at(json, match_fields[i].map, match_fields[i].key);
}

static int set_traits(struct entry *entry, struct json_object *json)
{
	struct json_object *labels = NULL;
	struct traits *t = &entry->traits;
	size_t bytes = 0;
	char *at;

	json_object_object_get_ex(json_object_object_get(json, "metadata"), "labels", &labels);
	for (size_t i = 0; i < MATCH_FIELDS; i++)
		bytes += strlen(field_of(json, i)) + 1;
	if (labels) {
		json_object_object_foreach(labels, key, value) bytes +=
			strlen(key) + strlen(json_object_get_string(value)) + 2;
	}
	at = entry->names = malloc(bytes);
	t->labels = calloc(2 * (labels ? (size_t)json_object_object_length(labels) : 0) + 1,
			   sizeof(char *));
	if (!at || !t->labels)
		return -ENOMEM;
	for (size_t i = 0; i < MATCH_FIELDS; i++)
		t->fields[i] = keep(&at, field_of(json, i));
	t->name = t->fields[0];
	t->ns = t->fields[1];
	if (labels) {
		json_object_object_foreach(labels, label, content)
		{
			t->labels[2 * t->nlabels] = (char *)keep(&at, label);
			t->labels[2 * t->nlabels++ + 1] =
				(char *)keep(&at, json_object_get_string(content));
		}
	}
	return 0;
}

static struct entry *entry_new(const struct resource *resource, struct json_object *json,
			       uint64_t rv)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	const char *text;
	char number[24];

	if (!entry)
		return NULL;
	snprintf(number, sizeof(number), "%llu", (unsigned long long)rv);
	json_object_object_add(json_object_object_get(json, "metadata"), "resourceVersion",
			       json_object_new_string(number));
	json_object_object_del(json, "kind");
	json_object_object_del(json, "apiVersion");
	text = json_object_to_json_string_ext(json, PLAIN);
	*entry = (struct entry){
		.refs = 1, .resource = resource, .rv = rv, .text = strdup(text + 1)
	};
	if (!entry->text || set_traits(entry, json) < 0) {
		entry_put(entry);
		return NULL;
	}
	entry->len = strlen(entry->text);
	return entry;
}

// ---- the objects -----------------------------------------------------------------------------------------------
void db_init(struct db *db, uint64_t rv, db_changed_fn changed, void *arg)
{
	*db = (struct db){ .rv = rv, .oldest = rv, .changed = changed, .arg = arg };
	for (const struct resource *r = resources; r->group; r++)
		db->present[resource_index(r)] = true;
}

static void forget(struct db *db, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		entry_put(db->history.v[i].entry);
		entry_put(db->history.v[i].before);
	}
	db->history.n -= n;
	if (db->history.n)
		memmove(db->history.v, db->history.v + n, db->history.n * sizeof(*db->history.v));
}

void db_fini(struct db *db)
{
	forget(db, db->history.n);
	vec_fini(&db->history);
	for (size_t i = 0; i < RESOURCES_MAX; i++) {
		vec_each(struct entry *, entry, &db->objects[i])
			entry_put(*entry);
		vec_fini(&db->objects[i]);
	}
}

void db_compact(struct db *db, uint64_t rv)
{
	size_t n = 0;

	while (n < db->history.n && db->history.v[n].rv <= rv)
		n++;
	if (n)
		forget(db, n);
	if (rv > db->oldest)
		db->oldest = rv;
}

static int compare(const struct entry *entry, const char *ns, const char *name)
{
	int r = strcmp(entry->traits.ns, ns);

	return r ? r : strcmp(entry->traits.name, name);
}

// The first entry whose key is not before (ns, name); beyond: nor the same.
static size_t lookup(const entry_vec *vec, const char *ns, const char *name, bool beyond)
{
	size_t low = 0, high = vec->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (compare(vec->v[mid], ns, name) < beyond)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t db_after(const struct db *db, const struct resource *resource, const char *ns,
		const char *name)
{
	return lookup(&db->objects[resource_index(resource)], ns, name, true);
}

struct entry *db_find(const struct db *db, const struct resource *resource, const char *ns,
		      const char *name)
{
	const entry_vec *vec = &db->objects[resource_index(resource)];
	size_t at = lookup(vec, ns, name, false);

	return at < vec->n && !compare(vec->v[at], ns, name) ? vec->v[at] : NULL;
}

static int tell(struct db *db, enum change change, struct entry *entry, struct entry *before)
{
	struct change_event event = { change, entry->rv, entry_get(entry), before };

	if (vec_push(&db->history, event) < 0)
		return -ENOMEM;
	if (db->history.n > DB_HISTORY)
		db_compact(db, db->history.v[DB_HISTORY / 10].rv);
	if (db->changed)
		db->changed(db->arg, &event);
	return 0;
}

static int check(const struct resource *resource, struct json_object *json, struct err *reterr)
{
	const char *ns = text_at(json, "metadata", "namespace");

	if (!*text_at(json, "metadata", "name"))
		return err_set(reterr, -EINVAL,
			       "metadata.name: Required value: name or generateName is required");
	if (!*ns == resource->namespaced)
		return err_set(reterr, -EINVAL, "metadata.namespace: %s '%s'",
			       resource->namespaced ? "is missing in" : "must not be set in",
			       resource->kind);
	return 0;
}

// The fields that a server fills in; an update keeps those of its predecessor.
static void fill_in(struct db *db, struct json_object *json, const struct entry *before)
{
	_cleanup_json_ struct json_object *old = before ? entry_object(before) : NULL;
	static const char *const kept[] = { "uid", "creationTimestamp" };
	struct json_object *meta = json_object_object_get(json, "metadata");
	struct json_object *old_meta = old ? json_object_object_get(old, "metadata") : NULL, *value;
	char text[64];
	time_t now = time(NULL);
	struct tm tm;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (old_meta && !json_object_object_get(meta, kept[i]) &&
		    json_object_object_get_ex(old_meta, kept[i], &value))
			json_object_object_add(meta, kept[i], json_object_get(value));
	if (!json_object_object_get(meta, "uid")) {
		snprintf(text, sizeof(text), "00000000-0000-4000-8000-%012llx",
			 (unsigned long long)++db->uids);
		json_object_object_add(meta, "uid", json_object_new_string(text));
	}
	if (!json_object_object_get(meta, "creationTimestamp")) {
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
		json_object_object_add(meta, "creationTimestamp", json_object_new_string(text));
	}
}

int db_put(struct db *db, const struct resource *resource, struct json_object *json,
	   struct entry **ret, struct err *reterr)
{
	entry_vec *vec = &db->objects[resource_index(resource)];
	struct entry *before = NULL, *entry;
	size_t at;
	int r = check(resource, json, reterr);

	if (r < 0)
		return r;
	at = lookup(vec, text_at(json, "metadata", "namespace"), text_at(json, "metadata", "name"),
		    false);
	if (at < vec->n && !compare(vec->v[at], text_at(json, "metadata", "namespace"),
				    text_at(json, "metadata", "name")))
		before = vec->v[at];
	fill_in(db, json, before);
	entry = entry_new(resource, json, db->rv + 1);
	if (!entry || vec_reserve(vec, 1) < 0) {
		entry_put(entry);
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	db->rv++;
	if (!before) {
		memmove(vec->v + at + 1, vec->v + at, (vec->n - at) * sizeof(*vec->v));
		vec->n++;
	}
	vec->v[at] = entry;
	if (ret)
		*ret = entry;
	return tell(db, before ? CHANGE_MODIFIED : CHANGE_ADDED, entry, before);
}

int db_remove(struct db *db, const struct resource *resource, const char *ns, const char *name)
{
	entry_vec *vec = &db->objects[resource_index(resource)];
	size_t at = lookup(vec, ns, name, false);
	struct entry *before, *last;
	int r;

	if (at == vec->n || compare(vec->v[at], ns, name))
		return -ENOENT;
	before = vec->v[at];
	{
		_cleanup_json_ struct json_object *json = entry_object(before);

		last = entry_new(resource, json, db->rv + 1);
	}
	if (!last)
		return -ENOMEM;
	db->rv++;
	vec_cut(vec, at);
	r = tell(db, CHANGE_DELETED, last, before);
	entry_put(last);
	return r;
}
