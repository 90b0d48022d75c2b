// SPDX-License-Identifier: Apache-2.0
// node.c - bulkhead-node: the chores of a pod that sets up a node or tidies it, in an image without a shell.
//
//   bulkhead-node place FILE TARGET   copies FILE to TARGET, mode 0644, in one step
//   bulkhead-node remove PATH...      removes files and empty folders; what is not there is fine
//   bulkhead-node wait                until SIGTERM
//
// World: host, static. Exit status: 0 done, 1 failed (standard error says what), 2 wrong usage.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static int failed(const char *what, const char *path)
{
	fprintf(stderr, "bulkhead-node: %s %s: %s\n", what, path, strerror(errno));
	return 1;
}

static int copy(int from, int to)
{
	ssize_t n;

	while ((n = sendfile(to, from, NULL, 1 << 20)) > 0)
		;
	if (n < 0 || fchmod(to, 0644) < 0 || fsync(to) < 0)
		return -1;
	return close(to);
}

static int place(const char *file, const char *target)
{
	char next[PATH_MAX];
	int from, to;

	if (snprintf(next, sizeof(next), "%s.new", target) >= (int)sizeof(next)) {
		errno = ENAMETOOLONG;
		return failed("place", target);
	}
	from = open(file, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return failed("read", file);
	to = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0 || copy(from, to) < 0)
		return failed("write", next);
	return rename(next, target) < 0 ? failed("place", target) : 0;
}

static int remove_all(char **paths)
{
	int r = 0;

	for (; *paths; paths++)
		if (remove(*paths) < 0 && errno != ENOENT)
			r = failed("remove", *paths);
	return r;
}

// Process 1 of its namespace gets no signal that it does not wait for.
static int wait_term(void)
{
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return sigwait(&set, &number) ? failed("wait", "") : 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "place"))
		return place(argv[2], argv[3]);
	if (argc > 2 && !strcmp(argv[1], "remove"))
		return remove_all(argv + 2);
	if (argc == 2 && !strcmp(argv[1], "wait"))
		return wait_term();
	fprintf(stderr, "usage: bulkhead-node place FILE TARGET | remove PATH... | wait\n");
	return 2;
}
