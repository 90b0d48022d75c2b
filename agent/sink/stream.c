// SPDX-License-Identifier: Apache-2.0
// stream.c - writes that do not wait, and the events that say when to go on.
#include "agent/sink/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static void broken(struct stream *stream, int error, const char *what)
{
	struct err err = { 0 };

	err_set(&err, -error, "%s: %s", what, strerror(error));
	sink_broken(stream->sink, &err);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *stream = arg;
	socklen_t len = sizeof(int);
	int error = 0;

	if (!stream->connecting) {
		sink_writable(stream->sink);
		return;
	}
	stream->connecting = false;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		broken(stream, error, "cannot connect");
		return;
	}
	event_add(stream->readable, NULL);
	sink_opened(stream->sink);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct stream *stream = arg;
	char ignored[512];
	ssize_t n = recv(fd, ignored, sizeof(ignored), MSG_DONTWAIT);

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	broken(stream, n == 0 ? EPIPE : errno, "the reader is gone");
}

int stream_adopt(struct stream *stream, struct sink *sink, int fd, struct err *reterr)
{
	struct stat st;

	*stream = (struct stream){ .sink = sink, .fd = fd };
	stream->socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	stream->writable = event_new(sink_base(sink), fd, EV_WRITE, on_writable, stream);
	stream->readable = event_new(sink_base(sink), fd, EV_READ | EV_PERSIST, on_readable, stream);
	if (stream->writable && stream->readable)
		return 0;
	stream_close(stream);
	return err_set(reterr, -ENOMEM, "no memory");
}

int stream_connect(struct stream *stream, struct sink *sink, const struct sockaddr *addr, socklen_t len, struct err *reterr)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return err_set(reterr, -errno, "cannot make a socket: %s", strerror(errno));
	r = stream_adopt(stream, sink, fd, reterr);
	if (r < 0)
		return r;
	if (connect(fd, addr, len) == 0) {
		event_add(stream->readable, NULL);
		return 0;
	}
	r = -errno;
	if (r != -EINPROGRESS)
		return err_set(reterr, r, "cannot connect: %s", strerror(-r));
	stream->connecting = true;
	event_add(stream->writable, NULL);
	return r;
}

ssize_t stream_write(struct stream *stream, const struct iovec *iov, int n, struct err *reterr)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t wrote = stream->socket ? sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) : writev(stream->fd, iov, n);

	if (wrote >= 0)
		return wrote;
	if (errno == EAGAIN || errno == EINTR) {
		event_add(stream->writable, NULL);
		return -EAGAIN;
	}
	return err_set(reterr, -errno, "cannot write: %s", strerror(errno));
}

void stream_close(struct stream *stream)
{
	if (!stream->sink)
		return;
	if (stream->writable)
		event_free(stream->writable);
	if (stream->readable)
		event_free(stream->readable);
	close(stream->fd);
	memset(stream, 0, sizeof(*stream));
}
