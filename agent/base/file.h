// SPDX-License-Identifier: Apache-2.0
// file.h - whole files: read with a limit, written so that a reader sees the old or the new one.
//
// World: host. Pure: no (files). Owns: nothing between calls.
#pragma once

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

// Reads a regular file. *ret is malloc'd and ends with a 0 that *retlen does not count. -EFBIG:
// longer than max_bytes; -EISDIR, -EINVAL: no regular file; else -errno of open or read.
int file_read(const char *path, size_t max_bytes, char **ret, size_t *retlen);

// Same from a file that is open; any kind of file.
int file_read_fd(int fd, size_t max_bytes, char **ret, size_t *retlen);

// Opens without following a link, whoever made it and wherever on the way (openat2(2)); O_CLOEXEC. An fd or -errno; -ELOOP:
// there is one.
int file_open_plain(int folder, const char *path, int flags, mode_t mode);

// Writes path.tmp-XXXXXX beside path, syncs, closes and renames it over path: a program that is written so can be
// run the moment it is there.
int file_write(const char *path, const void *data, size_t len, mode_t mode);

// Same with the mode and the owner of the file that is there, of which `old` is what fstat() said when it was
// read. -ESTALE: path is another file by now, or has changed since.
int file_replace(const char *path, const struct stat *old, const void *data, size_t len);
