// SPDX-License-Identifier: Apache-2.0
// file.c - whole files.
#include "agent/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/cleanup.h"

#define FILE_CHUNK_BYTES 16384

int file_open_plain(int folder, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_NO_SYMLINKS,
	};
	long fd = syscall(SYS_openat2, folder, path, &how, sizeof(how));

	return fd < 0 ? -errno : (int)fd;
}

int file_read_fd(int fd, size_t max_bytes, char **ret, size_t *retlen)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0, cap = 0;

	for (;;) {
		ssize_t n;

		if (len + 1 >= cap) {
			size_t next = cap ? cap * 2 : FILE_CHUNK_BYTES;
			char *grown = realloc(text, next);

			if (!grown)
				return -ENOMEM;
			text = grown;
			cap = next;
		}
		n = read(fd, text + len, cap - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len > max_bytes)
			return -EFBIG;
	}
	text[len] = '\0';
	*ret = TAKE_PTR(text);
	*retlen = len;
	return 0;
}

int file_read(const char *path, size_t max_bytes, char **ret, size_t *retlen)
{
	// A fifo must not block the loop before fstat can refuse it.
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > 0 && (uintmax_t)st.st_size > max_bytes)
		return -EFBIG;
	return file_read_fd(fd, max_bytes, ret, retlen);
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int chown_as(int fd, const struct stat *as)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid == as->st_uid && st.st_gid == as->st_gid)
		return 0;
	return fchown(fd, as->st_uid, as->st_gid) < 0 ? -errno : 0;
}

// The whole of it is on the disk and nobody has it open for writing when this returns.
static int fill(int file, mode_t mode, const struct stat *owner, const void *data, size_t len)
{
	_cleanup_close_ int fd = file;
	int r = write_all(fd, data, len);

	if (r == 0 && owner)
		r = chown_as(fd, owner);
	if (r == 0 && (fchmod(fd, mode & 07777) < 0 || fsync(fd) < 0))
		r = -errno;
	return r;
}

static bool unchanged(const char *path, const struct stat *old)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_dev == old->st_dev && st.st_ino == old->st_ino &&
	       st.st_size == old->st_size && st.st_mtim.tv_sec == old->st_mtim.tv_sec &&
	       st.st_mtim.tv_nsec == old->st_mtim.tv_nsec;
}

static int swap(const char *a, const char *b)
{
	return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0 ? -errno : 0;
}

static bool is_inode(const char *path, const struct stat *of)
{
	struct stat st;

	return lstat(path, &st) == 0 && st.st_dev == of->st_dev && st.st_ino == of->st_ino;
}

// What came out of the path is looked at, so that nothing slips in between; if it is not `old`, it goes back. What
// somebody put there meanwhile is then what comes out, and it is that which has to stay.
static int replace(const char *temp, const char *path, const struct stat *old)
{
	struct stat own;
	int r = lstat(temp, &own) < 0 ? -errno : 0;

	if (r == 0)
		r = swap(temp, path);
	if (r == -EINVAL || r == -ENOSYS) { // a file system that cannot
		r = unchanged(path, old) ? 0 : -ESTALE;
		return r == 0 && rename(temp, path) < 0 ? -errno : r;
	}
	if (r == -ENOENT)
		return -ESTALE;
	if (r < 0)
		return r;
	if (!unchanged(temp, old)) {
		if (swap(temp, path) == 0 && !is_inode(temp, &own))
			swap(temp, path);
		return -ESTALE;
	}
	return unlink(temp) < 0 ? -errno : 0;
}

// old NULL: over whatever is there.
static int write_over(const char *path, mode_t mode, const struct stat *old, const void *data, size_t len)
{
	char temp[PATH_MAX];
	int fd, r;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.tmp-XXXXXX", path) >= sizeof(temp))
		return -ENAMETOOLONG;
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fill(fd, mode, old, data, len);
	if (r == 0 && old)
		r = replace(temp, path, old);
	else if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(temp);
	return r;
}

int file_write(const char *path, const void *data, size_t len, mode_t mode)
{
	return write_over(path, mode, NULL, data, len);
}

int file_replace(const char *path, const struct stat *old, const void *data, size_t len)
{
	return write_over(path, old->st_mode, old, data, len);
}
