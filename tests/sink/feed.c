// SPDX-License-Identifier: Apache-2.0
// feed.c - loop, sink, records.
#include "tests/sink/feed.h"

#include <inttypes.h>
#include <time.h>

#include "tests/harness/flows.h"

#define PATIENCE_SEC 20

void feed_open(struct feed *feed, const char *fmt, ...)
{
	struct err err = { 0 };
	char *url = NULL;
	va_list args;

	va_start(args, fmt);
	assert_true(vasprintf(&url, fmt, args) > 0);
	va_end(args);
	*feed = (struct feed){ .base = event_base_new(), .next = 1 };
	assert_ok_err(sink_new(feed->base, url, "node-1", &feed->sink, &err), &err);
	free(url);
}

void feed_close(struct feed *feed)
{
	sink_free(feed->sink);
	event_base_free(feed->base);
}

void feed_put(struct feed *feed, uint32_t n)
{
	struct flows flows;

	while (n--)
		sink_put(feed->sink, flows_record(&flows, feed->next++));
	sink_flush(feed->sink);
}

void feed_turn(struct feed *feed)
{
	event_base_loop(feed->base, EVLOOP_NONBLOCK);
}

static void say(struct feed *feed, const char *what)
{
	const struct sink_stats *s = sink_stats(feed->sink);

	fail_msg("%s: offered %" PRIu64 " delivered %" PRIu64 " full %" PRIu64 " error %" PRIu64 " queued %" PRIu64
		 " connects %" PRIu64 " failures %" PRIu64 " problem \"%s\"",
		 what, s->offered, s->delivered, s->lost_full, s->lost_error, s->queued, s->connects, s->failures, s->problem);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

void feed_until(struct feed *feed, const char *what, feed_fn fn, const void *arg)
{
	bool late = false;
	struct event *patience = evtimer_new(feed->base, on_patience, &late);

	evtimer_add(patience, &(struct timeval){ .tv_sec = PATIENCE_SEC });
	while (!late && !fn(sink_stats(feed->sink), arg))
		event_base_loop(feed->base, EVLOOP_ONCE);
	event_free(patience);
	if (late)
		say(feed, what);
}

static bool delivered(const struct sink_stats *stats, const void *arg)
{
	return stats->delivered >= *(const uint64_t *)arg;
}

void feed_until_delivered(struct feed *feed, uint64_t n)
{
	feed_until(feed, "not all delivered", delivered, &n);
}

static bool has_problem(const struct sink_stats *stats, const void *arg)
{
	return strstr(stats->problem, arg);
}

void feed_until_problem(struct feed *feed, const char *part)
{
	feed_until(feed, part, has_problem, part);
}

void feed_assert_exact(struct feed *feed)
{
	const struct sink_stats *s = sink_stats(feed->sink);

	if (s->offered != s->delivered + s->lost_full + s->lost_error + s->queued)
		say(feed, "the sum is wrong");
}
