// SPDX-License-Identifier: Apache-2.0
// http.h - requests to one API server, on the agent's loop: none of them waits, all can be given up.
//
// World: host, one thread (events of the loop; libcurl may resolve names on threads of its own).
// Pure: no. Owns: connections, the configuration, calls until they are done.
//
// https only, certificates verified always, TLS 1.2 at least, HTTP/2 where the server offers it. Redirects are
// not followed: the token goes to the configured server or nowhere. Each call reads rotated credentials anew.
//
//	static void on_done(void *arg, const struct http_answer *answer);
//	struct http_request request = { .method = "PATCH", .path = "/apis/...", .content_type = HTTP_MERGE_PATCH,
//					.body = text, .len = strlen(text) };
//	struct http_events events = { .arg = me, .done = on_done };
//	r = http_start(http, &request, &events, &me->call);
#pragma once

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

#include "agent/base/err.h"
#include "agent/kube/config.h"

#define HTTP_JSON "application/json"
#define HTTP_MERGE_PATCH "application/merge-patch+json"
#define HTTP_APPLY_PATCH "application/apply-patch+yaml" // JSON is YAML: bodies may be JSON

#define HTTP_CONNECT_MS 10000 // until TCP and TLS stand
#define HTTP_HEAD_MS 70000 // from the start to the answer's head: a server whose etcd hangs takes 60 s
#define HTTP_IDLE_MS 30000 // without a byte inside the body
#define HTTP_HEAD_MAX (64u << 10) // bytes of an answer's head
#define HTTP_BODY_MAX (1u << 20) // bytes of a body that is collected
#define HTTP_ERROR_MAX (64u << 10) // the same of an answer that is no 2xx
#define HTTP_PACE_MS 10 // between two looks at a connection on which paced calls alone get data in a burst
#define HTTP_DEAD_MS 30000 // unacknowledged bytes or keep-alive probes for so long: the connection is gone

struct http;
struct http_call;

struct http_request {
	const char *method; // NULL: GET
	const char *path; // "/api/v1/pods?limit=500", as it goes over the wire
	const char *content_type; // with a body
	const void *body; // copied
	size_t len;
	unsigned head_ms, idle_ms; // 0: HTTP_HEAD_MS, HTTP_IDLE_MS
	unsigned total_ms; // from the start to the end; 0: no limit
	size_t body_max; // 0: HTTP_BODY_MAX
	bool fresh; // on a new connection: those that are there have gone silent
};

struct http_answer {
	int status; // 0: none came
	// 0: the answer is whole. Else what happened to it: -ETIMEDOUT (silence or total_ms), -ECONNRESET (it broke
	// off, or nothing came), -ECONNREFUSED, -EHOSTUNREACH, -EKEYREJECTED (TLS), -EMSGSIZE (a limit of ours),
	// -ECANCELED (data() said so), -EPROTO
	int error;
	const char *text; // of the error, one sentence; "" when there is none
	const char *content_type; // "" when none was sent
	long retry_after_sec; // 0: not said
	// What was collected: the body of an answer that is no 2xx, or for which there is no data(). Ends with a 0
	// that len does not count. Borrowed for the call.
	const char *body;
	size_t len;
};

struct http_events {
	void *arg;
	// Bytes of a 2xx answer's body as they come, unpacked. Not 0: stop. NULL: the body is collected.
	int (*data)(void *arg, const char *data, size_t len);
	// Once, last. The call is gone when it is called; it may start others. May be NULL.
	void (*done)(void *arg, const struct http_answer *answer);
	// The head of the answer is here; nothing of its body yet. May be NULL.
	void (*head)(void *arg, int status);
};

// Takes over the configuration, also when it fails.
int http_new(struct event_base *base, struct kube_config *config, struct http **ret,
	     struct err *reterr);
void http_free(struct http *http); // cancels all calls; not from an event. NULL is fine
DEFINE_CLEANUP(struct http *, http_free)

const struct kube_config *http_config(const struct http *http); // borrowed

// 0 or -ENOMEM; all else is told by done(), never before the loop runs. *ret (may be NULL) is valid until then.
int http_start(struct http *http, const struct http_request *request,
	       const struct http_events *events, struct http_call **ret);

// From now on its data may come in a burst HTTP_PACE_MS late, several events of a watch at once: what is done per look
// at the connection, per record of TLS and per cycle of the agent is then done once for all of them. What comes after
// a silence of twice that time comes at once, and so does everything while a call goes on that is not paced. NULL is fine.
void http_pace(struct http_call *call);

// From anywhere: no event of this call comes any more. NULL is fine.
void http_cancel(struct http_call *call);

// For a value in a query: malloc'd, NULL for lack of memory.
char *http_escape(const char *text);
