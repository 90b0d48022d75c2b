// SPDX-License-Identifier: Apache-2.0
// Times and durations: every day of four centuries as the C library has it, every form there and back.
#include "tests/harness/test.h"

#include <time.h>

#include "agent/base/moment.h"

#define DAY_NS (86400 * MOMENT_SEC_NS)
#define NOW_NS (1000000 * MOMENT_SEC_NS)

static void days_are_the_librarys(void **state)
{
	char ours[MOMENT_BYTES], theirs[64];

	for (int64_t day = -90 * 365; day < 290 * 365; day++) {
		int64_t ns = day * DAY_NS + (day * 7919 % 86400) * MOMENT_SEC_NS + 7;
		time_t sec = (ns - 7) / MOMENT_SEC_NS;
		struct tm tm;

		gmtime_r(&sec, &tm);
		strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S.000000007Z", &tm);
		assert_str(moment_format(ns, ours), theirs);
	}
	assert_str(moment_format(-1, ours), "1969-12-31T23:59:59.999999999Z");
}

static void what_is_written_is_read(void **state)
{
	char text[MOMENT_BYTES];
	int64_t ns, again;

	for (ns = 1; ns < INT64_MAX / 3; ns = ns * 3 + 1) {
		assert_ok(moment_parse(moment_format(ns, text), &again));
		assert_int_equal(again, ns);
	}
}

static void forms_of_a_time(void **state)
{
	static const struct {
		const char *text;
		int64_t want;
		bool ago; // none for who wants a moment
	} cases[] = {
		{ "1970-01-01T00:00:01Z", MOMENT_SEC_NS },
		{ "1970-01-01T00:00:01z", MOMENT_SEC_NS },
		{ "1970-01-01T00:00:01.5Z", 1500000000 },
		{ "1970-01-01T00:00:01.0000000019Z", 1000000001 },
		{ "1970-01-01T01:30:01+01:30", MOMENT_SEC_NS },
		{ "1970-01-01T00:00:01-00:01", 61 * MOMENT_SEC_NS },
		{ "1969-12-31T23:59:59-00:01", 59 * MOMENT_SEC_NS },
		{ "2262-01-01T00:00:00+00:01", 9214646340 * MOMENT_SEC_NS },
		{ "30s", NOW_NS - 30 * MOMENT_SEC_NS, true },
		{ "30", NOW_NS - 30 * MOMENT_SEC_NS, true },
		{ "1h30m", NOW_NS - 5400 * MOMENT_SEC_NS, true },
		{ "7d", NOW_NS - 7 * DAY_NS, true },
	};
	static const char *const bad[] = { "", "x", "-5m", "5x", "5ms", "5 m", "0", "0s", "99999999999999999999", "99999d", "m",
					   "1970-01-01", "1970-01-01T00:00:01", "1970-01-01T00:00:01+1", "1970-01-01T00:00:01Z ",
					   "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01", "1970-13-01T00:00:01Z", "1970-01-01T00:00:01+01:00x", "2262-01-01T00:00:00Z",
					   "2261-12-31T23:59:59-00:01", "9999-12-31T23:59:59Z" };
	int64_t ns = 42;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_ok(moment_parse_ago(cases[i].text, NOW_NS, &ns));
		if (ns != cases[i].want)
			fail_msg("%s: %lld", cases[i].text, (long long)ns);
		if ((moment_parse(cases[i].text, &ns) == 0) == cases[i].ago || ns != cases[i].want)
			fail_msg("%s: as a moment", cases[i].text);
	}
	ns = 42;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (moment_parse_ago(bad[i], NOW_NS, &ns) != -EINVAL || moment_parse(bad[i], &ns) != -EINVAL || ns != 42)
			fail_msg("'%s' is taken for a time", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_are_the_librarys),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(forms_of_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
