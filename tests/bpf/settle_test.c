// SPDX-License-Identifier: Apache-2.0
// settle_test.c - a half-open flow becomes a connection while a packet of it is between the two tables: it has an
// entry, which that packet missed, and its place is free before that packet looks there.
#include "tests/bpf/stall_reader.h"

#define AT_ONCE 31 // half_scale: an answered flow without a handshake is a connection with its next packet

static int settle_setup(void **state)
{
	if (net_fresh(NULL))
		return -1;
	live_start(&live, &rig_config);
	live_pod(&live, "a", "p", "'app':'p'", "10.1.0.5", "fd00:1::5");
	load_judges(AT_ONCE);
	peer("a1", "'g':'1'", "10.2.0.1 fd00:2::1");
	live_policy(&live, "a", "out", "p", OUT, TO("'g':'1'", PORT(53) ",{'port':53,'protocol':'UDP'}"));
	live_policy(&live, "a", "none", "p", IN, FROM("'g':'2'", PORT(1)));
	live_apply(&live);
	return 0;
}

static int settle_teardown(void **state)
{
	stall_bpf__destroy(skel);
	live_stop(&live);
	return 0;
}

static uint32_t connections(void)
{
	return tables_endpoint(live.tables, 0)->ct_count;
}

// The flow is as open as it can be; a packet in `dir` is held, and the one that makes it a connection overtakes it.
static void overtake(const struct live_flow *flow, enum bh_dir dir)
{
	uint32_t before = connections();
	struct reader reader;

	assert_true(live_send(&live, flow, OUT, P_SYN));
	assert_true(live_send(&live, flow, IN, P_SYN | P_ACK));
	reader = (struct reader){ .flow = *flow, .known = true, .dir = dir };
	assert_true(reader_start_between(&reader));
	assert_true(live_send(&live, flow, OUT, P_ACK));
	assert_int_equal(connections(), before + 1);
	assert_true(reader_end(&reader));
	assert_true(reader.pass);
	assert_int_equal(connections(), before + 1);
	assert_true(live_flows(&live, flow, IN));
}

static void each_way(const char *remote, uint8_t proto)
{
	for (uint16_t port = 0; port < 2; port++) {
		const struct live_flow flow = { 0, OUT, remote, proto, 53, (uint16_t)(40000 + port) };

		overtake(&flow, port ? IN : OUT);
	}
}

static void a_datagram_that_misses_both_tables_is_of_its_flow(void **state)
{
	each_way("10.2.0.1", IPPROTO_UDP);
	each_way("fd00:2::1", IPPROTO_UDP);
}

static void a_segment_that_misses_both_tables_is_of_its_connection(void **state)
{
	each_way("10.2.0.1", IPPROTO_TCP);
	each_way("fd00:2::1", IPPROTO_TCP);
}

// What is of no flow is held in the same place, and has none afterwards.
static void a_datagram_of_no_flow_stays_denied(void **state)
{
	struct reader reader = { .flow = { 0, OUT, "10.2.0.1", IPPROTO_UDP, 53, 41000 }, .dir = IN };

	assert_true(reader_start_between(&reader));
	assert_true(reader_end(&reader));
	assert_false(reader.pass);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, settle_setup, settle_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(a_datagram_that_misses_both_tables_is_of_its_flow),
		TEST(a_segment_that_misses_both_tables_is_of_its_connection),
		TEST(a_datagram_of_no_flow_stays_denied),
	};

	return reader_main() < 0 ? 1 : cmocka_run_group_tests_name("settle", tests, NULL, NULL);
}
