// SPDX-License-Identifier: Apache-2.0
// control.h - the unix socket that the command line and the CNI plugin speak: one JSON object a line each way.
//
// World: host. Pure: no. Owns: server: its socket, connections and the socket file; client: its socket.
// Who may speak: uid 0 by peer credentials (SO_PEERCRED), whatever the file's mode. docs/json.md lists the
// operations.
#pragma once

#include <event2/event.h>
#include <json-c/json.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"

#define CONTROL_REQUEST_BYTES 65536 // one request line; longer: refused and the connection closed
#define CONTROL_ANSWER_BYTES (64u << 20) // one answer line; longer: an error in its place
#define CONTROL_QUEUE_BYTES (1u << 20) // answers not yet read; beyond: no further request is taken
#define CONTROL_CLIENTS 64 // at once; further ones are told so and closed
#define CONTROL_IDLE_SEC 30 // a connection that says nothing, or does not read
#define CONTROL_JSON_DEPTH 16

// Behind the path of a socket file until somebody listens: what a start that was killed may leave.
#define CONTROL_UNNAMED ".new"

struct control_server;

// An operation: *ret is the answer (ownership goes to the server), or an error with its sentence.
typedef int (*control_op_fn)(void *arg, struct json_object *request, struct json_object **ret,
			     struct err *reterr);
struct control_op {
	const char *name;
	control_op_fn run;
};

// An operation that cannot answer yet takes its request's place in the queue and returns -EINPROGRESS; the
// answer (or an error: json NULL) is given later. Requests behind it on the same connection wait. When the
// client leaves first, the answer goes nowhere.
struct control_deferred;
struct control_deferred *control_defer(struct control_server *server); // only from within an operation
void control_answer(struct control_deferred *deferred, struct json_object *json, const struct err *err);

// ops: table ended by {NULL}. The socket file is made 0600 in a folder made 0700, a stale one is replaced, one that
// is being served is refused (-EADDRINUSE).
int control_server_new(struct event_base *base, const char *path, const struct control_op *ops,
		       void *arg, struct control_server **ret, struct err *reterr);
// Removes the socket file. Answers that were given are sent as far as that needs no wait.
void control_server_free(struct control_server *server);
DEFINE_CLEANUP(struct control_server *, control_server_free)

// One request, one answer, with a time-out. 0: *ret is the answer object; an error of the agent becomes
// its code with its sentence; -ECONNREFUSED / -ENOENT say that no agent listens and what to do.
int control_call(const char *path, struct json_object *request, int timeout_sec,
		 struct json_object **ret, struct err *reterr);

// Its two halves, for callers that tell an agent that cannot be reached from one that answers with an
// error. control_open: a connected fd, or a -errno. control_ask: -ECONNABORTED and -ETIMEDOUT are the
// connection's own; everything else is the agent's answer.
int control_open(const char *path, struct err *reterr);
int control_ask(int fd, struct json_object *request, int timeout_sec, struct json_object **ret,
		struct err *reterr);

// Which addresses and names a request field has: for operations. -EINVAL when it is missing or no text;
// control_string_or() gives `fallback` when it is missing.
int control_string(struct json_object *request, const char *field, const char **ret, struct err *reterr);
int control_string_or(struct json_object *request, const char *field, const char *fallback,
		      const char **ret, struct err *reterr);
// A whole number in min..max; missing: `fallback`.
int control_number(struct json_object *request, const char *field, int64_t min, int64_t max,
		   int64_t fallback, int64_t *ret, struct err *reterr);

// One line of JSON as both sides read it: an object of bounded depth, nothing behind it. -EBADMSG.
int control_json(const char *text, size_t len, int depth, struct json_object **ret,
		 struct err *reterr);
