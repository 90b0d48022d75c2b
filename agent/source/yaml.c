// SPDX-License-Identifier: Apache-2.0
// yaml.c - composes libyaml's events to JSON values.
#include "agent/source/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "agent/base/cleanup.h"
#include "agent/base/vec.h"
#include "agent/object/limits.h"

#define CORE_TAG "tag:yaml.org,2002:"

struct anchor {
	char *name;
	struct json_object *json;
	size_t nodes; // in it, aliases expanded
	int height;
	bool open; // still being read: it cannot contain itself
};

struct composer {
	yaml_parser_t parser;
	yaml_event_t event;
	VEC(struct anchor) anchors;
	size_t nodes;
	struct err *err;
};

// A value on its way to its parent.
struct value {
	struct json_object *json;
	int height;
};

static int fail(struct composer *c, size_t line, const char *text)
{
	return err_set(c->err, -EBADMSG, "line %zu: %s", line + 1, text);
}

static int fail_here(struct composer *c, const char *text)
{
	return fail(c, c->event.start_mark.line, text);
}

static int next(struct composer *c)
{
	yaml_event_delete(&c->event);
	if (yaml_parser_parse(&c->parser, &c->event))
		return 0;
	memset(&c->event, 0, sizeof(c->event));
	if (c->parser.error == YAML_MEMORY_ERROR)
		return err_set(c->err, -ENOMEM, "out of memory");
	return fail(c, c->parser.problem_mark.line,
		    c->parser.problem ? c->parser.problem : "cannot be read");
}

static int count(struct composer *c, size_t nodes)
{
	c->nodes += nodes;
	if (c->nodes > YAML_MAX_NODES)
		return fail_here(c, "too many values; aliases count as often as they are used");
	return 0;
}

static void forget_anchors(struct composer *c)
{
	vec_each(struct anchor, anchor, &c->anchors) {
		free(anchor->name);
		json_object_put(anchor->json);
	}
	vec_clear(&c->anchors);
}

static struct anchor *find_anchor(struct composer *c, const char *name)
{
	for (size_t i = c->anchors.n; i-- > 0;)
		if (!strcmp(c->anchors.v[i].name, name))
			return &c->anchors.v[i];
	return NULL;
}

// Returns the anchor's index, or -1 when the node has none; a later anchor of the name hides this one.
static ssize_t open_anchor(struct composer *c, const yaml_char_t *name)
{
	struct anchor anchor = { .open = true, .nodes = c->nodes };

	if (!name)
		return -1;
	if (c->anchors.n == YAML_MAX_ANCHORS) {
		fail_here(c, "too many anchors");
		return -EBADMSG;
	}
	anchor.name = strdup((const char *)name);
	if (!anchor.name)
		return -ENOMEM;
	if (vec_push(&c->anchors, anchor) < 0) {
		free(anchor.name);
		return -ENOMEM;
	}
	return (ssize_t)c->anchors.n - 1;
}

static void close_anchor(struct composer *c, ssize_t index, const struct value *value)
{
	struct anchor *anchor;

	if (index < 0)
		return;
	anchor = &c->anchors.v[index];
	anchor->open = false;
	anchor->json = json_object_get(value->json);
	anchor->height = value->height;
	anchor->nodes = c->nodes - anchor->nodes;
}

static int compose_alias(struct composer *c, int depth, struct value *ret)
{
	const struct anchor *anchor = find_anchor(c, (const char *)c->event.data.alias.anchor);

	if (!anchor)
		return fail_here(c, "alias of an anchor that does not exist");
	if (anchor->open)
		return fail_here(c, "alias inside of its own anchor");
	if (depth + anchor->height > OBJECT_MAX_DEPTH)
		return fail_here(c, "nested too deep");
	ret->json = json_object_get(anchor->json);
	ret->height = anchor->height;
	return count(c, anchor->nodes);
}

static bool is_core_tag(const char *tag, const char *name)
{
	return !strncmp(tag, CORE_TAG, strlen(CORE_TAG)) && !strcmp(tag + strlen(CORE_TAG), name);
}

static int compose_scalar(struct composer *c, struct value *ret)
{
	const char *text = (const char *)c->event.data.scalar.value;
	const char *tag = (const char *)c->event.data.scalar.tag;
	size_t len = c->event.data.scalar.length;
	bool string = c->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	int r;

	if (tag)
		string = is_core_tag(tag, "str") || !strcmp(tag, "!");
	if (tag && !string && !is_core_tag(tag, "null") && !is_core_tag(tag, "bool") &&
	    !is_core_tag(tag, "int") && !is_core_tag(tag, "float"))
		return fail_here(c, "unknown tag");
	if (string) {
		ret->json = json_object_new_string_len(text, (int)len);
		return ret->json ? 0 : err_set(c->err, -ENOMEM, "out of memory");
	}
	r = yaml_scalar(text, &ret->json);
	if (r == -ERANGE)
		return fail_here(c, "a number that JSON cannot hold");
	return r < 0 ? err_set(c->err, r, "out of memory") : 0;
}

static int compose(struct composer *c, int depth, struct value *ret);

static int compose_sequence(struct composer *c, int depth, struct value *ret)
{
	int r;

	ret->json = json_object_new_array();
	if (!ret->json)
		return err_set(c->err, -ENOMEM, "out of memory");
	for (;;) {
		struct value item = { 0 };

		r = next(c);
		if (r < 0 || c->event.type == YAML_SEQUENCE_END_EVENT)
			return r;
		r = compose(c, depth + 1, &item);
		if (r >= 0 && json_object_array_add(ret->json, item.json) < 0)
			r = -ENOMEM;
		if (r < 0) {
			json_object_put(item.json);
			return r;
		}
		ret->height = item.height + 1 > ret->height ? item.height + 1 : ret->height;
	}
}

// A key as Go's YAML-to-JSON conversion writes it.
static const char *key_text(const struct json_object *key)
{
	if (json_object_is_type(key, json_type_object) ||
	    json_object_is_type(key, json_type_array) || !key)
		return NULL;
	return json_object_get_string((struct json_object *)key);
}

static bool is_merge_key(const struct composer *c)
{
	return c->event.type == YAML_SCALAR_EVENT &&
	       c->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       !strcmp((const char *)c->event.data.scalar.value, "<<");
}

static int merge_map(struct json_object *into, struct json_object *from)
{
	json_object_object_foreach(from, key, value)
	{
		if (json_object_object_get_ex(into, key, NULL))
			continue;
		if (json_object_object_add(into, key, json_object_get(value)) < 0) {
			json_object_put(value);
			return -ENOMEM;
		}
	}
	return 0;
}

// What stands in the map itself goes before what is merged; of several maps the first has its way.
static int merge(struct composer *c, struct json_object *into, struct json_object *from)
{
	int r = 0;

	if (json_object_is_type(from, json_type_object))
		return merge_map(into, from);
	if (!json_object_is_type(from, json_type_array))
		return fail_here(c, "<< needs a map or a list of maps");
	for (size_t i = 0; r >= 0 && i < json_object_array_length(from); i++) {
		struct json_object *item = json_object_array_get_idx(from, i);

		if (!json_object_is_type(item, json_type_object))
			return fail_here(c, "<< needs a map or a list of maps");
		r = merge_map(into, item);
	}
	return r;
}

static int add_pair(struct composer *c, struct json_object *map, struct json_object *key,
		    size_t line, struct value *item)
{
	const char *text = key_text(key);

	if (!text)
		return fail(c, line, "a key must be a string");
	if (strlen(text) != (size_t)json_object_get_string_len(key) &&
	    json_object_is_type(key, json_type_string))
		return fail(c, line, "a key has a NUL character");
	if (json_object_object_get_ex(map, text, NULL))
		return err_set(c->err, -EBADMSG, "line %zu: key \"%.80s\" stands twice", line + 1,
			       text);
	if (json_object_object_add(map, text, item->json) < 0)
		return err_set(c->err, -ENOMEM, "out of memory");
	item->json = NULL;
	return 0;
}

// The event is the key's; ends at the last event of the value.
static int compose_pair(struct composer *c, int depth, struct value *map,
			struct json_object **merged)
{
	_cleanup_json_ struct json_object *key_json = NULL, *item_json = NULL;
	size_t line = c->event.start_mark.line;
	bool merges = is_merge_key(c);
	struct value key = { 0 }, item = { 0 };
	int r;

	r = compose(c, depth + 1, &key);
	key_json = key.json;
	if (r >= 0)
		r = next(c);
	if (r >= 0)
		r = compose(c, depth + 1, &item);
	item_json = item.json;
	if (r < 0)
		return r;
	map->height = item.height + 1 > map->height ? item.height + 1 : map->height;
	if (merges && *merged)
		return fail(c, line, "key \"<<\" stands twice");
	if (merges) {
		*merged = TAKE_PTR(item_json);
		return *merged ? 0 : fail(c, line, "<< needs a map or a list of maps");
	}
	r = add_pair(c, map->json, key_json, line, &item);
	item_json = item.json;
	return r;
}

static int compose_mapping(struct composer *c, int depth, struct value *ret)
{
	_cleanup_json_ struct json_object *merged = NULL;
	int r;

	ret->json = json_object_new_object();
	if (!ret->json)
		return err_set(c->err, -ENOMEM, "out of memory");
	for (;;) {
		r = next(c);
		if (r < 0)
			return r;
		if (c->event.type == YAML_MAPPING_END_EVENT)
			return merged ? merge(c, ret->json, merged) : 0;
		r = compose_pair(c, depth, ret, &merged);
		if (r < 0)
			return r;
	}
}

// Composes the node that begins at the present event. On failure ret->json is released by this call.
static int compose(struct composer *c, int depth, struct value *ret)
{
	const yaml_char_t *name = NULL;
	ssize_t anchor;
	int r;

	if (depth > OBJECT_MAX_DEPTH)
		return fail_here(c, "nested too deep");
	if (c->event.type == YAML_ALIAS_EVENT)
		return compose_alias(c, depth, ret);
	if (c->event.type == YAML_SCALAR_EVENT)
		name = c->event.data.scalar.anchor;
	else if (c->event.type == YAML_SEQUENCE_START_EVENT)
		name = c->event.data.sequence_start.anchor;
	else if (c->event.type == YAML_MAPPING_START_EVENT)
		name = c->event.data.mapping_start.anchor;
	anchor = open_anchor(c, name);
	if (anchor == -ENOMEM)
		return err_set(c->err, -ENOMEM, "out of memory");
	if (anchor == -EBADMSG)
		return -EBADMSG;

	r = count(c, 1);
	if (r >= 0 && c->event.type == YAML_SCALAR_EVENT)
		r = compose_scalar(c, ret);
	else if (r >= 0 && c->event.type == YAML_SEQUENCE_START_EVENT)
		r = compose_sequence(c, depth, ret);
	else if (r >= 0)
		r = compose_mapping(c, depth, ret);
	if (r < 0) {
		json_object_put(ret->json);
		ret->json = NULL;
		return r;
	}
	close_anchor(c, anchor, ret);
	return 0;
}

static int compose_document(struct composer *c, yaml_document_fn fn, void *arg)
{
	struct value root = { 0 };
	size_t line;
	int r;

	forget_anchors(c);
	r = next(c);
	if (r < 0)
		return r;
	line = c->event.start_mark.line + 1;
	r = compose(c, 1, &root);
	if (r >= 0)
		r = next(c); // its end
	if (r >= 0)
		r = fn(arg, root.json, line);
	json_object_put(root.json);
	return r;
}

int yaml_parse(const char *text, size_t len, yaml_document_fn fn, void *arg, struct err *reterr)
{
	struct composer c = { .err = reterr };
	int r;

	if (!yaml_parser_initialize(&c.parser))
		return err_set(reterr, -ENOMEM, "out of memory");
	yaml_parser_set_input_string(&c.parser, (const unsigned char *)text, len);
	do {
		r = next(&c);
		if (r >= 0 && c.event.type == YAML_DOCUMENT_START_EVENT)
			r = compose_document(&c, fn, arg);
	} while (r == 0 && c.event.type != YAML_STREAM_END_EVENT);
	forget_anchors(&c);
	vec_fini(&c.anchors);
	yaml_event_delete(&c.event);
	yaml_parser_delete(&c.parser);
	return r;
}
