// SPDX-License-Identifier: Apache-2.0
// http.h - the agent's pages for probes and collectors: a table of paths, answered by HTTP, plain or in TLS.
//
// World: host, one thread (events of the agent's loop). Pure: no. Owns: its socket and connections.
//
// Whoever reaches the address may ask: so there is GET and HEAD and nothing else, one request a connection, and a
// bound on all that a client can hold. Pages are written when asked for, from what is there: none may wait.
#pragma once

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdint.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "agent/metrics/tls.h"

#define HTTP_HEADER_BYTES 8192 // of a request, all together; longer: 431
#define HTTP_CONNECTIONS 32 // at once; one more, and the oldest is cut
#define HTTP_ACCEPTS 8 // taken at once; then those that are there have their turn
#define HTTP_DEADLINE_SEC 5 // from connecting to the last byte read
#define HTTP_OFF "off"

struct http_reply {
	const char *accept; // what the client said it takes; NULL: nothing
	const char *type; // Content-Type: the table's, to be changed where there are several
	struct evbuffer *page;
};

// Writes the page; returns its status: 200, or 503 for "no".
typedef int (*http_page_fn)(void *arg, struct http_reply *reply);

struct http_page {
	const char *path; // "/healthz"; NULL ends a table
	const char *type; // Content-Type
	http_page_fn write;
};

struct http_server;

// A loop for a server and for what must not wait for it: all else goes first, and is looked for between each two things
// that are done for clients. On another kind of loop a server has no rank. NULL: no memory.
struct event_base *http_loop_new(void);

// address: "127.0.0.1:9964", "[::1]:9964"; it need not be one of this host yet. tls: outlives it; NULL: plain.
// -EINVAL: no address, or files that cannot be used; else what keeps it from listening, with a sentence.
int http_server_new(struct event_base *base, const char *address, const struct tls_files *tls,
		    const struct http_page *pages, void *arg, struct http_server **ret, struct err *reterr);
void http_server_free(struct http_server *server); // NULL is fine
DEFINE_CLEANUP(struct http_server *, http_server_free)

// 0 or -EINVAL with a sentence.
int http_address_check(const char *address, struct err *reterr);

const char *http_server_problem(const struct http_server *server); // of its TLS: tls_problem()
uint16_t http_server_port(const struct http_server *server); // of port 0: the one it got
