// SPDX-License-Identifier: Apache-2.0
// file.h - whole files: read with a limit, written so that a reader sees the old or the new one.
//
// World: host. Pure: no (files). Owns: nothing between calls.
#pragma once

#include <stddef.h>
#include <sys/types.h>

// Reads a regular file. *ret is malloc'd and ends with a 0 that *retlen does not count. -EFBIG:
// longer than max_bytes; -EISDIR, -EINVAL: no regular file; else -errno of open or read.
int file_read(const char *path, size_t max_bytes, char **ret, size_t *retlen);

// Same from a file that is open; any kind of file.
int file_read_fd(int fd, size_t max_bytes, char **ret, size_t *retlen);

// Writes path.tmp-XXXXXX beside path, syncs and renames it over path.
int file_write(const char *path, const void *data, size_t len, mode_t mode);
