// SPDX-License-Identifier: Apache-2.0
// netns.c - find network namespaces by process, by name and by mount; visit one.
#include "agent/bpf/netns.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "agent/base/cleanup.h"
#include "agent/base/hash.h"

#define SELF "/proc/thread-self/ns/net"

struct walk {
	struct hash seen; // items are inodes cast to pointers: never 0
	uint64_t only; // 0: all
	netns_fn fn;
	void *arg;
};

static bool inode_equal(const void *item, const void *key)
{
	return item == key;
}

// A namespace that cannot be looked at for want of something is no namespace that is gone: the walk fails
// as a whole, since whoever asked would give up its pods.
static int lacking(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOMEM || r == -ENOBUFS ? r : 0;
}

// 1 once per inode, then 0.
static int first_sight(struct walk *walk, uint64_t inode)
{
	void *key = (void *)(uintptr_t)inode;
	uint64_t hash = hash_pointer(key);
	int r;

	if (hash_find(&walk->seen, hash, inode_equal, key))
		return 0;
	r = hash_add(&walk->seen, hash, key);
	return r < 0 ? r : 1;
}

// path: names a namespace, or something else that an unlucky mount put there.
static int visit(struct walk *walk, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return lacking(-errno);
	if (!st.st_ino || !S_ISREG(st.st_mode) || (walk->only && st.st_ino != walk->only))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return lacking(-errno);
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET || fstat(fd, &st) < 0)
		return 0;
	r = first_sight(walk, st.st_ino);
	if (r <= 0)
		return r;
	return walk->fn(walk->arg, fd, st.st_ino);
}

// A process whose namespace was seen costs one readlink and no open.
static bool process_seen(struct walk *walk, const char *path)
{
	char text[64];
	ssize_t len = readlink(path, text, sizeof(text) - 1);
	uint64_t inode;

	if (len < 0)
		return true;
	text[len] = 0;
	if (sscanf(text, "net:[%lu]", &inode) != 1)
		return true;
	return hash_find(&walk->seen, hash_pointer((void *)(uintptr_t)inode), inode_equal,
			 (void *)(uintptr_t)inode) != NULL;
}

static int walk_processes(struct walk *walk)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (!r && (entry = readdir(dir))) {
		char path[64];

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/ns/net", entry->d_name);
		if (!process_seen(walk, path))
			r = visit(walk, path);
	}
	closedir(dir);
	return r;
}

static int walk_names(struct walk *walk)
{
	DIR *dir = opendir("/run/netns");
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return lacking(-errno);
	while (!r && (entry = readdir(dir))) {
		char path[NAME_MAX + 16];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/run/netns/%s", entry->d_name);
		r = visit(walk, path);
	}
	closedir(dir);
	return r;
}

// mountinfo writes space, tab, newline and backslash as three octal digits.
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

// "36 35 0:4 net:[4026532281] /run/docker/netns/x rw ... - nsfs nsfs rw": the root names the kind.
static int visit_mount(struct walk *walk, char *line)
{
	char *save = NULL, *field = strtok_r(line, " ", &save);

	for (int i = 0; i < 3 && field; i++)
		field = strtok_r(NULL, " ", &save);
	if (!field || strncmp(field, "net:[", 5) != 0)
		return 0;
	field = strtok_r(NULL, " ", &save);
	if (!field)
		return 0;
	unescape(field);
	return visit(walk, field);
}

static int walk_mounts(struct walk *walk)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/thread-self/mountinfo", "re");
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	int r = f ? 0 : -errno;

	while (!r && getline(&line, &cap, f) > 0)
		r = visit_mount(walk, line);
	return r == 0 && ferror(f) ? -EIO : r;
}

static int walk_all(struct walk *walk)
{
	int r = walk_processes(walk);

	if (r == 0)
		r = walk_names(walk);
	if (r == 0)
		r = walk_mounts(walk);
	hash_fini(&walk->seen);
	return r;
}

int netns_each(netns_fn fn, void *arg)
{
	struct walk walk = { .fn = fn, .arg = arg };

	return walk_all(&walk);
}

static int keep_fd(void *arg, int fd, uint64_t inode)
{
	int *ret = arg;

	*ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (*ret < 0)
		*ret = -errno;
	return 1;
}

int netns_open(uint64_t inode)
{
	int fd = -ESRCH;
	struct walk walk = { .only = inode, .fn = keep_fd, .arg = &fd };
	int r;

	r = walk_all(&walk);
	return r < 0 ? r : fd;
}

uint64_t netns_self(void)
{
	struct stat st;

	return stat(SELF, &st) < 0 ? 0 : st.st_ino;
}

int netns_run(int fd, int (*fn)(void *arg), void *arg)
{
	_cleanup_close_ int self = open(SELF, O_RDONLY | O_CLOEXEC);
	int r;

	if (self < 0)
		return -errno;
	if (setns(fd, CLONE_NEWNET) < 0)
		return -errno;
	r = fn(arg);
	if (setns(self, CLONE_NEWNET) < 0)
		abort();
	return r;
}
