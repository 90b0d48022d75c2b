// SPDX-License-Identifier: Apache-2.0
// Flows that last longer than the clock of their time stamps goes round: they began when they began, and begin once.
#include "tests/harness/test.h"

#include "agent/recorder/aged.h"

#define SECOND ((int64_t)BH_TIME_HZ)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define ROUND (1ll << 32) // 52 days and some hours
#define ID 0x1234567890abcdefull

static int64_t began(struct aged *aged, int64_t created, int64_t now)
{
	uint32_t stamp = (uint32_t)created;

	return aged_concerns(aged, stamp, now) ? aged_began(aged, ID, stamp, now) : when_of(stamp, now);
}

static void a_flow_of_years_began_when_it_began(void **state)
{
	int64_t created = 3 * DAY + 77;
	struct aged aged = { 0 };

	for (int64_t now = created; now < created + 1000 * DAY; now += HOUR) {
		aged_next(&aged, true);
		assert_int_equal(began(&aged, created, now), created);
	}
	assert_int_equal(aged.flows.n, 1);
	aged_fini(&aged);
}

// Second by second where its stamp comes round: no second start, an update in each period.
static void nothing_happens_where_the_stamp_comes_round(void **state)
{
	int64_t created = 5 * DAY, from = created + ROUND - 200 * SECOND;
	struct when when = { .to = from - 26 * DAY, .now = from - 26 * DAY };
	struct aged aged = { 0 };
	unsigned due = 0;

	for (int64_t now = from - 26 * DAY; now < from + 400 * SECOND; now += now < from ? HOUR : SECOND) {
		int64_t at;

		aged_next(&aged, true);
		when = (struct when){ .now = now, .from = when.to, .to = now - WHEN_SETTLED, .ever = true };
		at = began(&aged, created, now);
		assert_false(when_begins(&when, at));
		assert_true(when_told(&when, at));
if (now >= from && when_due(&when, at, now, 60 * (uint32_t)SECOND)) printf("%lld %lld\n", (long long)(now-from)/SECOND, (long long)(now-at)/SECOND);
		due += now > from && when_due(&when, at, now, 60 * (uint32_t)SECOND);
	}
	assert_int_equal(due, 7);
	aged_fini(&aged);
}

static void young_flows_cost_nothing(void **state)
{
	struct aged aged = { 0 };

	for (int64_t now = DAY; now < 20 * DAY; now += HOUR)
		assert_int_equal(began(&aged, DAY, now), DAY);
	assert_int_equal(began(&aged, 20 * DAY + 3, 20 * DAY), 20 * DAY); // another CPU's clock is ahead
	assert_int_equal(aged.flows.n, 0);
	aged_fini(&aged);
}

// Its ports and stamp may come again 52 days later.
static void a_flow_that_is_not_met_is_forgotten(void **state)
{
	struct aged aged = { 0 };
	int64_t now = 40 * DAY;

	assert_int_equal(began(&aged, DAY, now), DAY);
	aged_next(&aged, false); // nothing is known of what this reading did not meet
	aged_next(&aged, false);
	aged_next(&aged, true);
	assert_int_equal(aged.flows.n, 1);
	aged_next(&aged, true);
	aged_next(&aged, true);
	assert_int_equal(aged.flows.n, 0);
	assert_int_equal(began(&aged, DAY + ROUND, now + ROUND - 30 * DAY), DAY + ROUND);
	aged_fini(&aged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flow_of_years_began_when_it_began),
		cmocka_unit_test(nothing_happens_where_the_stamp_comes_round),
		cmocka_unit_test(young_flows_cost_nothing),
		cmocka_unit_test(a_flow_that_is_not_met_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
