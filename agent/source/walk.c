// SPDX-License-Identifier: Apache-2.0
// walk.c - the manifests under a folder, in the order of their paths.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/vec.h"
#include "agent/source/manifest.h"

struct entry {
	char *path;
	bool folder;
};

typedef VEC(struct entry) entry_vec;

static void entries_fini(entry_vec *entries)
{
	vec_each(struct entry, entry, entries)
		free(entry->path);
	vec_fini(entries);
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

// Folders are followed, links to folders are not (they could lead round); links to files are.
static int add_entry(entry_vec *entries, const char *folder, const char *name, int depth)
{
	struct entry entry = { 0 };
	struct stat st;
	int r = 0;

	if (name[0] == '.')
		return 0;
	if (asprintf(&entry.path, "%s/%s", folder, name) < 0)
		return -ENOMEM;
	if (lstat(entry.path, &st) == 0 && S_ISDIR(st.st_mode))
		entry.folder = true;
	if (entry.folder ? depth < MANIFEST_MAX_DEPTH : manifest_is_name(name))
		r = vec_push(entries, entry);
	else
		free(entry.path);
	if (r < 0)
		free(entry.path);
	return r;
}

static int list_folder(const char *folder, int depth, entry_vec *entries)
{
	DIR *dir = opendir(folder);
	struct dirent *dirent;
	int r = 0;

	if (!dir)
		return -errno;
	while (r >= 0 && (dirent = readdir(dir)))
		r = add_entry(entries, folder, dirent->d_name, depth);
	closedir(dir);
	vec_sort(entries, compare_entries);
	return r;
}

static int walk_folder(const char *folder, int depth, const struct manifest_walk *walk)
{
	entry_vec entries = { 0 };
	int r = walk->folder ? walk->folder(walk->arg, folder) : 0;

	if (r)
		return r;
	r = list_folder(folder, depth, &entries);
	vec_each(struct entry, entry, &entries) {
		if (r)
			break;
		if (!entry->folder) {
			r = walk->file(walk->arg, entry->path);
			continue;
		}
		r = walk_folder(entry->path, depth + 1, walk);
		if (r == -ENOENT || r == -ENOTDIR) // gone meanwhile
			r = 0;
	}
	entries_fini(&entries);
	return r;
}

int manifest_walk(const char *path, const struct manifest_walk *walk)
{
	return walk_folder(path, 0, walk);
}
