// SPDX-License-Identifier: Apache-2.0
// rig.h - a sink on a loop of its own in a folder of its own, and what tests ask of it.
#pragma once

#include "tests/harness/test.h"

#include <event2/event.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/sink/sink.h"
#include "tests/harness/record.h"

#define RIG_DEADLINE_SEC 20

struct rig {
	struct event_base *base;
	struct sink *sink;
	struct flow_record record;
	char dir[PATH_MAX];
	char url[PATH_MAX + 256];
};

static inline int rig_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->base = event_base_new();
	record_full(&rig->record);
	test_mkdir(rig->dir);
	*state = rig;
	return 0;
}

static inline int rig_down(void **state)
{
	struct rig *rig = *state;

	sink_free(rig->sink);
	event_base_free(rig->base);
	flow_record_fini(&rig->record);
	test_rmdir(rig->dir);
	free(rig);
	return 0;
}

// FORMAT+TRANSPORT://DIR/rest
static inline void rig_open(struct rig *rig, const char *scheme, const char *rest)
{
	struct err err = { 0 };

	snprintf(rig->url, sizeof(rig->url), "%s://%s/%s", scheme, rig->dir, rest);
	assert_ok_err(sink_new(rig->base, rig->url, "node-a", &rig->sink, &err), &err);
}

// n records with the next seqs, from *seq on.
static inline void rig_put(struct rig *rig, unsigned int n)
{
	while (n--) {
		sink_put(rig->sink, &rig->record);
		rig->record.seq++;
	}
}

// None is forgotten, whatever happened.
static inline const struct sink_stats *rig_stats(struct rig *rig)
{
	const struct sink_stats *stats = sink_stats(rig->sink);

	assert_int_equal(stats->offered, stats->delivered + stats->lost_full + stats->lost_error + stats->queued);
	return stats;
}

static inline void rig_too_late(evutil_socket_t fd, short what, void *arg)
{
	fail_msg("waited for %s in vain", (const char *)arg);
}

// Runs the loop until `done`, which says so by a look.
static inline void rig_run(struct rig *rig, bool (*done)(struct rig *rig), const char *what)
{
	struct timeval deadline = { RIG_DEADLINE_SEC };
	struct event *late = evtimer_new(rig->base, rig_too_late, (void *)what);

	evtimer_add(late, &deadline);
	while (!done(rig))
		event_base_loop(rig->base, EVLOOP_ONCE);
	event_free(late);
}
