// SPDX-License-Identifier: Apache-2.0
// talkers_test.c - sums over a window: growth between records, flows told twice, what leaves the window, what is forgotten.
#include "tests/harness/test.h"

#include "agent/cli/talkers.h"

#define SEC 1000000000LL
#define BEGIN (1000 * SEC)

static const struct flow_card a = { .refs = 1, .who = FLOW_POD, .ns = "x", .name = "a", .node = "n1", .workload_kind = "Deployment", .workload_name = "app" };
static const struct flow_card b = { .refs = 1, .who = FLOW_POD, .ns = "x", .name = "b", .node = "n1" };
static const struct flow_card world = { .refs = 1, .who = FLOW_WORLD };

static struct talkers *start(enum talkers_by by, uint32_t max)
{
	struct talkers *talkers;

	assert_ok(talkers_new(&(struct talkers_config){ by, max, BEGIN }, &talkers));
	return talkers;
}

// A record of flow `id` that began at first_sec, told at sec, with bytes both ways together and a packet per 100.
static void tell(struct talkers *talkers, enum flow_type type, uint64_t id, int64_t first_sec, int64_t sec, uint64_t bytes)
{
	struct flow_record record = {
		.id = id,
		.type = type,
		.dir = BH_EGRESS,
		.proto = PROTOCOL_TCP,
		.time_ns = BEGIN + sec * SEC,
		.first_ns = BEGIN + first_sec * SEC,
		.src = { .card = &a, .port = 40000 },
		.dst = { .card = &b, .port = 80 },
		.bytes = { bytes - bytes / 2, bytes / 2 },
		.packets = { bytes / 100, 0 },
	};

	assert_ok(talkers_add(talkers, &record, "n1"));
	// The receiver tells it as well, by another id.
	record.id = ~id;
	record.dir = BH_INGRESS;
	assert_ok(talkers_add(talkers, &record, "n1"));
}

static void assert_top(struct talkers *talkers, uint64_t bytes, uint64_t packets, uint64_t flows)
{
	size_t n;
	const struct talker *const *top = talkers_top(talkers, false, SORT_BYTES, 10, &n);

	if (!bytes && !packets && !flows) {
		assert_int_equal(n, 0);
		return;
	}
	assert_int_equal(n, 1);
	assert_str(top[0]->source, "x/a");
	assert_str(top[0]->destination, "x/b");
	assert_int_equal(top[0]->bytes, bytes);
	assert_int_equal(top[0]->packets, packets);
	assert_int_equal(top[0]->flows, flows);
}

static void growth_counts_once(void **state)
{
	_cleanup_(talkers_freep) struct talkers *talkers = start(BY_POD, 0);

	tell(talkers, FLOW_START, 1, 1, 1, 100);
	tell(talkers, FLOW_UPDATE, 1, 1, 61, 1000);
	tell(talkers, FLOW_UPDATE, 1, 1, 121, 1000);
	tell(talkers, FLOW_END, 1, 1, 122, 1500);
	assert_top(talkers, 1500, 15, 1);
	// An id may come again once its flow is over.
	tell(talkers, FLOW_START, 1, 130, 130, 200);
	assert_top(talkers, 1700, 17, 2);
}

static void what_grew_before_the_window_does_not_count(void **state)
{
	_cleanup_(talkers_freep) struct talkers *talkers = start(BY_POD, 0);

	tell(talkers, FLOW_UPDATE, 1, -50, 10, 5000);
	assert_top(talkers, 0, 0, 0);
	tell(talkers, FLOW_UPDATE, 1, -50, 70, 5600);
	assert_top(talkers, 600, 6, 0);
}

static void samples_leave_the_window(void **state)
{
	_cleanup_(talkers_freep) struct talkers *talkers = start(BY_POD, 0);

	for (uint64_t i = 0; i < 100; i++)
		tell(talkers, FLOW_START, i + 1, (int64_t)i, (int64_t)i, 100);
	assert_top(talkers, 10000, 100, 100);
	talkers_expire(talkers, BEGIN + 60 * SEC);
	assert_top(talkers, 4000, 40, 40);
	assert_int_equal(talkers_first_ns(talkers), BEGIN + 60 * SEC);
	// The ring goes on round its end, and grows there.
	for (uint64_t i = 100; i < 300; i++)
		tell(talkers, FLOW_START, i + 1, (int64_t)i, (int64_t)i, 100);
	assert_top(talkers, 24000, 240, 240);
	talkers_expire(talkers, BEGIN + 1000 * SEC);
	assert_top(talkers, 0, 0, 0);
}

static void beyond_the_limit_the_window_is_shorter(void **state)
{
	_cleanup_(talkers_freep) struct talkers *talkers = start(BY_POD, 10);

	for (uint64_t i = 0; i < 25; i++)
		tell(talkers, FLOW_START, i + 1, (int64_t)i, (int64_t)i, 100);
	assert_top(talkers, 1000, 10, 10);
	assert_int_equal(talkers_first_ns(talkers), BEGIN + 14 * SEC);
	// Its flow was forgotten and began before the window: from now on.
	tell(talkers, FLOW_UPDATE, 3, 2, 30, 900);
	assert_top(talkers, 1000, 10, 10);
	tell(talkers, FLOW_UPDATE, 3, 2, 31, 1000);
	assert_top(talkers, 1000, 10, 9);
}

static void denies_are_rows_of_their_own(void **state)
{
	static const char *const names[] = { [BY_POD] = "x/a", [BY_WORKLOAD] = "x/Deployment/app", [BY_NAMESPACE] = "x", [BY_ADDRESS] = "::" };

	for (enum talkers_by by = BY_POD; by <= BY_ADDRESS; by++) {
		_cleanup_(talkers_freep) struct talkers *talkers = start(by, 0);
		struct flow_record record = {
			.type = FLOW_DENY, .verdict = FLOW_DENIED, .reason = BH_REASON_POLICY_DENIED, .dir = BH_EGRESS, .proto = PROTOCOL_UDP,
			.time_ns = BEGIN + SEC, .src = { .card = &a }, .dst = { .card = &world, .port = 53 }, .packets = { 3 }, .bytes = { 300 },
		};
		const struct talker *const *top;
		size_t n;

		assert_ok(talkers_add(talkers, &record, "n1"));
		assert_ok(talkers_add(talkers, &record, "n1"));
		record.reason = BH_REASON_CUT;
		assert_ok(talkers_add(talkers, &record, "n1"));
		top = talkers_top(talkers, true, SORT_PACKETS, 10, &n);
		assert_int_equal(n, 2);
		assert_str(top[0]->source, names[by]);
		assert_str(top[0]->what, "53/UDP policy-denied");
		assert_int_equal(top[0]->packets, 6);
		assert_str(top[1]->what, "53/UDP cut");
		talkers_top(talkers, false, SORT_PACKETS, 10, &n);
		assert_int_equal(n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(growth_counts_once),
		cmocka_unit_test(what_grew_before_the_window_does_not_count),
		cmocka_unit_test(samples_leave_the_window),
		cmocka_unit_test(beyond_the_limit_the_window_is_shorter),
		cmocka_unit_test(denies_are_rows_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
