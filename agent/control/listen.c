// SPDX-License-Identifier: Apache-2.0
// listen.c - the socket file: made for root alone, never taken from an agent that lives.
#include "agent/control/listen.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/base/cleanup.h"
#include "agent/control/control.h"

static int make_folder(const char *path, struct err *reterr)
{
	char copy[PATH_MAX];
	const char *folder;

	snprintf(copy, sizeof(copy), "%s", path);
	folder = dirname(copy);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return err_set(reterr, -errno, "cannot make folder '%s': %s", folder,
			       strerror(errno));
	return 0;
}

// A socket file that nobody serves any more is removed.
static int clear_stale(const struct sockaddr_un *address, struct err *reterr)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return err_set(reterr, -errno, "cannot make a socket: %s", strerror(errno));
	if (lstat(address->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(reterr, -EEXIST, "'%s' is there and is no socket: remove it",
			       address->sun_path);
	// EAGAIN: its queue is full, so somebody listens.
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
		return err_set(reterr, -EADDRINUSE, "another agent serves '%s': stop it first",
			       address->sun_path);
	if (unlink(address->sun_path) < 0 && errno != ENOENT)
		return err_set(reterr, -errno, "cannot remove stale '%s': %s", address->sun_path,
			       strerror(errno));
	return 0;
}

// Whoever sees the file is heard: it gets its name when somebody listens. It takes its mode from the socket and
// is never open to others, not even for a moment.
static int listen_as(int fd, const char *path, struct stat *retfile)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s" CONTROL_UNNAMED, path);
	if (unlink(address.sun_path) < 0 && errno != ENOENT)
		return -errno;
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
	    lstat(address.sun_path, retfile) < 0 || listen(fd, CONTROL_CLIENTS) < 0 ||
	    rename(address.sun_path, path) < 0)
		return -errno;
	return 0;
}

int control_listen(const char *path, struct stat *retfile, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r;

	if (strlen(path) + strlen(CONTROL_UNNAMED) >= sizeof(address.sun_path))
		return err_set(reterr, -ENAMETOOLONG, "'%s' is too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path));
	r = make_folder(path, reterr);
	if (r == 0)
		r = clear_stale(&address, reterr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 ? -errno : listen_as(fd, path, retfile);
	if (r < 0)
		return err_set(reterr, r, "cannot listen on '%s': %s", path, strerror(-r));
	return TAKE_FD(fd);
}
