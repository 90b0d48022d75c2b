// SPDX-License-Identifier: Apache-2.0
// verdicts_test.c - sums that only grow, whatever becomes of endpoints, rules and their names; exact at every bound.
#include "tests/harness/test.h"

#include <stdlib.h>

#include "agent/metrics/verdicts.h"

static const char *const *names; // by rule; NULL: nobody knows it

static void name(void *arg, enum bh_reason reason, uint32_t rule, struct verdict_name *ret)
{
	const char *policy = names[rule];

	*ret = (struct verdict_name){ policy ? "NetworkPolicy" : "unknown", policy ? policy : "unknown", "" };
}

static struct bh_total_key key(uint32_t ident, enum bh_reason reason, uint32_t rule)
{
	return (struct bh_total_key){ .ident = ident, .reason = (uint16_t)reason, .dir = BH_EGRESS, .rule = rule };
}

static void put(struct verdicts *v, uint32_t ident, uint32_t rule, uint64_t packets)
{
	struct bh_total_key k = key(ident, BH_REASON_POLICY_DENIED, rule);

	verdicts_add(v, &k, &(struct bh_count){ packets, packets * 100 });
}

static uint64_t denied(const struct verdicts *v)
{
	struct bh_count sum = verdicts_sum(v, BH_EGRESS, BH_REASON_POLICY_DENIED);

	assert_int_equal(sum.bytes, sum.packets * 100);
	return sum.packets;
}

struct want {
	const char *policy;
	uint64_t packets;
};

static void add_policy(void *arg, enum bh_dir dir, enum bh_reason reason, const struct verdict_name *of,
		       const struct bh_count *count)
{
	struct want *want = arg;

	if (!want->policy || strcmp(want->policy, of->policy) == 0)
		want->packets += count->packets;
}

static uint64_t of_policy(const struct verdicts *v, const char *policy) // NULL: of all
{
	struct want want = { policy, 0 };

	verdicts_each(v, add_policy, &want);
	return want.packets;
}

static void what_was_there_at_the_start_is_not_told(void **state)
{
	_cleanup_(verdicts_freep) struct verdicts *v = NULL;

	names = (const char *const[]){ NULL, "a/x" };
	assert_ok(verdicts_new(10, &v));
	verdicts_begin(v);
	put(v, 1, 1, 7);
	verdicts_start(v);
	assert_int_equal(denied(v), 0);
	verdicts_begin(v);
	put(v, 1, 1, 9);
	verdicts_end(v, name, NULL);
	assert_int_equal(denied(v), 2);
	assert_int_equal(of_policy(v, "a/x"), 2);
}

static void an_endpoint_that_leaves_takes_nothing(void **state)
{
	_cleanup_(verdicts_freep) struct verdicts *v = NULL;
	struct bh_total_key gone = key(1, BH_REASON_POLICY_DENIED, 1);

	names = (const char *const[]){ NULL, "a/x" };
	assert_ok(verdicts_new(10, &v));
	verdicts_start(v);
	verdicts_begin(v);
	put(v, 1, 1, 5);
	put(v, 2, 1, 3);
	verdicts_end(v, name, NULL);
	verdicts_gone(v, &gone, &(struct bh_count){ 6, 600 }); // one more since
	for (int i = 0; i < 3; i++) {
		verdicts_begin(v);
		put(v, 2, 1, 3);
		verdicts_end(v, name, NULL);
		assert_int_equal(denied(v), 9);
		assert_int_equal(of_policy(v, "a/x"), 9);
	}
	gone.ident = 2;
	verdicts_gone(v, &gone, &(struct bh_count){ 3, 300 }); // nobody is left: it is forgotten, and comes anew
	for (int i = 0; i < 2; i++) {
		verdicts_begin(v);
		verdicts_end(v, name, NULL);
		assert_int_equal(denied(v), 9);
	}
	verdicts_begin(v);
	put(v, 3, 1, 1);
	verdicts_end(v, name, NULL);
	assert_int_equal(denied(v), 10);
}

static void a_rule_that_loses_its_name_takes_nothing(void **state)
{
	_cleanup_(verdicts_freep) struct verdicts *v = NULL;

	names = (const char *const[]){ NULL, "a/x" };
	assert_ok(verdicts_new(10, &v));
	verdicts_begin(v);
	put(v, 1, 1, 5);
	verdicts_end(v, name, NULL);
	names = (const char *const[]){ NULL, NULL };
	verdicts_begin(v);
	put(v, 1, 1, 8);
	verdicts_end(v, name, NULL);
	assert_int_equal(of_policy(v, "a/x"), 5);
	assert_int_equal(of_policy(v, "unknown"), 3);
}

static void what_is_missed_once_is_told_later(void **state)
{
	_cleanup_(verdicts_freep) struct verdicts *v = NULL;
	static const uint64_t seen[] = { 5, 0, 7 };

	names = (const char *const[]){ NULL, "a/x" };
	assert_ok(verdicts_new(10, &v));
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		verdicts_begin(v);
		if (seen[i])
			put(v, 1, 1, seen[i]);
		verdicts_end(v, name, NULL);
		assert_int_equal(denied(v), i < 2 ? 5 : 7);
	}
}

static void beyond_the_bound_sums_stay_exact(void **state)
{
	_cleanup_(verdicts_freep) struct verdicts *v = NULL;
	const char *many[1000] = { NULL };
	static char texts[1000][16];
	uint64_t all = 0;

	for (int i = 1; i < 1000; i++) {
		snprintf(texts[i], sizeof(texts[i]), "ns/p%d", i);
		many[i] = texts[i];
	}
	names = many;
	assert_ok(verdicts_new(3, &v));
	for (int turn = 1; turn < 4; turn++) {
		verdicts_begin(v);
		for (uint32_t rule = 1; rule < 1000; rule++)
			put(v, rule, rule, (uint64_t)turn * rule);
		verdicts_end(v, name, NULL);
	}
	for (uint64_t rule = 1; rule < 1000; rule++)
		all += 3 * rule;
	assert_int_equal(denied(v), all);
	assert_int_equal(of_policy(v, NULL), all);
	assert_true(of_policy(v, VERDICTS_OTHER) > 0 && of_policy(v, VERDICTS_OTHER) < all);
}

static void without_a_bound_all_are_others(void **state)
{
	_cleanup_(verdicts_freep) struct verdicts *v = NULL;

	names = (const char *const[]){ NULL, "a/x" };
	assert_ok(verdicts_new(0, &v));
	verdicts_begin(v);
	put(v, 1, 1, 5);
	verdicts_end(v, name, NULL);
	assert_int_equal(of_policy(v, VERDICTS_OTHER), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_there_at_the_start_is_not_told),
		cmocka_unit_test(an_endpoint_that_leaves_takes_nothing),
		cmocka_unit_test(a_rule_that_loses_its_name_takes_nothing),
		cmocka_unit_test(what_is_missed_once_is_told_later),
		cmocka_unit_test(beyond_the_bound_sums_stay_exact),
		cmocka_unit_test(without_a_bound_all_are_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
