// SPDX-License-Identifier: Apache-2.0
// expo.c - the Prometheus text format 0.0.4 and OpenMetrics 1.0. They differ in how a counter's family is called, in
// units, in the end of the page and in what has to be escaped.
#include "agent/metrics/expo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const type_names[] = {
	[METRIC_GAUGE] = "gauge",
	[METRIC_COUNTER] = "counter",
	[METRIC_HISTOGRAM] = "histogram",
	[METRIC_INFO] = "info",
};

// ---- which of the two ----------------------------------------------------------------------------------------------

// The q of one media range: "text/plain;version=0.0.4;q=0.5"; 1 where it says none.
static double quality(const char *range, size_t len)
{
	for (size_t i = 0; i + 2 < len; i++)
		if (range[i] == ';') {
			size_t at = i + 1;

			while (at < len && range[at] == ' ')
				at++;
			if (at + 2 < len && range[at] == 'q' && range[at + 1] == '=')
				return strtod(range + at + 2, NULL);
		}
	return 1;
}

// How much a type is wanted: what names it, else 0.
static double wanted(const char *accept, const char *type)
{
	size_t bytes = strlen(type);
	double most = 0;

	while (*accept) {
		size_t len;

		accept += strspn(accept, ", \t");
		len = strcspn(accept, ",");
		if (len >= bytes && strncasecmp(accept, type, bytes) == 0 &&
		    (len == bytes || strchr("; \t", accept[bytes]))) {
			double q = quality(accept, len);

			most = q > most ? q : most;
		}
		accept += len;
	}
	return most;
}

bool expo_wants_open(const char *accept)
{
	double open = accept ? wanted(accept, "application/openmetrics-text") : 0;

	return open > 0 && open >= wanted(accept, "text/plain");
}

// ---- text ----------------------------------------------------------------------------------------------------------

static void add(struct expo *expo, const char *text)
{
	evbuffer_add(expo->page, text, strlen(text));
}

// Backslash and line feed always, quotes where they would end something.
static void add_escaped(struct expo *expo, const char *text, bool quotes)
{
	const char *special = quotes ? "\\\n\"" : "\\\n";

	while (*text) {
		size_t plain = strcspn(text, special);

		evbuffer_add(expo->page, text, plain);
		text += plain;
		if (!*text)
			return;
		add(expo, *text == '\n' ? "\\n" : *text == '\\' ? "\\\\" : "\\\"");
		text++;
	}
}

// What stands behind a metric's name in its samples, and in text in front of them as well.
static const char *suffix(const struct metric *metric)
{
	if (metric->type == METRIC_COUNTER)
		return "_total";
	return metric->type == METRIC_INFO ? "_info" : "";
}

static void add_about(struct expo *expo, const char *keyword)
{
	evbuffer_add_printf(expo->page, "# %s %s%s ", keyword, expo->metric->name,
			    expo->open ? "" : suffix(expo->metric));
}

void expo_metric(struct expo *expo, const struct metric *metric)
{
	expo->metric = metric;
	add_about(expo, "HELP");
	add_escaped(expo, metric->help, expo->open);
	add(expo, "\n");
	add_about(expo, "TYPE");
	add(expo, metric->type == METRIC_INFO && !expo->open ? "gauge" : type_names[metric->type]);
	add(expo, "\n");
	if (!metric->unit || !expo->open)
		return;
	add_about(expo, "UNIT");
	add(expo, metric->unit);
	add(expo, "\n");
}

// {direction="ingress",le="0.1"}; le NULL: none.
static void add_labels(struct expo *expo, const char *const *values, const char *le)
{
	const struct metric *metric = expo->metric;
	const char *before = "{";

	for (int i = 0; i < METRIC_LABELS && metric->labels[i]; i++, before = ",") {
		evbuffer_add_printf(expo->page, "%s%s=\"", before, metric->labels[i]);
		add_escaped(expo, values[i], true);
		add(expo, "\"");
	}
	if (le) {
		evbuffer_add_printf(expo->page, "%sle=\"%s\"", before, le);
		before = ",";
	}
	if (*before == ',')
		add(expo, "}");
}

void expo_count(struct expo *expo, uint64_t value, const char *const *labels)
{
	evbuffer_add_printf(expo->page, "%s%s", expo->metric->name, suffix(expo->metric));
	add_labels(expo, labels, NULL);
	evbuffer_add_printf(expo->page, " %llu\n", (unsigned long long)value);
}

void expo_real(struct expo *expo, double value, const char *const *labels)
{
	evbuffer_add_printf(expo->page, "%s%s", expo->metric->name, suffix(expo->metric));
	add_labels(expo, labels, NULL);
	evbuffer_add_printf(expo->page, " %.17g\n", value);
}

// ---- histograms ----------------------------------------------------------------------------------------------------

// Both write 1 as "1.0" in OpenMetrics' canonical way, which text takes as well.
static void bound_text(double bound, char text[32])
{
	snprintf(text, 32, "%g", bound);
	if (!strchr(text, '.'))
		snprintf(text + strlen(text), 32 - strlen(text), ".0");
}

static void add_bucket(struct expo *expo, const char *const *labels, const char *le, uint64_t count)
{
	evbuffer_add_printf(expo->page, "%s_bucket", expo->metric->name);
	add_labels(expo, labels, le);
	evbuffer_add_printf(expo->page, " %llu\n", (unsigned long long)count);
}

void expo_histogram(struct expo *expo, const struct histogram *histogram, const char *const *labels)
{
	uint64_t count = 0;
	char le[32];

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		count += histogram->counts[i];
		bound_text(histogram_bounds[i], le);
		add_bucket(expo, labels, le, count);
	}
	count += histogram->counts[HISTOGRAM_BUCKETS];
	add_bucket(expo, labels, "+Inf", count);
	evbuffer_add_printf(expo->page, "%s_sum", expo->metric->name);
	add_labels(expo, labels, NULL);
	evbuffer_add_printf(expo->page, " %.9f\n%s_count", (double)histogram->sum_ns / 1e9, expo->metric->name);
	add_labels(expo, labels, NULL);
	evbuffer_add_printf(expo->page, " %llu\n", (unsigned long long)count);
}

void expo_end(struct expo *expo)
{
	if (expo->open)
		add(expo, "# EOF\n");
}
