// SPDX-License-Identifier: Apache-2.0
// unix.c - to whoever listens on a unix stream socket.
#include <errno.h>
#include <string.h>
#include <sys/un.h>

#include "agent/sink/stream.h"

static int unix_check(void *self, const struct sink_where *where, struct err *reterr)
{
	struct sockaddr_un addr;

	if (*where->host || where->port)
		return err_set(reterr, -EINVAL, "a socket's path begins behind ://, with another /");
	if (strlen(where->path) < 2)
		return err_set(reterr, -EINVAL, "it has no path");
	if (strlen(where->path) >= sizeof(addr.sun_path))
		return err_set(reterr, -EINVAL, "a socket's path has %zu bytes at most", sizeof(addr.sun_path) - 1);
	return 0;
}

static int unix_open(void *self, struct sink *sink, const struct sink_where *where, struct err *reterr)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memcpy(addr.sun_path, where->path, strlen(where->path));
	return stream_connect(self, sink, (struct sockaddr *)&addr, sizeof(addr), reterr);
}

static ssize_t unix_write(void *self, const struct iovec *iov, int n, struct err *reterr)
{
	return stream_write(self, iov, n, reterr);
}

static void unix_close(void *self)
{
	stream_close(self);
}

const struct sink_transport sink_unix = {
	.name = "unix",
	.bytes = sizeof(struct stream),
	.check = unix_check,
	.open = unix_open,
	.write = unix_write,
	.close = unix_close,
};
