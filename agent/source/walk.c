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
	int error; // what it is cannot be told
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
static int add_entry(entry_vec *entries, const char *folder, const char *name)
{
	struct entry entry = { 0 };
	struct stat st;
	int r = 0;

	if (name[0] == '.')
		return 0;
	if (asprintf(&entry.path, "%s/%s", folder, name) < 0)
		return -ENOMEM;
	if (lstat(entry.path, &st) < 0)
		entry.error = errno;
	else
		entry.folder = S_ISDIR(st.st_mode);
	if (entry.error || entry.folder || manifest_is_name(name))
		r = vec_push(entries, entry);
	else
		free(entry.path);
	if (r < 0)
		free(entry.path);
	return r;
}

static int list_folder(const char *folder, entry_vec *entries)
{
	DIR *dir = opendir(folder);
	struct dirent *dirent;
	int r = 0;

	if (!dir)
		return -errno;
	errno = 0;
	while (r >= 0 && (dirent = readdir(dir))) {
		r = add_entry(entries, folder, dirent->d_name);
		errno = 0;
	}
	if (r >= 0)
		r = -errno;
	closedir(dir);
	vec_sort(entries, compare_entries);
	return r;
}

static int open_folder(const char *folder, const struct manifest_walk *walk, entry_vec *entries)
{
	int r = walk->folder ? walk->folder(walk->arg, folder) : 0;

	return r ? r : list_folder(folder, entries);
}

static int skip(const struct manifest_walk *walk, const char *path, int error)
{
	if (error == ENOENT || error == ENOTDIR) // gone meanwhile
		return 0;
	return walk->skipped(walk->arg, path, error);
}

static int walk_folder(const char *folder, int depth, const struct manifest_walk *walk)
{
	entry_vec entries = { 0 };
	int r = depth > MANIFEST_MAX_DEPTH ? -ELOOP : open_folder(folder, walk, &entries);

	if (r < 0 && r != -ENOMEM && depth) {
		entries_fini(&entries);
		r = skip(walk, folder, -r);
	}
	vec_each(struct entry, entry, &entries) {
		if (r)
			break;
		if (entry->error)
			r = skip(walk, entry->path, entry->error);
		else if (entry->folder)
			r = walk_folder(entry->path, depth + 1, walk);
		else
			r = walk->file(walk->arg, entry->path);
	}
	entries_fini(&entries);
	return r;
}

const char *manifest_skip_text(int error)
{
	return error == ELOOP ? "lies too deep in folders" : strerror(error);
}

int manifest_walk(const char *path, const struct manifest_walk *walk)
{
	return walk_folder(path, 0, walk);
}
