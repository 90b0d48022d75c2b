// SPDX-License-Identifier: Apache-2.0
// reflect_private.h - a resource as reflect.c (what to ask next) and reflect_read.c (what an answer holds) see it;
// they alone include this.
//
// World: host, one thread. Pure: no. Owns: see reflect.h.
#pragma once

#include "agent/base/vec.h"
#include "agent/kube/reflect.h"
#include "agent/kube/split.h"
#include "agent/kube/status.h"

// What is asked for. A stream turns into a watch once its initial events are over.
enum ask { ASK_STREAM, ASK_PAGE, ASK_WATCH };

// What one answer holds.
struct reading {
	struct split *split;
	struct err why; // it holds nonsense, or the sink does not take it
	struct kube_status refusal; // an ERROR event's; code 0: none came
	char *version, *next; // of a list's metadata
	bool lively; // events came after the list
};

struct reflect {
	struct event_base *base;
	struct http *http;
	const struct reflect_resource *resource;
	const struct reflect_times *times;
	struct reflect_events events;

	enum reflect_state state;
	bool synced, told; // told: a problem
	int64_t heard_ms, lost_ms;
	uint64_t lists, watches, nevents, nfailures;
	struct err last;

	// what to ask next
	char *version; // to watch from; NULL: list first
	char *page; // the list goes on there
	unsigned pages; // of this list
	bool streams_refused; // by the server, once and for all
	bool page_turn; // a stream failed: pages are tried before the next
	bool whole; // pages expired: the list in one piece
	bool wide; // the server does not know how to narrow
	bool fresh; // on a new connection
	unsigned failing; // in a row, with nothing that works in between
	unsigned failures; // the same, where a watch that ends at once counts as one: how long the next pause is
	unsigned refusals; // in a row: how much is believed

	// the call in flight
	enum ask ask;
	struct http_call *call;
	int64_t since_ms; // it began, or its list was over
	struct reading reading;
	struct json_tokener *tokener;
	VEC(char) scratch; // a value without what nobody reads
	struct event *timer; // the end of a pause; with a stream, a look at whether it is silent
};

int reading_begin(struct reflect *reflect);
void reading_fini(struct reading *reading);

// Bytes of a 2xx answer. Not 0: stop, `why` or `refusal` say why.
int reading_feed(struct reflect *reflect, const char *data, size_t len);

// The list is whole and what it lacks is forgotten; a watch is next. 0 or -errno.
int reflect_listed(struct reflect *reflect, char *version);
