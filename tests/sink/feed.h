// SPDX-License-Identifier: Apache-2.0
// feed.h - a sink in a loop of the test's own, and records with known numbers for it.
//
// World: host, tests. Pure: no (what the sink opens). Owns: loop and sink until feed_close().
#pragma once

#include <event2/event.h>
#include <stdbool.h>

#include "agent/sink/sink.h"
#include "tests/harness/test.h"

struct feed {
	struct event_base *base;
	struct sink *sink;
	uint32_t next; // number of the next record, from 1
};

void feed_open(struct feed *feed, const char *fmt, ...) __attribute__((format(printf, 2, 3))); // a URL
void feed_close(struct feed *feed);
void feed_put(struct feed *feed, uint32_t n); // the next n records of flows_record(), and the end of a batch
void feed_turn(struct feed *feed); // runs the loop for what is due now

// Runs the loop until this is so; fails the test with the sink's numbers after 20 s.
typedef bool (*feed_fn)(const struct sink_stats *stats, const void *arg);
void feed_until(struct feed *feed, const char *what, feed_fn fn, const void *arg);
void feed_until_delivered(struct feed *feed, uint64_t n);
void feed_until_problem(struct feed *feed, const char *part); // the sink's problem contains this

// Of the numbers that must always hold; fails the test.
void feed_assert_exact(struct feed *feed);
