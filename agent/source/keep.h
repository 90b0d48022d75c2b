// SPDX-License-Identifier: Apache-2.0
// keep.h - what each file said at its last reading without a mistake, for an agent that starts while one cannot
// be read.
//
// World: host. Pure: no (a folder of files, mode 0600). Owns: nothing between calls. Of a file without policies
// and namespaces only its name is kept: pods of which nothing is known are shut in anyway.
#pragma once

#include <stdbool.h>
#include <stddef.h>

// len 0: the file is known and holds nothing to be kept. 0 or -errno.
int keep_save(const char *folder, const char *path, const char *text, size_t len);

// *ret is malloc'd, the text is its last *retlen bytes. -ENOENT: nothing is known of this file; else -errno.
int keep_load(const char *folder, const char *path, char **ret, size_t *retoffset, size_t *retlen);

void keep_forget(const char *folder, const char *path);

// Forgets every file that known() does not know.
void keep_prune(const char *folder, bool (*known)(const void *arg, const char *path), const void *arg);

// True if something is kept of a path for which is() is true.
bool keep_any(const char *folder, bool (*is)(const void *arg, const char *path), const void *arg);

// Whether all files of this source that count are kept: of one that is not, nothing is in force. Failing to
// remember that it is so is no loss.
void keep_set_whole(const char *folder, const char *source, bool whole);
bool keep_is_whole(const char *folder, const char *source);

// Removes the folder with all that is kept; a folder that is not there is fine.
void keep_remove(const char *folder);
