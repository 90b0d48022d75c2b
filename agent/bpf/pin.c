// SPDX-License-Identifier: Apache-2.0
// pin.c - make, fill and remove folders of a bpffs.
#include "agent/bpf/pin.h"

#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <bpf/bpf.h>
#include <linux/magic.h>

#include "agent/base/cleanup.h"

#define SYSTEM_MOUNT "/sys/fs/bpf"
#define MARK "bulkhead_mounted"

static bool on_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

// mkdir -p; folders on the way get 0755, the last one 0700.
static int make_folders(const char *dir)
{
	char path[PATH_MAX];
	int r = snprintf(path, sizeof(path), "%s", dir);

	if (r < 0 || (size_t)r >= sizeof(path))
		return -ENAMETOOLONG;
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = 0;
		if (mkdir(path, 0755) < 0 && errno != EEXIST && access(path, F_OK) < 0)
			return -errno;
		*slash = '/';
	}
	return mkdir(dir, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

static bool below_system_mount(const char *dir)
{
	size_t len = strlen(SYSTEM_MOUNT);

	return !strncmp(dir, SYSTEM_MOUNT, len) && dir[len] == '/' && dir[len + 1];
}

static int mount_at(const char *path)
{
	char mark[PATH_MAX];

	if (mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0)
		return -errno;
	if (snprintf(mark, sizeof(mark), "%s/" MARK, path) >= (int)sizeof(mark))
		return -ENAMETOOLONG;
	return mkdir(mark, 0700) < 0 ? -errno : 0;
}

static int mount_for(const char *dir)
{
	int r;

	if (below_system_mount(dir))
		return on_bpffs(SYSTEM_MOUNT) ? 0 : mount_at(SYSTEM_MOUNT);
	r = make_folders(dir);
	if (r < 0)
		return r;
	return on_bpffs(dir) ? 0 : mount_at(dir);
}

// Two agents of one machine may start at once: only one mounts.
static int mount_lock(void)
{
	int fd = open("/sys/fs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

static int not_a_folder(const char *dir, struct err *reterr)
{
	return err_set(reterr, -ENOTDIR, "pin folder '%s' is a link or a file: remove it", dir);
}

// Whoever owns the folder decides what is enforced.
static int open_folder(const char *dir, struct err *reterr)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return not_a_folder(dir, reterr);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(reterr, -errno, "pin folder '%s': %s", dir, strerror(errno));
	if (st.st_uid != geteuid())
		return err_set(reterr, -EPERM,
			       "pin folder '%s' belongs to user %u, who could take enforcement off: "
			       "remove it",
			       dir, st.st_uid);
	return TAKE_FD(fd);
}

// Held as long as the process lives, however it ends. The folder may have been removed before it was locked.
static int lock_folder(const char *dir, struct err *reterr)
{
	_cleanup_close_ int fd = open_folder(dir, reterr);
	struct stat locked, there;

	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ?
			       err_set(reterr, -EBUSY,
				       "another agent (or its --cleanup) works on the pin folder '%s': "
				       "stop it first",
				       dir) :
			       err_set(reterr, -errno, "cannot lock pin folder '%s': %s", dir,
				       strerror(errno));
	if (fstat(fd, &locked) < 0 || lstat(dir, &there) < 0 || locked.st_dev != there.st_dev ||
	    locked.st_ino != there.st_ino)
		return err_set(reterr, -EBUSY, "pin folder '%s' has just been removed: start again",
			       dir);
	return TAKE_FD(fd);
}

int pin_dir_open(const char *dir, struct err *reterr)
{
	_cleanup_close_ int mounting = mount_lock(), fd = -1;
	struct stat st;
	int r;

	if (strlen(dir) >= PIN_DIR_BYTES)
		return err_set(reterr, -ENAMETOOLONG, "pin folder '%.40s...': name too long", dir);
	if (dir[0] != '/')
		return err_set(reterr, -EINVAL, "pin folder '%s' is no absolute path", dir);
	if (lstat(dir, &st) == 0 && !S_ISDIR(st.st_mode)) // nothing is mounted on what it leads to
		return not_a_folder(dir, reterr);
	r = mount_for(dir);
	if (r < 0)
		return err_set(reterr, r, "cannot mount a bpffs for '%s': %s", dir, strerror(-r));
	r = make_folders(dir);
	if (r < 0)
		return err_set(reterr, r, "cannot create pin folder '%s': %s", dir, strerror(-r));
	fd = lock_folder(dir, reterr);
	if (fd < 0)
		return fd;
	if (fchmod(fd, 0700) < 0)
		return err_set(reterr, -errno, "pin folder '%s': %s", dir, strerror(errno));
	return TAKE_FD(fd);
}

int pin_dir_lock(const char *dir, struct err *reterr)
{
	return access(dir, F_OK) < 0 && errno == ENOENT ? -ENOENT : lock_folder(dir, reterr);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (ftw->level == 0)
		return 0;
	return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

static int remove_inside(const char *dir)
{
	int r = nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

	return r == -1 ? -errno : r;
}

int pin_remove(const char *path)
{
	int r;

	if (unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
		return 0;
	r = remove_inside(path);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}

// True when the mount holds nothing but our mark (names with dots are the kernel's own).
static bool only_mark(const char *mount)
{
	DIR *dir = opendir(mount);
	struct dirent *entry;
	bool mark = false, other = false;

	while (dir && (entry = readdir(dir))) {
		if (!strcmp(entry->d_name, MARK))
			mark = true;
		else if (!strchr(entry->d_name, '.'))
			other = true;
	}
	if (dir)
		closedir(dir);
	return mark && !other;
}

static int unmount_if_ours(const char *mount)
{
	if (!on_bpffs(mount) || !only_mark(mount))
		return 0;
	return umount2(mount, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

// Whatever this or another version of us pins; the rest of the folder is somebody else's.
static bool is_ours(const char *name)
{
	return !strncmp(name, "bh_", 3) || !strcmp(name, PIN_ENDPOINTS) || !strcmp(name, PIN_QDISCS);
}

static int remove_content(const char *dir)
{
	DIR *open_dir = opendir(dir);
	struct dirent *entry;
	int r = 0;

	if (!open_dir)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && (entry = readdir(open_dir))) {
		char path[PATH_MAX];

		if (!is_ours(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		r = pin_remove(path);
	}
	closedir(open_dir);
	return r;
}

int pin_dir_remove(const char *dir, struct err *reterr)
{
	_cleanup_close_ int mounting = mount_lock();
	int r, lock = pin_dir_lock(dir, reterr);

	if (lock < 0 && lock != -ENOENT)
		return lock;
	r = lock >= 0 && on_bpffs(dir) ? remove_content(dir) : 0;
	closep(&lock); // it would hold the mount; who opens the folder waits for `mounting`
	if (r == 0)
		r = unmount_if_ours(dir);
	if (r == 0 && rmdir(dir) < 0 && errno != ENOENT && errno != ENOTEMPTY && errno != EBUSY)
		r = -errno;
	if (r == 0 && below_system_mount(dir))
		r = unmount_if_ours(SYSTEM_MOUNT);
	if (r < 0)
		return err_set(reterr, r, "cannot remove pin folder '%s': %s", dir, strerror(-r));
	return 0;
}

int pin_replace(int fd, const char *path)
{
	char next[PATH_MAX];
	int r;

	if (snprintf(next, sizeof(next), "%s_new", path) >= (int)sizeof(next))
		return -ENAMETOOLONG;
	r = pin_remove(next); // left by a crash
	if (r < 0)
		return r;
	r = bpf_obj_pin(fd, next);
	if (r < 0)
		return r;
	return rename(next, path) < 0 ? -errno : 0;
}
