// SPDX-License-Identifier: Apache-2.0
// forge_test.c - R8: whatever a peer or a neighbour sends, no state comes of it by which a denied peer gets in.
// The pod may open connections to everybody; the foe may open none to the pod.
#include "tests/bpf/scene.h"

#include <bulkhead/wire.h>

#define IN BH_INGRESS
#define OUT BH_EGRESS
#define GROUP4 "239.1.1.1"
#define NEIGHBOUR4 "10.1.0.6"

static const char *const foes[] = { FOE4, FOE6 };

static int setup(void **state)
{
	scene_setup(state);
	isolate(*state, IN);
	return 0;
}

static struct flow to_foe(int v6, uint8_t proto)
{
	return (struct flow){ foes[v6], 443, 40000, proto };
}

// The foe gets in by nothing that begins or answers something; nothing that it tries leaves an entry.
static void assert_shut(struct bpfprog *prog)
{
	uint32_t count = bpfprog_endpoint(prog)->ct_count;

	for (int v6 = 0; v6 < 2; v6++) {
		const struct flow tcp = { foes[v6], 40000, 80, IPPROTO_TCP };
		const struct flow udp = { foes[v6], 40000, 53, IPPROTO_UDP };
		const struct flow sctp = { foes[v6], 40000, 7, IPPROTO_SCTP };

		assert_drops(send_tcp(prog, IN, &tcp, P_SYN), POLICY_DENIED);
		assert_drops(send_tcp(prog, IN, &tcp, P_SYN | P_ACK), NOT_SYN);
		assert_drops(send_data(prog, IN, &tcp), NOT_SYN);
		assert_drops(send_tcp(prog, IN, &udp, 0), POLICY_DENIED);
		assert_drops(send_tcp(prog, IN, &sctp, BH_SCTP_INIT), POLICY_DENIED);
		assert_drops(send_tcp(prog, IN, &sctp, 2), POLICY_DENIED);
		assert_drops(send_icmp(prog, IN, foes[v6], v6 ? 128 : 8, 9), POLICY_DENIED);
		assert_drops(send_icmp(prog, IN, foes[v6], v6 ? 129 : 0, 9), ICMP_UNRELATED);
	}
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, count);
}

static void handshake(struct bpfprog *prog, const struct flow *f)
{
	assert_passes(send_tcp(prog, OUT, f, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, IN, f, P_SYN | P_ACK));
	assert_silent(send_tcp(prog, OUT, f, P_ACK));
}

static struct bh_ct entry(struct bpfprog *prog, const struct flow *f)
{
	struct bh_ct ct = { 0 };

	assert_true(bpfprog_ct(prog, f->proto, f->remote, f->remote_port, f->local_port, &ct));
	return ct;
}

// A pod of the same node that no policy selects, with an address of its own.
static struct bpfprog *neighbour(struct bpfprog *prog)
{
	const struct bpfprog_options options = { .slot = 9, .share = prog };
	struct bpfprog *other = prog_new(&options);
	struct bh_endpoint *ep = bpfprog_endpoint(other);

	ep->addr4 = packet_addr(NEIGHBOUR4).w[3];
	ep->mac[5] = 6;
	return other;
}

static void r8_a_neighbour_that_spoofs_the_pods_address_opens_nothing(void **state)
{
	struct bpfprog *prog = *state, *other = neighbour(prog);
	const struct flow f = { FOE4, 40000, 80, IPPROTO_TCP };
	struct packet p;

	// as if the pod had called the foe, so that the foe's answer would be one
	segment(&p, OUT, &f, P_SYN, 0);
	assert_drops(bpfprog_run(other, OUT, &p, NULL), SPOOFED_MAC);
	p.data[11] = 6; // with the neighbour's MAC
	assert_drops(bpfprog_run(other, OUT, &p, NULL), SPOOFED_ADDR);
	bpfprog_endpoint(other)->flags |= BH_EP_REPORT_SPOOF; // and even where that is only counted
	assert_true(bpfprog_run(other, OUT, &p, NULL).pass);
	assert_shut(prog);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	bpfprog_free(other);
}

static void r8_another_pods_connection_is_not_this_ones(void **state)
{
	struct bpfprog *prog = *state, *other = neighbour(prog);
	const struct flow f = { FOE4, 40000, 80, IPPROTO_TCP };
	struct packet p;

	segment(&p, OUT, &f, P_SYN, 0);
	p.data[11] = 6;
	p.data[p.l3 + 15] = 6; // the neighbour's own packet, with the same ports
	assert_passes(bpfprog_run(other, OUT, &p, NULL), ALLOWED);
	assert_int_equal(bpfprog_half_open(prog), 1);
	assert_shut(prog);
	bpfprog_free(other);
}

static void r8_flooded_frames_open_nothing(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	for (int v6 = 0; v6 < 2; v6++) {
		const struct flow f = to_foe(v6, IPPROTO_TCP);

		segment(&p, OUT, &f, P_SYN, 0); // the pod's packet, forged, comes to the pod
		memcpy(p.data + 6, peer_mac, 6);
		assert_drops(bpfprog_run(prog, IN, &p, NULL), NOT_MINE);
		segment(&p, IN, &f, P_SYN | P_ACK, 0); // and somebody's answer to another pod
		p.data[p.l3 + (v6 ? 39 : 19)] ^= 3;
		assert_drops(bpfprog_run(prog, IN, &p, NULL), NOT_MINE);
		assert_drops(send_data(prog, IN, &f), NOT_SYN);
	}
	assert_shut(prog);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
}

static void r8_multicast_opens_nothing(void **state)
{
	const struct flow answer = { FOE4, 5353, 5353, IPPROTO_UDP };
	struct bpfprog *prog = *state;
	struct packet p;

	packet_eth(&p, pod_mac, (const uint8_t[6]){ 1, 0, 0x5e, 1, 1, 1 }, 0);
	packet_ip(&p, POD4, GROUP4, IPPROTO_UDP);
	packet_udp(&p, 5353, 5353);
	packet_end(&p);
	assert_passes(bpfprog_run(prog, OUT, &p, NULL), ALLOWED);
	assert_drops(send_tcp(prog, IN, &answer, 0), POLICY_DENIED);
	// to the group in the foe's name, and to the pod in a frame for everybody
	packet_eth(&p, peer_mac, (const uint8_t[6]){ 1, 0, 0x5e, 1, 1, 1 }, 0);
	packet_ip(&p, FOE4, GROUP4, IPPROTO_UDP);
	packet_udp(&p, 5353, 5353);
	packet_end(&p);
	assert_drops(bpfprog_run(prog, IN, &p, NULL), POLICY_DENIED);
	segment(&p, IN, &answer, 0, 8);
	memset(p.data, 0xff, 6);
	assert_drops(bpfprog_run(prog, IN, &p, NULL), POLICY_DENIED);
	// what the pod sends to the foe in a frame for everybody is no connection either
	segment(&p, OUT, &answer, 0, 8);
	memset(p.data, 0xff, 6);
	assert_passes(bpfprog_run(prog, OUT, &p, NULL), ALLOWED);
	assert_shut(prog);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
}

static void r8_a_responders_syn_is_judged_whatever_its_other_flags(void **state)
{
	static const uint8_t others[] = { 0, P_FIN, P_PSH, 0x20, 0x40, 0xc0, 0xe9 };
	struct bpfprog *prog = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		const struct flow f = to_foe(v6, IPPROTO_TCP);

		handshake(prog, &f);
		for (size_t i = 0; i < ARRAY_SIZE(others); i++)
			assert_drops(send_tcp(prog, IN, &f, P_SYN | others[i]), POLICY_DENIED);
		assert_int_equal(entry(prog, &f).state, BH_CT_ESTABLISHED);
		assert_true(entry(prog, &f).flags & BH_CT_EGRESS);
	}
	assert_shut(prog);
}

static void r8_a_reset_or_fin_hands_the_ports_to_nobody(void **state)
{
	static const uint8_t ends[] = { P_RST, P_RST | P_ACK, P_FIN | P_ACK };
	struct bpfprog *prog = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		struct flow f = to_foe(i & 1, IPPROTO_TCP);

		f.local_port += i;
		handshake(prog, &f);
		assert_silent(send_tcp(prog, IN, &f, ends[i]));
		assert_drops(send_tcp(prog, IN, &f, P_SYN), POLICY_DENIED);
		assert_silent(send_tcp(prog, OUT, &f, P_FIN | P_ACK));
		assert_drops(send_tcp(prog, IN, &f, P_SYN), POLICY_DENIED);
		assert_true(entry(prog, &f).flags & BH_CT_EGRESS);
	}
	assert_shut(prog);
}

static void r8_an_echo_id_is_shared_with_nobody(void **state)
{
	static const uint16_t ids[] = { 0, 77, 0xffff };
	struct bpfprog *prog = *state;

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_passes(send_icmp(prog, OUT, FOE4, 8, ids[i]), ALLOWED);
		assert_drops(send_icmp(prog, IN, FOE4, 8, ids[i]), POLICY_DENIED);
		assert_drops(send_icmp(prog, IN, FOE4, 13, ids[i]), POLICY_DENIED);
		assert_drops(send_icmp(prog, IN, FOE4, 42, ids[i]), POLICY_DENIED);
		assert_silent(send_icmp(prog, IN, FOE4, 0, ids[i]));
		assert_passes(send_icmp(prog, OUT, FOE6, 128, ids[i]), ALLOWED);
		assert_drops(send_icmp(prog, IN, FOE6, 128, ids[i]), POLICY_DENIED);
		assert_drops(send_icmp(prog, IN, FOE6, 160, ids[i]), POLICY_DENIED);
		assert_silent(send_icmp(prog, IN, FOE6, 129, ids[i]));
	}
	assert_shut(prog);
}

static void r8_an_init_of_the_responder_is_judged(void **state)
{
	struct bpfprog *prog = *state;

	for (int v6 = 0; v6 < 2; v6++) {
		const struct flow f = to_foe(v6, IPPROTO_SCTP);

		assert_passes(send_tcp(prog, OUT, &f, BH_SCTP_INIT), ALLOWED);
		assert_silent(send_tcp(prog, IN, &f, 2));
		assert_drops(send_tcp(prog, IN, &f, BH_SCTP_INIT), POLICY_DENIED);
	}
	assert_shut(prog);
}

// An ICMP error of the foe about `inner`.
static struct bpfprog_result error(struct bpfprog *prog, const struct packet *inner)
{
	struct packet p;

	frame(&p, IN, inner->v6 ? FOE6 : FOE4, inner->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	packet_icmp(&p, inner->v6 ? 1 : 3, 0, 0);
	packet_embed(&p, inner);
	packet_end(&p);
	return bpfprog_run(prog, IN, &p, NULL);
}

static void r8_errors_open_nothing(void **state)
{
	const struct flow alive = { FRIEND4, 443, 40000, IPPROTO_TCP };
	struct bpfprog *prog = *state;
	struct packet inner;

	for (int v6 = 0; v6 < 2; v6++) {
		const struct flow f = { foes[v6], 40000, 80, IPPROTO_TCP };

		segment(&inner, OUT, &f, P_SYN | P_ACK, 8); // the pod never sent it
		assert_drops(error(prog, &inner), ICMP_UNRELATED);
		segment(&inner, OUT, &f, P_SYN, 0);
		assert_drops(error(prog, &inner), ICMP_UNRELATED);
	}
	handshake(prog, &alive);
	segment(&inner, OUT, &alive, P_ACK, 8);
	assert_silent(error(prog, &inner)); // about a friend's connection: related, and no more than that
	assert_shut(prog);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 1);
}

static void r8_what_was_denied_leaves_nothing_to_answer(void **state)
{
	const struct flow f = { FOE4, 40000, 80, IPPROTO_TCP };
	struct bpfprog *prog = *state;

	assert_drops(send_tcp(prog, IN, &f, P_SYN), POLICY_DENIED);
	assert_drops(send_tcp(prog, OUT, &f, P_SYN | P_ACK), NOT_SYN);
	assert_drops(send_tcp(prog, IN, &f, P_ACK), NOT_SYN);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	assert_shut(prog);
}

static void r8_another_ones_fragments_carry_nothing_in(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	// the friend's datagram 7 is under way, the foe adds to it
	frame(&p, IN, FRIEND4, IPPROTO_UDP);
	packet_udp(&p, 40000, 53);
	packet_data(&p, 56);
	packet_fragment4(&p, 7, 0, true);
	packet_end(&p);
	assert_passes(bpfprog_run(prog, IN, &p, NULL), ALLOWED);
	frame(&p, IN, FOE4, IPPROTO_UDP);
	packet_data(&p, 64);
	packet_fragment4(&p, 7, 64, false);
	packet_end(&p);
	assert_drops(bpfprog_run(prog, IN, &p, NULL), FRAG_UNKNOWN);
	// what the pod sent in pieces lets no piece of the foe in
	frame(&p, OUT, FOE4, IPPROTO_UDP);
	packet_udp(&p, 53, 40000);
	packet_data(&p, 56);
	packet_fragment4(&p, 8, 0, true);
	packet_end(&p);
	assert_passes(bpfprog_run(prog, OUT, &p, NULL), ALLOWED);
	frame(&p, IN, FOE4, IPPROTO_UDP);
	packet_data(&p, 64);
	packet_fragment4(&p, 8, 64, false);
	packet_end(&p);
	assert_drops(bpfprog_run(prog, IN, &p, NULL), FRAG_UNKNOWN);
}

static void r8_adoption_opens_no_new_connection(void **state)
{
	const struct flow service = { FOE4, 443, 80, IPPROTO_TCP };
	const struct flow client = to_foe(0, IPPROTO_TCP); // from an ephemeral port: the pod's
	struct bpfprog *prog = *state;

	bpfprog_endpoint(prog)->adopt_until = bpfprog_now() + 60 * (uint32_t)BH_TIME_HZ;
	assert_drops(send_data(prog, IN, &service), POLICY_DENIED);
	assert_passes(send_data(prog, IN, &client), ADOPTED);
	assert_drops(send_tcp(prog, IN, &client, P_SYN), POLICY_DENIED);
	assert_drops(send_tcp(prog, IN, &client, P_SYN | P_FIN), POLICY_DENIED);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(r8_a_neighbour_that_spoofs_the_pods_address_opens_nothing),
		TEST(r8_another_pods_connection_is_not_this_ones),
		TEST(r8_flooded_frames_open_nothing),
		TEST(r8_multicast_opens_nothing),
		TEST(r8_a_responders_syn_is_judged_whatever_its_other_flags),
		TEST(r8_a_reset_or_fin_hands_the_ports_to_nobody),
		TEST(r8_an_echo_id_is_shared_with_nobody),
		TEST(r8_an_init_of_the_responder_is_judged),
		TEST(r8_errors_open_nothing),
		TEST(r8_what_was_denied_leaves_nothing_to_answer),
		TEST(r8_another_ones_fragments_carry_nothing_in),
		TEST(r8_adoption_opens_no_new_connection),
	};

	return cmocka_run_group_tests_name("forge", tests, NULL, NULL);
}
