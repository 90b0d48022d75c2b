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
	netns_fn fn;
	void *arg;
};

static bool inode_equal(const void *item, const void *key)
{
	return item == key;
}

// 1: seen for the first time.
static int first_sight(struct walk *walk, uint64_t inode)
{
	void *key = (void *)(uintptr_t)inode;
	uint64_t hash = hash_pointer(key);

	if (hash_find(&walk->seen, hash, inode_equal, key))
		return 0;
	return hash_add(&walk->seen, hash, key) < 0 ? -ENOMEM : 1;
}

// A name that leads nowhere any more, or that we may not follow.
static bool is_gone(int error)
{
	return error == ENOENT || error == ESRCH || error == ENOTDIR || error == EACCES || error == EPERM;
}

// path: names a namespace, or something else that an unlucky mount put there.
static int visit(struct walk *walk, const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return is_gone(errno) ? 0 : -errno;
	if (!st.st_ino || !S_ISREG(st.st_mode))
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return is_gone(errno) ? 0 : -errno;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET || fstat(fd, &st) < 0)
		return 0;
	r = first_sight(walk, st.st_ino);
	return r <= 0 ? r : walk->fn(walk->arg, fd, st.st_ino);
}

// 0 and *ret 0: there is none, the process has ended.
static int process_netns(const char *pid, uint64_t *ret)
{
	char path[64], text[64];
	ssize_t len;

	*ret = 0;
	snprintf(path, sizeof(path), "/proc/%.20s/ns/net", pid);
	len = readlink(path, text, sizeof(text) - 1);
	if (len < 0)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	text[len] = 0;
	return sscanf(text, "net:[%lu]", ret) == 1 ? 0 : -EIO;
}

int netns_processes(netns_process_fn fn, void *arg, uint32_t *rethidden)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return -errno;
	while (!r && (entry = readdir(dir))) {
		uint64_t inode;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		r = process_netns(entry->d_name, &inode);
		if (r == -EACCES || r == -EPERM)
			*rethidden += 1;
		if (r == -EACCES || r == -EPERM)
			r = 0;
		else if (r == 0 && inode)
			r = fn(arg, (int)strtol(entry->d_name, NULL, 10), inode);
	}
	closedir(dir);
	return r;
}

// A process whose namespace was seen costs one readlink and no open.
static int visit_process(void *arg, int pid, uint64_t inode)
{
	struct walk *walk = arg;
	char path[64];

	if (hash_find(&walk->seen, hash_pointer((void *)(uintptr_t)inode), inode_equal,
		      (void *)(uintptr_t)inode))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	return visit(walk, path);
}

static int walk_names(struct walk *walk)
{
	DIR *dir = opendir("/run/netns");
	struct dirent *entry;
	int r = 0;

	if (!dir)
		return is_gone(errno) ? 0 : -errno;
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
	int r = 0;

	if (!f)
		return -errno;
	while (!r && getline(&line, &cap, f) > 0)
		r = visit_mount(walk, line);
	return r;
}

static int walk_all(struct walk *walk)
{
	uint32_t hidden = 0;
	int r = netns_processes(visit_process, walk, &hidden);

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
