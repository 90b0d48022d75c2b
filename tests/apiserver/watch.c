// SPDX-License-Identifier: Apache-2.0
// watch.c - watches: what is there first where that is asked for, then each change, bookmarks between.
#include <errno.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/apiserver/apiserver.h"

#define PENDING_BYTES (1u << 20) // not yet sent: nothing is added to it

struct watch {
	struct apiserver *server;
	struct conn *conn;
	const struct resource *resource;
	char on[96];
	struct filter filter;
	entry_vec first; // what is there, sent before changes
	size_t at;
	uint64_t rv; // changes up to here have been sent or are not for this watch
	bool bookmarks; // the client wants them
	bool mark_first; // the end of what is there is to be marked
	bool silent;
	struct event *timeout;
};

static void send_event(struct watch *watch, const char *type, const struct entry *entry)
{
	_cleanup_free_ char *text = entry_json(entry, NULL), *line = NULL;
	int n = asprintf(&line, "{\"type\":\"%s\",\"object\":%s", type, text);

	if (n < 0)
		return;
	// An event is one line: the object's own end goes, the event's comes.
	while (n > 0 && line[n - 1] == '\n')
		n--;
	line = realloc(line, (size_t)n + 3);
	memcpy(line + n, "}\n", 3);
	conn_piece(watch->conn, line, (size_t)n + 2);
}

static void send_bookmark(struct watch *watch, bool first)
{
	char head[192], line[512];

	entry_head(watch->resource, false, head, sizeof(head));
	snprintf(
		line, sizeof(line),
		"{\"type\":\"BOOKMARK\",\"object\":%s\"metadata\":{\"resourceVersion\":\"%llu\"%s}}}\n",
		head, (unsigned long long)watch->rv,
		first ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
	conn_piece(watch->conn, line, strlen(line));
}

static void send_error(struct watch *watch, int code, const char *reason, const char *message)
{
	struct json_object *event = json_object_new_object();
	_cleanup_free_ char *line = NULL;
	int n;

	json_object_object_add(event, "type", json_object_new_string("ERROR"));
	json_object_object_add(event, "object", status_json(code, reason, message));
	n = asprintf(&line, "%s\n", json_object_to_json_string_ext(event, JSON_PLAIN));
	if (n > 0)
		conn_piece(watch->conn, line, (size_t)n);
	json_object_put(event);
}

// What a change is to one who sees the filter's part of the world.
static void pass_on(struct watch *watch, const struct change_event *event)
{
	bool was = event->before && filter_match(&watch->filter, &event->before->traits);
	bool is = event->change != CHANGE_DELETED &&
		  filter_match(&watch->filter, &event->entry->traits);

	watch->rv = event->rv;
	if (is)
		send_event(watch, was ? "MODIFIED" : "ADDED", event->entry);
	else if (was && event->change == CHANGE_DELETED)
		send_event(watch, "DELETED", event->entry);
	else if (was)
		send_event(watch, "DELETED", event->before);
}

// Where in the history the changes behind a revision begin.
static size_t history_after(const struct db *db, uint64_t rv)
{
	size_t low = 0, high = db->history.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (db->history.v[mid].rv <= rv)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool too_old(const struct watch *watch)
{
	return watch->rv < watch->server->db.oldest;
}

static void end_too_old(struct watch *watch)
{
	char text[96];

	snprintf(text, sizeof(text), "too old resource version: %llu (%llu)",
		 (unsigned long long)watch->rv, (unsigned long long)watch->server->db.oldest);
	send_error(watch, 410, "Expired", text);
	conn_end(watch->conn);
}

static void watch_free(struct watch *watch)
{
	while (watch->at < watch->first.n)
		entry_put(watch->first.v[watch->at++]);
	vec_fini(&watch->first);
	filter_fini(&watch->filter);
	event_free(watch->timeout);
	free(watch);
}

// The connection stays and takes further requests.
static void leave(struct watch *watch)
{
	conn_set(watch->conn, NULL);
	watch_free(watch);
}

static void pump(struct watch *watch)
{
	struct db *db = &watch->server->db;
	size_t i;

	if (watch->silent)
		return;
	for (; watch->at < watch->first.n && conn_pending(watch->conn) < PENDING_BYTES;
	     watch->at++) {
		send_event(watch, "ADDED", watch->first.v[watch->at]);
		entry_put(watch->first.v[watch->at]);
	}
	if (watch->at < watch->first.n)
		return;
	if (watch->mark_first) {
		watch->mark_first = false;
		send_bookmark(watch, true);
	}
	if (too_old(watch)) {
		end_too_old(watch);
		leave(watch);
		return;
	}
	for (i = history_after(db, watch->rv);
	     i < db->history.n && conn_pending(watch->conn) < PENDING_BYTES; i++) {
		const struct change_event *event = &db->history.v[i];

		if (event->entry->resource == watch->resource)
			pass_on(watch, event);
		watch->rv = event->rv;
	}
}

static void pump_each(void *arg, struct conn *conn, void *kept)
{
	pump(kept);
}

void watch_changed(void *arg, const struct change_event *event)
{
	struct apiserver *server = arg;

	if (server->http)
		http_each(server->http, pump_each, NULL);
}

void watch_gone(void *arg, struct conn *conn, void *kept)
{
	watch_free(kept);
}

void watch_drained(void *arg, struct conn *conn, void *kept)
{
	struct watch *watch = kept;
	struct apiserver *server = watch->server;

	pump(watch);
	admin_check(server);
}

// ---- bookmarks, ends ------------------------------------------------------------------------------------------------------
static bool caught_up(const struct watch *watch)
{
	return !watch->silent && watch->at == watch->first.n && !watch->mark_first &&
	       watch->rv >= watch->server->db.oldest &&
	       history_after(&watch->server->db, watch->rv) == watch->server->db.history.n;
}

static void mark(void *arg, struct conn *conn, void *kept)
{
	struct watch *watch = kept;

	if (!watch->bookmarks || !caught_up(watch))
		return;
	watch->rv = watch->server->db.rv;
	send_bookmark(watch, false);
}

void watch_bookmarks(struct apiserver *server)
{
	http_each(server->http, mark, NULL);
}

static void on_timeout(evutil_socket_t fd, short what, void *arg)
{
	struct watch *watch = arg;

	mark(NULL, NULL, watch);
	conn_end(watch->conn);
	leave(watch);
}

struct ending {
	const char *on;
	enum watch_end how;
	size_t n;
};

static void end_one(void *arg, struct conn *conn, void *kept)
{
	struct ending *ending = arg;
	struct watch *watch = kept;

	if (!on_matches(watch->on, ending->on))
		return;
	ending->n++;
	if (ending->how == WATCH_END_SILENT) {
		watch->silent = true;
		event_del(watch->timeout);
		return;
	}
	if (ending->how == WATCH_END_CLEAN)
		conn_end(conn);
	else
		conn_break(conn, ending->how == WATCH_END_RESET);
	leave(watch);
}

size_t watch_end(struct apiserver *server, const char *on, enum watch_end how)
{
	struct ending ending = { on, how, 0 };

	http_each(server->http, end_one, &ending);
	return ending.n;
}

struct counting {
	const char *on;
	size_t n;
	bool sent;
};

static void count_one(void *arg, struct conn *conn, void *kept)
{
	struct counting *counting = arg;
	const struct watch *watch = kept;

	if (!on_matches(watch->on, counting->on))
		return;
	counting->n++;
	counting->sent = counting->sent && caught_up(watch) && !conn_pending(conn);
}

size_t watch_count(struct apiserver *server, const char *on, bool *retsent)
{
	struct counting counting = { on, 0, true };

	http_each(server->http, count_one, &counting);
	*retsent = counting.sent;
	return counting.n;
}

// ---- a new one ---------------------------------------------------------------------------------------------------------------
static const char *asked(const struct call *call, const char *name)
{
	const char *value = evhttp_find_header(&call->request->query, name);

	return value && *value ? value : NULL;
}

static bool is_true(const char *value)
{
	return value && (!strcmp(value, "true") || !strcmp(value, "1"));
}

// False: answered.
static bool check(struct call *call, bool initial)
{
	const char *rv = asked(call, "resourceVersion"),
		   *match = asked(call, "resourceVersionMatch");
	const char *title = "ListOptions.meta.k8s.io";
	char *end = NULL;
	uint64_t n = rv ? strtoull(rv, &end, 10) : 0;

	if (asked(call, "sendInitialEvents") && call->server->no_watchlist)
		answer_invalid(
			call, title, "sendInitialEvents",
			"sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
	else if (initial && (!match || strcmp(match, "NotOlderThan")))
		answer_invalid(
			call, title, "resourceVersionMatch",
			"sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
	else if (match && !asked(call, "sendInitialEvents"))
		answer_invalid(
			call, title, "resourceVersionMatch",
			"resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
	else if (rv && *end)
		answer_status(
			call, 500, NULL, DETAIL_NONE,
			"resourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": invalid syntax",
			rv, rv);
	else if (initial && n > call->server->db.rv)
		answer_too_large(call, n);
	else
		return true;
	return false;
}

static void take_first(struct watch *watch)
{
	struct db *db = &watch->server->db;

	vec_each(struct entry *, entry, &db->objects[resource_index(watch->resource)])
		if (filter_match(&watch->filter, &(*entry)->traits))
			vec_push(&watch->first, entry_get(*entry));
	watch->rv = db->rv;
}

static void set_timeout(struct watch *watch, const char *seconds)
{
	struct timeval tv = { seconds ? atol(seconds) : 1800, 0 };

	watch->timeout = evtimer_new(watch->server->base, on_timeout, watch);
	evtimer_add(watch->timeout, &tv);
}

void answer_watch(struct call *call)
{
	const char *rv = asked(call, "resourceVersion");
	bool initial = is_true(asked(call, "sendInitialEvents")), legacy = !rv || !strcmp(rv, "0");
	struct watch *watch;
	struct err err = { 0 };

	if (!check(call, initial))
		return;
	watch = calloc(1, sizeof(*watch));
	*watch = (struct watch){ .server = call->server,
				 .conn = call->conn,
				 .resource = call->target.resource,
				 .bookmarks = is_true(asked(call, "allowWatchBookmarks")) };
	snprintf(watch->on, sizeof(watch->on), "%s", call->on);
	if (filter_parse(watch->resource->plural,
			 watch->resource->namespaced ? call->target.ns : NULL,
			 asked(call, "labelSelector"), asked(call, "fieldSelector"), &watch->filter,
			 &err) < 0) {
		answer_status(call, 400, "BadRequest", DETAIL_NONE, "%s", err.text);
		free(watch);
		return;
	}
	set_timeout(watch, asked(call, "timeoutSeconds"));
	if (initial || (legacy && !asked(call, "sendInitialEvents")))
		take_first(watch);
	else
		watch->rv = rv && strcmp(rv, "0") ? strtoull(rv, NULL, 10) : call->server->db.rv;
	watch->mark_first = (initial || (rv && legacy)) && watch->bookmarks;
	conn_stream(call->conn, 200, "application/json", NULL);
	conn_set(call->conn, watch);
	pump(watch);
}
