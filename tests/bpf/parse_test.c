// SPDX-License-Identifier: Apache-2.0
// parse_test.c - headers that are long, cut off, lying or chained.
#include "tests/bpf/scene.h"

#include <bulkhead/wire.h>

#define IN BH_INGRESS
#define OUT BH_EGRESS

static struct bpfprog_result run(struct bpfprog *prog, enum bh_dir dir, const struct packet *p)
{
	return bpfprog_run(prog, dir, p, NULL);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void r21_options_of_every_length_are_read_past(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (uint32_t words = 1; words <= 10; words++) {
		frame(&p, IN, WEB4, IPPROTO_TCP);
		packet_options(&p, words);
		packet_tcp(&p, 40000 + words, 80, P_SYN);
		packet_end(&p);
		assert_passes(run(prog, IN, &p), ALLOWED);
		put16(p.data + p.l4 + 2, 81);
		assert_drops(run(prog, IN, &p), POLICY_DENIED);
	}
}

// The option of `type` behind the header of a SYN to port 80, with this length and pointer.
static struct bpfprog_result option(struct bpfprog *prog, enum bh_dir dir, uint8_t type,
				    uint8_t bytes)
{
	struct packet p;

	frame(&p, dir, FRIEND4, IPPROTO_TCP);
	packet_options(&p, 4);
	p.data[p.l3 + 20 + 1] = type; // behind a no-operation
	p.data[p.l3 + 20 + 2] = bytes;
	p.data[p.l3 + 20 + 3] = 4;
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_end(&p);
	return run(prog, dir, &p);
}

static void r21_source_routes_are_dropped(void **state)
{
	struct bpfprog *prog = *state;

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		assert_drops(option(prog, dir, 131, 7), SOURCE_ROUTE);
		assert_drops(option(prog, dir, 137, 11), SOURCE_ROUTE);
		assert_passes(option(prog, dir, 148, 4), ALLOWED); // router alert
	}
}

static void r21_option_that_lies_is_dropped(void **state)
{
	struct bpfprog *prog = *state;

	assert_drops(option(prog, IN, 7, 0), BAD_HEADER); // would hide what follows, or loop
	assert_drops(option(prog, IN, 7, 1), BAD_HEADER);
	assert_drops(option(prog, IN, 7, 16), BAD_HEADER);
	assert_drops(option(prog, IN, 131, 255), BAD_HEADER);
	assert_passes(option(prog, IN, 7, 15), ALLOWED);
	assert_silent(option(prog, IN, 0, 0)); // the end: what is behind it is padding
}

static void r21_header_that_contradicts_itself_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	frame(&p, IN, WEB4, IPPROTO_TCP);
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_end(&p);
	for (uint8_t words = 0; words < 5; words++) {
		p.data[p.l3] = 0x40 | words;
		assert_drops(run(prog, IN, &p), BAD_HEADER);
	}
	p.data[p.l3] = 0x55;
	assert_drops(run(prog, IN, &p), BAD_HEADER);
	p.data[p.l3] = 0x4f; // options longer than the packet says
	assert_drops(run(prog, IN, &p), BAD_HEADER);
	p.data[p.l3] = 0x45;
	p.data[p.l4 + 12] = 4 << 4;
	assert_drops(run(prog, IN, &p), BAD_HEADER);
	p.data[p.l4 + 12] = 15 << 4;
	assert_drops(run(prog, IN, &p), BAD_HEADER);
}

static void r21_length_that_lies_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	segment(&p, IN, &(struct flow){ WEB4, 40000, 80, IPPROTO_TCP }, P_SYN, 10);
	put16(p.data + p.l3 + 2, 51); // one byte beyond the frame
	assert_drops(run(prog, IN, &p), BAD_LENGTH);
	put16(p.data + p.l3 + 2, 0);
	assert_drops(run(prog, IN, &p), BAD_HEADER);
	put16(p.data + p.l3 + 2, 30); // the header ends inside TCP's
	assert_drops(run(prog, IN, &p), SHORT);
	segment(&p, IN, &(struct flow){ WEB6, 40000, 80, IPPROTO_TCP }, P_SYN, 10);
	put16(p.data + p.l3 + 4, 31);
	assert_drops(run(prog, IN, &p), BAD_LENGTH);
	put16(p.data + p.l3 + 4, 0);
	assert_drops(run(prog, IN, &p), SHORT);
	segment(&p, IN, &(struct flow){ WEB4, 40000, 53, IPPROTO_UDP }, 0, 10);
	put16(p.data + p.l4 + 4, 19);
	assert_drops(run(prog, IN, &p), BAD_LENGTH);
	put16(p.data + p.l4 + 4, 7);
	assert_drops(run(prog, IN, &p), BAD_LENGTH);
}

static void padding_behind_the_packet_is_legal(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	segment(&p, IN, &(struct flow){ WEB4, 40000, 80, IPPROTO_TCP }, P_SYN, 0);
	p.len += 6;
	assert_passes(run(prog, IN, &p), ALLOWED);
	assert_int_equal(bpfprog_count(prog, IN).bytes, 40);
}

static void r25_gso_big_tcp_has_no_length_but_segments(void **state)
{
	struct bpfprog_ctx gso = { .ingress_ifindex = 1, .gso_size = 100, .gso_segs = 3 };
	struct bpfprog *prog = *state;
	struct packet p;

	segment(&p, IN, &(struct flow){ WEB4, 40000, 80, IPPROTO_TCP }, P_SYN, 300);
	put16(p.data + p.l3 + 2, 0);
	assert_passes(bpfprog_run(prog, IN, &p, &gso), ALLOWED);
	assert_drops(run(prog, IN, &p), BAD_HEADER);
	segment(&p, IN, &(struct flow){ WEB6, 40000, 80, IPPROTO_TCP }, P_SYN, 300);
	put16(p.data + p.l3 + 4, 0);
	assert_passes(bpfprog_run(prog, IN, &p, &gso), ALLOWED);
	assert_drops(run(prog, IN, &p), SHORT);
	assert_int_equal(bpfprog_count(prog, IN).packets, 6);
}

static void r25_headers_outside_the_linear_part_are_read(void **state)
{
	struct bpfprog_ctx split = { .ingress_ifindex = 1, .linear = 34 };
	struct bpfprog *prog = *state;
	struct packet p;

	if (!bpfprog_can_split(prog))
		skip();
	isolate_both(prog);
	segment(&p, IN, &(struct flow){ WEB4, 40000, 80, IPPROTO_TCP }, P_SYN, 3000);
	assert_passes(bpfprog_run(prog, IN, &p, &split), ALLOWED);
	put16(p.data + p.l4 + 2, 81);
	assert_drops(bpfprog_run(prog, IN, &p, &split), POLICY_DENIED);
}

static void r25_runt_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	for (uint32_t n = 34; n < 54; n++) { // the test run takes no shorter ones
		segment(&p, IN, &(struct flow){ WEB4, 40000, 80, IPPROTO_TCP }, P_SYN, 0);
		p.len = n;
		put16(p.data + p.l3 + 2, n - 14);
		assert_drops(run(prog, IN, &p), SHORT);
	}
}

static void r23_extension_chains_are_walked(void **state)
{
	static const uint8_t types[] = { BH_NEXT_HOP, BH_NEXT_DEST, BH_NEXT_ROUTING, BH_NEXT_AH };
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (uint32_t n = 1; n <= 8; n++) {
		frame(&p, IN, WEB6, IPPROTO_TCP);
		for (uint32_t i = 0; i < n; i++)
			packet_ext(&p, i ? types[1 + i % 3] : BH_NEXT_HOP, i % 3);
		packet_tcp(&p, 40000 + n, 80, P_SYN);
		packet_end(&p);
		assert_passes(run(prog, IN, &p), ALLOWED);
		put16(p.data + p.l4 + 2, 81);
		assert_drops(run(prog, IN, &p), POLICY_DENIED);
	}
}

static void r23_each_kind_of_header_is_read_past(void **state)
{
	static const uint8_t types[] = { BH_NEXT_HOP, BH_NEXT_DEST, BH_NEXT_ROUTING, BH_NEXT_FRAGMENT,
					 BH_NEXT_AH };
	static const uint16_t ports[] = { 80, 81 };
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (size_t i = 0; i < ARRAY_SIZE(types) * 4; i++) {
		enum bh_dir dir = i / 2 & 1;
		uint8_t type = types[i / 4];

		frame(&p, dir, WEB6, IPPROTO_TCP);
		if (type == BH_NEXT_FRAGMENT)
			packet_fragment6(&p, 1, 0, false);
		else
			packet_ext(&p, type, 1);
		packet_tcp(&p, 40000 + i, ports[i & 1], P_SYN);
		packet_end(&p);
		if (i & 1)
			assert_drops(run(prog, dir, &p), POLICY_DENIED);
		else
			assert_passes(run(prog, dir, &p), ALLOWED);
	}
}

// What no header chain goes on behind: encrypted, nothing, mobility. Ports that seem to be there are none.
static void r23_headers_that_hide_ports_need_a_port_less_rule(void **state)
{
	static const uint8_t types[] = { 50, 59, 135, 139, 140, 253 };
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (size_t i = 0; i < ARRAY_SIZE(types) * 2; i++) {
		frame(&p, IN, i & 1 ? FRIEND6 : WEB6, types[i / 2]);
		packet_ext(&p, BH_NEXT_DEST, 0);
		packet_tcp(&p, 40000, 80, P_SYN);
		packet_end(&p);
		if (i & 1)
			assert_passes(run(prog, IN, &p), ALLOWED);
		else
			assert_drops(run(prog, IN, &p), POLICY_DENIED);
	}
}

static void r23_chain_that_is_too_long_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	frame(&p, IN, WEB6, IPPROTO_TCP);
	for (uint32_t i = 0; i < 9; i++)
		packet_ext(&p, BH_NEXT_DEST, 0);
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_end(&p);
	assert_drops(run(prog, IN, &p), EXT_CHAIN);
	assert_int_equal(bpfprog_total(prog, IN, BH_REASON_EXT_CHAIN, 0).packets, 1);
}

static void r23_malformed_chains_are_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	frame(&p, IN, WEB6, IPPROTO_TCP);
	packet_ext(&p, BH_NEXT_DEST, 0);
	packet_ext(&p, BH_NEXT_HOP, 0); // not the first
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_end(&p);
	assert_drops(run(prog, IN, &p), EXT_CHAIN);
	frame(&p, IN, WEB6, IPPROTO_TCP);
	packet_ext(&p, BH_NEXT_ROUTING, 2);
	p.data[54 + 3] = 1; // another destination is yet to come
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_end(&p);
	assert_drops(run(prog, IN, &p), SOURCE_ROUTE);
	frame(&p, IN, WEB6, IPPROTO_TCP);
	packet_ext(&p, BH_NEXT_DEST, 0);
	p.data[55] = 200; // beyond the packet
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_end(&p);
	assert_drops(run(prog, IN, &p), SHORT);
	frame(&p, IN, WEB6, IPPROTO_TCP);
	packet_fragment6(&p, 1, 0, false);
	packet_fragment6(&p, 1, 0, false);
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_end(&p);
	assert_drops(run(prog, IN, &p), EXT_CHAIN);
}

static void r23_atomic_fragment_is_a_whole_packet(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	frame(&p, IN, WEB6, IPPROTO_TCP);
	packet_fragment6(&p, 1, 0, false);
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_end(&p);
	assert_passes(run(prog, IN, &p), ALLOWED);
	assert_silent(run(prog, IN, &p));
}

static void impossible_addresses_are_dropped(void **state)
{
	static const char *const v4[] = { "127.0.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1",
					  "0.1.2.3", "0.0.0.0" };
	static const char *const v6[] = { "::1", "ff02::1", "::ffff:10.2.0.2", "::10.2.0.2", "::" };
	static const char *const to6[] = { "::", "::1", "::ffff:10.2.0.2" };
	struct bpfprog *prog = *state;
	struct packet p;

	for (size_t i = 0; i < ARRAY_SIZE(v4); i++) {
		segment(&p, IN, &(struct flow){ v4[i], 40000, 80, IPPROTO_TCP }, P_SYN, 0);
		assert_drops(run(prog, IN, &p), BAD_ADDR);
	}
	for (size_t i = 0; i < ARRAY_SIZE(v6); i++) {
		segment(&p, IN, &(struct flow){ v6[i], 40000, 80, IPPROTO_TCP }, P_SYN, 0);
		assert_drops(run(prog, IN, &p), BAD_ADDR);
	}
	for (size_t i = 0; i < ARRAY_SIZE(to6); i++) {
		segment(&p, OUT, &(struct flow){ to6[i], 40000, 80, IPPROTO_TCP }, P_SYN, 0);
		assert_drops(run(prog, OUT, &p), BAD_ADDR);
	}
	segment(&p, OUT, &(struct flow){ "127.0.0.1", 40000, 80, IPPROTO_TCP }, P_SYN, 0);
	assert_drops(run(prog, OUT, &p), BAD_ADDR);
	segment(&p, OUT, &(struct flow){ "240.1.2.3", 40000, 80, IPPROTO_TCP }, P_SYN, 0);
	assert_drops(run(prog, OUT, &p), BAD_ADDR);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(r21_options_of_every_length_are_read_past),
		TEST(r21_source_routes_are_dropped),
		TEST(r21_option_that_lies_is_dropped),
		TEST(r21_header_that_contradicts_itself_is_dropped),
		TEST(r21_length_that_lies_is_dropped),
		TEST(padding_behind_the_packet_is_legal),
		TEST(r25_gso_big_tcp_has_no_length_but_segments),
		TEST(r25_headers_outside_the_linear_part_are_read),
		TEST(r25_runt_is_dropped),
		TEST(r23_extension_chains_are_walked),
		TEST(r23_each_kind_of_header_is_read_past),
		TEST(r23_headers_that_hide_ports_need_a_port_less_rule),
		TEST(r23_chain_that_is_too_long_is_dropped),
		TEST(r23_malformed_chains_are_dropped),
		TEST(r23_atomic_fragment_is_a_whole_packet),
		TEST(impossible_addresses_are_dropped),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
