// SPDX-License-Identifier: Apache-2.0
// fragment_test.c - datagrams in pieces: a later fragment goes where its first one went, or nowhere.
#include "tests/bpf/scene.h"

#include <bulkhead/wire.h>

#define IN BH_INGRESS

static struct bpfprog_result run(struct bpfprog *prog, enum bh_dir dir, const struct packet *p)
{
	return bpfprog_run(prog, dir, p, NULL);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

// A fragment of a UDP datagram web -> pod, port 53; offset 0 carries the header.
static void fragment(struct packet *p, bool v6, uint16_t id, uint32_t offset, bool more)
{
	frame(p, IN, v6 ? WEB6 : WEB4, IPPROTO_UDP);
	if (v6)
		packet_fragment6(p, id, offset, more);
	if (!offset)
		packet_udp(p, 40000, 53);
	packet_data(p, offset ? 64 : 56);
	if (!v6)
		packet_fragment4(p, id, offset, more);
	packet_end(p);
	if (!offset)
		put16(p->data + p->l4 + 4, 8 + 56 + 64 + 64);
}

static void r22_large_datagrams_pass(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (int v6 = 0; v6 < 2; v6++) {
		fragment(&p, v6, 7, 0, true);
		assert_passes(run(prog, IN, &p), ALLOWED);
		fragment(&p, v6, 7, 128, false); // out of order
		assert_silent(run(prog, IN, &p));
		fragment(&p, v6, 7, 64, true);
		assert_silent(run(prog, IN, &p));
	}
}

static void r22_later_fragment_without_its_first_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (int v6 = 0; v6 < 2; v6++) {
		fragment(&p, v6, 7, 64, false);
		assert_drops(run(prog, IN, &p), FRAG_UNKNOWN);
		fragment(&p, v6, 7, 0, true);
		assert_passes(run(prog, IN, &p), ALLOWED);
		fragment(&p, v6, 8, 64, false);
		assert_drops(run(prog, IN, &p), FRAG_UNKNOWN);
	}
}

// The pieces of a datagram that come too early are lost, and counted; the next one is none the worse.
static void r22_pieces_out_of_order_pass_from_the_first_one_on(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (int v6 = 0; v6 < 2; v6++) {
		fragment(&p, v6, 7, 128, false); // the last one first
		assert_drops(run(prog, IN, &p), FRAG_UNKNOWN);
		fragment(&p, v6, 7, 0, true);
		assert_passes(run(prog, IN, &p), ALLOWED);
		fragment(&p, v6, 7, 64, true);
		assert_silent(run(prog, IN, &p));
		fragment(&p, v6, 7, 128, false); // sent again
		assert_silent(run(prog, IN, &p));
		fragment(&p, v6, 8, 0, true);
		assert_silent(run(prog, IN, &p));
		fragment(&p, v6, 8, 64, false);
		assert_silent(run(prog, IN, &p));
	}
}

// Whoever repeats the first piece with other ports has it judged by those.
static void r22_first_fragment_again_is_judged_again(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	for (int v6 = 0; v6 < 2; v6++) {
		fragment(&p, v6, 7, 0, true);
		assert_passes(run(prog, IN, &p), ALLOWED);
		put16(p.data + p.l4 + 2, 54);
		assert_drops(run(prog, IN, &p), POLICY_DENIED);
	}
}

static void r22_pieces_too_old_to_be_one_datagram_are_dropped(void **state)
{
	// a unit of time instead of 30 s: what is remembered is too old when the clock has moved on
	struct bpfprog_options options = { .ct_scale = 15 };
	struct bpfprog *prog = prog_new(&options);
	struct packet p;
	uint32_t then;

	fragment(&p, false, 7, 0, true);
	assert_passes(run(prog, IN, &p), ALLOWED);
	then = bpfprog_now();
	while (bpfprog_now() - then < 16)
		;
	fragment(&p, false, 7, 64, false);
	assert_drops(run(prog, IN, &p), FRAG_UNKNOWN);
	bpfprog_free(prog);
}

static void r22_later_fragment_of_a_denied_first_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	fragment(&p, false, 7, 0, true);
	put16(p.data + p.l4 + 2, 54);
	assert_drops(run(prog, IN, &p), POLICY_DENIED);
	fragment(&p, false, 7, 64, false);
	assert_drops(run(prog, IN, &p), FRAG_UNKNOWN);
}

static void r22_tiny_first_fragment_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	for (uint32_t n = 0; n < 20; n += 4) {
		frame(&p, IN, WEB4, IPPROTO_TCP);
		packet_tcp(&p, 40000, 80, P_SYN);
		p.len -= 20 - n;
		packet_fragment4(&p, 9, 0, true);
		packet_end(&p);
		assert_drops(run(prog, IN, &p), SHORT);
	}
	for (uint32_t n = 0; n < 20; n += 4) {
		frame(&p, IN, WEB6, IPPROTO_TCP);
		packet_fragment6(&p, 9, 0, true);
		packet_tcp(&p, 40000, 80, P_SYN);
		p.len -= 20 - n;
		packet_end(&p);
		assert_drops(run(prog, IN, &p), SHORT);
	}
	for (uint32_t n = 4; n < 12; n += 4) { // UDP's header has 8 bytes, SCTP's 12
		frame(&p, IN, WEB4, n < 8 ? IPPROTO_UDP : IPPROTO_SCTP);
		packet_data(&p, n);
		packet_fragment4(&p, 9, 0, true);
		packet_end(&p);
		assert_drops(run(prog, IN, &p), SHORT);
	}
	frame(&p, IN, WEB6, IPPROTO_TCP);
	packet_fragment6(&p, 9, 0, true);
	packet_ext(&p, BH_NEXT_DEST, 0); // the rest of the chain is in the next fragment
	packet_end(&p);
	assert_drops(run(prog, IN, &p), SHORT);
}

static void r22_fragment_over_the_transport_header_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	frame(&p, IN, WEB4, IPPROTO_TCP);
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_data(&p, 12);
	packet_fragment4(&p, 9, 0, true);
	packet_end(&p);
	assert_passes(run(prog, IN, &p), ALLOWED);
	frame(&p, IN, WEB6, IPPROTO_TCP);
	packet_fragment6(&p, 9, 0, true);
	packet_ext(&p, BH_NEXT_DEST, 0); // moves what must not be overwritten 8 bytes on
	packet_tcp(&p, 40000, 80, P_SYN);
	packet_data(&p, 12);
	packet_end(&p);
	assert_passes(run(prog, IN, &p), ALLOWED);
	for (uint32_t offset = 8; offset <= 32; offset += 8) {
		frame(&p, IN, WEB4, IPPROTO_TCP);
		packet_data(&p, 16);
		packet_fragment4(&p, 9, offset, false);
		packet_end(&p);
		if (offset < 20)
			assert_drops(run(prog, IN, &p), FRAG_OVERLAP);
		else
			assert_silent(run(prog, IN, &p));
		frame(&p, IN, WEB6, BH_NEXT_DEST);
		packet_fragment6(&p, 9, offset, false);
		packet_data(&p, 16);
		packet_end(&p);
		if (offset < 28)
			assert_drops(run(prog, IN, &p), FRAG_OVERLAP);
		else
			assert_silent(run(prog, IN, &p));
	}
}

static void r22_fragment_past_the_end_of_a_datagram_is_dropped(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	frame(&p, IN, WEB4, IPPROTO_UDP);
	packet_data(&p, 64);
	packet_fragment4(&p, 9, 65528, false);
	packet_end(&p);
	assert_drops(run(prog, IN, &p), BAD_LENGTH);
}

static void fragments_of_an_echo_share_its_id(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p;

	isolate_both(prog);
	frame(&p, IN, FRIEND4, IPPROTO_ICMP);
	packet_icmp(&p, 8, 0, 99);
	packet_data(&p, 56);
	packet_fragment4(&p, 3, 0, true);
	packet_end(&p);
	assert_passes(run(prog, IN, &p), ALLOWED);
	frame(&p, IN, FRIEND4, IPPROTO_ICMP);
	packet_data(&p, 56);
	packet_fragment4(&p, 3, 64, false);
	packet_end(&p);
	assert_silent(run(prog, IN, &p));
	assert_int_equal(bpfprog_half_open(prog), 1);
}

// One pod's datagrams in pieces, many more than the whole table holds; another's goes on where it was.
static void one_pods_flood_of_fragments_leaves_the_others_theirs(void **state)
{
	struct bpfprog_options small = { .frags = 64 };
	struct bpfprog *a = prog_new(&small), *b;
	struct packet p;

	small.slot = 9;
	small.share = a;
	b = prog_new(&small);
	isolate_both(a);
	isolate_both(b);
	for (int v6 = 0; v6 < 2; v6++) {
		fragment(&p, v6, 7, 0, true);
		assert_passes(run(b, IN, &p), ALLOWED);
		for (uint16_t id = 0; id < 1000; id++) {
			fragment(&p, v6, id, 0, true);
			assert_true(run(a, IN, &p).pass);
		}
		fragment(&p, v6, 7, 64, true);
		assert_silent(run(b, IN, &p));
		fragment(&p, v6, 999, 64, false); // what it sent last still has its place
		assert_silent(run(a, IN, &p));
		fragment(&p, v6, 900, 64, false);
		assert_drops(run(a, IN, &p), FRAG_UNKNOWN);
	}
	bpfprog_free(b);
	bpfprog_free(a);
}

static void datagrams_in_one_place_are_told_apart(void **state)
{
	struct bpfprog_options one = { .frags = 1 };
	struct bpfprog *prog = prog_new(&one);
	struct packet p;

	isolate_both(prog);
	fragment(&p, false, 7, 0, true);
	assert_passes(run(prog, IN, &p), ALLOWED);
	fragment(&p, false, 8, 64, false);
	assert_drops(run(prog, IN, &p), FRAG_UNKNOWN);
	fragment(&p, false, 8, 0, true);
	assert_silent(run(prog, IN, &p)); // takes the place
	fragment(&p, false, 7, 64, false);
	assert_drops(run(prog, IN, &p), FRAG_UNKNOWN);
	fragment(&p, false, 8, 64, false);
	assert_silent(run(prog, IN, &p));
	bpfprog_free(prog);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(r22_large_datagrams_pass),
		TEST(r22_later_fragment_without_its_first_is_dropped),
		TEST(r22_pieces_out_of_order_pass_from_the_first_one_on),
		TEST(r22_first_fragment_again_is_judged_again),
		TEST(r22_pieces_too_old_to_be_one_datagram_are_dropped),
		TEST(r22_later_fragment_of_a_denied_first_is_dropped),
		TEST(r22_tiny_first_fragment_is_dropped),
		TEST(r22_fragment_over_the_transport_header_is_dropped),
		TEST(r22_fragment_past_the_end_of_a_datagram_is_dropped),
		TEST(one_pods_flood_of_fragments_leaves_the_others_theirs),
		TEST(datagrams_in_one_place_are_told_apart),
		TEST(fragments_of_an_echo_share_its_id),
	};

	return cmocka_run_group_tests_name("fragment", tests, NULL, NULL);
}
