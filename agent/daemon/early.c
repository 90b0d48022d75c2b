// SPDX-License-Identifier: Apache-2.0
// early.c - before the source was read: which devices are shut, and whether this node enforced before it booted.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/daemon/daemon.h"

LOG_ROOM("daemon");

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define MARK_NAME "enforced-in" // holds the id of the boot
#define MARK_BYTES 128

// ---- what outlives a reboot -------------------------------------------------------------------------------

// Nothing is denied, so nothing is shut; and the next boot is one of a node that did not enforce.
static bool is_audit(const struct daemon *daemon)
{
	return daemon->config->policies_mode;
}

bool daemon_early_shuts(const struct daemon *daemon)
{
	return daemon->config->before_sync == BEFORE_SYNC_SHUT && !is_audit(daemon);
}

static int mark_path(const struct config *config, char *ret, size_t bytes, struct err *reterr)
{
	if (snprintf(ret, bytes, "%s/" MARK_NAME, config->state_dir) < (int)bytes)
		return 0;
	return err_set(reterr, -ENAMETOOLONG, "--state-dir %s: the name is too long", config->state_dir);
}

int daemon_early_open(struct daemon *daemon, struct err *reterr)
{
	_cleanup_free_ char *mark = NULL, *now = NULL;
	char path[256];
	bool rebooted;
	size_t len;
	int r = mark_path(daemon->config, path, sizeof(path), reterr);

	if (r < 0)
		return r;
	r = file_read(path, MARK_BYTES, &mark, &len);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r >= 0)
		r = file_read(BOOT_ID, MARK_BYTES, &now, &len);
	if (r < 0) // who cannot tell had better not be open
		log_warn("%s: %s: taken for one of an earlier boot", path, strerror(-r));
	rebooted = r < 0 || strcmp(mark, now) != 0;
	daemon->marked = !rebooted && !is_audit(daemon);
	daemon->bereft = rebooted || !daemon->adopted;
	if (daemon->bereft)
		log_info("this node enforced policy before %s", rebooted ? "it started anew" : "its tables were lost");
	return 0;
}

static int mark_write(const struct daemon *daemon, const char *path)
{
	_cleanup_free_ char *boot = NULL;
	size_t len;
	int r;

	r = file_read(BOOT_ID, MARK_BYTES, &boot, &len);
	if (r >= 0 && mkdir(daemon->config->state_dir, 0700) < 0 && errno != EEXIST)
		r = -errno;
	return r < 0 ? r : file_write(path, boot, len, 0600);
}

void daemon_enforces(struct daemon *daemon)
{
	char path[256], text[ERR_TEXT_BYTES];
	struct err ignored = { 0 };
	int r;

	if (daemon->marked || mark_path(daemon->config, path, sizeof(path), &ignored) < 0)
		return;
	if (is_audit(daemon))
		r = unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR ? -errno : 0;
	else
		r = mark_write(daemon, path);
	snprintf(text, sizeof(text),
		 "%s: %s: whether pods that start before this agent are shut after a reboot is not as it should be",
		 path, strerror(-r));
	daemon_problem(daemon, "state-dir", r < 0 ? text : NULL);
	daemon->marked = r >= 0;
}

int daemon_forget(const struct config *config, struct err *reterr)
{
	char path[256];
	int r = mark_path(config, path, sizeof(path), reterr);

	if (r < 0)
		return r;
	if (unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR)
		return err_set(reterr, -errno, "%s: %s", path, strerror(errno));
	rmdir(config->state_dir);
	return 0;
}

// ---- devices ----------------------------------------------------------------------------------------------

static bool is_spared(const void *arg, int ifindex)
{
	const struct daemon *daemon = arg;

	if (daemon->bereft || endpoints_attachment_of(daemon->endpoints, ifindex))
		return false;
	vec_each(const int, spared, &daemon->spared)
		if (*spared == ifindex)
			return true;
	return false;
}

void daemon_early_device(struct daemon *daemon, int ifindex, bool present)
{
	daemon->early_due = true;
	for (size_t i = 0; !present && i < daemon->spared.n; i++)
		if (daemon->spared.v[i] == ifindex)
			vec_drop(&daemon->spared, i--);
	if (present && !daemon->links_event && vec_push(&daemon->spared, ifindex) < 0)
		log_error("out of memory: a device that was there before may be shut");
}

void daemon_early_scanned(struct daemon *daemon, const struct link_view *view)
{
	endpoints_shut_early(daemon->endpoints, view, is_spared, daemon);
}

void daemon_early_tell(struct daemon *daemon)
{
	bool synced = daemon->source && source_synced(daemon->source);
	char text[ERR_TEXT_BYTES];
	const struct endpoint *e;
	size_t n = 0;

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++)
		n += e->unowned && e->attached;
	snprintf(text, sizeof(text), "%zu devices shut: %s; their node, neighbour discovery and DHCP pass", n,
		 synced ? "pods of this node that have no address yet may be behind them" :
			  "they may be pods', and the source has not been read");
	daemon_problem(daemon, "unsynced", n ? text : NULL);
}
