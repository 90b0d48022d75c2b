// SPDX-License-Identifier: Apache-2.0
// errand.c - requests of verbs on resources, and sentences about those that failed.
#include "agent/report/errand.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/kube/status.h"

int errand_init(struct errand *errand, struct event_base *base, struct http *http,
		event_callback_fn due, void *arg)
{
	*errand = (struct errand){ .http = http, .arg = arg, .timer = evtimer_new(base, due, arg) };
	return errand->timer ? 0 : -ENOMEM;
}

void errand_drop(struct errand *errand)
{
	http_cancel(TAKE_PTR(errand->call));
	if (errand->timer)
		evtimer_del(errand->timer);
}

void errand_fini(struct errand *errand)
{
	errand_drop(errand);
	if (errand->timer)
		event_free(TAKE_PTR(errand->timer));
}

void errand_in(struct errand *errand, unsigned ms)
{
	struct timeval delay = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(errand->timer, &delay);
}

bool errand_busy(const struct errand *errand)
{
	return errand->call;
}

bool errand_idle(const struct errand *errand)
{
	return !errand->call && !evtimer_pending(errand->timer, NULL);
}

static void explain(const struct errand *errand, const struct http_answer *from,
		    struct errand_answer *ret)
{
	struct kube_status status;
	struct err err = { 0 };

	kube_status_of(from, &status);
	ret->retry_after_sec = status.retry_after_sec;
	if (from->status == 403 && !strstr(status.message, "being terminated"))
		kube_status_forbidden(&status, &err);
	else
		err_set(&err, -EIO, "%s", status.message);
	snprintf(ret->why, sizeof(ret->why), "%s: %.400s", errand->what, err.text);
}

static void answered(void *arg, const struct http_answer *from)
{
	struct errand *errand = arg;
	struct errand_answer answer = { .status = from->error ? 0 : from->status };
	_cleanup_json_ struct json_object *json = NULL;

	errand->call = NULL;
	if (answer.status >= 200 && answer.status < 300)
		answer.json = json = json_tokener_parse(from->body);
	if (answer.status < 200 || answer.status >= 300) {
		explain(errand, from, &answer);
	} else if (!json_object_is_type(json, json_type_object)) {
		answer.status = 0;
		snprintf(answer.why, sizeof(answer.why), "%s: the answer is no object",
			 errand->what);
	}
	errand->done(errand->arg, &answer);
}

static const char *method_of(const char *verb)
{
	return !strcmp(verb, "create") ? "POST" :
	       !strcmp(verb, "update") ? "PUT" :
	       !strcmp(verb, "patch")  ? "PATCH" :
					 "GET";
}

int errand_ask(struct errand *errand, const struct errand_request *request, errand_done_fn done)
{
	struct http_events events = { .arg = errand, .done = answered };
	struct http_request http = {
		.method = method_of(request->verb),
		.path = request->path,
		.body_max = request->body_max,
		.total_ms = request->total_ms ? request->total_ms : ERRAND_MS,
	};
	size_t len;

	if (request->body) {
		http.body = json_object_to_json_string_length(
			request->body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
			&len);
		http.len = http.body ? len : 0;
		http.content_type = request->content_type ? request->content_type : HTTP_JSON;
	}
	errand->done = done;
	snprintf(errand->what, sizeof(errand->what), "%s of %s", request->verb, request->resource);
	return http_start(errand->http, &http, &events, &errand->call);
}
