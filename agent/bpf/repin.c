// SPDX-License-Identifier: Apache-2.0
// repin.c - pins that went while the agent runs are made again, so that the next one finds what is in force.
//
// Where another bpffs was mounted over the folder (or it was unmounted lazily) the old one lives for as long as our lock
// of it is open, and with it the links that are pinned there: that lock is kept until all has new pins.
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "agent/bpf/state.h"

static const char *path_of(const struct tables *tables, enum table table, char buf[static PATH_MAX])
{
	snprintf(buf, PATH_MAX, "%s/%s", tables->pin_dir, table_names[table]);
	return buf;
}

static bool is_pinned(const struct tables *tables, enum table table)
{
	char path[PATH_MAX];

	return access(path_of(tables, table, path), F_OK) == 0;
}

static bool same_folder(const struct tables *tables)
{
	struct stat locked, there;

	return fstat(tables->lock, &locked) == 0 && lstat(tables->pin_dir, &there) == 0 &&
	       locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
}

static int move_in(struct tables *tables, struct err *reterr)
{
	_cleanup_close_ int lock = pin_dir_open(tables->pin_dir, reterr);

	if (lock < 0)
		return lock;
	if (is_pinned(tables, TABLE_NODE))
		return err_set(reterr, -EEXIST,
			       "another folder with tables of its own is at '%s' now: the next agent would take those over",
			       tables->pin_dir);
	closep(&tables->lock_before);
	tables->lock_before = tables->lock;
	tables->lock = TAKE_FD(lock);
	return 0;
}

int tables_repin(struct tables *tables, struct err *reterr)
{
	int n = 0, r = same_folder(tables) ? 0 : move_in(tables, reterr);

	for (int i = 0; i < TABLE_MAX && r == 0; i++) {
		char path[PATH_MAX];

		if (is_pinned(tables, i))
			continue;
		r = bpf_obj_pin(tables->maps[i].fd, path_of(tables, i, path));
		n += r == 0;
		if (r < 0)
			err_set(reterr, r, "'%s' cannot be pinned again: %s", path, strerror(-r));
	}
	return r < 0 ? r : n;
}

void tables_repinned(struct tables *tables)
{
	closep(&tables->lock_before);
}
