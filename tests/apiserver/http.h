// SPDX-License-Identifier: Apache-2.0
// http.h - the stand-in's HTTP/1.1 over TLS: requests in, answers out, each byte under a test's control.
//
// World: host, tests. Pure: no (sockets). Owns: its listener and connections.
// A library's server would not send what tests need: chunk borders inside of events, bodies that end early, connections
// that say nothing. Requests wait for their turn: the next one is read when conn_done() was called.
#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/keyvalq_struct.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"

struct http;
struct conn;

struct request {
	char method[16];
	char *path; // as sent, without the query
	struct evkeyvalq query, headers;
	char *body; // NULL: none
	size_t body_len;
	bool close; // the client wants the connection closed behind the answer
};

// What becomes of an answer's body.
struct shape {
	uint64_t cut; // the connection breaks behind so many bytes of it; 0: never
	bool rst; // it breaks by a reset instead of an end
	bool no_end; // the last chunk is missing: the connection ends
	uint32_t slice; // chunks of random sizes up to this one; 0: as a real server
};

struct http_ops {
	void (*serve)(void *arg, struct conn *conn, const struct request *request);
	// The connection ends, for whatever reason; what conn_set() keeps is to be freed.
	void (*gone)(void *arg, struct conn *conn, void *kept);
	// What was sent is with the kernel: there is room for more.
	void (*drained)(void *arg, struct conn *conn, void *kept);
};

// port 0: any. Random sizes come from seed.
int http_new(struct event_base *base, SSL_CTX *tls, const char *addr, uint16_t port, uint64_t seed,
	     const struct http_ops *ops, void *arg, struct http **ret, struct err *reterr);
void http_free(struct http *http);
uint16_t http_port(const struct http *http);
// Down: nobody listens and all connections are reset. Up again at the same port.
void http_down(struct http *http);
int http_up(struct http *http, struct err *reterr);
size_t http_connections(const struct http *http);
// Calls fn for each connection that keeps something; fn may break it.
void http_each(struct http *http, void (*fn)(void *arg, struct conn *conn, void *kept), void *arg);
void http_drop_all(struct http *http, bool rst);

// The subject of the client's certificate, false without one.
bool conn_subject(struct conn *conn, char *name, size_t name_bytes, char *group,
		  size_t group_bytes);
void conn_set(struct conn *conn, void *kept);
void *conn_kept(struct conn *conn);
void conn_shape(struct conn *conn, const struct shape *shape);
// Calls fn later; not if the connection is gone by then.
void conn_after(struct conn *conn, int64_t ms, void (*fn)(void *arg, struct conn *conn), void *arg);
size_t conn_pending(const struct conn *conn); // bytes not yet sent
const struct request *conn_request(const struct conn *conn);

// A whole answer. extra: further header lines, each with its end; may be NULL. Behind 2,048 bytes it is chunked, and
// behind 128 KiB compressed where the client takes it.
void conn_reply(struct conn *conn, int status, const char *type, const char *extra,
		const char *body, size_t len);
// An answer of unknown length: a head, pieces, an end.
void conn_stream(struct conn *conn, int status, const char *type, const char *extra);
void conn_piece(struct conn *conn, const char *data, size_t len);
void conn_end(struct conn *conn);
// Exact bytes; then conn_done(), conn_break() or nothing.
void conn_raw(struct conn *conn, const char *data, size_t len);
void conn_done(struct conn *conn);
// Everything sent so far goes out, then the connection ends; by rst at once.
void conn_break(struct conn *conn, bool rst);
