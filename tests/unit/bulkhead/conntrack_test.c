// SPDX-License-Identifier: Apache-2.0
// conntrack_test.c - states, time-outs and check words of connections, on memory.
#include "tests/harness/test.h"

#include <bulkhead/conntrack.h>

#define I BH_CT_INITIATOR
#define R BH_CT_RESPONDER
#define SEC ((uint32_t)BH_TIME_HZ)

struct step {
	enum bh_ct_side side;
	enum bh_ct_event event;
	uint8_t state; // after it
};

static void walk(const struct step *steps, size_t n)
{
	struct bh_ct ct = {};

	for (size_t i = 0; i < n; i++) {
		ct.word = bh_ct_step(&ct, BH_PROTO_TCP, steps[i].side, steps[i].event);
		if (ct.state != steps[i].state)
			fail_msg("step %zu: state %u, expected %u", i, ct.state, steps[i].state);
	}
}

#define WALK(...)                                                                                  \
	do {                                                                                       \
		const struct step steps_[] = { __VA_ARGS__ };                                      \
		walk(steps_, ARRAY_SIZE(steps_));                                                  \
	} while (0)

#define OPEN                                                                                       \
	{ I, BH_CT_EV_SYN, BH_CT_NEW }, { R, BH_CT_EV_SYNACK, BH_CT_REPLY },                       \
	{                                                                                          \
		I, BH_CT_EV_PLAIN, BH_CT_ESTABLISHED                                               \
	}

static struct bh_ct after(struct bh_ct ct, enum bh_ct_side side, enum bh_ct_event event)
{
	ct.word = bh_ct_step(&ct, BH_PROTO_TCP, side, event);
	return ct;
}

// Who sent it is remembered, until both sides go on as if nothing was; no state follows from it.
static void a_reset_is_remembered_of_its_sender(void **state)
{
	struct bh_ct ct = { .state = BH_CT_ESTABLISHED };

	ct = after(ct, R, BH_CT_EV_RST);
	assert_int_equal(ct.state, BH_CT_CLOSED);
	assert_int_equal(ct.tcp_seen[0], 0);
	assert_int_equal(ct.tcp_seen[1], BH_CT_SEEN_RST);
	ct = after(after(ct, R, BH_CT_EV_DATA), I, BH_CT_EV_PLAIN);
	assert_int_equal(ct.state, BH_CT_ESTABLISHED);
	assert_int_equal((ct.tcp_seen[0] | ct.tcp_seen[1]) & BH_CT_SEEN_RST, 0);
	ct = after(after(ct, I, BH_CT_EV_FIN), R, BH_CT_EV_FIN);
	ct = after(ct, I, BH_CT_EV_RST);
	assert_int_equal(ct.state, BH_CT_CLOSED);
	assert_int_equal(ct.tcp_seen[0] & (BH_CT_SEEN_FIN | BH_CT_SEEN_RST), BH_CT_SEEN_FIN | BH_CT_SEEN_RST);
	assert_int_equal(ct.tcp_seen[1] & (BH_CT_SEEN_FIN | BH_CT_SEEN_RST), BH_CT_SEEN_FIN);
}

static void handshake_needs_all_three(void **state)
{
	WALK(OPEN, { R, BH_CT_EV_DATA, BH_CT_ESTABLISHED }, { I, BH_CT_EV_SYN, BH_CT_ESTABLISHED });
	WALK({ I, BH_CT_EV_SYN, BH_CT_NEW }, { I, BH_CT_EV_SYN, BH_CT_NEW },
	     { I, BH_CT_EV_DATA, BH_CT_NEW }, { R, BH_CT_EV_PLAIN, BH_CT_NEW },
	     { R, BH_CT_EV_SYNACK, BH_CT_REPLY }, { R, BH_CT_EV_SYNACK, BH_CT_REPLY },
	     { R, BH_CT_EV_DATA, BH_CT_REPLY }, { I, BH_CT_EV_DATA, BH_CT_ESTABLISHED });
}

static void refused_connection_is_closed(void **state)
{
	WALK({ I, BH_CT_EV_SYN, BH_CT_NEW }, { R, BH_CT_EV_RST, BH_CT_CLOSED });
}

static void both_sides_close(void **state)
{
	WALK(OPEN, { I, BH_CT_EV_FIN, BH_CT_FIN }, { R, BH_CT_EV_DATA, BH_CT_FIN },
	     { I, BH_CT_EV_FIN, BH_CT_FIN }, { R, BH_CT_EV_FIN, BH_CT_CLOSED },
	     { I, BH_CT_EV_PLAIN, BH_CT_CLOSED }, { R, BH_CT_EV_PLAIN, BH_CT_CLOSED });
	WALK(OPEN, { R, BH_CT_EV_FIN, BH_CT_FIN }, { I, BH_CT_EV_FIN, BH_CT_CLOSED });
}

static void reset_is_undone_by_both_sides_only(void **state)
{
	WALK(OPEN, { R, BH_CT_EV_RST, BH_CT_CLOSED }, { R, BH_CT_EV_DATA, BH_CT_CLOSED },
	     { R, BH_CT_EV_DATA, BH_CT_CLOSED }, { I, BH_CT_EV_PLAIN, BH_CT_ESTABLISHED });
	WALK(OPEN, { I, BH_CT_EV_RST, BH_CT_CLOSED }, { R, BH_CT_EV_DATA, BH_CT_CLOSED },
	     { I, BH_CT_EV_RST, BH_CT_CLOSED }, { I, BH_CT_EV_PLAIN, BH_CT_CLOSED },
	     { R, BH_CT_EV_PLAIN, BH_CT_ESTABLISHED });
}

static void reset_of_a_half_closed_connection_heals_to_half_closed(void **state)
{
	WALK(OPEN, { I, BH_CT_EV_FIN, BH_CT_FIN }, { R, BH_CT_EV_RST, BH_CT_CLOSED },
	     { R, BH_CT_EV_DATA, BH_CT_CLOSED }, { I, BH_CT_EV_PLAIN, BH_CT_FIN });
}

static void fin_is_undone_by_data_of_its_side(void **state)
{
	WALK(OPEN, { R, BH_CT_EV_FIN, BH_CT_FIN }, { I, BH_CT_EV_PLAIN, BH_CT_FIN },
	     { R, BH_CT_EV_PLAIN, BH_CT_FIN }, { R, BH_CT_EV_DATA, BH_CT_ESTABLISHED });
}

static void only_an_opener_reopens_what_is_closed(void **state)
{
	assert_true(bh_ct_reopens(BH_CT_CLOSED, 1));
	assert_false(bh_ct_reopens(BH_CT_CLOSED, 0));
	assert_false(bh_ct_reopens(BH_CT_ESTABLISHED, 1));
	assert_false(bh_ct_reopens(BH_CT_FIN, 1));
}

static void other_protocols_know_answered_and_not(void **state)
{
	static const uint8_t protos[] = { BH_PROTO_UDP, BH_PROTO_ICMP, BH_PROTO_SCTP, 47 };

	for (size_t i = 0; i < ARRAY_SIZE(protos); i++) {
		struct bh_ct ct = {};

		ct.word = bh_ct_step(&ct, protos[i], I, BH_CT_EV_PLAIN);
		assert_int_equal(ct.state, BH_CT_NEW);
		ct.word = bh_ct_step(&ct, protos[i], R, BH_CT_EV_PLAIN);
		assert_int_equal(ct.state, BH_CT_REPLY);
		assert_int_equal(bh_ct_step(&ct, protos[i], I, BH_CT_EV_PLAIN), ct.word);
	}
}

static void a_step_leaves_other_flags_alone(void **state)
{
	struct bh_ct ct = { .flags = BH_CT_EGRESS | BH_CT_NODE | BH_CT_CUT | BH_CT_SEEDED };

	ct.word = bh_ct_step(&ct, BH_PROTO_TCP, R, BH_CT_EV_SYNACK);
	assert_int_equal(ct.flags, BH_CT_EGRESS | BH_CT_NODE | BH_CT_CUT | BH_CT_SEEDED);
}

static void every_state_has_a_next_one_for_every_event(void **state)
{
	for (int s = 0; s < BH_CT_STATE_MAX; s++)
		for (int side = 0; side < 2; side++)
			for (int event = 0; event < BH_CT_EV_MAX; event++) {
				struct bh_ct ct = { .state = s };

				ct.word = bh_ct_step(&ct, BH_PROTO_TCP, side, event);
				assert_true(ct.state < BH_CT_STATE_MAX);
			}
}

static void events_are_told_by_flags(void **state)
{
	assert_int_equal(bh_ct_event(BH_TCP_SYN, 0), BH_CT_EV_SYN);
	assert_int_equal(bh_ct_event(BH_TCP_SYN | BH_TCP_ACK, 0), BH_CT_EV_SYNACK);
	assert_int_equal(bh_ct_event(BH_TCP_ACK, 0), BH_CT_EV_PLAIN);
	assert_int_equal(bh_ct_event(BH_TCP_ACK, 1), BH_CT_EV_DATA);
	assert_int_equal(bh_ct_event(BH_TCP_ACK | BH_TCP_FIN, 1), BH_CT_EV_FIN);
	assert_int_equal(bh_ct_event(BH_TCP_RST | BH_TCP_SYN | BH_TCP_FIN, 0), BH_CT_EV_RST);
	assert_int_equal(bh_ct_event(0, 0), BH_CT_EV_PLAIN);
}

// ---- time -------------------------------------------------------------------------------------------------------------------
static void r10_time_outs_hold_their_promises(void **state)
{
	assert_true(bh_ct_timeout_sec(BH_CT_ESTABLISHED, BH_PROTO_TCP) >= 24 * 3600);
	assert_true(bh_ct_timeout_sec(BH_CT_REPLY, BH_PROTO_UDP) > 300);
	assert_in_range(bh_ct_timeout_sec(BH_CT_CLOSED, BH_PROTO_TCP), 10, 30);
	assert_int_equal(bh_ct_timeout_sec(BH_CT_NEW, BH_PROTO_TCP), 60);
}

static void expiry_is_by_state(void **state)
{
	struct bh_ct ct = { .last = 1000, .state = BH_CT_NEW };

	assert_false(bh_ct_expired(&ct, BH_PROTO_UDP, 1000 + 60 * SEC, 0));
	assert_true(bh_ct_expired(&ct, BH_PROTO_UDP, 1001 + 60 * SEC, 0));
	ct.state = BH_CT_REPLY;
	assert_false(bh_ct_expired(&ct, BH_PROTO_UDP, 1001 + 60 * SEC, 0));
	assert_true(bh_ct_expired(&ct, BH_PROTO_UDP, 1001 + 60 * SEC, 3)); // 45 s
	ct.state = BH_CT_ESTABLISHED;
	assert_false(bh_ct_expired(&ct, BH_PROTO_TCP, 1000 + 24 * 3600 * SEC, 0));
	ct.flags = BH_CT_CUT;
	assert_true(bh_ct_expired(&ct, BH_PROTO_TCP, 1001 + 360 * SEC, 0));
}

static void expiry_survives_the_clocks_wrap_and_a_clock_ahead(void **state)
{
	struct bh_ct ct = { .last = 0xffffff00u, .state = BH_CT_NEW };

	assert_false(bh_ct_expired(&ct, BH_PROTO_UDP, 0x100, 0));
	assert_true(bh_ct_expired(&ct, BH_PROTO_UDP, 61 * SEC, 0));
	assert_false(bh_ct_expired(&ct, BH_PROTO_UDP, 0xfffffe00u, 0));
	ct.last = 5;
	assert_false(bh_ct_expired(&ct, BH_PROTO_UDP, 0, 0));
	assert_true(bh_ct_expired(&ct, BH_PROTO_UDP, 0x80000000u, 0)); // 26 days
	assert_true(bh_ct_expired(&ct, BH_PROTO_UDP, 0xf0000000u, 0));
}

static void check_words_tell_neighbours_apart(void **state)
{
	struct bh_ct_key a = { .ident = 0x7003,
			       .remote = 0x0900020a,
			       .remote_port = 0x409c,
			       .local_port = 0x5000,
			       .proto = 6 },
			 b;
	struct bh_ct6_key c = { .ident = 0x7003, .remote = { 1, 2, 3, 4 }, .proto = 6 }, d = c;

	for (size_t bit = 0; bit < 15 * 8; bit++) {
		b = a;
		((uint8_t *)&b)[bit / 8] ^= 1 << bit % 8;
		assert_true(bh_ct_check(&a) != bh_ct_check(&b));
	}
	for (size_t bit = 0; bit < 27 * 8; bit++) {
		d = c;
		((uint8_t *)&d)[bit / 8] ^= 1 << bit % 8;
		assert_true(bh_ct6_check(&c) != bh_ct6_check(&d));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handshake_needs_all_three),
		cmocka_unit_test(a_reset_is_remembered_of_its_sender),
		cmocka_unit_test(refused_connection_is_closed),
		cmocka_unit_test(both_sides_close),
		cmocka_unit_test(reset_is_undone_by_both_sides_only),
		cmocka_unit_test(reset_of_a_half_closed_connection_heals_to_half_closed),
		cmocka_unit_test(fin_is_undone_by_data_of_its_side),
		cmocka_unit_test(only_an_opener_reopens_what_is_closed),
		cmocka_unit_test(other_protocols_know_answered_and_not),
		cmocka_unit_test(a_step_leaves_other_flags_alone),
		cmocka_unit_test(every_state_has_a_next_one_for_every_event),
		cmocka_unit_test(events_are_told_by_flags),
		cmocka_unit_test(r10_time_outs_hold_their_promises),
		cmocka_unit_test(expiry_is_by_state),
		cmocka_unit_test(expiry_survives_the_clocks_wrap_and_a_clock_ahead),
		cmocka_unit_test(check_words_tell_neighbours_apart),
	};

	return cmocka_run_group_tests_name("conntrack", tests, NULL, NULL);
}
