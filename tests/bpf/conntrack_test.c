// SPDX-License-Identifier: Apache-2.0
// conntrack_test.c - the life of connections: TCP, UDP, ICMP, SCTP; who began them; how they end.
#include "tests/bpf/scene.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS

static const struct flow web4 = { WEB4, 40000, 80, IPPROTO_TCP }; // in
static const struct flow web6 = { WEB6, 40000, 80, IPPROTO_TCP };
static const struct flow out4 = { FRIEND4, 443, 40000, IPPROTO_TCP }; // out
static const struct flow dns = { WEB4, 53, 5353, IPPROTO_UDP }; // out

static void handshake(struct bpfprog *prog, enum bh_dir dir, const struct flow *f)
{
	assert_passes(send_tcp(prog, dir, f, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, !dir, f, P_SYN | P_ACK));
	assert_silent(send_tcp(prog, dir, f, P_ACK));
}

static uint8_t state_of(struct bpfprog *prog, const struct flow *f)
{
	struct bh_ct ct;

	assert_true(bpfprog_ct(prog, f->proto, f->remote, f->remote_port, f->local_port, &ct));
	return ct.state;
}

static void age(struct bpfprog *prog, const struct flow *f, uint32_t sec)
{
	struct bh_ct ct;

	assert_true(bpfprog_ct(prog, f->proto, f->remote, f->remote_port, f->local_port, &ct));
	ct.last = bpfprog_now() - sec * (uint32_t)BH_TIME_HZ;
	ct.tick = 0; // have it looked at
	bpfprog_ct_set(prog, f->proto, f->remote, f->remote_port, f->local_port, &ct);
}

static void tcp_lives_and_ends(void **state)
{
	const struct flow *flows[] = { &web4, &web6 };
	struct bpfprog *prog = *state;

	isolate_both(prog);
	for (int i = 0; i < 2; i++) {
		handshake(prog, IN, flows[i]);
		assert_int_equal(state_of(prog, flows[i]), BH_CT_ESTABLISHED);
		assert_silent(send_data(prog, OUT, flows[i]));
		assert_silent(send_tcp(prog, IN, flows[i], P_FIN | P_ACK));
		assert_int_equal(state_of(prog, flows[i]), BH_CT_FIN);
		assert_silent(
			send_data(prog, OUT, flows[i])); // half-closed: the answer still comes
		assert_int_equal(state_of(prog, flows[i]), BH_CT_FIN);
		assert_silent(send_tcp(prog, OUT, flows[i], P_FIN | P_ACK));
		assert_int_equal(state_of(prog, flows[i]), BH_CT_CLOSED);
		assert_silent(send_tcp(prog, IN, flows[i], P_ACK));
		assert_int_equal(state_of(prog, flows[i]), BH_CT_CLOSED);
	}
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 2);
}

static void r12_ingress_policy_leaves_egress_alone_and_replies_flow(void **state)
{
	static const struct flow foe = { FOE4, 443, 40001, IPPROTO_TCP };
	struct bpfprog *prog = *state;

	isolate(prog, IN);
	handshake(prog, OUT, &foe);
	assert_silent(send_data(prog, IN, &foe));
	assert_drops(send_tcp(prog, IN, &foe, P_SYN), POLICY_DENIED);
	assert_silent(send_data(prog, IN, &foe));
}

static void segment_without_connection_is_dropped(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_drops(send_data(prog, IN, &web4), NOT_SYN);
	assert_drops(send_tcp(prog, OUT, &web4, P_SYN | P_ACK), NOT_SYN);
	assert_drops(send_tcp(prog, OUT, &out4, P_RST), NOT_SYN);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
}

static void r8_syn_of_the_responder_is_judged_in_its_own_direction(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	handshake(prog, IN, &web4); // web may reach port 80; the pod may not reach web's port 40000
	assert_drops(send_tcp(prog, OUT, &web4, P_SYN), POLICY_DENIED);
	assert_silent(send_data(prog, OUT, &web4)); // the entry was not touched
	assert_int_equal(state_of(prog, &web4), BH_CT_ESTABLISHED);
}

static void simultaneous_open_is_two_judgements(void **state)
{
	struct bpfprog *prog = *state;
	struct bh_ct ct;

	isolate_both(prog);
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	assert_passes(send_tcp(prog, IN, &out4, P_SYN), ALLOWED); // a friend may begin, too
	assert_silent(send_tcp(prog, OUT, &out4, P_SYN | P_ACK));
	assert_silent(send_tcp(prog, IN, &out4, P_SYN | P_ACK));
	assert_silent(send_data(prog, IN, &out4));
	assert_silent(send_data(prog, OUT, &out4));
	assert_int_equal(state_of(prog, &out4), BH_CT_ESTABLISHED);
	assert_true(bpfprog_ct(prog, IPPROTO_TCP, FRIEND4, 443, 40000, &ct));
	assert_true(ct.flags & BH_CT_EGRESS); // who began first
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 1);
}

static void spoofed_reset_is_healed_by_data_of_both_sides(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	handshake(prog, OUT, &out4);
	assert_silent(send_tcp(prog, IN, &out4, P_RST));
	assert_int_equal(state_of(prog, &out4), BH_CT_CLOSED);
	assert_silent(send_data(prog, OUT, &out4));
	assert_int_equal(state_of(prog, &out4), BH_CT_CLOSED); // one side proves nothing
	assert_silent(send_data(prog, IN, &out4));
	assert_int_equal(state_of(prog, &out4), BH_CT_ESTABLISHED);
}

static void spoofed_fin_is_healed_by_data_of_that_side(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	handshake(prog, OUT, &out4);
	assert_silent(send_tcp(prog, IN, &out4, P_FIN | P_ACK));
	assert_int_equal(state_of(prog, &out4), BH_CT_FIN);
	assert_silent(send_data(prog, IN, &out4));
	assert_int_equal(state_of(prog, &out4), BH_CT_ESTABLISHED);
}

static void ports_of_a_closed_connection_are_judged_anew(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	handshake(prog, OUT, &out4);
	assert_silent(send_tcp(prog, IN, &out4, P_RST));
	assert_passes(send_tcp(prog, OUT, &out4, P_SYN), ALLOWED);
	assert_int_equal(state_of(prog, &out4), BH_CT_CLOSED); // until somebody answers
	assert_silent(send_tcp(prog, IN, &out4, P_SYN | P_ACK));
	assert_int_equal(state_of(prog, &out4), BH_CT_REPLY);
	assert_silent(send_tcp(prog, OUT, &out4, P_ACK));
	assert_int_equal(state_of(prog, &out4), BH_CT_ESTABLISHED);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 1);
}

static void udp_answers_pass_and_are_counted_as_such(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
	assert_silent(send_tcp(prog, IN, &dns, 0));
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	assert_silent(send_tcp(prog, IN, &dns, 0));
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 1);
	assert_int_equal(state_of(prog, &dns), BH_CT_REPLY);
}

static void r10_udp_gap_of_five_minutes_survives_an_hour_of_tcp_too(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
	assert_silent(send_tcp(prog, IN, &dns, 0));
	assert_silent(send_tcp(prog, IN, &dns, 0));
	age(prog, &dns, 300);
	assert_silent(send_tcp(prog, IN, &dns, 0));
	handshake(prog, OUT, &out4);
	age(prog, &out4, 23 * 3600);
	assert_silent(send_data(prog, IN, &out4));
}

// The factor in the programs' read-only data shortens every time-out alike, and nothing that is within one goes.
static void r10_time_outs_follow_the_factor(void **state)
{
	struct bpfprog_options options = { .ct_scale = 4 };
	struct bpfprog *prog = prog_new(&options);

	isolate_both(prog);
	for (int i = 0; i < 3; i++)
		send_tcp(prog, i ? IN : OUT, &dns, 0);
	age(prog, &dns, 300 / 16); // five minutes of silence
	assert_silent(send_tcp(prog, IN, &dns, 0));
	age(prog, &dns, 360 / 16 + 1);
	assert_drops(send_tcp(prog, IN, &dns, 0), POLICY_DENIED);
	handshake(prog, OUT, &out4);
	age(prog, &out4, 3600 / 16); // an idle hour
	assert_silent(send_data(prog, IN, &out4));
	age(prog, &out4, 23 * 3600 / 16);
	assert_silent(send_data(prog, IN, &out4));
	age(prog, &out4, 24 * 3600 / 16 + 1);
	assert_drops(send_data(prog, IN, &out4), NOT_SYN);
	bpfprog_free(prog);
}

static void expired_hit_is_a_miss(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
	assert_silent(send_tcp(prog, IN, &dns, 0));
	assert_silent(send_tcp(prog, IN, &dns, 0));
	age(prog, &dns, 361);
	assert_drops(send_tcp(prog, IN, &dns, 0), POLICY_DENIED);
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
	handshake(prog, IN, &web4);
	age(prog, &web4, 24 * 3600 + 1);
	assert_drops(send_data(prog, IN, &web4), NOT_SYN);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 2);
}

static void a_hit_writes_last_seen_only_when_stale(void **state)
{
	struct bpfprog *prog = *state;
	struct bh_ct ct;
	uint32_t now;

	isolate_both(prog);
	handshake(prog, IN, &web4);
	assert_true(bpfprog_ct(prog, IPPROTO_TCP, WEB4, 40000, 80, &ct));
	now = bpfprog_now();
	ct.last = now - 300; // a third of a second, and looked at in this very tick
	bpfprog_ct_set(prog, IPPROTO_TCP, WEB4, 40000, 80, &ct);
	assert_silent(send_data(prog, IN, &web4));
	assert_true(bpfprog_ct(prog, IPPROTO_TCP, WEB4, 40000, 80, &ct));
	assert_int_equal(ct.last, now - 300);
	age(prog, &web4, 2);
	assert_silent(send_data(prog, IN, &web4));
	assert_true(bpfprog_ct(prog, IPPROTO_TCP, WEB4, 40000, 80, &ct));
	assert_true(bpfprog_now() - ct.last < 512);
}

static void r27_echo_id_is_the_requesters_port(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_passes(send_icmp(prog, OUT, FRIEND4, 8, 77), ALLOWED);
	assert_silent(send_icmp(prog, IN, FRIEND4, 0, 77));
	assert_drops(send_icmp(prog, IN, FRIEND4, 0, 78), ICMP_UNRELATED);
	// the same id the other way is another flow
	assert_passes(send_icmp(prog, IN, FRIEND4, 8, 77), ALLOWED);
	assert_silent(send_icmp(prog, OUT, FRIEND4, 0, 77));
	assert_passes(send_icmp(prog, OUT, FRIEND6, 128, 5), ALLOWED);
	assert_silent(send_icmp(prog, IN, FRIEND6, 129, 5));
	assert_int_equal(bpfprog_half_open(prog), 3);
}

static void r27_icmp_needs_a_rule_without_ports(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	// id 80 and 53: were they read as ports, web would be allowed
	assert_drops(send_icmp(prog, IN, WEB4, 8, 80), POLICY_DENIED);
	assert_drops(send_icmp(prog, OUT, WEB4, 8, 53), POLICY_DENIED);
	assert_drops(send_icmp(prog, IN, WEB6, 128, 80), POLICY_DENIED);
}

static void request_with_id_0_of_the_responder_is_judged(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, OUT);
	assert_passes(send_icmp(prog, IN, FOE4, 8, 0), ALLOWED);
	assert_silent(send_icmp(prog, OUT, FOE4, 0, 0));
	assert_drops(send_icmp(prog, OUT, FOE4, 8, 0), POLICY_DENIED);
}

static void r37_sctp_init_from_both_sides(void **state)
{
	static const struct flow in = { WEB4, 40000, 7, IPPROTO_SCTP };
	static const struct flow out = { WEB4, 7, 40000, IPPROTO_SCTP };
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_passes(send_tcp(prog, IN, &in, 1), ALLOWED);
	assert_silent(send_tcp(prog, OUT, &in, 2));
	assert_drops(send_tcp(prog, OUT, &in, 1), POLICY_DENIED); // port 40000
	assert_passes(send_tcp(prog, OUT, &out, 1), ALLOWED);
	assert_silent(send_tcp(prog, IN, &out, 2));
}

static void sctp_is_not_tcp(void **state)
{
	static const struct flow tcp_port = { WEB4, 40000, 80, IPPROTO_SCTP };
	struct bpfprog *prog = *state;

	isolate_both(prog);
	assert_drops(send_tcp(prog, IN, &tcp_port, 1), POLICY_DENIED);
}

// ... though bytes where ports would be are those of a rule. IPIP, IPv6 in IP, GRE, ESP, DCCP, UDP-Lite, and the
// other family's ICMP; 0 is a header of the chain in IPv6.
static void r24_protocols_without_ports_need_a_port_less_rule(void **state)
{
	static const uint8_t protos[] = { 0, 1, 2, 4, 33, 41, 47, 50, 58, 136, 255 };
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (size_t i = 0; i < sizeof(protos) * 4; i++) {
		enum bh_dir dir = i / 2 & 1;
		uint8_t proto = protos[i / 4];
		bool v6 = i & 1;

		if (proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) || (v6 && !proto))
			continue;
		frame(&p, dir, v6 ? WEB6 : WEB4, proto);
		packet_udp(&p, 80, 80);
		packet_end(&p);
		assert_drops(bpfprog_run(prog, dir, &p, NULL), POLICY_DENIED);
		frame(&p, dir, v6 ? FRIEND6 : FRIEND4, proto);
		packet_data(&p, 40);
		packet_end(&p);
		if (dir == IN)
			assert_passes(bpfprog_run(prog, IN, &p, NULL), ALLOWED);
		assert_silent(bpfprog_run(prog, dir, &p, NULL)); // one flow per protocol, either way
	}
}

static void r7_two_pods_of_one_node_share_no_entry(void **state)
{
	struct bpfprog_options other = { .slot = 9, .share = *state };
	static const struct flow f = { FRIEND4, 80, 80, IPPROTO_TCP };
	struct bpfprog *a = *state, *b = prog_new(&other);

	isolate_both(a);
	isolate_both(b);
	assert_passes(send_tcp(a, OUT, &f, P_SYN), ALLOWED);
	assert_drops(send_tcp(b, IN, &f, P_SYN | P_ACK), NOT_SYN);
	assert_silent(send_tcp(a, IN, &f, P_SYN | P_ACK));
	bpfprog_free(b);
}

// Another pod of the same node, with FRIEND's addresses; it sees the first one as somebody of class 2.
static struct bpfprog *neighbour(struct bpfprog *share)
{
	struct bpfprog_options options = { .slot = 9, .share = share };
	struct bpfprog *prog = prog_new(&options);
	struct bh_endpoint *ep = bpfprog_endpoint(prog);
	struct bh_addr addr6 = packet_addr(FRIEND6);

	ep->addr4 = packet_addr(FRIEND4).w[3];
	memcpy(ep->addr6, &addr6, sizeof(ep->addr6));
	memcpy(ep->mac, peer_mac, sizeof(ep->mac));
	ep->ifindex = POD_IFINDEX + 1;
	isolate_both(prog);
	bpfprog_peer(prog, POD4, 2);
	bpfprog_peer(prog, POD6, 2);
	return prog;
}

// One frame from one pod to the other, by how the first one sees the flow: known where it leaves and where it arrives.
static void crosses(struct bpfprog *const pods[2], int from, const struct flow *f, uint8_t flags)
{
	struct packet p;

	segment(&p, from ? IN : OUT, f, flags, 0);
	assert_silent(bpfprog_run(pods[from], OUT, &p, NULL));
	assert_silent(bpfprog_run(pods[!from], IN, &p, NULL));
}

static void entries_are(struct bpfprog *const pods[2], bool v6, uint32_t gen_a, uint32_t gen_b)
{
	struct bh_ct ct;

	assert_true(bpfprog_ct(pods[0], IPPROTO_TCP, v6 ? FRIEND6 : FRIEND4, 80, 40000, &ct));
	assert_int_equal(ct.state, BH_CT_ESTABLISHED);
	assert_int_equal(ct.gen, gen_a);
	assert_true(bpfprog_ct(pods[1], IPPROTO_TCP, v6 ? POD6 : POD4, 40000, 80, &ct));
	assert_int_equal(ct.state, BH_CT_ESTABLISHED);
	assert_int_equal(ct.gen, gen_b);
}

static void between_two(struct bpfprog *const pods[2], bool v6)
{
	const struct flow f = { v6 ? FRIEND6 : FRIEND4, 80, 40000, IPPROTO_TCP };
	struct packet p;

	segment(&p, OUT, &(struct flow){ f.remote, 81, 40000, IPPROTO_TCP }, P_SYN, 0);
	assert_passes(bpfprog_run(pods[0], OUT, &p, NULL), ALLOWED); // the one may,
	assert_drops(bpfprog_run(pods[1], IN, &p, NULL), POLICY_DENIED); // the other lets nobody in there
	segment(&p, OUT, &f, P_SYN, 0);
	assert_passes(bpfprog_run(pods[0], OUT, &p, NULL), ALLOWED);
	assert_passes(bpfprog_run(pods[1], IN, &p, NULL), ALLOWED);
	crosses(pods, 1, &f, P_SYN | P_ACK);
	crosses(pods, 0, &f, P_ACK);
	crosses(pods, 1, &f, P_ACK);
	entries_are(pods, v6, GEN(OUT, 0), GEN(IN, 0));
	change(pods[1], IN, 1, true);
	segment(&p, OUT, &f, P_ACK, 32);
	assert_silent(bpfprog_run(pods[0], OUT, &p, NULL));
	assert_drops(bpfprog_run(pods[1], IN, &p, NULL), CUT);
	entries_are(pods, v6, GEN(OUT, 0), GEN(IN, 1));
	change(pods[1], IN, 2, false);
	change(pods[0], OUT, 3, true);
	assert_drops(bpfprog_run(pods[0], OUT, &p, NULL), CUT);
	assert_passes(bpfprog_run(pods[1], IN, &p, NULL), ALLOWED); // judged anew, by its own
	entries_are(pods, v6, GEN(OUT, 3), GEN(IN, 2));
}

static void r7_each_of_two_policed_pods_judges_what_passes_between_them(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct bpfprog *a = prog_new(NULL), *b = neighbour(a);

		isolate_both(a);
		between_two((struct bpfprog *const[2]){ a, b }, v6);
		bpfprog_free(b);
		bpfprog_free(a);
	}
}

static void r9_the_next_pod_in_a_slot_meets_no_old_entry(void **state)
{
	struct bpfprog_options next = { .incarnation = 8, .share = *state };
	struct bpfprog *old = *state, *prog;

	isolate_both(old);
	handshake(old, IN, &web4);
	prog = prog_new(&next);
	isolate_both(prog);
	assert_drops(send_data(prog, IN, &web4), NOT_SYN);
	assert_drops(send_data(old, IN, &web4), STALE_PROGRAM);
	bpfprog_free(prog);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(tcp_lives_and_ends),
		TEST(r12_ingress_policy_leaves_egress_alone_and_replies_flow),
		TEST(segment_without_connection_is_dropped),
		TEST(r8_syn_of_the_responder_is_judged_in_its_own_direction),
		TEST(simultaneous_open_is_two_judgements),
		TEST(spoofed_reset_is_healed_by_data_of_both_sides),
		TEST(spoofed_fin_is_healed_by_data_of_that_side),
		TEST(ports_of_a_closed_connection_are_judged_anew),
		TEST(udp_answers_pass_and_are_counted_as_such),
		TEST(r10_udp_gap_of_five_minutes_survives_an_hour_of_tcp_too),
		TEST(r10_time_outs_follow_the_factor),
		TEST(expired_hit_is_a_miss),
		TEST(a_hit_writes_last_seen_only_when_stale),
		TEST(r27_echo_id_is_the_requesters_port),
		TEST(r27_icmp_needs_a_rule_without_ports),
		TEST(request_with_id_0_of_the_responder_is_judged),
		TEST(r37_sctp_init_from_both_sides),
		TEST(sctp_is_not_tcp),
		TEST(r24_protocols_without_ports_need_a_port_less_rule),
		TEST(r7_two_pods_of_one_node_share_no_entry),
		TEST(r7_each_of_two_policed_pods_judges_what_passes_between_them),
		TEST(r9_the_next_pod_in_a_slot_meets_no_old_entry),
	};

	return cmocka_run_group_tests_name("conntrack", tests, NULL, NULL);
}
