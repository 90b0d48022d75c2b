// SPDX-License-Identifier: Apache-2.0
// keep.c - one file for each: its path, a 0, its text. And one that says of which source these are all.
#include "agent/source/keep.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "agent/source/manifest.h"

#define KEEP_MAX_BYTES (PATH_MAX + (size_t)MANIFEST_MAX_BYTES)
#define WHOLE_NAME ".whole"

// FNV-1a: the same in every process, as hash.h's are not.
static uint64_t number_of(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3;
	return hash;
}

static int name_of(const char *folder, const char *path, char ret[static PATH_MAX])
{
	int n = snprintf(ret, PATH_MAX, "%s/%016llx", folder, (unsigned long long)number_of(path));

	return n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int keep_save(const char *folder, const char *path, const char *text, size_t len)
{
	size_t head = strlen(path) + 1;
	_cleanup_free_ char *data = malloc(head + len);
	char name[PATH_MAX];
	int r = name_of(folder, path, name);

	if (r < 0)
		return r;
	if (!data)
		return -ENOMEM;
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return -errno;
	memcpy(data, path, head);
	memcpy(data + head, text, len);
	return file_write(name, data, head + len, 0600);
}

int keep_load(const char *folder, const char *path, char **ret, size_t *retoffset, size_t *retlen)
{
	size_t len, head = strlen(path) + 1;
	_cleanup_free_ char *data = NULL;
	char name[PATH_MAX];
	int r = name_of(folder, path, name);

	if (r >= 0)
		r = file_read(name, KEEP_MAX_BYTES, &data, &len);
	if (r < 0)
		return r;
	if (len < head || memcmp(data, path, head))
		return -ENOENT;
	*ret = TAKE_PTR(data);
	*retoffset = head;
	*retlen = len - head;
	return 0;
}

void keep_forget(const char *folder, const char *path)
{
	char name[PATH_MAX];

	if (name_of(folder, path, name) >= 0)
		unlink(name);
}

typedef bool (*path_fn)(const void *arg, const char *path);

static bool path_is(const char *name, path_fn is, const void *arg)
{
	_cleanup_free_ char *data = NULL;
	size_t len;

	return file_read(name, KEEP_MAX_BYTES, &data, &len) >= 0 && memchr(data, 0, len) && is(arg, data);
}

// The next of the files that are kept; false: no more.
static bool next_name(DIR *dir, const char *folder, char ret[static PATH_MAX])
{
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    snprintf(ret, PATH_MAX, "%s/%s", folder, entry->d_name) < PATH_MAX)
			return true;
	if (dir)
		closedir(dir);
	return false;
}

void keep_prune(const char *folder, path_fn known, const void *arg)
{
	DIR *dir = opendir(folder);
	char name[PATH_MAX];

	while (next_name(dir, folder, name))
		if (!known || !path_is(name, known, arg))
			unlink(name);
}

bool keep_any(const char *folder, path_fn is, const void *arg)
{
	DIR *dir = opendir(folder);
	char name[PATH_MAX];
	bool any = false;

	while (next_name(dir, folder, name))
		any = any || path_is(name, is, arg);
	return any;
}

static int whole_name(const char *folder, char ret[static PATH_MAX])
{
	return snprintf(ret, PATH_MAX, "%s/" WHOLE_NAME, folder) >= PATH_MAX ? -ENAMETOOLONG : 0;
}

void keep_set_whole(const char *folder, const char *source, bool whole)
{
	char name[PATH_MAX];

	if (whole_name(folder, name) < 0)
		return;
	if (!whole)
		unlink(name);
	else if (mkdir(folder, 0700) == 0 || errno == EEXIST)
		file_write(name, source, strlen(source), 0600);
}

bool keep_is_whole(const char *folder, const char *source)
{
	_cleanup_free_ char *text = NULL;
	char name[PATH_MAX];
	size_t len;

	return whole_name(folder, name) == 0 && file_read(name, PATH_MAX, &text, &len) >= 0 &&
	       strcmp(text, source) == 0;
}

void keep_remove(const char *folder)
{
	keep_prune(folder, NULL, NULL);
	keep_set_whole(folder, NULL, false);
	rmdir(folder);
}
