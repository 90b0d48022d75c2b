// SPDX-License-Identifier: Apache-2.0
// file.c - to a file that rotates: PATH, and behind it PATH.1 (the youngest) to PATH.N, each perhaps with .gz.
//
// A rotation stands between two records, and so loses none. It waits for the compression of the file before: a file is
// longer than it should be rather than a name taken twice.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "agent/sink/gzip.h"
#include "agent/sink/private.h"

#define MODE 0600

struct file {
	uint64_t max_size, max_age, max_files;
	bool compress;
	struct sink *sink; // not NULL: open
	const char *path;
	int fd;
	uint64_t size;
	int64_t born_sec;
	dev_t dev;
	ino_t ino;
	struct gzip *gzip;
};

static const struct option options[] = {
	{ "max-size", 0, OPTION_SIZE, offsetof(struct file, max_size), "BYTES", "rotate before it is larger; 0: never",
	  .fallback = "100M" },
	{ "max-age", 0, OPTION_DURATION, offsetof(struct file, max_age), "DURATION", "rotate when it is so old; 0: never",
	  .fallback = "0" },
	{ "max-files", 0, OPTION_NUMBER, offsetof(struct file, max_files), "N", "keep so many rotated files", .fallback = "5",
	  .max = 1000 },
	{ "compress", 0, OPTION_FLAG, offsetof(struct file, compress), NULL, "compress rotated files" },
	{ NULL },
};

static int file_check(void *self, const struct sink_where *where, struct err *reterr)
{
	const struct file *file = self;
	size_t len = strlen(where->path);

	if (*where->host || where->port)
		return err_set(reterr, -EINVAL, "a file's path begins behind ://, with another /");
	if (len < 2 || where->path[len - 1] == '/')
		return err_set(reterr, -EINVAL, "it has no path of a file");
	if (len > PATH_MAX - sizeof(".1000.gz.tmp"))
		return err_set(reterr, -EINVAL, "its path is too long");
	if (file->max_size && file->max_size < 4096)
		return err_set(reterr, -EINVAL, "max-size: less than 4096 bytes");
	return 0;
}

// ---- opening ---------------------------------------------------------------------------------------------------------

static int take_stat(struct file *file, struct stat *st, struct err *reterr)
{
	if (fstat(file->fd, st) < 0)
		return err_set(reterr, -errno, "'%s': %s", file->path, strerror(errno));
	if (!S_ISREG(st->st_mode))
		return err_set(reterr, -EINVAL, "'%s' is no file", file->path);
	if (st->st_uid != geteuid())
		return err_set(reterr, -EPERM, "'%s' belongs to user %u", file->path, st->st_uid);
	if ((st->st_mode & 07777) != MODE && fchmod(file->fd, MODE) < 0)
		return err_set(reterr, -errno, "'%s': its mode cannot be set: %s", file->path, strerror(errno));
	if (flock(file->fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(reterr, -errno, "'%s': another sink writes to it", file->path);
	file->size = (uint64_t)st->st_size;
	file->dev = st->st_dev;
	file->ino = st->st_ino;
	return 0;
}

static int64_t born(const struct file *file)
{
	struct statx st;

	if (statx(file->fd, "", AT_EMPTY_PATH, STATX_BTIME, &st) == 0 && st.stx_mask & STATX_BTIME)
		return st.stx_btime.tv_sec;
	return time(NULL);
}

// A writer that was stopped by a power cut may have left half a line: ours begin on a new one.
static int end_line(struct file *file, struct err *reterr)
{
	char last = '\n';

	if (file->size && pread(file->fd, &last, 1, (off_t)file->size - 1) < 0)
		return err_set(reterr, -errno, "'%s' cannot be read: %s", file->path, strerror(errno));
	if (last == '\n')
		return 0;
	if (write(file->fd, "\n", 1) != 1)
		return err_set(reterr, -errno, "'%s' cannot be written: %s", file->path, strerror(errno));
	file->size++;
	return 0;
}

static int open_path(struct file *file, struct err *reterr)
{
	struct stat st;
	int r;

	file->fd = open(file->path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, MODE);
	if (file->fd < 0 && errno == ELOOP)
		return err_set(reterr, -ELOOP, "'%s' is a symbolic link, and those are not followed", file->path);
	if (file->fd < 0)
		return err_set(reterr, -errno, "'%s' cannot be opened: %s", file->path, strerror(errno));
	r = take_stat(file, &st, reterr);
	if (r == 0)
		r = end_line(file, reterr);
	file->born_sec = born(file);
	return r;
}

static int file_open(void *self, struct sink *sink, const struct sink_where *where, struct err *reterr)
{
	struct file *file = self;

	file->sink = sink;
	file->fd = -1;
	file->path = where->path;
	if (file->compress && !file->gzip && gzip_new(sink_base(sink), &file->gzip) < 0)
		return err_set(reterr, -ENOMEM, "no thread to compress by");
	return open_path(file, reterr);
}

static void file_close(void *self)
{
	struct file *file = self;

	if (file->sink && file->fd >= 0)
		close(file->fd);
	file->sink = NULL;
}

static void file_fini(void *self)
{
	struct file *file = self;

	gzip_free(file->gzip);
}

// ---- rotation --------------------------------------------------------------------------------------------------------

// PATH.n of both kinds becomes PATH.n+1, the last is gone.
static int shift(const struct file *file, unsigned int n, struct err *reterr)
{
	static const char *const kinds[] = { "", ".gz" };
	char from[PATH_MAX], to[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int r;

		snprintf(from, sizeof(from), "%s.%u%s", file->path, n, kinds[i]);
		snprintf(to, sizeof(to), "%s.%u%s", file->path, n + 1, kinds[i]);
		r = n < file->max_files ? rename(from, to) : unlink(from);
		if (r < 0 && errno != ENOENT)
			return err_set(reterr, -errno, "'%s' cannot be rotated: %s", from, strerror(errno));
	}
	return 0;
}

static int put_aside(struct file *file, struct err *reterr)
{
	char first[PATH_MAX];
	int r = 0;

	for (unsigned int n = (unsigned int)file->max_files; r == 0 && n > 0; n--)
		r = shift(file, n, reterr);
	if (r < 0)
		return r;
	snprintf(first, sizeof(first), "%s.1", file->path);
	r = file->max_files ? rename(file->path, first) : unlink(file->path);
	if (r < 0)
		return err_set(reterr, -errno, "'%s' cannot be rotated: %s", file->path, strerror(errno));
	if (file->compress && file->max_files)
		gzip_start(file->gzip, first); // without memory for it the file stays as it is
	return 0;
}

static int reopen(struct file *file, struct err *reterr)
{
	close(file->fd);
	return open_path(file, reterr);
}

static bool is_due(const struct file *file, size_t bytes)
{
	if (!file->size || gzip_busy(file->gzip))
		return false;
	return (file->max_size && file->size + bytes > file->max_size) ||
	       (file->max_age && time(NULL) - file->born_sec >= (int64_t)file->max_age);
}

// Somebody else may have renamed or removed it, or cut it short, as logrotate does.
static bool is_moved(struct file *file)
{
	struct stat st;

	if (lstat(file->path, &st) < 0 || st.st_ino != file->ino || st.st_dev != file->dev)
		return true;
	file->size = (uint64_t)st.st_size;
	return false;
}

static ssize_t file_room(void *self, size_t bytes, struct err *reterr)
{
	struct file *file = self;
	bool moved = is_moved(file);
	int r = 0;

	if (!moved && is_due(file, bytes)) {
		r = put_aside(file, reterr);
		moved = true;
	}
	if (r == 0 && moved)
		r = reopen(file, reterr);
	if (r < 0)
		return r;
	if (!file->max_size)
		return SSIZE_MAX;
	return (ssize_t)(file->size + bytes < file->max_size ? file->max_size - file->size : bytes);
}

// ---- writing ---------------------------------------------------------------------------------------------------------

static ssize_t file_write(void *self, const struct iovec *iov, int n, struct err *reterr)
{
	struct file *file = self;
	ssize_t wrote;

	do
		wrote = writev(file->fd, iov, n);
	while (wrote < 0 && errno == EINTR);
	if (wrote < 0)
		return err_set(reterr, -errno, "'%s' cannot be written: %s", file->path, strerror(errno));
	file->size += (uint64_t)wrote;
	return wrote;
}

// Where that fails, the next opening ends the line.
static void file_undo(void *self, size_t bytes)
{
	const struct file *file = self;
	struct stat st;

	if (fstat(file->fd, &st) == 0 && (size_t)st.st_size >= bytes &&
	    ftruncate(file->fd, st.st_size - (off_t)bytes) < 0)
		return;
}

const struct sink_transport sink_file = {
	.name = "file",
	.bytes = sizeof(struct file),
	.options = options,
	.check = file_check,
	.open = file_open,
	.room = file_room,
	.write = file_write,
	.undo = file_undo,
	.close = file_close,
	.fini = file_fini,
};
