// SPDX-License-Identifier: Apache-2.0
// pause_test.c - pauses grow, have an end, are not all the same, and are what a server asks for.
#include "tests/harness/test.h"

#include "agent/kube/pause.h"
#include "agent/kube/reflect.h"

#define DRAWS 1000 // that they miss a tenth of a range is less likely than 1 in 10^45

struct range {
	uint64_t least, most;
};

static struct range draw(uint64_t (*pause)(const void *arg), const void *arg)
{
	struct range range = { UINT64_MAX, 0 };

	for (int i = 0; i < DRAWS; i++) {
		uint64_t ms = pause(arg);

		range.least = ms < range.least ? ms : range.least;
		range.most = ms > range.most ? ms : range.most;
	}
	return range;
}

// All of them are in it, and they reach into its first and its last tenth.
static void fills(struct range range, uint64_t least, uint64_t most)
{
	uint64_t tenth = (most - least) / 10;

	assert_in_range(range.least, least, least + tenth);
	assert_in_range(range.most, most - tenth, most);
}

static uint64_t by_default(const void *arg)
{
	return pause_after(*(const unsigned *)arg, reflect_times_default.pause_min_ms,
			   reflect_times_default.pause_max_ms);
}

static void they_double_up_to_a_limit(void **state)
{
	static const struct {
		unsigned failures, most;
	} cases[] = {
		{ 1, 200 }, { 2, 400 }, { 3, 800 }, { 4, 1600 }, { 5, 3200 }, { 6, 6400 },
		{ 7, 12800 }, { 8, 25600 }, { 9, 30000 }, { 10, 30000 }, { 100, 30000 }, { UINT32_MAX, 30000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		fills(draw(by_default, &cases[i].failures), cases[i].most / 2, cases[i].most);
}

static void a_limit_below_the_first_one_holds(void **state)
{
	for (int i = 0; i < DRAWS; i++)
		assert_in_range(pause_after(1, 200, 20), 10, 20);
}

static uint64_t by_server(const void *arg)
{
	return pause_asked(*(const long *)arg);
}

static void servers_are_given_what_they_ask_for(void **state)
{
	static const struct {
		long sec;
		uint64_t least;
	} cases[] = { { 1, 1000 }, { 30, 30000 }, { 300, 300000 }, { 301, 300000 }, { LONG_MAX, 300000 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		fills(draw(by_server, &cases[i].sec), cases[i].least, cases[i].least + 999);
	assert_int_equal(pause_asked(0), 0);
	assert_int_equal(pause_asked(-1), 0);
	assert_int_equal(pause_asked(LONG_MIN), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_double_up_to_a_limit),
		cmocka_unit_test(a_limit_below_the_first_one_holds),
		cmocka_unit_test(servers_are_given_what_they_ask_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
