// SPDX-License-Identifier: Apache-2.0
// feed.c - objects of a case as files, by rename.
#include "tests/conformance/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/vec.h"

struct file {
	char *name, *text;
	bool wanted; // the case that is being applied has it
};

struct feed {
	char *dir, *temp_dir;
	unsigned step;
	char marker[64];
	VEC(struct file) files;
};

int feed_new(const char *dir, const char *temp_dir, struct feed **ret, struct err *reterr)
{
	_cleanup_(feed_freep) struct feed *feed = calloc(1, sizeof(*feed));

	if (feed) {
		feed->dir = strdup(dir);
		feed->temp_dir = strdup(temp_dir);
	}
	if (!feed || !feed->dir || !feed->temp_dir)
		return err_set(reterr, -ENOMEM, "out of memory");
	*ret = TAKE_PTR(feed);
	return 0;
}

static void file_fini(struct file *file)
{
	free(file->name);
	free(file->text);
}

void feed_free(struct feed *feed)
{
	if (!feed)
		return;
	vec_each(struct file, file, &feed->files)
		file_fini(file);
	vec_fini(&feed->files);
	free(feed->dir);
	free(feed->temp_dir);
	free(feed);
}

static int write_file(const struct feed *feed, const char *name, const char *text,
		      struct err *reterr)
{
	char from[PATH_MAX], to[PATH_MAX];
	size_t len = strlen(text);
	_cleanup_close_ int fd = -1;

	snprintf(from, sizeof(from), "%s/%s", feed->temp_dir, name);
	snprintf(to, sizeof(to), "%s/%s", feed->dir, name);
	fd = open(from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, len) != (ssize_t)len || rename(from, to) < 0)
		return err_set(reterr, errno ? -errno : -EIO, "%s: %s", to, strerror(errno));
	return 0;
}

static struct file *file_find(struct feed *feed, const char *name)
{
	vec_each(struct file, file, &feed->files)
		if (!strcmp(file->name, name))
			return file;
	return NULL;
}

// Writes the file unless it is there with this text.
static int put(struct feed *feed, const char *name, const char *text, struct err *reterr)
{
	struct file *file = file_find(feed, name);
	char *copy;

	if (file) {
		file->wanted = true;
		if (!strcmp(file->text, text))
			return 0;
	}
	copy = strdup(text);
	if (copy && !file) {
		struct file added = { .name = strdup(name), .wanted = true };

		if (!added.name || vec_push(&feed->files, added) < 0)
			return err_set(reterr, -ENOMEM, "out of memory");
		file = &feed->files.v[feed->files.n - 1];
	}
	if (!copy)
		return err_set(reterr, -ENOMEM, "out of memory");
	free(file->text);
	file->text = copy;
	return write_file(feed, name, text, reterr);
}

static void name_file(char *buf, size_t bytes, const struct case_object *object)
{
	snprintf(buf, bytes, "%s_%s_%s.json", object_kind(object->kind)->name,
		 object->ns ? object->ns : "", object->name);
	for (char *c = buf; *c; c++)
		if (*c == '/')
			*c = '_';
}

static int put_object(struct feed *feed, const struct case_object *object, const char *default_node,
		      struct err *reterr)
{
	struct json_object *spec;
	char name[NAME_MAX];

	if (object->kind == KIND_POD && json_object_object_get_ex(object->json, "spec", &spec) &&
	    !json_object_object_get_ex(spec, "nodeName", NULL))
		json_object_object_add(spec, "nodeName", json_object_new_string(default_node));
	name_file(name, sizeof(name), object);
	return put(feed, name, json_object_to_json_string_ext(object->json, JSON_C_TO_STRING_PLAIN),
		   reterr);
}

static int drop_unwanted(struct feed *feed, struct err *reterr)
{
	for (size_t i = feed->files.n; i-- > 0;) {
		char path[PATH_MAX];

		if (feed->files.v[i].wanted)
			continue;
		snprintf(path, sizeof(path), "%s/%s", feed->dir, feed->files.v[i].name);
		if (unlink(path) < 0)
			return err_set(reterr, -errno, "%s: %s", path, strerror(errno));
		file_fini(&feed->files.v[i]);
		vec_drop(&feed->files, i);
	}
	return 0;
}

static int write_marker(struct feed *feed, struct err *reterr)
{
	char text[256];

	snprintf(feed->marker, sizeof(feed->marker), "conformance-step-%u", ++feed->step);
	snprintf(text, sizeof(text),
		 "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%s\"}}",
		 feed->marker);
	return write_file(feed, "zz-marker.json", text, reterr);
}

int feed_apply(struct feed *feed, const struct sim_case *c, const char *default_node,
	       const char **retmarker, struct err *reterr)
{
	int r = 0;

	vec_each(struct file, file, &feed->files)
		file->wanted = false;
	for (size_t i = 0; r == 0 && i < c->nobjects; i++)
		r = put_object(feed, &c->objects[i], default_node, reterr);
	if (r == 0)
		r = drop_unwanted(feed, reterr);
	if (r == 0)
		r = write_marker(feed, reterr);
	*retmarker = feed->marker;
	return r;
}
