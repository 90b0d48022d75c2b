// SPDX-License-Identifier: Apache-2.0
// expo.h - the page of numbers: metrics and their samples as the Prometheus text format or as OpenMetrics.
//
// World: host, one thread. Pure: yes. Owns: nothing.
//
// A metric is a row of a table: what it is called, what it means, by which labels it is told apart. Who has the numbers
// begins a metric and adds its samples; both formats come from the same calls.
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/metrics/histogram.h"

#define METRIC_LABELS 4

#define EXPO_TYPE_TEXT "text/plain; version=0.0.4; charset=utf-8"
#define EXPO_TYPE_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"

enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM, METRIC_INFO };

struct metric {
	const char *name; // without the _total of a counter, the _info of an info
	enum metric_type type;
	const char *unit; // "seconds", "bytes", ...: the name ends in it; NULL: none
	const char *help; // one sentence
	const char *labels[METRIC_LABELS]; // names; NULL ends them
};

struct expo {
	struct evbuffer *page;
	bool open; // as OpenMetrics
	const struct metric *metric; // of the samples that come
};

// Whether a client that says it accepts this wants OpenMetrics rather than text; NULL: it says nothing.
bool expo_wants_open(const char *accept);

void expo_metric(struct expo *expo, const struct metric *metric);

// One sample; as many values as the metric has labels, in their order: LABELS("ingress", "cut").
#define LABELS(...) ((const char *const[]){ __VA_ARGS__ })
void expo_count(struct expo *expo, uint64_t value, const char *const *labels);
void expo_real(struct expo *expo, double value, const char *const *labels);
void expo_histogram(struct expo *expo, const struct histogram *histogram, const char *const *labels);

void expo_end(struct expo *expo); // nothing comes behind it
