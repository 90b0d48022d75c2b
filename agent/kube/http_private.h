// SPDX-License-Identifier: Apache-2.0
// http_private.h - a call as http.c (the loop) and http_call.c (one transfer) see it; they alone include this.
//
// World: host, one thread. Pure: no. Owns: see http.h.
#pragma once

#include <curl/curl.h>
#include <stdint.h>

#include "agent/base/vec.h"
#include "agent/kube/http.h"

struct http_call {
	struct http *http;
	struct http_call *next, **prev; // all calls of it
	struct http_events events;
	CURL *easy;
	struct event *timer;
	struct curl_slist *headers, *connect_to;
	char error[CURL_ERROR_SIZE], why[CURL_ERROR_SIZE + 64];
	bool added; // to the multi handle
	bool cancelled;
	bool paced;
	bool head_seen; // the final answer's, not a "100 Continue"
	bool headless; // its head is too large
	bool stopped; // data() said so
	bool too_large; // the collected body
	unsigned head_ms, idle_ms, total_ms;
	int64_t started_ms, heard_ms;
	size_t head_bytes, body_max;
	VEC(char) body;
};

int64_t http_now_ms(void);

// Sets everything up but the loop. 0, -ENOMEM.
int http_call_new(struct http *http, const struct http_request *request,
		  const struct http_events *events, struct http_call **ret);
void http_call_free(struct http_call *call); // it must not be in the multi handle
DEFINE_CLEANUP(struct http_call *, http_call_free)

// Sets its timer to when the first of its times will be over; one that is over is named instead.
const char *http_call_watch(struct http_call *call);

// Fills an answer from a transfer that ended with `code`.
void http_call_answer(struct http_call *call, CURLcode code, struct http_answer *ret);
