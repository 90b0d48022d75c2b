// SPDX-License-Identifier: Apache-2.0
// half_test.c - flows that are half open: how long, at whose cost, judged by what.
#include "tests/bpf/scene.h"

#include <bpf/bpf.h>
#include <bulkhead/half.h>
#include <bulkhead/wire.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define IN BH_INGRESS
#define OUT BH_EGRESS

static const struct flow web4 = { WEB4, 40000, 80, IPPROTO_TCP }; // in
static const struct flow web6 = { WEB6, 40000, 80, IPPROTO_TCP };
static const struct flow out4 = { FRIEND4, 443, 40000, IPPROTO_TCP };
static const struct flow dns = { FRIEND4, 53, 40000, IPPROTO_UDP };

static uint32_t entries(struct bpfprog *prog)
{
	return bpfprog_endpoint(prog)->ct_count;
}

// Every half-open flow was last heard of so many seconds before, and is that much older.
static void age_half(struct bpfprog *prog, uint32_t seconds)
{
	int fd = bpfprog_map(prog, "bh_half");
	struct bh_half_bucket bucket;

	for (uint32_t i = 0; i < BPFPROG_HALF / BH_HALF_WAYS; i++) {
		assert_ok(bpf_map_lookup_elem(fd, &i, &bucket));
		for (int way = 0; way < BH_HALF_WAYS; way++) {
			struct bh_half *place = &bucket.place[way];

			bucket.last[way] -= seconds * (uint32_t)BH_TIME_HZ;
			place->flow.created -= seconds * (uint32_t)BH_TIME_HZ;
			if (bucket.tag[way])
				place->check = bh_half_check(&place->key, &place->flow);
		}
		assert_ok(bpf_map_update_elem(fd, &i, &bucket, BPF_ANY));
	}
}

static void a_handshake_becomes_a_connection_with_its_third_step(void **state)
{
	static const struct flow *const flows[] = { &web4, &web6 };
	struct bpfprog *prog = *state;

	isolate_both(prog);
	for (uint32_t i = 0; i < 2; i++) {
		assert_passes(send_tcp(prog, IN, flows[i], P_SYN), ALLOWED);
		assert_silent(send_tcp(prog, IN, flows[i], P_SYN)); // again: not judged again
		assert_silent(send_tcp(prog, OUT, flows[i], P_SYN | P_ACK));
		assert_silent(send_tcp(prog, OUT, flows[i], P_SYN | P_ACK));
		assert_int_equal(entries(prog), i);
		assert_int_equal(bpfprog_half_open(prog), 1);
		assert_silent(send_tcp(prog, IN, flows[i], P_ACK));
		assert_int_equal(entries(prog), i + 1);
		assert_int_equal(bpfprog_half_open(prog), 0);
	}
}

static void a_refused_connection_leaves_nothing(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_passes(send_tcp(prog, IN, &web4, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, OUT, &web4, P_RST | P_ACK));
	assert_int_equal(entries(prog), 0);
	assert_silent(send_tcp(prog, OUT, &web4, P_SYN | P_ACK)); // anybody could have sent that reset
	assert_silent(send_tcp(prog, OUT, &web4, P_RST | P_ACK));
	age_half(prog, BH_HALF_RESET_SEC + 1);
	assert_drops(send_tcp(prog, OUT, &web4, P_SYN | P_ACK), NOT_SYN);
}

static void short_exchanges_take_no_place_among_connections(void **state)
{
	struct bpfprog_options options = { .settles = true };
	struct bpfprog *prog = prog_new(&options);

	isolate_both(prog);
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
	assert_silent(send_tcp(prog, OUT, &dns, 0)); // A and AAAA from one socket
	assert_silent(send_tcp(prog, IN, &dns, 0));
	assert_silent(send_tcp(prog, IN, &dns, 0));
	assert_int_equal(entries(prog), 0);
	age_half(prog, BH_HALF_SETTLE_SEC);
	assert_silent(send_tcp(prog, IN, &dns, 0)); // it goes on: a connection
	assert_int_equal(entries(prog), 1);
	assert_int_equal(bpfprog_half_open(prog), 0);
	bpfprog_free(prog);
}

static void silence_ends_it(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	age_half(prog, BH_HALF_SEC - 2);
	assert_silent(send_tcp(prog, OUT, &out4, P_SYN));
	age_half(prog, BH_HALF_SEC - 2); // that SYN was heard
	assert_silent(send_tcp(prog, IN, &out4, P_SYN | P_ACK));
	age_half(prog, BH_HALF_SEC + 2);
	assert_drops(send_tcp(prog, OUT, &out4, P_ACK), NOT_SYN);
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
}

static void a_change_of_policy_is_seen_at_once(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
	change(prog, OUT, 1, false); // still allowed: judged once more, then known again
	assert_passes(send_tcp(prog, IN, &dns, 0), ALLOWED);
	assert_int_equal(bpfprog_half_open(prog), 1);
	change(prog, OUT, 2, true);
	assert_drops(send_tcp(prog, IN, &dns, 0), CUT); // the server has spoken: an entry keeps it cut
	assert_int_equal(entries(prog), 1);
	assert_drops(send_tcp(prog, IN, &dns, 0), CUT);
	assert_drops(send_tcp(prog, OUT, &dns, 0), CUT);
	change(prog, OUT, 3, false);
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
	assert_silent(send_tcp(prog, IN, &dns, 0));
}

static void an_unanswered_flow_that_is_cut_opens_nothing_backwards(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, OUT); // what comes in is open
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	change(prog, OUT, 1, true);
	assert_drops(send_tcp(prog, IN, &out4, P_SYN | P_ACK), CUT);
	assert_drops(send_tcp(prog, OUT, &out4, P_ACK), CUT);
	assert_drops(send_tcp(prog, OUT, &out4, P_SYN), CUT);
}

// R8: the other machine's SYN on a cut connection's ports gives the old connection nothing.
static void r8_a_syn_beside_a_cut_connection_revives_nothing(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, OUT);
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, IN, &out4, P_SYN | P_ACK));
	assert_silent(send_tcp(prog, OUT, &out4, P_ACK));
	change(prog, OUT, 1, true);
	assert_drops(send_data(prog, OUT, &out4), CUT);
	assert_passes(send_tcp(prog, IN, &out4, P_SYN), ALLOWED);
	assert_drops(send_data(prog, OUT, &out4), CUT);
	assert_silent(send_tcp(prog, OUT, &out4, P_SYN | P_ACK)); // whom it begins with anew, it may answer
	assert_silent(send_data(prog, IN, &out4));
	assert_int_equal(entries(prog), 1);
}

// R8: nor does it turn a live one round, which a tightened policy would then not find.
static void r8_a_syn_does_not_turn_a_live_connection(void **state)
{
	struct bpfprog *prog = *state;
	struct bh_ct ct;

	isolate(prog, OUT);
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, IN, &out4, P_SYN | P_ACK));
	assert_silent(send_tcp(prog, OUT, &out4, P_ACK));
	assert_passes(send_tcp(prog, IN, &out4, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, OUT, &out4, P_ACK)); // what hosts answer to such a SYN
	assert_true(bpfprog_ct(prog, IPPROTO_TCP, FRIEND4, 443, 40000, &ct));
	assert_true(ct.flags & BH_CT_EGRESS);
	assert_int_equal(ct.state, BH_CT_ESTABLISHED);
	change(prog, OUT, 1, true);
	assert_drops(send_data(prog, OUT, &out4), CUT);
	assert_drops(send_data(prog, IN, &out4), CUT);
}

// R8: what the pod sends on a connection that nobody knows any more is no answer to a SYN.
static void r8_a_syn_nobody_answers_lets_no_data_out(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, OUT);
	assert_passes(send_tcp(prog, IN, &web4, P_SYN), ALLOWED);
	assert_drops(send_data(prog, OUT, &web4), NOT_SYN);
	assert_drops(send_data(prog, IN, &web4), NOT_SYN);
	assert_silent(send_tcp(prog, OUT, &web4, P_ACK)); // what a host answers that has such a connection
	assert_silent(send_tcp(prog, OUT, &web4, P_SYN | P_ACK));
	assert_silent(send_data(prog, OUT, &web4));
}

// R8: a SYN of the other side makes a flow that is opening nobody else's: tightening still finds it.
static void r8_a_syn_does_not_turn_a_half_open_flow(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, OUT);
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	assert_passes(send_tcp(prog, IN, &out4, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, IN, &out4, P_SYN | P_ACK));
	assert_silent(send_tcp(prog, OUT, &out4, P_ACK));
	change(prog, OUT, 1, true);
	assert_drops(send_data(prog, OUT, &out4), CUT);
	assert_drops(send_data(prog, IN, &out4), CUT);
}

static void a_refusal_passes_beside_an_entry_that_is_over(void **state)
{
	struct bpfprog *prog = *state;
	struct bh_ct ct;

	isolate_both(prog);
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, IN, &out4, P_SYN | P_ACK));
	assert_silent(send_tcp(prog, OUT, &out4, P_ACK));
	assert_true(bpfprog_ct(prog, IPPROTO_TCP, FRIEND4, 443, 40000, &ct));
	ct.last -= (24 * 3600 + 1) * (uint32_t)BH_TIME_HZ; // and not swept yet
	ct.tick = 0;
	bpfprog_ct_set(prog, IPPROTO_TCP, FRIEND4, 443, 40000, &ct);
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, IN, &out4, P_RST | P_ACK));
}

static void an_association_opens_beside_a_cut_one(void **state)
{
	static const struct flow sctp = { FRIEND4, 9, 41000, IPPROTO_SCTP };
	struct bpfprog *prog = *state;

	isolate(prog, OUT);
	assert_passes(send_tcp(prog, OUT, &sctp, BH_SCTP_INIT), ALLOWED);
	assert_silent(send_tcp(prog, IN, &sctp, BH_SCTP_INIT_ACK));
	assert_silent(send_tcp(prog, OUT, &sctp, 10));
	change(prog, OUT, 1, true);
	assert_drops(send_tcp(prog, OUT, &sctp, 0), CUT);
	assert_passes(send_tcp(prog, IN, &sctp, BH_SCTP_INIT), ALLOWED);
	assert_drops(send_tcp(prog, OUT, &sctp, 0), CUT); // the old one's data
	assert_silent(send_tcp(prog, OUT, &sctp, BH_SCTP_INIT_ACK));
	assert_silent(send_tcp(prog, IN, &sctp, 10));
	assert_silent(send_tcp(prog, OUT, &sctp, 0));
}

static void a_cut_flow_is_remembered_while_it_talks(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, OUT); // what comes in is open
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
	change(prog, OUT, 1, true);
	for (int i = 0; i < 4; i++) {
		assert_drops(send_tcp(prog, i & 1 ? IN : OUT, &dns, 0), CUT);
		age_half(prog, BH_HALF_SEC - 2);
	}
	age_half(prog, 4);
	assert_passes(send_tcp(prog, IN, &dns, 0), ALLOWED); // silent for a minute: what comes begins
}

static void an_answered_flow_may_pause(void **state)
{
	struct bpfprog_options options = { .settles = true };
	struct bpfprog *prog = prog_new(&options);

	isolate_both(prog);
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
	assert_silent(send_tcp(prog, IN, &dns, 0));
	age_half(prog, 300); // as a connection may
	assert_silent(send_tcp(prog, IN, &dns, 0));
	bpfprog_free(prog);
}

// R11: whatever one pod floods, the other pods' handshakes have three places of each bucket.
static void r11_a_flood_takes_one_place_of_a_bucket(void **state)
{
	struct bpfprog_options options = { .half = BH_HALF_WAYS };
	struct bpfprog *a = prog_new(&options), *b;

	options.slot = 9;
	options.share = a;
	b = prog_new(&options);
	isolate_both(a);
	isolate_both(b);
	for (uint16_t i = 0; i < 3; i++) // while there is room it takes what there is
		assert_true(send_tcp(a, OUT, &(struct flow){ FRIEND4, 1, i, IPPROTO_TCP }, P_SYN).pass);
	assert_passes(send_tcp(b, OUT, &out4, P_SYN), ALLOWED);
	for (uint16_t i = 0; i < 1000; i++)
		assert_true(send_tcp(a, OUT, &(struct flow){ FRIEND4, 2, i, IPPROTO_TCP }, P_SYN).pass);
	assert_silent(send_tcp(b, IN, &out4, P_SYN | P_ACK));
	assert_silent(send_tcp(b, OUT, &out4, P_ACK));
	bpfprog_free(b);
	bpfprog_free(a);
}

// R11: many times the table; what another pod began just before it is still known.
static void r11_a_flood_takes_the_places_of_the_oldest(void **state)
{
	struct bpfprog_options options = { 0 };
	struct bpfprog *a = prog_new(&options), *b;
	uint32_t known = 0;

	options.slot = 9;
	options.share = a;
	b = prog_new(&options);
	isolate_both(a);
	isolate_both(b);
	for (int round = 0; round < 50; round++) {
		struct flow f = { FRIEND4, 443, (uint16_t)(20000 + round), IPPROTO_TCP };

		assert_passes(send_tcp(b, OUT, &f, P_SYN), ALLOWED);
		for (int i = 0; i < 64; i++) // while the answer is under way
			assert_true(send_tcp(a, OUT, &(struct flow){ FRIEND4, 1 + round, 1000 + i, IPPROTO_TCP },
					     P_SYN).pass);
		known += send_tcp(b, IN, &f, P_SYN | P_ACK).pass;
	}
	assert_int_equal(known, 50);
	assert_int_equal(entries(a) + entries(b), 0);
	bpfprog_free(b);
	bpfprog_free(a);
}

static uint32_t evicted(struct bpfprog *prog)
{
	struct bh_half_bucket bucket;
	uint32_t n = 0;

	for (uint32_t i = 0; bpf_map_lookup_elem(bpfprog_map(prog, "bh_half"), &i, &bucket) == 0; i++)
		for (int way = 0; way < BH_HALF_WAYS; way++)
			n += bucket.evicted[way];
	return n;
}

// Not one whose time is over, nor one that is what it was.
static void who_loses_his_place_is_counted(void **state)
{
	struct bpfprog *prog = prog_new(&(struct bpfprog_options){ .half = BH_HALF_WAYS });
	struct flow f = { FRIEND4, 443, 20000, IPPROTO_TCP };
	struct bh_half_bucket bucket;
	uint32_t zero = 0;

	isolate_both(prog);
	for (int i = 0; i < BH_HALF_WAYS; i++, f.local_port++) {
		assert_passes(send_tcp(prog, OUT, &f, P_SYN), ALLOWED);
		assert_true(send_tcp(prog, OUT, &f, P_SYN).pass);
	}
	assert_int_equal(evicted(prog), 0);
	for (int i = 0; i < 3; i++, f.local_port++)
		assert_passes(send_tcp(prog, OUT, &f, P_SYN), ALLOWED);
	assert_int_equal(evicted(prog), 3);
	assert_ok(bpf_map_lookup_elem(bpfprog_map(prog, "bh_half"), &zero, &bucket));
	for (int way = 0; way < BH_HALF_WAYS; way++)
		bucket.last[way] -= (BH_HALF_SEC + 2) * (uint32_t)BH_TIME_HZ;
	assert_ok(bpf_map_update_elem(bpfprog_map(prog, "bh_half"), &zero, &bucket, BPF_ANY));
	assert_passes(send_tcp(prog, OUT, &f, P_SYN), ALLOWED);
	assert_int_equal(evicted(prog), 3);
	bpfprog_free(prog);
}

// What two writers mixed, or anybody else wrote, is no flow.
static void a_place_whose_check_is_wrong_is_empty(void **state)
{
	struct bpfprog *prog = *state;
	int fd = bpfprog_map(prog, "bh_half");
	struct bh_half_bucket bucket;

	isolate_both(prog);
	for (size_t field = 0; field < offsetof(struct bh_half_flow, replied) / 4; field++) {
		assert_true(send_tcp(prog, OUT, &out4, P_SYN).pass);
		for (uint32_t i = 0; i < BPFPROG_HALF / BH_HALF_WAYS; i++) {
			assert_ok(bpf_map_lookup_elem(fd, &i, &bucket));
			for (int way = 0; way < BH_HALF_WAYS; way++)
				((uint32_t *)&bucket.place[way].flow)[field] ^= 1;
			assert_ok(bpf_map_update_elem(fd, &i, &bucket, BPF_ANY));
		}
		assert_drops(send_tcp(prog, IN, &out4, P_SYN | P_ACK), NOT_SYN);
	}
}

// A stranger behind the node's address, on the ports of a flow that only the node may have.
static void nobody_inherits_the_nodes_flow(void **state)
{
	static const struct flow probe = { NODE4, 45001, 9999, IPPROTO_UDP };
	struct bpfprog_ctx host = { .ingress_ifindex = 0 }, stranger = { .ingress_ifindex = 77 };
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	bpfprog_host(prog, NODE4, BH_HOST_LOCAL);
	segment(&p, IN, &probe, 0, 4);
	assert_passes(bpfprog_run(prog, IN, &p, &host), OWN_NODE);
	assert_drops(bpfprog_run(prog, IN, &p, &stranger), POLICY_DENIED); // half open
	assert_silent(send_tcp(prog, OUT, &probe, 0));
	assert_silent(bpfprog_run(prog, IN, &p, &host));
	assert_int_equal(entries(prog), 1);
	assert_drops(bpfprog_run(prog, IN, &p, &stranger), POLICY_DENIED); // and a connection
	assert_silent(bpfprog_run(prog, IN, &p, &host));
}

// The pod may reach its node at every port; what answers from behind the node's address is not the node.
static void a_nodes_port_that_leads_elsewhere_gives_no_connection(void **state)
{
	static const struct flow port = { NODE4, 30080, 41000, IPPROTO_TCP };
	struct bpfprog_ctx host = { .ingress_ifindex = 0 }, elsewhere = { .ingress_ifindex = 77 };
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	bpfprog_host(prog, NODE4, BH_HOST_LOCAL | BH_HOST_NODE);
	assert_passes(send_tcp(prog, OUT, &port, P_SYN), OWN_NODE);
	segment(&p, IN, &port, P_SYN | P_ACK, 0);
	assert_drops(bpfprog_run(prog, IN, &p, &elsewhere), POLICY_DENIED);
	assert_silent(bpfprog_run(prog, IN, &p, &host));
}

static void places_are_spread_by_the_secret(void **state)
{
	uint32_t secret[2][BH_SECRET_WORDS], hits[64] = { 0 }, same = 0;
	struct bh_ct6_key key = { .remote = { 0, 0, 0xffff0000, 0x0100000a }, .proto = IPPROTO_TCP };

	for (int i = 0; i < BH_SECRET_WORDS; i++) {
		secret[0][i] = (uint32_t)random() * 2 + 1;
		secret[1][i] = (uint32_t)random() * 2 + 1;
	}
	for (uint32_t i = 0; i < 64 * 256; i++) {
		struct bh_half_place one, two;

		key.local_port = (uint16_t)i;
		one = bh_half_place(&key, secret[0], 64);
		two = bh_half_place(&key, secret[1], 64);
		assert_true(one.bucket < 64 && one.tag);
		hits[one.bucket]++;
		same += one.bucket == two.bucket;
	}
	for (int i = 0; i < 64; i++)
		assert_in_range(hits[i], 128, 512); // 256 each if it were even
	assert_in_range(same, 64, 1024); // another secret, other buckets: one in 64 by chance
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_handshake_becomes_a_connection_with_its_third_step),
		TEST(a_refused_connection_leaves_nothing),
		TEST(short_exchanges_take_no_place_among_connections),
		TEST(silence_ends_it),
		TEST(a_change_of_policy_is_seen_at_once),
		TEST(an_unanswered_flow_that_is_cut_opens_nothing_backwards),
		TEST(r8_a_syn_beside_a_cut_connection_revives_nothing),
		TEST(r8_a_syn_does_not_turn_a_live_connection),
		TEST(r8_a_syn_nobody_answers_lets_no_data_out),
		TEST(r8_a_syn_does_not_turn_a_half_open_flow),
		TEST(a_refusal_passes_beside_an_entry_that_is_over),
		TEST(an_association_opens_beside_a_cut_one),
		TEST(a_cut_flow_is_remembered_while_it_talks),
		TEST(an_answered_flow_may_pause),
		cmocka_unit_test(who_loses_his_place_is_counted),
		cmocka_unit_test(r11_a_flood_takes_one_place_of_a_bucket),
		TEST(r11_a_flood_takes_the_places_of_the_oldest),
		TEST(a_place_whose_check_is_wrong_is_empty),
		TEST(nobody_inherits_the_nodes_flow),
		TEST(a_nodes_port_that_leads_elsewhere_gives_no_connection),
		cmocka_unit_test(places_are_spread_by_the_secret),
	};

	return cmocka_run_group_tests_name("half", tests, NULL, NULL);
}
