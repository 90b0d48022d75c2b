// SPDX-License-Identifier: Apache-2.0
// watch.c - inotify on folders.
#include "agent/source/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "agent/base/cleanup.h"
#include "agent/base/vec.h"
#include "agent/source/manifest.h"

#define WATCH_MASK                                                                                 \
	(IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |   \
	 IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK)
#define WATCH_BUFFER_BYTES 65536

struct folder {
	int wd;
	char *path;
	dev_t dev;
	ino_t ino; // both of the path, just before it was watched
	bool seen; // in this scan
};

struct watch {
	struct watch_events events;
	struct event *event;
	int fd;
	VEC(struct folder) folders; // by wd
};

// The index of the first folder with a wd that is not smaller.
static size_t find_folder(const struct watch *watch, int wd)
{
	size_t lo = 0, hi = watch->folders.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (watch->folders.v[mid].wd < wd)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct folder *get_folder(struct watch *watch, int wd)
{
	size_t i = find_folder(watch, wd);

	return i < watch->folders.n && watch->folders.v[i].wd == wd ? &watch->folders.v[i] : NULL;
}

static void drop_folder(struct watch *watch, int wd)
{
	struct folder *folder = get_folder(watch, wd);

	if (!folder)
		return;
	free(folder->path);
	vec_cut(&watch->folders, (size_t)(folder - watch->folders.v));
}

int watch_folder(struct watch *watch, const char *path)
{
	struct folder folder = { .seen = true };
	struct folder *known;
	struct stat st;
	size_t i;

	if (stat(path, &st) < 0)
		return -errno;
	folder.dev = st.st_dev;
	folder.ino = st.st_ino;
	folder.wd = inotify_add_watch(watch->fd, path, WATCH_MASK);
	if (folder.wd < 0)
		return -errno;
	folder.path = strdup(path);
	if (!folder.path)
		return -ENOMEM;
	known = get_folder(watch, folder.wd);
	if (known) { // it may have been moved
		free(known->path);
		*known = folder;
		return 0;
	}
	if (vec_reserve(&watch->folders, 1) < 0) {
		free(folder.path);
		return -ENOMEM;
	}
	i = find_folder(watch, folder.wd);
	memmove(watch->folders.v + i + 1, watch->folders.v + i,
		(watch->folders.n - i) * sizeof(folder));
	watch->folders.v[i] = folder;
	watch->folders.n++;
	return 0;
}

void watch_scan_begin(struct watch *watch)
{
	vec_each(struct folder, folder, &watch->folders)
		folder->seen = false;
}

void watch_scan_end(struct watch *watch)
{
	for (size_t i = watch->folders.n; i--;) {
		int wd = watch->folders.v[i].wd;

		if (watch->folders.v[i].seen)
			continue;
		inotify_rm_watch(watch->fd, wd);
		drop_folder(watch, wd);
	}
}

bool watch_stale(const struct watch *watch)
{
	struct stat st;

	vec_each(const struct folder, folder, &watch->folders)
		if (stat(folder->path, &st) < 0 || st.st_dev != folder->dev ||
		    st.st_ino != folder->ino)
			return true;
	return false;
}

// A file that was only created is not written yet; links come whole.
static bool is_whole(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

static void handle_name(struct watch *watch, const struct inotify_event *event)
{
	const struct folder *folder = get_folder(watch, event->wd);
	char path[PATH_MAX];

	if (!folder)
		return;
	// Volumes of the kubelet change by a link that begins with two dots.
	if (!strncmp(event->name, "..", 2) || (event->mask & IN_ISDIR && event->name[0] != '.')) {
		if (event->mask & ~IN_CLOSE_WRITE)
			watch->events.rescan(watch->events.arg, false);
		return;
	}
	if (event->mask & IN_ISDIR || !manifest_is_name(event->name))
		return;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder->path, event->name) >=
	    sizeof(path))
		return;
	if (event->mask & IN_CREATE && !is_whole(path))
		return;
	watch->events.changed(watch->events.arg, path);
}

static void handle_event(struct watch *watch, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW) {
		watch->events.rescan(watch->events.arg, true);
	} else if (event->mask & IN_IGNORED) {
		drop_folder(watch, event->wd);
	} else if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
		watch->events.rescan(watch->events.arg, false);
	} else if (event->len) {
		handle_name(watch, event);
	}
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	alignas(struct inotify_event) char buffer[WATCH_BUFFER_BYTES];
	struct watch *watch = arg;
	ssize_t n = read(fd, buffer, sizeof(buffer));

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

		handle_event(watch, event);
		at += (ssize_t)(sizeof(*event) + event->len);
	}
}

void watch_free(struct watch *watch)
{
	if (!watch)
		return;
	if (watch->event)
		event_free(watch->event);
	if (watch->fd >= 0)
		close(watch->fd);
	vec_each(struct folder, folder, &watch->folders)
		free(folder->path);
	vec_fini(&watch->folders);
	free(watch);
}
DEFINE_CLEANUP(struct watch *, watch_free)

int watch_new(struct event_base *base, const struct watch_events *events, struct watch **ret)
{
	_cleanup_(watch_freep) struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return -ENOMEM;
	watch->events = *events;
	watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (watch->fd < 0)
		return -errno;
	watch->event = event_new(base, watch->fd, EV_READ | EV_PERSIST, on_readable, watch);
	if (!watch->event || event_add(watch->event, NULL) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(watch);
	return 0;
}
