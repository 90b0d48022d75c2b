// SPDX-License-Identifier: Apache-2.0
// reflect.h - keeps up with all objects of one resource: a list once, then what changes, for ever.
//
// World: host, one thread (events of the loop). Pure: no. Owns: its one call in flight.
//
//	          answer is a list, or ends in an initial-events-end
//	LISTING ───────────────────────────────────────────────────────► WATCHING ──┐ ended: again from the
//	   ▲  ▲ └─ 404, may be absent ─► ABSENT ─ asked again slowly ─┐     │  ▲       │ last resourceVersion
//	   │  └───────────────────────────────────────────────────────┘     │  └───────┘
//	   └──────── 410, or three refusals in a row, or nonsense ◄─────────┘
//
// Lists are consistent reads (no resourceVersion is asked for): an agent that starts beside a server whose cache is
// old must not take back policy that is in force. They come as a stream of events where the server offers it
// (sendInitialEvents), else in pages; when pages expire, in one piece: the token that a server offers for going on
// joins two states, from which no watch could follow. Nothing is forgotten while a list is read.
// resourceVersions are opaque: kept, sent, never compared.
//
// Any failure is followed by another try, after a pause that doubles up to a limit, or that the server asked for
// (pause.h).
#pragma once

#include <event2/event.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/cleanup.h"
#include "agent/kube/http.h"

#define REFLECT_PAGE 500 // objects asked for at once
#define REFLECT_VERSION_MAX 1024 // bytes of a resourceVersion
#define REFLECT_PAGE_TOKEN_MAX 8192 // bytes of a `continue`
#define REFLECT_REFUSALS 3 // of a watch, or 404s of what was there: then it is believed

struct reflect_resource {
	const char *api_version, *kind; // as its objects say it
	const char *path; // "/apis/networking.k8s.io/v1/networkpolicies"
	const char *name; // "networkpolicies.networking.k8s.io": as RBAC's messages say it
	const char *narrow; // which objects only, as a part of the query; NULL: all. Left out where refused
	bool optional; // its CRD may be absent
};

struct reflect_times {
	unsigned pause_min_ms, pause_max_ms; // between tries
	unsigned watch_sec; // a watch's length: at random up to twice of it
	unsigned head_ms, idle_ms; // until an answer begins; of silence inside of a list
	unsigned page_ms; // of a page, or of a list in one piece, as a whole: one without an end is left
	unsigned silence_ms; // of a watch: a server that has bookmarks sends one a minute
	unsigned absent_ms; // until what is absent is asked for again
};

extern const struct reflect_times reflect_times_default;

struct reflect_events {
	void *arg;
	// A list begins; what is not put from here to listed() does not exist any more. It may begin again before.
	void (*listing)(void *arg);
	int (*listed)(void *arg); // 0 or -ENOMEM
	// Objects as the server has them, borrowed. 0; -errno: not taken, the resource is listed again later
	// (-E2BIG: there are too many).
	int (*put)(void *arg, struct json_object *json);
	int (*gone)(void *arg, struct json_object *json);
	// What keeps this resource from being read, in one sentence; NULL: nothing any more.
	void (*problem)(void *arg, const char *text);
};

enum reflect_state { REFLECT_LISTING, REFLECT_WATCHING, REFLECT_ABSENT };

struct reflect_status {
	enum reflect_state state;
	bool synced; // it was listed once, or is absent
	int64_t heard_ms; // CLOCK_MONOTONIC of the last byte, or of an answer that it is absent; 0: never
	int64_t lost_ms; // since when nothing of it reaches us, 0: all does
	uint64_t lists, watches, events, failures;
	const char *error; // the last one, borrowed; "" when there was none
};

struct reflect;

// resource and times must outlive it. It begins from the loop.
int reflect_new(struct event_base *base, struct http *http, const struct reflect_resource *resource,
		const struct reflect_times *times, const struct reflect_events *events,
		struct reflect **ret);
void reflect_free(struct reflect *reflect); // not from one of its events. NULL is fine
DEFINE_CLEANUP(struct reflect *, reflect_free)

void reflect_status(const struct reflect *reflect, struct reflect_status *ret);
int64_t reflect_now_ms(void);
