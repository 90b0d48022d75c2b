// SPDX-License-Identifier: Apache-2.0
// Which flows a reading tells: over any sequence of readings each flow begins once, also where the clock wraps.
#include "tests/harness/test.h"

#include "agent/recorder/when.h"

#define SECOND ((uint32_t)BH_TIME_HZ)
#define DAY (86400u * SECOND)

static void next(struct when *when, uint32_t now)
{
	when->ever = when->now != 0;
	when->from = when->to;
	when->now = now;
	when->to = now - WHEN_SETTLED;
}

// A flow that is met by every reading from the first after it began.
static unsigned times_begun(uint32_t created, uint32_t start, int readings)
{
	struct when when = { 0 };
	unsigned begun = 0;

	for (int i = 0; i < readings; i++) {
		uint32_t now = start + i * SECOND;

		next(&when, now ? now : 1);
		if (created - now - 1 >= DAY) // it began before this reading
			begun += when_begins(&when, created);
	}
	return begun;
}

static void each_begins_once(void **state)
{
	static const uint32_t starts[] = { 5 * DAY, 0u - 3 * SECOND, 0x80000000u - 3 * SECOND };

	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
		for (uint32_t at = 0; at < 4 * SECOND; at++)
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
	assert_true(when_begins(&when, 0u - 3 * DAY));
	assert_false(when_told(&when, 0u - 3 * DAY));
}

static void a_tick_ahead_is_now(void **state)
{
	struct when when = { .now = 100 * SECOND, .from = 98 * SECOND, .to = 99 * SECOND, .ever = true };

	assert_false(when_begins(&when, 100 * SECOND + 4));
	assert_false(when_told(&when, 100 * SECOND + 4));
	assert_int_equal(when_age(100 * SECOND + 4, 100 * SECOND), 0);
}

// Once in each period since it began, if it was used in it.
static void updates_come_by_the_period(void **state)
{
	uint32_t start = 0u - 90 * SECOND, created = start + SECOND / 2, period = 60 * SECOND;
	unsigned used = 0, silent = 0;
	struct when when = { 0 };

	for (uint32_t i = 0; i < 302; i++) {
		next(&when, start + i * SECOND);
		used += when_due(&when, created, when.now, period);
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
