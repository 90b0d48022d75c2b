// SPDX-License-Identifier: Apache-2.0
// install.c - keeping the plugin in place. Each change in the two folders leads to one look at all of it, and a look that
// finds nothing to do writes nothing: what it wrote itself ends there.
#include "agent/daemon/install.h"

#include <errno.h>
#include <limits.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <bulkhead/abi.h>

#include "agent/base/cleanup.h"
#include "agent/base/log.h"
#include "agent/conflist/conflist.h"
#include "agent/conflist/pace.h"
#include "agent/conflist/place.h"
#include "agent/daemon/daemon.h"
#include "agent/daemon/json.h"

LOG_ROOM("cni");

#define PROBLEM "cni"
#define LOOK_SEC 30 // a folder that came, links, what inotify does not tell
#define WATCH_BUFFER_BYTES 16384
// A file that was only created is not written yet.
#define WATCH_MASK                                                                                 \
	(IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |               \
	 IN_MOVE_SELF | IN_ONLYDIR)

struct install {
	struct daemon *daemon;
	const char *conf_dir, *bin_dir;
	char *entry;
	int fd;
	struct event *changed, *timer;
	struct pace entry_pace, program_pace;
	struct placed last;
	bool placed; // the entry is where it should be, as of the last look
	uint64_t entries, programs; // how often each was written
};

// What is the plugin's own default is not said.
static int entry_new(const struct config *config, char **ret)
{
	struct conflist_entry entry = { .quarantine = config->cni_on_agent_down == 1,
					.pass = config->cni_on_other_interface == 1 };
	char socket[256], folder[256];
	const char *records = daemon_cni_folder(config, folder, sizeof(folder));

	snprintf(socket, sizeof(socket), "%s/" BH_SOCKET_NAME, config->run_dir);
	if (strcmp(config->run_dir, BH_RUN_DIR) != 0)
		entry.socket = socket;
	if (strcmp(records, BH_RUN_DIR "/cni") != 0)
		entry.records = records;
	if (config->cni_timeout_sec != CNI_TIMEOUT_SEC)
		entry.timeout_sec = config->cni_timeout_sec;
	*ret = conflist_entry(&entry);
	return *ret ? 0 : -ENOMEM;
}

// ---- one look ----------------------------------------------------------------------------------

// What is written again and again is undone by something else.
static int paced(struct install *install, struct pace *pace, const char *file, struct err *reterr)
{
	struct timeval delay = { 0 };
	int64_t wait_ms;

	if (pace_take(pace, daemon_now_ms(), &wait_ms))
		return 0;
	delay.tv_sec = (time_t)(wait_ms / 1000 + 1);
	event_add(install->timer, &delay);
	return err_set(reterr, -EBUSY,
		       "%s: something else undoes what is put there for " CONFLIST_PLUGIN
		       ", so from now on it is put there once "
		       "in %d s; pods that start meanwhile are open until the agent finds them",
		       file, PACE_MS / 1000);
}

static int look_at_program(struct install *install, struct err *reterr)
{
	bool changed;
	int r;

	r = place_plugin(install->bin_dir, NULL, true, &changed, reterr);
	if (r < 0 || !changed)
		return r;
	r = paced(install, &install->program_pace, install->bin_dir, reterr);
	if (r >= 0)
		r = place_plugin(install->bin_dir, NULL, false, &changed, reterr);
	if (r < 0)
		return r;
	install->programs++;
	log_info("%s/" CONFLIST_PLUGIN " is this version's now", install->bin_dir);
	return 0;
}

static int look_at_entry(struct install *install, struct err *reterr)
{
	char file[PATH_MAX];
	int r;

	r = place_entry(install->conf_dir, install->entry, true, &install->last, reterr);
	if (r < 0 || !install->last.changes)
		return r;
	snprintf(file, sizeof(file), "%s/%s", install->conf_dir, install->last.file);
	r = paced(install, &install->entry_pace, file, reterr);
	if (r < 0)
		return r;
	r = place_entry(install->conf_dir, install->entry, false, &install->last, reterr);
	if (r < 0)
		return r;
	install->entries++;
	log_info("%s: " CONFLIST_PLUGIN " is its last plugin now", file);
	return 0;
}

// A folder is watched however often one asks; one that came in its place is another.
static int watch(struct install *install, const char *path, struct err *reterr)
{
	if (inotify_add_watch(install->fd, path, WATCH_MASK) < 0)
		return err_set(reterr, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

// The program first: a configuration that names one which is not there starts no pod.
static void look(struct install *install)
{
	struct timeval delay = { LOOK_SEC, 0 };
	struct err err = { 0 };
	int r;

	event_add(install->timer, &delay);
	r = watch(install, install->conf_dir, &err);
	if (r >= 0)
		r = watch(install, install->bin_dir, &err);
	if (r >= 0)
		r = look_at_program(install, &err);
	if (r >= 0)
		r = look_at_entry(install, &err);
	install->placed = r >= 0;
	daemon_problem(install->daemon, PROBLEM, r < 0 ? err.text : NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	look(arg);
}

static void on_changed(evutil_socket_t fd, short what, void *arg)
{
	alignas(struct inotify_event) char buffer[WATCH_BUFFER_BYTES];

	while (read(fd, buffer, sizeof(buffer)) > 0) // that something changed is all that counts
		;
	look(arg);
}

// ---- as a room of the daemon -------------------------------------------------------------------

void install_close(struct install *install)
{
	if (!install)
		return;
	if (install->changed)
		event_free(install->changed);
	if (install->timer)
		event_free(install->timer);
	if (install->fd >= 0)
		close(install->fd);
	free(install->entry);
	free(install);
}
DEFINE_CLEANUP(struct install *, install_close)

int install_open(struct daemon *daemon, struct install **ret)
{
	_cleanup_(install_closep) struct install *install = NULL;
	const struct config *config = daemon->config;
	int r;

	if (!config->cni_conf_dir)
		return 0;
	install = calloc(1, sizeof(*install));
	if (!install)
		return -ENOMEM;
	install->daemon = daemon;
	install->conf_dir = config->cni_conf_dir;
	install->bin_dir = config->cni_bin_dir ?: PLACE_BIN_DIR;
	install->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (install->fd < 0)
		return -errno;
	r = entry_new(config, &install->entry);
	if (r < 0)
		return r;
	install->changed =
		event_new(daemon->base, install->fd, EV_READ | EV_PERSIST, on_changed, install);
	install->timer = evtimer_new(daemon->base, on_timer, install);
	if (!install->changed || !install->timer || event_add(install->changed, NULL) < 0)
		return -ENOMEM;
	look(install);
	*ret = TAKE_PTR(install);
	return 0;
}

struct json_object *install_describe(const struct install *install)
{
	struct json_object *json = json_object_new_object();

	add_text(json, "conf_dir", install->conf_dir);
	add_text(json, "bin_dir", install->bin_dir);
	add_text(json, "file", *install->last.file ? install->last.file : NULL);
	add_bool(json, "placed", install->placed);
	add_number(json, "entries_written", install->entries);
	add_number(json, "programs_written", install->programs);
	return json;
}

int install_undo(const struct config *config, struct err *reterr)
{
	struct placed placed;

	return place_remove(config->cni_conf_dir, config->cni_bin_dir, &placed, reterr);
}
