// SPDX-License-Identifier: Apache-2.0
// manifest.c - documents to objects.
#include "agent/source/manifest.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/vec.h"
#include "agent/source/yaml.h"

LOG_ROOM("source");

#define WHERE_BYTES (PATH_MAX + 512)
#define LIST_MAX_DEPTH 3 // a List of PodLists at most

struct document {
	struct json_object *json;
	size_t line;
};

struct reading {
	const char *path;
	const struct manifest_sink *sink;
	VEC(struct document) documents;
	size_t line; // of the document
};

static const char *text_of(struct json_object *json, const char *field)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(json, json_type_object))
		return NULL;
	json_object_object_get_ex(json, field, &value);
	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

bool manifest_is_name(const char *name)
{
	return *name != '.' &&
	       (ends_with(name, ".yaml") || ends_with(name, ".yml") || ends_with(name, ".json"));
}

static void tell(const struct reading *reading, const char *where, const char *text)
{
	if (reading->sink->problem)
		reading->sink->problem(reading->sink->arg, where, text);
}

static void tell_line(const struct reading *reading, const char *text)
{
	char where[WHERE_BYTES];

	snprintf(where, sizeof(where), "%s:%zu", reading->path, reading->line);
	tell(reading, where, text);
}

// Who the object would be, as far as its text says.
static int refuse(const struct reading *reading, enum kind kind, struct json_object *json,
		  const char *text)
{
	const struct kind_ops *ops = object_kind(kind);
	struct json_object *meta = NULL;
	const char *ns, *name;
	char where[WHERE_BYTES];

	json_object_object_get_ex(json, "metadata", &meta);
	name = text_of(meta, "name");
	ns = text_of(meta, "namespace");
	if (ops->namespaced && (!ns || !*ns))
		ns = "default";
	if (!ops->namespaced)
		ns = NULL;
	if (!name) {
		tell_line(reading, text);
		return 0;
	}
	snprintf(where, sizeof(where), "%s: %s %.64s%s%.254s", reading->path, ops->name,
		 ns ? ns : "", ns ? "/" : "", name);
	tell(reading, where, text);
	if (!reading->sink->refused)
		return 0;
	return reading->sink->refused(reading->sink->arg, kind, ns, name);
}

static int read_object(const struct reading *reading, enum kind kind, struct json_object *json)
{
	struct object *object = NULL;
	struct err err = { 0 };
	char where[WHERE_BYTES], title[512];
	int r;

	r = object_parse(kind, json, &object, &err);
	if (r == -EBADMSG)
		return refuse(reading, kind, json, err.text);
	if (r < 0)
		return r;
	if (object->problem) {
		snprintf(where, sizeof(where), "%s: %s %s", reading->path, object_kind(kind)->name,
			 object_title(object, title, sizeof(title)));
		tell(reading, where, object->problem);
	}
	return reading->sink->object(reading->sink->arg, object);
}

static int read_value(const struct reading *reading, struct json_object *json,
		      const char *api_version, const char *kind_name, int depth);

// Items of typed lists carry no kind of their own; items of v1 List do.
static int read_items(const struct reading *reading, struct json_object *items,
		      const char *api_version, const char *list_kind, int depth)
{
	_cleanup_free_ char *kind = strndup(list_kind, strlen(list_kind) - strlen("List"));
	int r = 0;

	if (!kind)
		return -ENOMEM;
	if (!json_object_is_type(items, json_type_array)) {
		if (items)
			tell_line(reading, "items: is not a list");
		return 0;
	}
	if (depth == LIST_MAX_DEPTH) {
		tell_line(reading, "lists are nested too deep");
		return 0;
	}
	for (size_t i = 0; r == 0 && i < json_object_array_length(items); i++)
		r = read_value(reading, json_object_array_get_idx(items, i),
			       *kind ? api_version : NULL, *kind ? kind : NULL, depth + 1);
	return r;
}

static int read_value(const struct reading *reading, struct json_object *json,
		      const char *api_version, const char *kind_name, int depth)
{
	const char *own_version = text_of(json, "apiVersion"), *own_kind = text_of(json, "kind");
	struct json_object *items = NULL;
	enum kind kind;

	if (!json_object_is_type(json, json_type_object)) {
		tell_line(reading, "is not an object with apiVersion and kind");
		return 0;
	}
	api_version = own_version ? own_version : api_version;
	kind_name = own_kind ? own_kind : kind_name;
	if (!api_version || !kind_name) {
		tell_line(reading, !kind_name ? "kind: is missing" : "apiVersion: is missing");
		return 0;
	}
	kind = object_kind_find(api_version, kind_name);
	if (kind != KIND_MAX)
		return read_object(reading, kind, json);
	if (ends_with(kind_name, "List")) {
		json_object_object_get_ex(json, "items", &items);
		return read_items(reading, items, api_version, kind_name, depth);
	}
	log_debug("%s:%zu: %s %s is not used", reading->path, reading->line, api_version,
		  kind_name);
	return 0;
}

static int keep_document(void *arg, struct json_object *json, size_t line)
{
	struct reading *reading = arg;
	struct document document = { json, line };

	if (!json)
		return 0;
	if (vec_push(&reading->documents, document) < 0)
		return -ENOMEM;
	json_object_get(json);
	return 0;
}

static int parse_text(struct reading *reading, const char *text, size_t len, struct err *reterr)
{
	size_t blank = strspn(text, " \t\r\n");
	bool json = ends_with(reading->path, ".json");

	if (!json && !ends_with(reading->path, ".yaml") && !ends_with(reading->path, ".yml"))
		json = text[blank] == '{';
	return (json ? json_parse : yaml_parse)(text, len, keep_document, reading, reterr);
}

int manifest_parse(const char *path, const char *text, size_t len, const struct manifest_sink *sink,
		   struct err *reterr)
{
	struct reading reading = { .path = path, .sink = sink };
	int r;

	r = parse_text(&reading, text, len, reterr);
	vec_each(struct document, document, &reading.documents) {
		reading.line = document->line;
		if (r == 0)
			r = read_value(&reading, document->json, NULL, NULL, 0);
		json_object_put(document->json);
	}
	vec_fini(&reading.documents);
	return r == -ENOMEM ? err_set(reterr, r, "out of memory") : r;
}

struct public_read {
	const struct source_events *events;
	int (*fn)(void *arg, struct object *object);
	void *arg;
	struct err *reterr;
};

static int public_object(void *arg, struct object *object)
{
	struct public_read *read = arg;

	return read->fn(read->arg, object);
}

static void public_problem(void *arg, const char *where, const char *text)
{
	struct public_read *read = arg;

	if (read->events && read->events->problem)
		read->events->problem(read->events->arg, where, text);
}

static int public_file(void *arg, const char *path)
{
	struct public_read *read = arg;
	const struct manifest_sink sink = {
		.arg = read,
		.object = public_object,
		.problem = public_problem,
	};
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	r = file_read(path, MANIFEST_MAX_BYTES, &text, &len);
	if (r < 0)
		return err_set(read->reterr, r, "%s: %s", path, strerror(-r));
	r = manifest_parse(path, text, len, &sink, read->reterr);
	if (r < 0)
		err_wrap(read->reterr, "%s", path);
	return r;
}

int manifest_read(const char *path, const struct source_events *events,
		  int (*fn)(void *arg, struct object *object), void *arg, struct err *reterr)
{
	struct public_read read = { events, fn, arg, reterr };
	const struct manifest_walk walk = { .arg = &read, .file = public_file };
	struct stat st;

	assert(fn);

	if (stat(path, &st) < 0)
		return err_set(reterr, -errno, "%s: %s", path, strerror(errno));
	return S_ISDIR(st.st_mode) ? manifest_walk(path, &walk) : public_file(&read, path);
}
