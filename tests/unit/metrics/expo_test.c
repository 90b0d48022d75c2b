// SPDX-License-Identifier: Apache-2.0
// expo_test.c - both formats from the same calls, byte by byte where they differ; and which one a client wants.
#include "tests/harness/test.h"

#include "agent/metrics/expo.h"

static const struct metric drops = { .name = "x_dropped_packets", .type = METRIC_COUNTER, .unit = "packets",
				     .help = "Dropped \"now\",\nback\\slash.", .labels = { "dir", "why" } };
static const struct metric build = { .name = "x_build", .type = METRIC_INFO, .help = "Build.", .labels = { "version" } };
static const struct metric delay = { .name = "x_delay_seconds", .type = METRIC_HISTOGRAM, .unit = "seconds",
				     .help = "Delay.", .labels = { "kind" } };
static const struct metric ready = { .name = "x_ready", .type = METRIC_GAUGE, .help = "Ready." };

static char *page(bool open, void (*fill)(struct expo *expo))
{
	struct evbuffer *buffer = evbuffer_new();
	struct expo expo = { .page = buffer, .open = open };
	char *text;
	size_t len;

	fill(&expo);
	expo_end(&expo);
	len = evbuffer_get_length(buffer);
	text = calloc(1, len + 1);
	evbuffer_remove(buffer, text, len);
	evbuffer_free(buffer);
	return text;
}

static void fill_all(struct expo *expo)
{
	expo_metric(expo, &drops);
	expo_count(expo, UINT64_MAX, LABELS("in", "a\"b\\c\nd"));
	expo_metric(expo, &build);
	expo_count(expo, 1, LABELS("1.0"));
	expo_metric(expo, &ready);
	expo_real(expo, 0.5, NULL);
}

static void text_is_as_prometheus_has_it(void **state)
{
	_cleanup_free_ char *text = page(false, fill_all);

	assert_string_equal(text, "# HELP x_dropped_packets_total Dropped \"now\",\\nback\\\\slash.\n"
				  "# TYPE x_dropped_packets_total counter\n"
				  "x_dropped_packets_total{dir=\"in\",why=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n"
				  "# HELP x_build_info Build.\n"
				  "# TYPE x_build_info gauge\n"
				  "x_build_info{version=\"1.0\"} 1\n"
				  "# HELP x_ready Ready.\n"
				  "# TYPE x_ready gauge\n"
				  "x_ready 0.5\n");
}

static void openmetrics_has_families_units_and_an_end(void **state)
{
	_cleanup_free_ char *text = page(true, fill_all);

	assert_string_equal(text, "# HELP x_dropped_packets Dropped \\\"now\\\",\\nback\\\\slash.\n"
				  "# TYPE x_dropped_packets counter\n"
				  "# UNIT x_dropped_packets packets\n"
				  "x_dropped_packets_total{dir=\"in\",why=\"a\\\"b\\\\c\\nd\"} 18446744073709551615\n"
				  "# HELP x_build Build.\n"
				  "# TYPE x_build info\n"
				  "x_build_info{version=\"1.0\"} 1\n"
				  "# HELP x_ready Ready.\n"
				  "# TYPE x_ready gauge\n"
				  "x_ready 0.5\n"
				  "# EOF\n");
}

static void fill_delay(struct expo *expo)
{
	struct histogram histogram = { 0 };

	histogram_add(&histogram, 1000000); // on a bound: within it
	histogram_add(&histogram, 1000001);
	histogram_add(&histogram, 60000000000);
	expo_metric(expo, &delay);
	expo_histogram(expo, &histogram, LABELS("Pod"));
}

static void buckets_hold_all_that_is_shorter(void **state)
{
	_cleanup_free_ char *text = page(false, fill_delay);

	assert_str_contains(text, "x_delay_seconds_bucket{kind=\"Pod\",le=\"0.0005\"} 0\n");
	assert_str_contains(text, "x_delay_seconds_bucket{kind=\"Pod\",le=\"0.001\"} 1\n");
	assert_str_contains(text, "x_delay_seconds_bucket{kind=\"Pod\",le=\"0.0025\"} 2\n");
	assert_str_contains(text, "x_delay_seconds_bucket{kind=\"Pod\",le=\"30.0\"} 2\n");
	assert_str_contains(text, "x_delay_seconds_bucket{kind=\"Pod\",le=\"+Inf\"} 3\n");
	assert_str_contains(text, "x_delay_seconds_sum{kind=\"Pod\"} 60.002000001\n");
	assert_str_contains(text, "x_delay_seconds_count{kind=\"Pod\"} 3\n");
}

static void who_wants_openmetrics_gets_it(void **state)
{
	static const char *const open[] = {
		"application/openmetrics-text",
		" application/openmetrics-text; version=1.0.0",
		"application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
		"text/plain;q=0.3,Application/OpenMetrics-Text",
	};
	static const char *const text[] = {
		"", "*/*", "text/plain", "application/openmetrics-text;q=0", "application/openmetrics-text;q=0.1,text/plain",
		"application/openmetrics-texts", "application/openmetrics", ",,;;q", "text/html;application/openmetrics-text",
	};

	assert_false(expo_wants_open(NULL));
	for (size_t i = 0; i < ARRAY_SIZE(open); i++)
		if (!expo_wants_open(open[i]))
			fail_msg("'%s' wants OpenMetrics", open[i]);
	for (size_t i = 0; i < ARRAY_SIZE(text); i++)
		if (expo_wants_open(text[i]))
			fail_msg("'%s' wants text", text[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_as_prometheus_has_it),
		cmocka_unit_test(openmetrics_has_families_units_and_an_end),
		cmocka_unit_test(buckets_hold_all_that_is_shorter),
		cmocka_unit_test(who_wants_openmetrics_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
