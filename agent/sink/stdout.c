// SPDX-License-Identifier: Apache-2.0
// stdout.c - to standard output, which others may share: nothing about it is changed.
//
// O_NONBLOCK belongs to the open file, which the shell or the runtime has as well, and log lines may go to. So a pipe or a
// terminal is opened anew by its entry in /proc; a socket takes a flag with each write; a file never makes one wait.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/sink/stream.h"

#define ANEW "/proc/self/fd/1"

static int stdout_check(void *self, const struct sink_where *where, struct err *reterr)
{
	if (*where->host || where->port || strcmp(where->path, "/"))
		return err_set(reterr, -EINVAL, "standard output has no address");
	return 0;
}

static int stdout_open(void *self, struct sink *sink, const struct sink_where *where, struct err *reterr)
{
	struct stat st;
	int fd;

	if (fstat(STDOUT_FILENO, &st) < 0)
		return err_set(reterr, -errno, "there is no standard output");
	if (S_ISSOCK(st.st_mode) || S_ISREG(st.st_mode))
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(ANEW, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_set(reterr, -errno, "standard output cannot be opened anew: %s", strerror(errno));
	return stream_adopt(self, sink, fd, reterr);
}

static ssize_t stdout_write(void *self, const struct iovec *iov, int n, struct err *reterr)
{
	return stream_write(self, iov, n, reterr);
}

static void stdout_close(void *self)
{
	stream_close(self);
}

const struct sink_transport sink_stdout = {
	.name = "stdout",
	.bytes = sizeof(struct stream),
	.check = stdout_check,
	.open = stdout_open,
	.write = stdout_write,
	.close = stdout_close,
};
