// SPDX-License-Identifier: Apache-2.0
// holding.c - walks over /proc and a bpffs.
#include "tests/soak/holding.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int holding_fds(pid_t pid, holding_fd_fn fn, void *arg)
{
	char path[64], link[PATH_MAX], target[PATH_MAX];
	struct dirent *entry;
	DIR *dir;
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (r == 0 && (entry = readdir(dir))) {
		ssize_t n;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(link, sizeof(link), "%s/%s", path, entry->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		r = fn(arg, entry->d_name, target);
	}
	closedir(dir);
	return r;
}

static struct {
	holding_pin_fn fn;
	void *arg;
	size_t skip;
} walking; // nftw() has no argument

static int walk_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return type == FTW_F ? walking.fn(walking.arg, path, path + walking.skip) : 0;
}

int holding_pins(const char *dir, holding_pin_fn fn, void *arg)
{
	walking.fn = fn;
	walking.arg = arg;
	walking.skip = strlen(dir) + 1;
	if (access(dir, F_OK) < 0)
		return 0;
	return nftw(dir, walk_one, 16, FTW_PHYS);
}
