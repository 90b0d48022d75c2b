// SPDX-License-Identifier: Apache-2.0
// stream.h - a descriptor that takes bytes when it can: what transports of streams have in common.
//
// World: host, one thread. Pure: no. Owns: the descriptor and its events.
#pragma once

#include <sys/socket.h>

#include "agent/sink/private.h"

struct stream {
	struct sink *sink;
	int fd; // only while `sink` is not NULL
	bool socket, connecting;
	struct event *readable, *writable;
};

// Connects without waiting: 0 or -EINPROGRESS, and then sink_opened() or sink_broken() follows. A peer that goes away is
// told by sink_broken(); what it says is not read.
int stream_connect(struct stream *stream, struct sink *sink, const struct sockaddr *addr, socklen_t len, struct err *reterr);

// Takes over a descriptor that writes to something. Of sockets no write waits; others have to be O_NONBLOCK, or files.
int stream_adopt(struct stream *stream, struct sink *sink, int fd, struct err *reterr);

// As sink_transport.write.
ssize_t stream_write(struct stream *stream, const struct iovec *iov, int n, struct err *reterr);
void stream_close(struct stream *stream); // also one that was never begun
