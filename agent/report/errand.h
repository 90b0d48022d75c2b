// SPDX-License-Identifier: Apache-2.0
// errand.h - one thing to do at the API server, again and again: at most one request in flight, and a timer.
//
// World: host, one thread (events of the loop). Pure: no. Owns: its call and its timer; none outlives errand_fini().
#pragma once

#include <event2/event.h>
#include <json-c/json.h>
#include <stdbool.h>

#include "agent/base/err.h"
#include "agent/kube/http.h"

#define ERRAND_MS 30000 // until an answer has come whole

struct errand_answer {
	int status; // 0: none came
	struct json_object *json; // the body of a 2xx; borrowed
	long retry_after_sec; // 0: not said
	char why[ERR_TEXT_BYTES]; // not a 2xx: a sentence that names verb and resource
};

typedef void (*errand_done_fn)(void *arg, const struct errand_answer *answer);

struct errand {
	struct http *http;
	struct event *timer;
	struct http_call *call;
	void *arg;
	errand_done_fn done;
	char what[96]; // "patch of nodes"
};

// due: the timer's. 0 or -ENOMEM.
int errand_init(struct errand *errand, struct event_base *base, struct http *http,
		event_callback_fn due, void *arg);
void errand_fini(struct errand *errand); // of all zero is fine

void errand_in(struct errand *errand, unsigned ms); // calls due() then; the last one counts
bool errand_busy(const struct errand *errand);
bool errand_idle(const struct errand *errand); // neither a call nor a timer
void errand_drop(struct errand *errand); // the call in flight and the timer

struct errand_request {
	const char *verb, *resource; // as RBAC says it: "patch", "clusternetworkpolicies/status"
	const char *path;
	struct json_object *body; // borrowed, NULL: none
	const char *content_type; // of a patch
	size_t body_max; // of the answer, 0: as HTTP_BODY_MAX
	unsigned total_ms; // 0: ERRAND_MS
};

// -ENOMEM: done() will not be called. The errand must not be busy.
int errand_ask(struct errand *errand, const struct errand_request *request, errand_done_fn done);
