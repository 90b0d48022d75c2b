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

// What the sink is going to be told: a document, else an object, else one that was refused, else a problem.
struct said {
	struct json_object *json;
	size_t line;
	char *api_version, *kind_name; // of json
	struct object *object;
	enum kind kind;
	char *ns, *name;
	char *where, *text;
};

// A document is not needed any more once it is read: its tree is twenty times its text.
struct reading {
	const char *path;
	const struct manifest_sink *sink;
	VEC(struct said) said;
	bool starved; // something could not be said
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

static void said_fini(struct said *said)
{
	json_object_put(said->json);
	free(said->api_version);
	free(said->kind_name);
	object_put(said->object);
	free(said->ns);
	free(said->name);
	free(said->where);
	free(said->text);
}

static void say(struct reading *reading, struct said said)
{
	if (!reading->starved && vec_push(&reading->said, said) == 0)
		return;
	said_fini(&said);
	reading->starved = true;
}

static void tell(struct reading *reading, const char *where, const char *text)
{
	struct said said = { .where = strdup(where), .text = strdup(text) };

	reading->starved |= !said.where || !said.text;
	say(reading, said);
}

static void tell_refused(struct reading *reading, enum kind kind, const char *ns, const char *name)
{
	struct said said = { .kind = kind, .ns = ns ? strdup(ns) : NULL, .name = strdup(name) };

	reading->starved |= !said.name || !said.ns != !ns;
	say(reading, said);
}

static void tell_document(struct reading *reading, struct json_object *json, const char *api_version,
			  const char *kind_name)
{
	struct said said = { .line = reading->line };

	if (!reading->sink->document)
		return;
	said.json = json_object_get(json);
	said.api_version = strdup(api_version);
	said.kind_name = strdup(kind_name);
	reading->starved |= !said.api_version || !said.kind_name;
	say(reading, said);
}

static void tell_line(struct reading *reading, const char *text)
{
	char where[WHERE_BYTES];

	snprintf(where, sizeof(where), "%s:%zu", reading->path, reading->line);
	tell(reading, where, text);
}

// Who the object would be, as far as its text says.
static void refuse(struct reading *reading, enum kind kind, struct json_object *json,
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
		return;
	}
	snprintf(where, sizeof(where), "%s: %s %.64s%s%.254s", reading->path, ops->name,
		 ns ? ns : "", ns ? "/" : "", name);
	tell(reading, where, text);
	tell_refused(reading, kind, ns, name);
}

static int read_object(struct reading *reading, enum kind kind, struct json_object *json)
{
	struct object *object = NULL;
	struct err err = { 0 };
	char where[WHERE_BYTES], title[512];
	int r;

	r = object_parse(kind, json, &object, &err);
	if (r == -EBADMSG) {
		refuse(reading, kind, json, err.text);
		return 0;
	}
	if (r < 0)
		return r;
	if (object->problem) {
		snprintf(where, sizeof(where), "%s: %s %s", reading->path, object_kind(kind)->name,
			 object_title(object, title, sizeof(title)));
		tell(reading, where, object->problem);
	}
	say(reading, (struct said){ .object = object });
	return 0;
}

static int read_value(struct reading *reading, struct json_object *json, const char *api_version,
		      const char *kind_name, int depth);

// Items of typed lists carry no kind of their own; items of v1 List do.
static int read_items(struct reading *reading, struct json_object *items, const char *api_version,
		      const char *list_kind, int depth)
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

static int read_value(struct reading *reading, struct json_object *json, const char *api_version,
		      const char *kind_name, int depth)
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
	if (ends_with(kind_name, "List")) {
		json_object_object_get_ex(json, "items", &items);
		return read_items(reading, items, api_version, kind_name, depth);
	}
	tell_document(reading, json, api_version, kind_name);
	kind = object_kind_find(api_version, kind_name);
	if (kind != KIND_MAX)
		return read_object(reading, kind, json);
	log_debug("%s:%zu: %s %s is not used", reading->path, reading->line, api_version,
		  kind_name);
	return 0;
}

static int read_document(void *arg, struct json_object *json, size_t line)
{
	struct reading *reading = arg;
	int r;

	if (!json)
		return 0;
	reading->line = line;
	r = read_value(reading, json, NULL, NULL, 0);
	return r == 0 && reading->starved ? -ENOMEM : r;
}

static int parse_text(struct reading *reading, const char *text, size_t len, struct err *reterr)
{
	size_t blank = strspn(text, " \t\r\n");
	bool json = ends_with(reading->path, ".json");

	if (!json && !ends_with(reading->path, ".yaml") && !ends_with(reading->path, ".yml"))
		json = text[blank] == '{';
	return (json ? json_parse : yaml_parse)(text, len, read_document, reading, reterr);
}

static int pass_on(const struct reading *reading, struct said *said)
{
	const struct manifest_sink *sink = reading->sink;
	const struct manifest_document document = { reading->path, said->line, said->api_version,
						    said->kind_name, said->json };

	if (said->json)
		return sink->document(sink->arg, &document);
	if (said->object)
		return sink->object(sink->arg, TAKE_PTR(said->object));
	if (said->name)
		return sink->refused ? sink->refused(sink->arg, said->kind, said->ns, said->name) :
				       0;
	if (sink->problem)
		sink->problem(sink->arg, said->where, said->text);
	return 0;
}

int manifest_parse(const char *path, const char *text, size_t len, const struct manifest_sink *sink,
		   struct err *reterr)
{
	struct reading reading = { .path = path, .sink = sink };
	int r;

	r = parse_text(&reading, text, len, reterr);
	vec_each(struct said, said, &reading.said) {
		if (r == 0)
			r = pass_on(&reading, said);
		said_fini(said);
	}
	vec_fini(&reading.said);
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

static int public_skipped(void *arg, const char *path, int error)
{
	const struct public_read *read = arg;

	return err_set(read->reterr, -error, "%s: %s", path, manifest_skip_text(error));
}

int manifest_read(const char *path, const struct source_events *events,
		  int (*fn)(void *arg, struct object *object), void *arg, struct err *reterr)
{
	struct public_read read = { events, fn, arg, reterr };
	const struct manifest_walk walk = { .arg = &read,
					    .file = public_file,
					    .skipped = public_skipped };
	struct stat st;

	assert(fn);

	if (stat(path, &st) < 0)
		return err_set(reterr, -errno, "%s: %s", path, strerror(errno));
	return S_ISDIR(st.st_mode) ? manifest_walk(path, &walk) : public_file(&read, path);
}
