// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/watch/objects.h"

#include <string.h>

#include "agent/base/cleanup.h"

#define PAD_MIN 200
#define PAD_MAX 3800
#define PLAIN (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static struct json_object *template;
static char pad[PAD_MAX + 1];

static struct json_object *of(struct json_object *json, const char *key)
{
	return json_object_object_get(json, key);
}

void objects_open(const char *list)
{
	_cleanup_json_ struct json_object *json = json_object_from_file(list);
	struct json_object *items = of(json, "items");

	for (size_t i = 0; items && !template && i < json_object_array_length(items); i++) {
		struct json_object *pod = json_object_array_get_idx(items, i);

		if (of(of(pod, "status"), "podIPs"))
			template = json_object_get(pod);
	}
	if (!template)
		objects_die("no recorded pod");
	for (size_t i = 0; i < PAD_MAX; i++)
		pad[i] = "abcdefghijklmnop qrstuvwxyz,0123456789"[i * 7 % 38];
}

void objects_close(void)
{
	json_object_put(template);
}

// What the template has and the pod has not, deep.
static void fill(struct json_object *to, struct json_object *from)
{
	json_object_object_foreach(from, key, value)
	{
		struct json_object *own = of(to, key), *copy = NULL;

		if (own && json_object_is_type(own, json_type_object) &&
		    json_object_is_type(value, json_type_object)) {
			fill(own, value);
		} else if (!own && value) {
			json_object_deep_copy(value, &copy, NULL);
			json_object_object_add(to, key, copy);
		}
	}
}

struct json_object *objects_dress(struct json_object *pod, uint32_t i, uint32_t status)
{
	struct json_object *own_labels = json_object_get(of(of(pod, "metadata"), "labels"));
	struct json_object *list;
	char text[64];

	fill(pod, template);
	json_object_object_add(of(pod, "metadata"), "labels", own_labels);
	// containers carry what the real one's do, with the shape's port
	list = of(of(template, "spec"), "containers");
	fill(json_object_array_get_idx(of(of(pod, "spec"), "containers"), 0),
	     json_object_array_get_idx(list, 0));
	json_object_object_add(
		of(of(pod, "metadata"), "annotations"), "bench/config",
		json_object_new_string_len(pad, (int)(PAD_MIN + i * 37 % (PAD_MAX - PAD_MIN))));
	snprintf(text, sizeof(text), "2026-11-21T00:%02u:%02uZ", status / 60 % 60, status % 60);
	json_object_object_add(of(pod, "status"), "startTime", json_object_new_string(text));
	return pod;
}

struct json_object *objects_pod(const struct shape *shape, uint32_t i, uint32_t version,
				uint32_t status)
{
	char text[SHAPE_TEXT_BYTES];

	shape_pod(shape, i, version, text);
	return objects_dress(json_tokener_parse(text), i, status);
}

struct writing {
	const struct shape *shape;
	FILE *out;
	uint32_t pods;
	size_t pod_bytes;
};

static int write_one(void *arg, enum kind kind, const char *text)
{
	_cleanup_json_ struct json_object *json = NULL;
	struct writing *writing = arg;
	const char *line;

	if (kind != KIND_POD) {
		fprintf(writing->out, "%s\n", text);
		return 0;
	}
	json = objects_dress(json_tokener_parse(text), writing->pods, 0);
	line = json_object_to_json_string_ext(json, PLAIN);
	writing->pods++;
	writing->pod_bytes += strlen(line);
	fprintf(writing->out, "%s\n", line);
	return 0;
}

void objects_write(const struct shape *shape, FILE *out)
{
	struct writing writing = { .shape = shape, .out = out };

	shape_each(shape, write_one, &writing);
	fprintf(stderr, "%zu", writing.pod_bytes / (writing.pods ? writing.pods : 1));
}

void objects_die(const char *what)
{
	fprintf(stderr, "meter: %s\n", what);
	exit(1);
}
