// SPDX-License-Identifier: Apache-2.0
// dir.c - the directory source: notices changes, waits for quiet, brings the store up to date.
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/log.h"
#include "agent/base/vec.h"
#include "agent/source/claims.h"
#include "agent/source/manifest.h"
#include "agent/source/watch.h"

LOG_ROOM("source");

#define DIR_QUIET_USEC 20000 // a burst ends when nothing happened for so long
#define DIR_BURST_USEC 200000 // but is not waited for longer than this
#define DIR_PATIENCE                                                                               \
	10 // at start, so many retries: while a file of which nothing is known is written
#define DIR_LOOK_USEC 2000000 // between looks at what no event tells of: where links lead
#define DIR_RETRY_USEC 1000000 // while memory, the folder or the end of a file's writing is missing

struct dir {
	struct source source;
	struct source_events events;
	char *path;
	struct watch *watch;
	struct claims *claims;
	struct event *timer, *look;
	VEC(char *) changed; // paths of files to read again
	bool rescan; // read the whole folder again
	bool force; // even files that look unchanged
	bool synced;
	int patience; // retries left
	bool told; // the first batch was
	bool burst; // the timer runs
	struct timeval burst_began;
};

static struct timeval usec(long value)
{
	return (struct timeval){ value / 1000000, value % 1000000 };
}

// Restarts the quiet time, within the limit of the burst.
static void arm(struct dir *dir)
{
	struct timeval now, since, limit = usec(DIR_BURST_USEC), wait = usec(DIR_QUIET_USEC);

	event_base_gettimeofday_cached(event_get_base(dir->timer), &now);
	if (!dir->burst) {
		dir->burst = true;
		dir->burst_began = now;
	}
	evutil_timersub(&now, &dir->burst_began, &since);
	if (since.tv_sec < 0 || evutil_timercmp(&since, &limit, >=))
		wait = usec(0);
	else {
		evutil_timersub(&limit, &since, &limit);
		if (evutil_timercmp(&limit, &wait, <))
			wait = limit;
	}
	event_add(dir->timer, &wait);
}

static void forget_changed(struct dir *dir)
{
	vec_each(char *, path, &dir->changed)
		free(*path);
	vec_clear(&dir->changed);
}

static void on_changed(void *arg, const char *path)
{
	struct dir *dir = arg;
	char *copy = strdup(path);

	if (!copy || vec_push(&dir->changed, copy) < 0) {
		free(copy);
		dir->rescan = dir->force = true;
	}
	arm(dir);
}

static void on_rescan(void *arg, bool force)
{
	struct dir *dir = arg;

	dir->rescan = true;
	dir->force |= force;
	arm(dir);
}

static int scan_folder(void *arg, const char *path)
{
	struct dir *dir = arg;
	int r = watch_folder(dir->watch, path);

	if (r == -ENOSPC) {
		claims_problem(
			dir->claims, path,
			"no more inotify watches (fs.inotify.max_user_watches): changes in this "
			"folder are not noticed");
		return 0;
	}
	return r;
}

static int scan_file(void *arg, const char *path)
{
	struct dir *dir = arg;

	return claims_read(dir->claims, path, dir->force);
}

static int scan_skipped(void *arg, const char *path, int error)
{
	return claims_skipped(((struct dir *)arg)->claims, path, error);
}

// When the folder itself is away nothing is forgotten: what is enforced stays enforced.
static int scan(struct dir *dir)
{
	const struct manifest_walk walk = { dir, scan_file, scan_folder, scan_skipped };
	char text[ERR_TEXT_BYTES];
	int r;

	claims_scan_begin(dir->claims);
	watch_scan_begin(dir->watch);
	r = manifest_walk(dir->path, &walk);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		snprintf(text, sizeof(text), "%s; what was read of the folder stays in force",
			 strerror(-r));
		claims_problem(dir->claims, dir->path, text);
		return r;
	}
	claims_problem(dir->claims, dir->path, NULL);
	claims_scan_end(dir->claims);
	watch_scan_end(dir->watch);
	dir->rescan = dir->force = false;
	return 0;
}

static int compare_paths(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_changed(struct dir *dir)
{
	int r = 0;

	vec_sort(&dir->changed, compare_paths);
	for (size_t i = 0; r >= 0 && i < dir->changed.n; i++)
		if (!i || strcmp(dir->changed.v[i - 1], dir->changed.v[i]))
			r = claims_read(dir->claims, dir->changed.v[i], true);
	return r;
}

// A folder that is removed empties itself first: that is no reason to forget what its files held.
static bool is_away(const struct dir *dir)
{
	struct stat st;

	return stat(dir->path, &st) < 0;
}

// Before it was synced: is it better to wait? Where nothing is in force yet, not for ever.
static bool must_wait(const struct dir *dir)
{
	if (!claims_unknown(dir->claims))
		return false;
	return dir->events.in_force || (claims_waiting(dir->claims) && dir->patience > 0);
}

static void settle(struct dir *dir)
{
	char text[ERR_TEXT_BYTES];

	dir->synced = !must_wait(dir);
	snprintf(text, sizeof(text),
		 "waits for %zu files that cannot be read, as nothing is known of what they held: "
		 "until they can or are gone, nothing is changed",
		 claims_unknown(dir->claims));
	claims_problem(dir->claims, "source", dir->synced ? NULL : text);
	if (dir->synced)
		claims_settled(dir->claims);
}

// -ENOMEM: nothing is lost, the next call does what was not done.
static int refresh(struct dir *dir)
{
	int r = 0;

	if (dir->rescan || is_away(dir)) {
		dir->rescan = true;
		r = scan(dir);
	}
	if (r >= 0)
		r = read_changed(dir);
	if (r == -ENOMEM)
		return r;
	forget_changed(dir);
	r = claims_apply(dir->claims);
	if (r < 0)
		return r;
	if (!dir->synced) {
		settle(dir);
		dir->told = false;
	}
	if ((r > 0 || !dir->told) && dir->events.batch)
		dir->events.batch(dir->events.arg);
	dir->told = true;
	return 0;
}

static void wait_more(struct dir *dir)
{
	dir->rescan = true;
	dir->patience -= dir->patience > 0;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timeval retry = usec(DIR_RETRY_USEC);
	struct dir *dir = arg;

	dir->burst = false;
	if (refresh(dir) < 0)
		log_error("%s: out of memory, keeping what was read, trying again", dir->path);
	else if (claims_waiting(dir->claims))
		wait_more(dir);
	else if (!dir->rescan)
		return;
	event_add(dir->timer, &retry);
}

static void on_look(evutil_socket_t fd, short what, void *arg)
{
	struct dir *dir = arg;

	if (!dir->rescan && (watch_stale(dir->watch) || claims_stale(dir->claims)))
		on_rescan(dir, false);
}

static void dir_close(struct source *source)
{
	struct dir *dir = (struct dir *)source;

	if (!dir)
		return;
	watch_free(dir->watch);
	if (dir->timer)
		event_free(dir->timer);
	if (dir->look)
		event_free(dir->look);
	claims_free(dir->claims);
	forget_changed(dir);
	vec_fini(&dir->changed);
	free(dir->path);
	free(dir);
}

static void dir_closep(struct dir **dir)
{
	dir_close((struct source *)*dir);
}

// The path without the slashes at its end.
static char *trim_path(const char *where)
{
	size_t len = strlen(where);

	while (len > 1 && where[len - 1] == '/')
		len--;
	return strndup(where, len);
}

static int check_folder(const char *path, struct err *reterr)
{
	struct stat st;

	if (!*path)
		return err_set(reterr, -EINVAL,
			       "dir: needs a folder, as in dir:/etc/bulkhead/objects");
	if (stat(path, &st) < 0)
		return err_set(reterr, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(reterr, -ENOTDIR, "%s: is not a folder", path);
	return 0;
}

static int dir_open(const char *where, struct event_base *base, struct store *store,
		    const struct source_events *events, struct source **ret, struct err *reterr)
{
	_cleanup_(dir_closep) struct dir *dir = calloc(1, sizeof(*dir));
	const struct watch_events watch_events = { dir, on_changed, on_rescan };
	const struct timeval look = usec(DIR_LOOK_USEC);
	int r = check_folder(where, reterr);

	if (r < 0)
		return r;
	if (!dir)
		return err_set(reterr, -ENOMEM, "out of memory");
	dir->source.ops = &source_dir;
	if (events)
		dir->events = *events;
	dir->path = trim_path(where);
	dir->timer = evtimer_new(base, on_timer, dir);
	dir->look = event_new(base, -1, EV_PERSIST, on_look, dir);
	if (!dir->path || !dir->timer || !dir->look ||
	    claims_new(store, dir->path, &dir->events, &dir->claims) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	r = watch_new(base, &watch_events, &dir->watch);
	if (r < 0)
		return err_set(reterr, r, "inotify: %s", strerror(-r));

	dir->rescan = true;
	r = scan(dir);
	if (r < 0)
		return err_set(reterr, r, "%s: %s", dir->path, strerror(-r));
	r = claims_apply(dir->claims);
	if (r < 0)
		return err_set(reterr, r, "out of memory");
	dir->patience = DIR_PATIENCE;
	settle(dir);
	event_add(dir->look, &look);
	arm(dir); // for the first batch, and for a file that is being written now
	*ret = &TAKE_PTR(dir)->source;
	return 0;
}

static bool dir_synced(const struct source *source)
{
	return ((const struct dir *)source)->synced;
}

static bool dir_current(const struct source *source)
{
	return !claims_recalled(((const struct dir *)source)->claims);
}

static struct json_object *dir_describe(const struct source *source)
{
	const struct dir *dir = (const struct dir *)source;
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "kind", json_object_new_string("dir"));
	json_object_object_add(json, "path", json_object_new_string(dir->path));
	json_object_object_add(json, "files",
			       json_object_new_int64((int64_t)claims_files(dir->claims)));
	json_object_object_add(json, "problems", claims_problems(dir->claims));
	return json;
}

const struct source_ops source_dir = {
	.scheme = "dir",
	.open = dir_open,
	.close = dir_close,
	.synced = dir_synced,
	.current = dir_current,
	.describe = dir_describe,
};
