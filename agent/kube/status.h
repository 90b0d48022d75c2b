// SPDX-License-Identifier: Apache-2.0
// status.h - why an API server says no, in a sentence.
//
// World: host. Pure: yes. Owns: nothing.
#pragma once

#include <json-c/json.h>
#include <stddef.h>

#include "agent/base/err.h"
#include "agent/kube/http.h"

// What a Status object says of interest; the text is cleaned and ends with a 0.
struct kube_status {
	int code; // 0: it is no Status
	long retry_after_sec; // 0: not said
	char message[300]; // "HTTP 504: Timeout: ..."
};

// Of the object of an ERROR event, or of a body. NULL is no Status.
void kube_status_read(struct json_object *json, struct kube_status *ret);

// Of an answer: a Status, else the first line of plain text, else what broke it. code is the answer's.
void kube_status_of(const struct http_answer *answer, struct kube_status *ret);

// "forbidden for USER: grant ... in a ClusterRole", of a 403.
void kube_status_forbidden(const struct kube_status *status, struct err *reterr);
