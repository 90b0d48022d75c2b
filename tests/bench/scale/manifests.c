// SPDX-License-Identifier: Apache-2.0
// manifests.c - a cluster as manifests: one file an object, one file of YAML documents, one JSON List.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/bench/scale/scale.h"

struct writing {
	const char *folder;
	enum manifest_form form;
	FILE *out;
	uint32_t n;
};

static void write_block(FILE *out, struct json_object *json, int depth);

static void write_value(FILE *out, struct json_object *json, int depth)
{
	bool map = json_object_is_type(json, json_type_object) && json_object_object_length(json);
	bool list = json_object_is_type(json, json_type_array) && json_object_array_length(json);

	if (!map && !list) {
		fprintf(out, " %s\n", json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));
		return;
	}
	fputc('\n', out);
	write_block(out, json, depth);
}

// YAML in block style, as people write it.
static void write_block(FILE *out, struct json_object *json, int depth)
{
	if (json_object_is_type(json, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(json); i++) {
			fprintf(out, "%*s-", depth * 2, "");
			write_value(out, json_object_array_get_idx(json, i), depth + 1);
		}
		return;
	}
	json_object_object_foreach(json, key, value)
	{
		fprintf(out, "%*s%s:", depth * 2, "", key);
		write_value(out, value, depth + 1);
	}
}

static void file_open(struct writing *writing, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", writing->folder, name);
	writing->out = fopen(path, "we");
	if (!writing->out)
		scale_die(path);
}

static void file_close(struct writing *writing)
{
	if (fclose(writing->out))
		scale_die("write");
}

static int write_object(void *arg, enum kind kind, const char *text)
{
	struct writing *writing = arg;
	struct json_object *json = json_tokener_parse(text);
	char name[32];

	if (!json)
		scale_die("json");
	switch (writing->form) {
	case MANIFEST_FILES:
		snprintf(name, sizeof(name), "%06u.yaml", writing->n);
		file_open(writing, name);
		write_block(writing->out, json, 0);
		file_close(writing);
		break;
	case MANIFEST_DOCS:
		fputs("---\n", writing->out);
		write_block(writing->out, json, 0);
		break;
	case MANIFEST_LIST:
		fprintf(writing->out, "%s%s", writing->n ? ",\n" : "", text);
		break;
	}
	json_object_put(json);
	writing->n++;
	return 0;
}

void scale_write(const struct shape *shape, const char *folder, enum manifest_form form)
{
	struct writing writing = { .folder = folder, .form = form };

	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		scale_die(folder);
	if (form != MANIFEST_FILES)
		file_open(&writing, form == MANIFEST_DOCS ? "all.yaml" : "all.json");
	if (form == MANIFEST_LIST)
		fputs("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n", writing.out);
	shape_each(shape, write_object, &writing);
	if (form == MANIFEST_LIST)
		fputs("]}\n", writing.out);
	if (form != MANIFEST_FILES)
		file_close(&writing);
}
