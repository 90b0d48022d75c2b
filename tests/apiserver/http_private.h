// SPDX-License-Identifier: Apache-2.0
// http_private.h - what the files of http.h share.
//
// World: host, tests. Pure: no. Owns: see http.h.
#pragma once

#include <event2/buffer.h>
#include <event2/listener.h>
#include <sys/queue.h>

#include "tests/apiserver/http.h"

struct http {
	struct event_base *base;
	SSL_CTX *tls;
	struct evconnlistener *listener;
	char addr[64];
	uint16_t port;
	uint64_t random;
	const struct http_ops *ops;
	void *arg;
	size_t n;
	LIST_HEAD(, conn) conns;
};

struct conn {
	LIST_ENTRY(conn) link;
	struct http *http;
	struct bufferevent *bev;
	SSL *ssl;
	struct request request;
	bool busy; // an answer is under way
	bool ending; // ends when all is sent
	bool broken; // ends at the loop's next turn
	bool chunked;
	struct shape shape;
	uint64_t sent; // bytes of this answer's body
	void *kept;
	struct event *end, *later;
	void (*fn)(void *arg, struct conn *conn);
	void *fn_arg;
};

// Reads one request from the buffer: 1 it is whole, 0 more is needed, -EBADMSG.
int request_read(struct request *request, struct evbuffer *in, struct evbuffer *out);
void request_fini(struct request *request);
