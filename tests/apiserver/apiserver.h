// SPDX-License-Identifier: Apache-2.0
// apiserver.h - the stand-in server as a whole: what its files share.
//
// World: host, tests. Pure: no. Owns: everything of one server.
#pragma once

#include <json-c/json.h>

#include "agent/control/control.h"
#include "tests/apiserver/db.h"
#include "tests/apiserver/http.h"
#include "tests/apiserver/rbac.h"
#include "tests/apiserver/who.h"

#define SNAPSHOTS 16 // lists that may be continued at once
#define JSON_PLAIN (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

// The rest of a list that was cut at its limit, as it was at its revision.
struct snapshot {
	uint64_t rv;
	const struct resource *resource;
	entry_vec entries;
};

// How often something was asked: "list pods".
struct count {
	char on[96];
	uint64_t n;
};

struct fault;
struct await;

struct apiserver {
	struct event_base *base;
	struct http *http;
	struct who who;
	struct rbac rbac;
	struct db db;
	struct snapshot snapshots[SNAPSHOTS];
	size_t next_snapshot;
	VEC(struct count) counts;
	VEC(struct fault *) faults;
	VEC(struct await *) awaits;
	struct control_server *control;
	struct event *up, *bookmarks;
	// settings, changed by the operation "set"
	bool no_watchlist; // an older server: sendInitialEvents is forbidden
	uint32_t slice; // of every answer, see struct shape
	int64_t delay_ms; // before every answer
};

// One request on its way to its answer.
struct call {
	struct apiserver *server;
	struct conn *conn;
	const struct request *request;
	struct target target;
	struct identity identity;
	const char *on; // "list pods"
};

// api.c: authentication, authorization, then one of the files below.
extern const struct http_ops api_ops;
void api_call(struct call *call); // what no fault has answered
// Fills in what the request is about; "list pods" or "get /version" into buf, returned.
const char *call_name(struct call *call, char *buf, size_t bytes);

// status.c: a Status as the body. DETAIL: whom it is about goes into details.
enum detail { DETAIL_NONE, DETAIL_EMPTY, DETAIL_TARGET };
void answer_status(struct call *call, int code, const char *reason, enum detail detail,
		   const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void answer_invalid(struct call *call, const char *kind, const char *field, const char *message);
void answer_too_large(struct call *call, uint64_t rv);
void answer_json(struct call *call, int code, struct json_object *json); // takes json over
void answer_entry(struct call *call, int code, const struct entry *entry);
struct json_object *status_json(int code, const char *reason, const char *message);
const char *target_title(const struct target *target, char *buf,
			 size_t bytes); // "pods", "leases.coordination.k8s.io"

// list.c
void answer_get(struct call *call);
void answer_list(struct call *call);
void snapshots_drop(struct apiserver *server);

// watch.c
void answer_watch(struct call *call);
void watch_changed(void *arg, const struct change_event *event); // db_changed_fn of the server
void watch_gone(void *arg, struct conn *conn, void *kept);
void watch_drained(void *arg, struct conn *conn, void *kept);
void watch_bookmarks(struct apiserver *server);
// Ends those of "watch pods" ("*" for all): cleanly, without the last chunk, or by a reset.
enum watch_end { WATCH_END_CLEAN, WATCH_END_CUT, WATCH_END_RESET, WATCH_END_SILENT };
size_t watch_end(struct apiserver *server, const char *on, enum watch_end how);
// How many there are, and whether each has been sent all that there is for it.
size_t watch_count(struct apiserver *server, const char *on, bool *retsent);

// write.c
void answer_create(struct call *call);
void answer_update(struct call *call);
void answer_patch(struct call *call);
void answer_delete(struct call *call);

// apply.c: server-side apply of `config` by a manager. 0; -EEXIST: a conflict, *retfield is malloc'd and says where.
int apply_merge(struct json_object *object, struct json_object *config, const char *manager,
		const char *sub, bool force, char **retfield);

// discovery.c: paths that are no resource.
void answer_discovery(struct call *call);

// fault.c: answers that a test has scripted. True: this call has one.
bool fault_serve(struct call *call);
int fault_add(struct apiserver *server, struct json_object *json, struct err *reterr);
void fault_clear(struct apiserver *server);
void fault_fini(struct apiserver *server);
size_t fault_left(const struct apiserver *server); // scripted answers not yet given

// admin.c: the control socket.
extern const struct control_op admin_ops[];
void admin_counted(struct apiserver *server, const char *on); // a request was asked
void admin_check(struct apiserver *server); // whether what an await waits for has come true
bool on_matches(const char *on, const char *pattern); // "watch *", "*"
int admin_load(struct apiserver *server, const char *path, struct err *reterr);
