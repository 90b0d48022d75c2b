// SPDX-License-Identifier: Apache-2.0
// reflect.c - what is asked next, and after which pause.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/kube/pause.h"
#include "agent/kube/reflect_private.h"

#define WATCH_SLACK_SEC 30 // beyond the length that was asked for
#define WATCH_SHORT_MS 5000 // one that lives for so long, or brings something, ends a row of failures
#define FLAPS_MAX 3 // failures, or watches that end at once, with nothing but beginnings in between: told
#define PAGES_MAX 100000 // of a list

const struct reflect_times reflect_times_default = {
	.pause_min_ms = 200,
	.pause_max_ms = 30000,
	.watch_sec = 300,
	.head_ms = HTTP_HEAD_MS,
	.idle_ms = HTTP_IDLE_MS,
	.page_ms = 600000,
	.silence_ms = 150000,
	.absent_ms = 60000,
};

int64_t reflect_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// ---- pauses ---------------------------------------------------------------------------------------------------

static void wait_ms(struct reflect *reflect, uint64_t ms)
{
	struct timeval delay = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

	event_add(reflect->timer, &delay);
}

static void wait_after_failures(struct reflect *reflect, long retry_after_sec)
{
	const struct reflect_times *times = reflect->times;
	uint64_t ms = pause_after(reflect->failures, times->pause_min_ms, times->pause_max_ms);
	uint64_t asked = pause_asked(retry_after_sec);

	wait_ms(reflect, ms < asked ? asked : ms);
}

// ---- how a call ends -----------------------------------------------------------------------------------------------

static void forget(char **text)
{
	free(*text);
	*text = NULL;
}

static void relist(struct reflect *reflect)
{
	forget(&reflect->version);
	forget(&reflect->page);
}

static void tell(struct reflect *reflect, const char *text)
{
	if (!text && !reflect->told)
		return;
	reflect->told = text != NULL;
	reflect->events.problem(reflect->events.arg, text);
}

static const char *verb(const struct reflect *reflect)
{
	return reflect->ask == ASK_PAGE ? "list" : "watch";
}

// One failure is no news: what is wrong is told from the second on, as long as nothing works in between, and when what
// works never lasts.
static void failed_as(struct reflect *reflect, const char *join, const char *what, long retry_after_sec)
{
	err_set(&reflect->last, -EIO, "%s %s%s%s", verb(reflect), reflect->resource->name, join, what);
	if (!reflect->lost_ms)
		reflect->lost_ms = reflect_now_ms();
	reflect->failures++;
	reflect->nfailures++;
	// streams and pages take turns while neither works
	if (reflect->ask != ASK_WATCH && !reflect->page)
		reflect->page_turn = reflect->ask == ASK_STREAM;
	if (++reflect->failing > 1 || reflect->failures > FLAPS_MAX)
		tell(reflect, reflect->last.text);
	wait_after_failures(reflect, retry_after_sec);
}

static void failed(struct reflect *reflect, const char *what, long retry_after_sec)
{
	failed_as(reflect, ": ", what, retry_after_sec);
}

// What the server does not understand, or no longer knows: another question comes at once, but not for ever.
static void ask_otherwise(struct reflect *reflect)
{
	reflect->failures++;
	wait_after_failures(reflect, 0);
}

// A refusal that the next one repeats, and the one after it: then where we were is worth nothing.
static void doubt(struct reflect *reflect)
{
	if (++reflect->refusals < REFLECT_REFUSALS)
		return;
	reflect->refusals = 0;
	relist(reflect);
}

static void works(struct reflect *reflect)
{
	reflect->lost_ms = 0;
	reflect->failing = 0;
	tell(reflect, NULL);
}

int reflect_listed(struct reflect *reflect, char *version)
{
	int r = reflect->events.listed(reflect->events.arg);

	if (r < 0) {
		free(version);
		return r;
	}
	relist(reflect);
	reflect->version = version;
	reflect->ask = ASK_WATCH;
	reflect->since_ms = reflect_now_ms();
	reflect->state = REFLECT_WATCHING;
	reflect->synced = true;
	reflect->whole = reflect->page_turn = false;
	reflect->lists++;
	http_pace(reflect->call);
	works(reflect);
	return 0;
}

static void page_done(struct reflect *reflect)
{
	struct reading *reading = &reflect->reading;
	int r = 0;

	if (reading->next && ++reflect->pages < PAGES_MAX) {
		free(reflect->page);
		reflect->page = TAKE_PTR(reading->next);
	} else if (reading->version && !reading->next) {
		r = reflect_listed(reflect, TAKE_PTR(reading->version));
	} else {
		relist(reflect);
		failed(reflect, reading->next ? "the list has no end" : "the list has no resourceVersion",
		       0);
		return;
	}
	if (r < 0)
		failed(reflect, strerror(-r), 0);
	else
		wait_ms(reflect, 0);
}

// An ERROR event in a stream whose head said 200.
static void refused_inside(struct reflect *reflect)
{
	const struct kube_status *refusal = &reflect->reading.refusal;

	if (refusal->code == 410 && reflect->ask == ASK_WATCH) {
		relist(reflect);
		ask_otherwise(reflect);
		return;
	}
	doubt(reflect);
	failed(reflect, refusal->message, refusal->retry_after_sec);
}

static void watch_ended(struct reflect *reflect, const char *broken)
{
	int64_t lived = reflect_now_ms() - reflect->since_ms;
	bool good = reflect->reading.lively || lived >= WATCH_SHORT_MS ||
		    lived >= (int64_t)reflect->times->watch_sec * 500;

	if (good)
		reflect->failures = reflect->refusals = 0;
	if (broken)
		failed(reflect, broken, 0);
	else if (good)
		wait_ms(reflect, 0);
	else if (reflect->failures < FLAPS_MAX)
		ask_otherwise(reflect);
	else
		failed(reflect, "the server ends watches as soon as they begin", 0);
}

// The answer was a 2xx; `broken` says how it ended too early, NULL: it did not.
static void answered(struct reflect *reflect, const char *broken)
{
	struct reading *reading = &reflect->reading;

	if (reading->why.code) {
		relist(reflect);
		failed(reflect, reading->why.text, 0);
		tell(reflect, reflect->last.text); // it does not pass
	} else if (reading->refusal.code) {
		refused_inside(reflect);
	} else if (reflect->ask == ASK_WATCH) {
		watch_ended(reflect, broken);
	} else if (broken || reflect->ask == ASK_STREAM) {
		failed(reflect, broken ? broken : "the stream ended before the list was whole", 0);
	} else {
		page_done(reflect);
	}
}

static void absent(struct reflect *reflect, const struct kube_status *status)
{
	reflect->heard_ms = reflect_now_ms();
	if (reflect->state != REFLECT_ABSENT) {
		// what was there does not go because of one answer: a server that starts may not know its CRDs yet
		if (reflect->synced && ++reflect->refusals < REFLECT_REFUSALS) {
			failed(reflect, status->message, 0);
			return;
		}
		reflect->events.listing(reflect->events.arg);
		if (reflect->events.listed(reflect->events.arg) < 0) {
			failed(reflect, strerror(ENOMEM), 0);
			return;
		}
	}
	relist(reflect);
	reflect->state = REFLECT_ABSENT;
	reflect->synced = true;
	reflect->failures = reflect->refusals = 0;
	works(reflect);
	wait_ms(reflect, pause_half_random(2 * (uint64_t)reflect->times->absent_ms));
}

// The server does not understand the question: it is put more simply, as far as that goes.
static void misunderstood(struct reflect *reflect, const struct kube_status *status)
{
	if (reflect->ask == ASK_STREAM && !reflect->streams_refused) {
		reflect->streams_refused = true;
		ask_otherwise(reflect);
	} else if (reflect->ask == ASK_PAGE && !reflect->page && reflect->resource->narrow &&
		   !reflect->wide) {
		reflect->wide = true;
		reflect->streams_refused = false;
		ask_otherwise(reflect);
	} else {
		relist(reflect);
		failed(reflect, status->message, status->retry_after_sec);
	}
}

static void expired(struct reflect *reflect, const struct kube_status *status)
{
	if (reflect->ask == ASK_PAGE)
		reflect->whole = reflect->page != NULL;
	relist(reflect);
	// what has not begun cannot have expired
	if (reflect->ask == ASK_WATCH || (reflect->ask == ASK_PAGE && reflect->whole))
		ask_otherwise(reflect);
	else
		failed(reflect, status->message, status->retry_after_sec);
}

static void refused(struct reflect *reflect, const struct http_answer *answer)
{
	struct kube_status status;
	struct err err;

	kube_status_of(answer, &status);
	switch (answer->status) {
	case 400:
	case 405:
	case 406:
	case 415:
	case 422:
	case 501:
		misunderstood(reflect, &status);
		return;
	case 403:
		kube_status_forbidden(&status, &err);
		failed_as(reflect, " ", err.text, 0);
		reflect->page_turn = false; // without the verb "watch" pages would be of no use
		return;
	case 404:
		if (reflect->resource->optional) {
			absent(reflect, &status);
			return;
		}
		break;
	case 410:
		expired(reflect, &status);
		return;
	case 0: // nothing was said
	case 401: // credentials are read anew for the next try
	case 429: // a list would be more to ask than the watch
	case 503:
		failed(reflect, status.message, status.retry_after_sec);
		return;
	}
	doubt(reflect);
	failed(reflect, status.message, status.retry_after_sec);
}

static void on_head(void *arg, int status)
{
	struct reflect *reflect = arg;

	if (status != 200)
		return;
	reflect->heard_ms = reflect_now_ms();
	if (reflect->ask != ASK_WATCH)
		return;
	http_pace(reflect->call);
	works(reflect);
}

static int on_data(void *arg, const char *data, size_t len)
{
	struct reflect *reflect = arg;

	reflect->heard_ms = reflect_now_ms();
	return reading_feed(reflect, data, len);
}

static void on_done(void *arg, const struct http_answer *answer)
{
	struct reflect *reflect = arg;
	struct err err = { 0 };
	int r = answer->error;

	reflect->call = NULL;
	event_del(reflect->timer);
	reflect->fresh = r == -ETIMEDOUT;
	if (answer->status / 100 != 2) {
		refused(reflect, answer);
		return;
	}
	if (!r)
		r = split_end(reflect->reading.split, &err);
	answered(reflect, !r ? NULL : err.code ? err.text : answer->text);
}

// ---- questions ----------------------------------------------------------------------------------------------------------

// malloc'd; NULL: no memory.
static char *question(const struct reflect *reflect, unsigned watch_sec)
{
	const struct reflect_resource *resource = reflect->resource;
	const char *narrow = resource->narrow && !reflect->wide ? resource->narrow : "";
	const char *token = reflect->ask == ASK_WATCH ? reflect->version : reflect->page;
	_cleanup_free_ char *escaped = http_escape(token ? token : ""), *path = NULL;
	char limit[32] = "";
	int n = -1;

	if (!escaped)
		return NULL;
	if (!reflect->whole)
		snprintf(limit, sizeof(limit), "&limit=%d", REFLECT_PAGE);
	switch (reflect->ask) {
	case ASK_STREAM:
		n = asprintf(&path,
			     "%s?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&"
			     "allowWatchBookmarks=true&timeoutSeconds=%u%s%s",
			     resource->path, watch_sec, *narrow ? "&" : "", narrow);
		break;
	case ASK_WATCH:
		n = asprintf(&path,
			     "%s?watch=true&allowWatchBookmarks=true&resourceVersion=%s&timeoutSeconds=%u%s%s",
			     resource->path, escaped, watch_sec, *narrow ? "&" : "", narrow);
		break;
	case ASK_PAGE:
		n = asprintf(&path, "%s?%s%s%s%s", resource->path, narrow, limit + !*narrow,
			     *escaped ? "&continue=" : "", escaped);
		break;
	}
	return n < 0 ? NULL : TAKE_PTR(path);
}

static void choose(struct reflect *reflect)
{
	if (reflect->version)
		reflect->ask = ASK_WATCH;
	else if (reflect->page || reflect->streams_refused || reflect->page_turn || reflect->whole)
		reflect->ask = ASK_PAGE;
	else
		reflect->ask = ASK_STREAM;
	if (reflect->version || reflect->page)
		return;
	reflect->pages = 0;
	if (reflect->state != REFLECT_ABSENT)
		reflect->state = REFLECT_LISTING;
	reflect->events.listing(reflect->events.arg);
}

static int ask(struct reflect *reflect)
{
	const struct reflect_times *times = reflect->times;
	unsigned sec = times->watch_sec + arc4random_uniform(times->watch_sec + 1);
	struct http_events events = { reflect, on_data, on_done, on_head };
	_cleanup_free_ char *path = NULL;
	struct http_request request = {
		.fresh = reflect->fresh,
		.head_ms = times->head_ms,
		.idle_ms = times->idle_ms,
		.total_ms = times->page_ms,
	};

	choose(reflect);
	path = question(reflect, sec);
	if (!path || reading_begin(reflect) < 0)
		return -ENOMEM;
	request.path = path;
	if (reflect->ask != ASK_PAGE) {
		request.idle_ms = times->silence_ms;
		request.total_ms = (sec + WATCH_SLACK_SEC) * 1000;
	}
	reflect->since_ms = reflect_now_ms();
	reflect->watches += reflect->ask == ASK_WATCH;
	if (reflect->ask == ASK_STREAM)
		wait_ms(reflect, times->idle_ms);
	return http_start(reflect->http, &request, &events, &reflect->call);
}

// A watch may be silent, a list may not: a server that knows nothing of initial events sends no end of them.
static void look_at_stream(struct reflect *reflect)
{
	int64_t heard = reflect->heard_ms > reflect->since_ms ? reflect->heard_ms : reflect->since_ms;
	int64_t silent = reflect_now_ms() - heard;

	if (reflect->ask != ASK_STREAM)
		return;
	if (silent < reflect->times->idle_ms) {
		wait_ms(reflect, (uint64_t)(reflect->times->idle_ms - silent));
		return;
	}
	http_cancel(TAKE_PTR(reflect->call));
	reflect->fresh = true;
	failed(reflect, "the initial events do not end", 0);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct reflect *reflect = arg;

	if (reflect->call)
		look_at_stream(reflect);
	else if (ask(reflect) < 0)
		failed(reflect, strerror(ENOMEM), 0);
}

int reflect_new(struct event_base *base, struct http *http, const struct reflect_resource *resource,
		const struct reflect_times *times, const struct reflect_events *events,
		struct reflect **ret)
{
	_cleanup_(reflect_freep) struct reflect *reflect = calloc(1, sizeof(*reflect));

	assert(base && http && resource && times && events && ret);

	if (!reflect)
		return -ENOMEM;
	reflect->base = base;
	reflect->http = http;
	reflect->resource = resource;
	reflect->times = times;
	reflect->events = *events;
	reflect->lost_ms = reflect_now_ms();
	reflect->timer = evtimer_new(base, on_timer, reflect);
	reflect->tokener = json_tokener_new_ex(SPLIT_DEPTH_MAX + 1);
	if (!reflect->timer || !reflect->tokener)
		return -ENOMEM;
	json_tokener_set_flags(reflect->tokener, JSON_TOKENER_STRICT);
	wait_ms(reflect, 0);
	*ret = TAKE_PTR(reflect);
	return 0;
}

void reflect_free(struct reflect *reflect)
{
	if (!reflect)
		return;
	http_cancel(reflect->call);
	reading_fini(&reflect->reading);
	vec_fini(&reflect->scratch);
	if (reflect->timer)
		event_free(reflect->timer);
	if (reflect->tokener)
		json_tokener_free(reflect->tokener);
	relist(reflect);
	free(reflect);
}

void reflect_status(const struct reflect *reflect, struct reflect_status *ret)
{
	*ret = (struct reflect_status){
		.state = reflect->state,
		.synced = reflect->synced,
		.lost_ms = reflect->lost_ms,
		.heard_ms = reflect->heard_ms,
		.lists = reflect->lists,
		.watches = reflect->watches,
		.events = reflect->nevents,
		.failures = reflect->nfailures,
		.error = reflect->last.text,
	};
}
