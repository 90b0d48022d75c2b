// SPDX-License-Identifier: Apache-2.0
// record.c - the records' folder, opened one step at a time.
#include "cni/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "cni/result.h"

// ---- the folder -------------------------------------------------------------------------------------

// What may stand on the way: root's, and nobody else can put something else in its place.
static int check_folder(int fd, bool last, const char *path, struct err *reterr)
{
	struct stat st;
	mode_t others;

	if (fstat(fd, &st) < 0)
		return err_set(reterr, -CNI_IO, "cannot look at folder '%s': %s", path,
			       strerror(errno));
	others = st.st_mode & (S_IWGRP | S_IWOTH);
	if (st.st_uid != 0)
		return err_set(reterr, -CNI_IO, "folder '%s' belongs to user %u and not to root",
			       path, st.st_uid);
	if (others && (last || !(st.st_mode & S_ISVTX)))
		return err_set(reterr, -CNI_IO, "folder '%s' may be written by others than root",
			       path);
	return 0;
}

static int step_failed(int r, const char *path, struct err *reterr)
{
	if (r == -ELOOP || r == -ENOTDIR)
		return err_set(
			reterr, -CNI_IO,
			"'%s' is a symlink or no folder: 'records' must lead through folders alone",
			path);
	return err_set(reterr, -CNI_IO, "cannot open folder '%s': %s", path, strerror(-r));
}

// name: one part of path, which is looked at up to there for sentences.
static int step(int at, const char *name, bool make, const char *path, struct err *reterr)
{
	int fd = file_open_plain(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd == -ENOENT && make) {
		if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
			return err_set(reterr, -CNI_IO, "cannot make folder '%s': %s", path,
				       strerror(errno));
		fd = file_open_plain(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	}
	if (fd == -ENOENT && !make)
		return fd;
	return fd < 0 ? step_failed(fd, path, reterr) : fd;
}

static int open_folder(const char *path, bool make, struct err *reterr)
{
	_cleanup_close_ int at = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *part = path;

	if (at < 0)
		return step_failed(-errno, "/", reterr);
	for (;;) {
		char name[NAME_MAX + 1], so_far[PATH_MAX];
		size_t len;
		int next, r;

		part += strspn(part, "/");
		len = strcspn(part, "/");
		if (!len)
			return TAKE_FD(at);
		snprintf(so_far, sizeof(so_far), "%.*s", (int)(part + len - path), path);
		if (len > NAME_MAX)
			return step_failed(-ENAMETOOLONG, so_far, reterr);
		memcpy(name, part, len);
		name[len] = '\0';
		part += len;
		next = step(at, name, make, so_far, reterr);
		if (next < 0)
			return next;
		close(at);
		at = next;
		r = check_folder(at, !part[strspn(part, "/")], so_far, reterr);
		if (r < 0)
			return r;
	}
}

int record_folder(const char *path, struct err *reterr)
{
	return open_folder(path, true, reterr);
}

int record_folder_found(const char *path, struct err *reterr)
{
	return open_folder(path, false, reterr);
}

// ---- records ----------------------------------------------------------------------------------------

static int write_new(int folder, const char *name, const char *text)
{
	_cleanup_close_ int fd = -1;
	size_t len = strlen(text);

	unlinkat(folder, name, 0); // of one that was killed under the same number
	fd = file_open_plain(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return fd;
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

// Container and interface were checked: neither has a slash, and together they fit.
static void file_name(const char *container, const char *ifname, char ret[static NAME_MAX + 1])
{
	snprintf(ret, NAME_MAX + 1, "%s@%s", container, ifname);
}

int record_write(int folder, const char *container, const char *ifname, const char *text,
		 struct err *reterr)
{
	char name[NAME_MAX + 1], new[32];
	int r;

	file_name(container, ifname, name);
	snprintf(new, sizeof(new), ".new-%d", (int)getpid());
	r = write_new(folder, new, text);
	if (r == 0 && renameat(folder, new, folder, name) < 0)
		r = -errno;
	if (r == 0)
		return 0;
	unlinkat(folder, new, 0);
	return err_set(reterr, -CNI_IO, "cannot write the record '%s': %s", name, strerror(-r));
}

int record_remove(int folder, const char *container, const char *ifname, struct err *reterr)
{
	char name[NAME_MAX + 1];

	file_name(container, ifname, name);
	if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
		return 0;
	return err_set(reterr, -CNI_IO, "cannot remove the record '%s': %s", name, strerror(errno));
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

// False: no record's name.
static bool split(const char *name, char container[static NAME_MAX + 1], const char **retifname)
{
	const char *at = strchr(name, '@');

	if (name[0] == '.' || !at)
		return false;
	memcpy(container, name, (size_t)(at - name));
	container[at - name] = '\0';
	*retifname = at + 1;
	return true;
}

// Whether it says that it is another network's.
static bool of_other_network(int folder, const char *name, const char *network)
{
	_cleanup_close_ int fd = file_open_plain(folder, name, O_RDONLY | O_NONBLOCK, 0);
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_free_ char *text = NULL;
	struct json_object *field = NULL;
	size_t len;

	if (fd < 0 || file_read_fd(fd, RECORD_BYTES, &text, &len) < 0)
		return false;
	json = json_tokener_parse(text);
	return json_object_is_type(json, json_type_object) &&
	       json_object_object_get_ex(json, "network", &field) &&
	       json_object_is_type(field, json_type_string) &&
	       strcmp(json_object_get_string(field), network) != 0;
}

int record_sweep(int folder, const char *network, record_keep_fn keep, void *arg,
		 struct err *reterr)
{
	_cleanup_(closedirp) DIR *dir = NULL;
	const struct dirent *entry;
	int fd = dup(folder), result = 0;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return err_set(reterr, -CNI_IO, "cannot list the records: %s", strerror(errno));
	while ((entry = readdir(dir))) {
		char container[NAME_MAX + 1];
		const char *ifname;
		int r;

		if (!split(entry->d_name, container, &ifname) || keep(arg, container, ifname) ||
		    of_other_network(folder, entry->d_name, network))
			continue;
		r = record_remove(folder, container, ifname, reterr);
		result = r < 0 ? r : result;
	}
	return result;
}
