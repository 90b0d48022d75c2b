// SPDX-License-Identifier: Apache-2.0
// Which flows a reading tells: over any sequence of readings each flow begins once, also where the clock wraps.
#include "tests/harness/test.h"

#include "agent/recorder/when.h"

#define SECOND ((int64_t)BH_TIME_HZ)
#define DAY (86400 * SECOND)
#define ROUND (1ll << 32) // of the stamps' clock

static void next(struct when *when, int64_t now)
{
	when->ever = when->now != 0;
	when->from = when->to;
	when->now = now;
	when->to = now - WHEN_SETTLED;
}

// A flow that is met by every reading from the first after it began.
static unsigned times_begun(int64_t created, int64_t start, int readings)
{
	struct when when = { 0 };
	unsigned begun = 0;

	for (int i = 0; i < readings; i++) {
		int64_t now = start + i * SECOND;

		next(&when, now);
		if (created <= now)
			begun += when_begins(&when, when_of((uint32_t)created, now));
	}
	return begun;
}

static void each_begins_once(void **state)
{
	static const int64_t starts[] = { 5 * DAY, ROUND - 3 * SECOND, ROUND / 2 - 3 * SECOND, 7 * ROUND - SECOND };

	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
		for (int64_t at = 0; at < 4 * SECOND; at++)
			assert_int_equal(times_begun(starts[i] + at, starts[i], 7), 1);
}

static void one_of_long_ago_begins_at_the_first_reading_ever(void **state)
{
	assert_int_equal(times_begun(5 * DAY, 15 * DAY, 3), 1);
	assert_int_equal(times_begun(5 * DAY, 45 * DAY, 3), 1); // half of the clock's round and more ago
}

static void what_an_earlier_agent_told_does_not_begin(void **state)
{
	struct when when = { .now = 100 * SECOND, .from = 50 * SECOND, .to = 99 * SECOND, .ever = true };

	assert_false(when_begins(&when, 50 * SECOND));
	assert_true(when_told(&when, 50 * SECOND));
	assert_true(when_begins(&when, 50 * SECOND + 1));
	assert_false(when_told(&when, 50 * SECOND + 1));
	assert_true(when_begins(&when, 99 * SECOND));
	assert_false(when_begins(&when, 99 * SECOND + 1));
	assert_false(when_told(&when, 99 * SECOND + 1));
	when.ever = false;
	assert_true(when_begins(&when, -3 * DAY));
	assert_false(when_told(&when, -3 * DAY));
}

static void a_tick_ahead_is_now(void **state)
{
	struct when when = { .now = 100 * SECOND, .from = 98 * SECOND, .to = 99 * SECOND, .ever = true };

	assert_false(when_begins(&when, 100 * SECOND + 4));
	assert_false(when_told(&when, 100 * SECOND + 4));
	assert_int_equal(when_of(100 * SECOND + 4, 100 * SECOND), 100 * SECOND);
}

// Once in each period since it began, if it was used in it.
static void updates_come_by_the_period(void **state)
{
	int64_t start = ROUND - 90 * SECOND, created = start + SECOND / 2;
	uint32_t period = 60 * (uint32_t)SECOND;
	unsigned used = 0, silent = 0;
	struct when when = { 0 };

	for (uint32_t i = 0; i < 302; i++) {
		next(&when, start + i * SECOND);
		used += when_due(&when, when_of((uint32_t)created, when.now), when.now, period);
		silent += when_due(&when, created, created + 70 * SECOND, period);
	}
	assert_int_equal(used, 5);
	assert_int_equal(silent, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_begins_once),
		cmocka_unit_test(one_of_long_ago_begins_at_the_first_reading_ever),
		cmocka_unit_test(what_an_earlier_agent_told_does_not_begin),
		cmocka_unit_test(a_tick_ahead_is_now),
		cmocka_unit_test(updates_come_by_the_period),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
