// SPDX-License-Identifier: Apache-2.0
// account_test.c - every packet is counted once and exactly; full tables and used-up shares have defined
// results and a counter.
#include "tests/bpf/scene.h"

#include <bpf/bpf.h>

#include <arpa/inet.h>

#define IN BH_INGRESS
#define OUT BH_EGRESS

static const struct flow web4 = { WEB4, 40000, 80, IPPROTO_TCP };
static const struct flow foe4 = { FOE4, 40000, 80, IPPROTO_TCP };

static void drops_are_counted_exactly(void **state)
{
	struct bpfprog_ctx gso = { .ingress_ifindex = 1, .gso_size = 100, .gso_segs = 5 };
	struct bpfprog *prog = *state;
	struct bh_count total;
	struct packet p;

	isolate_both(prog);
	for (int i = 0; i < 7; i++)
		assert_drops(send_tcp(prog, IN, &foe4, P_SYN), POLICY_DENIED);
	segment(&p, IN, &foe4, P_SYN, 500);
	assert_drops(bpfprog_run(prog, IN, &p, &gso), POLICY_DENIED);
	total = bpfprog_total(prog, IN, BH_REASON_POLICY_DENIED, rule_of(IN, 3, 1));
	assert_int_equal(total.packets, 7 + 5);
	assert_int_equal(total.bytes, 7 * 40 + 540); // L3
	assert_int_equal(bpfprog_count(prog, IN).packets, 0);
}

static void judgements_that_allow_are_counted_not_packets(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_passes(send_tcp(prog, IN, &web4, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, OUT, &web4, P_SYN | P_ACK));
	for (int i = 0; i < 9; i++)
		assert_silent(send_tcp(prog, IN, &web4, P_ACK));
	assert_int_equal(bpfprog_total(prog, IN, BH_REASON_ALLOWED, rule_of(IN, 2, 1)).packets, 1);
	assert_int_equal(bpfprog_count(prog, IN).packets, 10);
	assert_int_equal(bpfprog_count(prog, IN).bytes, 400);
	assert_int_equal(bpfprog_count(prog, OUT).packets, 1);
}

static void recording_counts_each_flow_by_direction(void **state)
{
	struct bpfprog_options options = { .features = BH_FEATURE_TRACK | BH_FEATURE_RECORD };
	struct bpfprog_ctx gso = { .ingress_ifindex = 1, .gso_size = 100, .gso_segs = 4 };
	struct bpfprog *prog = prog_new(&options);
	struct packet p;
	struct bh_ct ct;

	isolate_both(prog);
	assert_passes(send_tcp(prog, IN, &web4, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, OUT, &web4, P_SYN | P_ACK));
	segment(&p, IN, &web4, P_ACK, 400);
	assert_silent(bpfprog_run(prog, IN, &p, &gso));
	assert_true(bpfprog_ct(prog, IPPROTO_TCP, WEB4, 40000, 80, &ct));
	assert_int_equal(ct.packets[IN], 1 + 4);
	assert_int_equal(ct.bytes[IN], 40 + 440);
	assert_int_equal(ct.packets[OUT], 1);
	assert_int_equal(ct.bytes[OUT], 40);
	bpfprog_free(prog);
}

static void totals_that_find_no_room_are_counted(void **state)
{
	struct bpfprog_options options = { .totals = 1 };
	struct bpfprog *prog = prog_new(&options);

	isolate_both(prog);
	assert_drops(send_tcp(prog, IN, &foe4, P_SYN), POLICY_DENIED);
	for (int i = 0; i < 64; i++)
		assert_drops(send_tcp(prog, OUT, &foe4, P_ACK), NONE);
	assert_true(bpfprog_stat(prog, BH_STAT_TOTAL_OVERFLOW) >= 60);
	bpfprog_free(prog);
}

static struct bh_denied denied(struct bpfprog *prog, enum bh_dir dir, const char *remote,
			       uint16_t port, enum bh_reason reason, uint32_t rule)
{
	struct bh_addr addr = packet_addr(remote);
	struct bh_denied_key key = {
		.ident = bpfprog_ident(prog),
		.rule = rule,
		.port = htons(port),
		.proto = IPPROTO_TCP,
		.dir = dir,
		.reason = reason,
	};
	struct bh_denied value = {};

	memcpy(key.remote, &addr, sizeof(addr));
	bpf_map_lookup_elem(bpfprog_map(prog, "bh_denied"), &key, &value);
	return value;
}

static void denies_are_aggregated_by_the_service_side_port(void **state)
{
	struct bpfprog *prog = *state;
	struct bh_denied value;

	isolate_both(prog);
	for (uint16_t port = 40000; port < 40010; port++)
		assert_drops(
			send_tcp(prog, IN, &(struct flow){ FOE4, port, 80, IPPROTO_TCP }, P_SYN),
			POLICY_DENIED);
	value = denied(prog, IN, FOE4, 80, BH_REASON_POLICY_DENIED, rule_of(IN, 3, 1));
	assert_int_equal(value.packets, 10);
	assert_int_equal(value.bytes, 400);
	assert_true(bpfprog_now() - value.first < 2 * BH_TIME_HZ);
	assert_true(bpfprog_now() - value.last < 2 * BH_TIME_HZ);
	assert_int_equal(bpfprog_endpoint(prog)->denied_count, 1);
}

static void packets_of_a_cut_flow_name_its_service_and_direction_both_ways(void **state)
{
	struct bpfprog *prog = *state;
	uint32_t rule = rule_of(IN, 2, 1);

	isolate_both(prog);
	assert_passes(send_tcp(prog, IN, &web4, P_SYN), ALLOWED);
	change(prog, IN, 1, true);
	assert_drops(send_tcp(prog, OUT, &web4, P_SYN | P_ACK), CUT);
	assert_drops(send_tcp(prog, IN, &web4, P_ACK), CUT);
	assert_int_equal(denied(prog, IN, WEB4, 80, BH_REASON_CUT, rule).packets, 2);
	assert_int_equal(bpfprog_endpoint(prog)->denied_count, 1);
}

static void denied_detail_has_a_share_and_an_overflow(void **state)
{
	struct bpfprog_options options = { .denied_quota = 4 };
	struct bpfprog *prog = prog_new(&options);

	isolate_both(prog);
	for (uint16_t port = 1; port <= 10; port++)
		assert_drops(send_tcp(prog, OUT, &(struct flow){ FOE4, port, 40000, IPPROTO_TCP },
				      P_SYN),
			     POLICY_DENIED);
	assert_int_equal(bpfprog_endpoint(prog)->denied_count, 4);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_DENIED_OVERFLOW), 6);
	assert_drops(send_tcp(prog, OUT, &(struct flow){ FOE4, 1, 40000, IPPROTO_TCP }, P_SYN),
		     POLICY_DENIED);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_DENIED_OVERFLOW),
			 6); // what has room goes on counting
	bpfprog_free(prog);
}

static void source_checks_leave_no_detail(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	segment(&p, OUT, &web4, P_SYN, 0);
	p.data[11] ^= 1;
	assert_drops(bpfprog_run(prog, OUT, &p, NULL), SPOOFED_MAC);
	assert_int_equal(bpfprog_endpoint(prog)->denied_count, 0);
}

// ---- full tables ------------------------------------------------------------------------------------------------------------
static uint32_t flood(struct bpfprog *prog, enum bh_dir dir, uint32_t n, enum bh_reason *retlast)
{
	struct bpfprog_result result;
	uint32_t passed = 0;

	for (uint32_t i = 0; i < n; i++) {
		result = send_tcp(prog, dir, &(struct flow){ FRIEND4, 2000 + i, 3000, IPPROTO_TCP },
				  P_SYN);
		passed += result.pass;
		*retlast = result.reason;
	}
	return passed;
}

// Connections of both sides, one after the other; how many have an entry then. *retlast: why the last third
// step did not pass.
static uint32_t connect_all(struct bpfprog *prog, uint32_t n, enum bh_reason *retlast)
{
	for (uint32_t i = 0; i < n; i++) {
		struct flow f = { FRIEND4, 2000 + i, 3000, IPPROTO_TCP };

		assert_passes(send_tcp(prog, OUT, &f, P_SYN), ALLOWED);
		assert_silent(send_tcp(prog, IN, &f, P_SYN | P_ACK));
		*retlast = send_tcp(prog, OUT, &f, P_ACK).reason;
	}
	return bpfprog_endpoint(prog)->ct_count;
}

// What nobody answers takes no place that connections need.
static void r11_a_flood_without_answers_uses_up_nothing(void **state)
{
	struct bpfprog_options options = { .ct_quota = 32 };
	struct bpfprog *prog = prog_new(&options);
	enum bh_reason last;

	isolate_both(prog);
	assert_int_equal(flood(prog, IN, 5000, &last), 5000);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	assert_int_equal(connect_all(prog, 32, &last), 32);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_CT_QUOTA), 0);
	bpfprog_free(prog);
}

// Beyond the share a connection is not made, and is as soon as there is room; exchanges without a handshake go on.
static void r11_beyond_its_share_a_pod_waits_for_room(void **state)
{
	struct bpfprog_options options = { .ct_quota = 16, .half = 4096 };
	static const struct flow late = { FRIEND4, 2039, 3000, IPPROTO_TCP };
	static const struct flow udp = { FRIEND4, 53, 3000, IPPROTO_UDP };
	struct bpfprog *prog = prog_new(&options);
	enum bh_reason last;

	isolate_both(prog);
	assert_int_equal(connect_all(prog, 40, &last), 16);
	assert_int_equal(last, BH_REASON_CT_QUOTA);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_CT_QUOTA), 24);
	assert_passes(send_tcp(prog, OUT, &udp, 0), ALLOWED);
	assert_silent(send_tcp(prog, IN, &udp, 0));
	assert_silent(send_tcp(prog, OUT, &udp, 0));
	assert_silent(send_data(prog, IN, &(struct flow){ FRIEND4, 2000, 3000, IPPROTO_TCP }));
	assert_drops(send_tcp(prog, IN, &foe4, P_SYN), POLICY_DENIED);
	bpfprog_endpoint(prog)->ct_count--;
	assert_silent(send_data(prog, OUT, &late));
	change(prog, OUT, 1, true);
	assert_drops(send_data(prog, IN, &late), CUT);
	assert_drops(send_tcp(prog, IN, &udp, 0), CUT);
	bpfprog_free(prog);
}

static void r11_one_pods_connections_leave_the_others_their_share(void **state)
{
	struct bpfprog_options options = { .ct_quota = 32 };
	struct bpfprog *a = prog_new(&options), *b;
	enum bh_reason last;

	options.slot = 9;
	options.share = a;
	b = prog_new(&options);
	isolate_both(a);
	isolate_both(b);
	assert_int_equal(connect_all(a, 64, &last), 32);
	assert_int_equal(connect_all(b, 32, &last), 32);
	bpfprog_free(b);
	bpfprog_free(a);
}

static void r11_full_table_makes_no_connection_and_judges_as_before(void **state)
{
	struct bpfprog_options options = { .ct = 64, .half = 4096 };
	struct bpfprog *prog = prog_new(&options);
	enum bh_reason last;
	uint32_t made;

	isolate_both(prog);
	made = connect_all(prog, 200, &last);
	assert_in_range(made, 63, 63 + 16); // spare elements of a few CPUs
	assert_int_equal(last, BH_REASON_CT_FULL);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_CT_FULL), 200 - made);
	assert_drops(send_tcp(prog, IN, &foe4, P_SYN), POLICY_DENIED);
	bpfprog_free(prog);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(drops_are_counted_exactly),
		TEST(judgements_that_allow_are_counted_not_packets),
		TEST(recording_counts_each_flow_by_direction),
		TEST(totals_that_find_no_room_are_counted),
		TEST(denies_are_aggregated_by_the_service_side_port),
		TEST(packets_of_a_cut_flow_name_its_service_and_direction_both_ways),
		TEST(denied_detail_has_a_share_and_an_overflow),
		TEST(source_checks_leave_no_detail),
		TEST(r11_a_flood_without_answers_uses_up_nothing),
		TEST(r11_beyond_its_share_a_pod_waits_for_room),
		TEST(r11_one_pods_connections_leave_the_others_their_share),
		TEST(r11_full_table_makes_no_connection_and_judges_as_before),
	};

	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}
