// SPDX-License-Identifier: Apache-2.0
// fetch.h - single pods asked for beside the watch that will show them, and what that watch may say of them then.
// Private to this room.
//
// World: host, one thread (events of the loop). Pure: no. Owns: its calls.
//
// resourceVersions are opaque, so which of two states is newer follows from the order of things alone:
// - a pod is asked for only while a watch stands, and not while it is listed: a list may be older than the answer;
// - a pod that leaves, or a list that begins, while the answer is under way makes that worthless: it is asked again;
// - what was fetched is newer than anything that the watch says of its name before it shows that pod, scheduled: until
//   then other pods of the name, their ends, and states of it without a node are passed over;
// - a list that begins later is newer: from there on it counts alone.
#pragma once

#include <event2/event.h>

#include "agent/kube/http.h"
#include "agent/store/store.h"

#define FETCH_CALLS 8 // at once; others wait
#define FETCH_MS 5000 // for an answer

struct fetch_events {
	void *arg;
	bool (*watched)(void *arg); // pods are, now
	int (*put)(void *arg, struct object *object); // takes over the reference; 0 or -errno
	// What became of it, as source_events.fetched. A problem that lasts, or NULL.
	void (*done)(void *arg, const char *ns, const char *name, const char *uid, int r, const char *why);
	void (*problem)(void *arg, const char *text);
};

struct fetches;

int fetches_new(struct event_base *base, struct http *http, const struct store *store,
		const struct fetch_events *events, struct fetches **ret);
void fetches_free(struct fetches *fetches); // NULL is fine
DEFINE_CLEANUP(struct fetches *, fetches_free)

int fetches_ask(struct fetches *fetches, const char *ns, const char *name, const char *uid); // 0 or -ENOMEM

// What the watch tells. True: it is older than what was fetched, and to be passed over.
bool fetches_put(struct fetches *fetches, const struct pod *pod);
bool fetches_gone(struct fetches *fetches, const char *ns, const char *name, const char *uid);
void fetches_listing(struct fetches *fetches);
void fetches_listed(struct fetches *fetches);
