// SPDX-License-Identifier: Apache-2.0
// icmp_test.c - ICMP errors: what is inside must be a flow that lives; they make and refresh nothing.
#include "tests/bpf/scene.h"

#include <bulkhead/wire.h>

#define IN BH_INGRESS
#define OUT BH_EGRESS
#define ROUTER4 "198.51.100.1"
#define ROUTER6 "2001:db8::1"

static const struct flow out4 = { FRIEND4, 443, 40000, IPPROTO_TCP };
static const struct flow out6 = { FRIEND6, 443, 40000, IPPROTO_TCP };
static const struct flow udp4 = { WEB4, 40000, 53, IPPROTO_UDP }; // in

static int setup(void **state)
{
	scene_setup(state);
	isolate_both(*state);
	assert_passes(send_tcp(*state, OUT, &out4, P_SYN), ALLOWED);
	assert_passes(send_tcp(*state, OUT, &out6, P_SYN), ALLOWED);
	assert_passes(send_tcp(*state, IN, &udp4, 0), ALLOWED);
	return 0;
}

// An error of `type` from `from` towards the pod about a packet that the pod sent.
static struct bpfprog_result code_in(struct bpfprog *prog, const char *from, uint8_t type, uint8_t code,
				     const struct packet *inner)
{
	struct packet p;

	frame(&p, IN, from, strchr(from, ':') ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	packet_icmp(&p, type, code, 0);
	packet_embed(&p, inner);
	packet_end(&p);
	return bpfprog_run(prog, IN, &p, NULL);
}

static struct bpfprog_result error_in(struct bpfprog *prog, const char *from, uint8_t type,
				      const struct packet *inner)
{
	return code_in(prog, from, type, 0, inner);
}

static struct bpfprog_result error_out(struct bpfprog *prog, const char *to, uint8_t type,
				       const struct packet *inner)
{
	struct packet p;

	frame(&p, OUT, to, strchr(to, ':') ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	packet_icmp(&p, type, 0, 0);
	packet_embed(&p, inner);
	packet_end(&p);
	return bpfprog_run(prog, OUT, &p, NULL);
}

static void r27_related_errors_pass(void **state)
{
	static const uint8_t types4[] = { 3, 4, 5, 11, 12 }, types6[] = { 1, 2, 3, 4 };
	struct bpfprog *prog = *state;
	struct packet inner;

	segment(&inner, OUT, &out4, P_ACK, 100);
	for (size_t i = 0; i < sizeof(types4); i++)
		assert_silent(error_in(prog, ROUTER4, types4[i], &inner));
	segment(&inner, OUT, &out6, P_ACK, 100);
	for (size_t i = 0; i < sizeof(types6); i++)
		assert_silent(error_in(prog, ROUTER6, types6[i], &inner));
	segment(&inner, IN, &udp4, 0, 10);
	assert_silent(error_out(prog, WEB4, 3, &inner)); // port unreachable
}

// What finds a path's MTU, and a traceroute: 3/4 and 11 of ICMP, 2 and 3 of ICMPv6.
static void r27_fragmentation_needed_and_too_big_pass(void **state)
{
	static const uint8_t kinds[][3] = { { 4, 3, 4 }, { 4, 11, 0 }, { 4, 11, 1 },
					    { 6, 2, 0 }, { 6, 3, 0 },  { 6, 3, 1 } };
	struct bpfprog *prog = *state;
	struct packet inner;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct flow *flow = kinds[i][0] == 6 ? &out6 : &out4;
		const char *router = kinds[i][0] == 6 ? ROUTER6 : ROUTER4;

		segment(&inner, OUT, flow, P_ACK, 1400);
		inner.len = inner.l4 + 8; // as much as a router must say of it
		assert_silent(code_in(prog, router, kinds[i][1], kinds[i][2], &inner));
		segment(&inner, OUT, &(struct flow){ flow->remote, 443, 40001, IPPROTO_TCP }, P_ACK, 1400);
		assert_drops(code_in(prog, router, kinds[i][1], kinds[i][2], &inner), ICMP_UNRELATED);
	}
	segment(&inner, OUT, &out4, P_ACK, 8);
	for (uint8_t code = 0; code < 16; code++) // each reason why something is out of reach
		assert_silent(code_in(prog, ROUTER4, 3, code, &inner));
}

static void r27_unrelated_errors_are_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet inner;

	segment(&inner, OUT, &(struct flow){ FRIEND4, 444, 40000, IPPROTO_TCP }, P_ACK, 8);
	assert_drops(error_in(prog, ROUTER4, 3, &inner), ICMP_UNRELATED);
	segment(&inner, OUT, &(struct flow){ FRIEND6, 443, 40001, IPPROTO_TCP }, P_ACK, 8);
	assert_drops(error_in(prog, ROUTER6, 2, &inner), ICMP_UNRELATED);
	// about a packet that came to the pod, sent to the pod
	segment(&inner, IN, &out4, P_ACK, 8);
	assert_drops(error_in(prog, ROUTER4, 3, &inner), ICMP_UNRELATED);
	segment(&inner, IN, &(struct flow){ FOE4, 40000, 53, IPPROTO_UDP }, 0, 8);
	assert_drops(error_out(prog, FOE4, 3, &inner), ICMP_UNRELATED);
	// from the pod to somebody else than the packet's sender
	segment(&inner, IN, &udp4, 0, 8);
	assert_drops(error_out(prog, FOE4, 3, &inner), ICMP_UNRELATED);
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	assert_int_equal(bpfprog_half_open(prog), 3);
}

static void r27_errors_about_every_protocol_find_their_flow(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct bpfprog *prog = *state;
	struct packet inner;

	for (int i = 0; i < 6; i++) {
		const struct flow f = { i & 1 ? FRIEND6 : FRIEND4, 9, 41000, protos[i / 2] };

		assert_passes(send_tcp(prog, OUT, &f, i < 2 ? P_SYN : BH_SCTP_INIT), ALLOWED);
		segment(&inner, OUT, &f, i < 2 ? P_SYN : BH_SCTP_INIT, 8);
		assert_silent(error_in(prog, i & 1 ? ROUTER6 : ROUTER4, i & 1 ? 3 : 11, &inner));
		inner.data[inner.l4 + 1] ^= 1; // another port of the pod's
		assert_drops(error_in(prog, i & 1 ? ROUTER6 : ROUTER4, i & 1 ? 3 : 11, &inner),
			     ICMP_UNRELATED);
	}
	frame(&inner, OUT, FRIEND6, IPPROTO_ICMPV6);
	packet_icmp(&inner, 128, 0, 80);
	packet_end(&inner);
	assert_drops(error_in(prog, ROUTER6, 3, &inner), ICMP_UNRELATED);
	assert_passes(send_icmp(prog, OUT, FRIEND6, 128, 80), ALLOWED);
	assert_silent(error_in(prog, ROUTER6, 3, &inner));
	frame(&inner, OUT, FRIEND4, 47); // a protocol without ports
	packet_data(&inner, 16);
	packet_end(&inner);
	assert_passes(bpfprog_run(prog, OUT, &inner, NULL), ALLOWED);
	assert_silent(error_in(prog, ROUTER4, 3, &inner));
}

static void r27_errors_about_a_cut_flow_are_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet inner;

	segment(&inner, OUT, &out4, P_ACK, 100);
	assert_silent(error_in(prog, ROUTER4, 3, &inner));
	change(prog, OUT, 1, true);
	assert_drops(error_in(prog, ROUTER4, 3, &inner), CUT);
	segment(&inner, IN, &udp4, 0, 10);
	assert_silent(error_out(prog, WEB4, 3, &inner)); // the other direction's policy is as it was
}

static void broken_errors_are_unrelated(void **state)
{
	struct bpfprog *prog = *state;
	struct packet inner, deep;

	segment(&inner, OUT, &out4, P_ACK, 8);
	inner.len = inner.l4 + 4; // too little of the segment
	assert_drops(error_in(prog, ROUTER4, 3, &inner), ICMP_UNRELATED);
	segment(&inner, OUT, &out4, P_ACK, 8);
	inner.data[inner.l3] = 0x42;
	assert_drops(error_in(prog, ROUTER4, 3, &inner), ICMP_UNRELATED);
	segment(&inner, OUT, &out4, P_ACK, 8);
	packet_fragment4(&inner, 1, 64, false);
	assert_drops(error_in(prog, ROUTER4, 3, &inner), ICMP_UNRELATED);
	segment(&inner, OUT, &out4, P_ACK, 8);
	frame(&deep, OUT, FRIEND4, IPPROTO_ICMP); // an error about an error
	packet_icmp(&deep, 3, 0, 0);
	packet_embed(&deep, &inner);
	packet_end(&deep);
	assert_drops(error_in(prog, ROUTER4, 3, &deep), ICMP_UNRELATED);
}

static void embedded_extension_headers_are_walked(void **state)
{
	struct bpfprog *prog = *state;
	struct packet inner;

	for (int n = 1; n < 12; n++) {
		frame(&inner, OUT, FRIEND6, IPPROTO_TCP);
		for (int i = 0; i < n; i++)
			packet_ext(&inner, BH_NEXT_DEST, 0);
		packet_tcp(&inner, 40000, 443, P_ACK);
		packet_end(&inner);
		if (n <= BH_EXT_MAX)
			assert_silent(error_in(prog, ROUTER6, 2, &inner));
		else
			assert_drops(error_in(prog, ROUTER6, 2, &inner), ICMP_UNRELATED);
	}
}

static void error_about_an_echo_is_found_by_its_id(void **state)
{
	struct bpfprog *prog = *state;
	struct packet inner;

	assert_passes(send_icmp(prog, OUT, FRIEND4, 8, 600), ALLOWED);
	frame(&inner, OUT, FRIEND4, IPPROTO_ICMP);
	packet_icmp(&inner, 8, 0, 600);
	packet_end(&inner);
	assert_silent(error_in(prog, ROUTER4, 11, &inner)); // traceroute
	inner.data[inner.l4 + 5] ^= 1;
	assert_drops(error_in(prog, ROUTER4, 11, &inner), ICMP_UNRELATED);
}

static void errors_refresh_nothing(void **state)
{
	struct bpfprog *prog = *state;
	struct packet inner;
	struct bh_ct ct;

	assert_silent(send_tcp(prog, IN, &out4, P_SYN | P_ACK));
	assert_silent(send_tcp(prog, OUT, &out4, P_ACK));
	assert_true(bpfprog_ct(prog, IPPROTO_TCP, FRIEND4, 443, 40000, &ct));
	ct.last -= 23 * 3600 * (uint32_t)BH_TIME_HZ;
	ct.tick = 0;
	bpfprog_ct_set(prog, IPPROTO_TCP, FRIEND4, 443, 40000, &ct);
	segment(&inner, OUT, &out4, P_SYN, 0);
	assert_silent(error_in(prog, ROUTER4, 3, &inner));
	assert_true(bpfprog_ct(prog, IPPROTO_TCP, FRIEND4, 443, 40000, &ct));
	assert_true(bpfprog_now() - ct.last >= 23 * 3600 * (uint32_t)BH_TIME_HZ);
	ct.last -= 2 * 3600 * (uint32_t)BH_TIME_HZ;
	ct.tick = 0;
	bpfprog_ct_set(prog, IPPROTO_TCP, FRIEND4, 443, 40000, &ct);
	assert_drops(error_in(prog, ROUTER4, 3, &inner), ICMP_UNRELATED); // the flow is over
}

static void errors_pass_in_a_direction_without_policy(void **state)
{
	struct bpfprog *prog = *state;
	struct packet inner;

	bpfprog_enforce(prog, IN, BH_POLICY_ALLOW, BH_GEN_OF(BH_POLICY_ALLOW));
	segment(&inner, OUT, &(struct flow){ FRIEND4, 444, 40000, IPPROTO_TCP }, P_ACK, 8);
	assert_silent(error_in(prog, ROUTER4, 3, &inner));
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	assert_int_equal(bpfprog_half_open(prog), 3);
}

static void error_fragments_have_no_rest(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p, inner;

	segment(&inner, OUT, &out4, P_ACK, 100);
	frame(&p, IN, ROUTER4, IPPROTO_ICMP);
	packet_icmp(&p, 3, 4, 0);
	packet_embed(&p, &inner);
	packet_data(&p, 4);
	packet_fragment4(&p, 5, 0, true);
	packet_end(&p);
	assert_silent(bpfprog_run(prog, IN, &p, NULL));
	frame(&p, IN, ROUTER4, IPPROTO_ICMP);
	packet_data(&p, 64);
	packet_fragment4(&p, 5, 152, false);
	packet_end(&p);
	assert_drops(bpfprog_run(prog, IN, &p, NULL), FRAG_UNKNOWN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(r27_related_errors_pass),
		TEST(r27_fragmentation_needed_and_too_big_pass),
		TEST(r27_unrelated_errors_are_dropped),
		TEST(r27_errors_about_every_protocol_find_their_flow),
		TEST(r27_errors_about_a_cut_flow_are_dropped),
		TEST(broken_errors_are_unrelated),
		TEST(embedded_extension_headers_are_walked),
		TEST(error_about_an_echo_is_found_by_its_id),
		TEST(errors_refresh_nothing),
		TEST(errors_pass_in_a_direction_without_policy),
		TEST(error_fragments_have_no_rest),
	};

	return cmocka_run_group_tests_name("icmp", tests, NULL, NULL);
}
