// SPDX-License-Identifier: Apache-2.0
// keep.c - one file for each: its path, a 0, its text.
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

static bool is_known(const char *name, bool (*known)(const void *arg, const char *path), const void *arg)
{
	_cleanup_free_ char *data = NULL;
	size_t len;

	return file_read(name, KEEP_MAX_BYTES, &data, &len) >= 0 && memchr(data, 0, len) &&
	       known(arg, data);
}

void keep_prune(const char *folder, bool (*known)(const void *arg, const char *path), const void *arg)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char name[PATH_MAX];

	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    snprintf(name, sizeof(name), "%s/%s", folder, entry->d_name) >= (int)sizeof(name))
			continue;
		if (!known || !is_known(name, known, arg))
			unlink(name);
	}
	if (dir)
		closedir(dir);
}

void keep_remove(const char *folder)
{
	keep_prune(folder, NULL, NULL);
	rmdir(folder);
}
