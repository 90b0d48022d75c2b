// SPDX-License-Identifier: Apache-2.0
// gzip.c - a job for a helper thread: read, deflate, rename.
#include "agent/sink/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zlib.h>

#include "agent/base/worker.h"

#define CHUNK_BYTES (64 << 10)
#define LEVEL "wb6"

struct gzip {
	struct worker *worker;
	struct event *ended;
	char *path, *made, *making; // of the job
	bool busy;
	bool given_up; // written by the loop's thread, read by the helper
};

static int deflate_all(const struct gzip *gzip, int from, gzFile to)
{
	static _Thread_local char chunk[CHUNK_BYTES];
	ssize_t n;

	while ((n = read(from, chunk, sizeof(chunk))) > 0)
		if (__atomic_load_n(&gzip->given_up, __ATOMIC_RELAXED) || gzwrite(to, chunk, (unsigned int)n) != n)
			return -EIO;
	return n < 0 ? -errno : 0;
}

// Closes fd.
static int compress_to(const struct gzip *gzip, int fd)
{
	_cleanup_close_ int from = open(gzip->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), out = fd;
	gzFile to;
	int r;

	if (from < 0)
		return -errno;
	to = gzdopen(out, LEVEL);
	if (!to)
		return -ENOMEM;
	TAKE_FD(out);
	r = deflate_all(gzip, from, to);
	return gzclose(to) == Z_OK ? r : -EIO;
}

// The disk has it before the original goes.
static int make(const struct gzip *gzip)
{
	_cleanup_close_ int fd = -1;
	int again, r;

	unlink(gzip->making);
	fd = open(gzip->making, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	again = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3); // zlib closes the one it gets
	if (again < 0)
		return -errno;
	r = compress_to(gzip, again);
	if (r == 0 && (fsync(fd) < 0 || rename(gzip->making, gzip->made) < 0))
		r = -errno;
	return r;
}

static void run(void *arg)
{
	const struct gzip *gzip = arg;

	if (make(gzip) < 0)
		unlink(gzip->making);
	else
		unlink(gzip->path);
}

static void drop_names(struct gzip *gzip)
{
	free(gzip->path);
	free(gzip->made);
	free(gzip->making);
	gzip->path = gzip->made = gzip->making = NULL;
}

static void done(void *arg)
{
	struct gzip *gzip = arg;

	drop_names(gzip);
	gzip->busy = false;
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
	const struct gzip *gzip = arg;

	worker_dispatch(gzip->worker);
}

int gzip_new(struct event_base *base, struct gzip **ret)
{
	_cleanup_(gzip_freep) struct gzip *gzip = calloc(1, sizeof(*gzip));
	int r;

	if (!gzip)
		return -ENOMEM;
	r = worker_new("gzip", &gzip->worker);
	if (r < 0)
		return r;
	gzip->ended = event_new(base, worker_fd(gzip->worker), EV_READ | EV_PERSIST, on_ended, gzip);
	if (!gzip->ended || event_add(gzip->ended, NULL) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(gzip);
	return 0;
}

void gzip_free(struct gzip *gzip)
{
	if (!gzip)
		return;
	__atomic_store_n(&gzip->given_up, true, __ATOMIC_RELAXED);
	if (gzip->ended)
		event_free(gzip->ended);
	worker_free(gzip->worker);
	free(gzip);
}

int gzip_start(struct gzip *gzip, const char *path)
{
	struct worker_job job = { run, done, gzip };
	int r = -ENOMEM;

	gzip->path = strdup(path);
	if (asprintf(&gzip->made, "%s.gz", path) < 0)
		gzip->made = NULL;
	if (asprintf(&gzip->making, "%s.gz.tmp", path) < 0)
		gzip->making = NULL;
	if (gzip->path && gzip->made && gzip->making)
		r = worker_submit(gzip->worker, &job);
	if (r < 0)
		drop_names(gzip);
	gzip->busy = r == 0;
	return r;
}

bool gzip_busy(const struct gzip *gzip)
{
	return gzip && gzip->busy;
}
