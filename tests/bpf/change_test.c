// SPDX-License-Identifier: Apache-2.0
// change_test.c - a policy change and the flows that live through it: tightening cuts at the next packet of
// either side and for good, loosening disturbs nothing; seeded and adopted flows.
#include "tests/bpf/scene.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS

static const struct flow web4 = { WEB4, 40000, 80, IPPROTO_TCP }; // in
static const struct flow out6 = { FRIEND6, 443, 40000, IPPROTO_TCP };
static const struct flow dns = { WEB4, 53, 5353, IPPROTO_UDP }; // out

static void handshake(struct bpfprog *prog, enum bh_dir dir, const struct flow *f)
{
	assert_passes(send_tcp(prog, dir, f, P_SYN), ALLOWED);
	assert_silent(send_tcp(prog, !dir, f, P_SYN | P_ACK));
	assert_silent(send_tcp(prog, dir, f, P_ACK));
}

static struct bh_ct entry(struct bpfprog *prog, const struct flow *f)
{
	struct bh_ct ct;

	assert_true(bpfprog_ct(prog, f->proto, f->remote, f->remote_port, f->local_port, &ct));
	return ct;
}

static void r6_tightening_cuts_at_the_next_packet_of_either_side(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	handshake(prog, IN, &web4);
	handshake(prog, OUT, &out6);
	change(prog, IN, 1, true);
	change(prog, OUT, 1, true);
	assert_drops(send_data(prog, OUT, &web4), CUT); // the pod answers first
	assert_drops(send_data(prog, IN, &web4), CUT);
	assert_drops(send_data(prog, IN, &out6), CUT);
	assert_drops(send_data(prog, OUT, &out6), CUT);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_CT_CUT), 2);
	assert_true(entry(prog, &web4).flags & BH_CT_CUT);
	assert_int_equal(send_data(prog, IN, &web4).rule,
			 rule_of(IN, 2, 1)); // names what denied it
}

static void r6_loosening_disturbs_nothing(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	handshake(prog, IN, &web4);
	change(prog, IN, 1, false);
	assert_passes(send_data(prog, OUT, &web4), ALLOWED); // judged again, once
	assert_silent(send_data(prog, IN, &web4));
	assert_silent(send_data(prog, OUT, &web4));
	bpfprog_enforce(prog, IN, BH_POLICY_ALLOW, BH_GEN_OF(BH_POLICY_ALLOW));
	assert_passes(send_data(prog, IN, &web4), ALLOWED);
	assert_silent(send_data(prog, IN, &web4));
	assert_int_equal(bpfprog_stat(prog, BH_STAT_CT_REJUDGED), 2);
}

static void r6_change_of_one_direction_leaves_flows_of_the_other_alone(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	handshake(prog, IN, &web4);
	change(prog, OUT, 1, true);
	assert_silent(send_data(prog, IN, &web4));
	assert_silent(send_data(prog, OUT, &web4));
}

static void cut_stays_cut_while_the_server_keeps_talking_tcp(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, IN); // egress is open: the server's packets would be allowed as new ones
	handshake(prog, IN, &web4);
	change(prog, IN, 1, true);
	for (int i = 0; i < 5; i++)
		assert_drops(send_data(prog, OUT, &web4), CUT);
	assert_drops(send_data(prog, IN, &web4), CUT);
	assert_drops(send_tcp(prog, IN, &web4, P_SYN), CUT);
	assert_drops(send_tcp(prog, OUT, &web4, P_SYN | P_ACK), CUT);
}

static void cut_stays_cut_while_the_server_keeps_talking_udp(void **state)
{
	static const struct flow udp = { WEB4, 40000, 53, IPPROTO_UDP }; // in
	struct bpfprog *prog = *state;
	struct bh_ct ct;

	isolate(prog, IN);
	assert_passes(send_tcp(prog, IN, &udp, 0), ALLOWED);
	assert_silent(send_tcp(prog, OUT, &udp, 0));
	change(prog, IN, 1, true);
	assert_drops(send_tcp(prog, OUT, &udp, 0), CUT);
	for (int i = 0; i < 5; i++) { // each packet comes 300 s after the last one
		ct = entry(prog, &udp);
		ct.last -= 300 * (uint32_t)BH_TIME_HZ;
		ct.tick = 0;
		bpfprog_ct_set(prog, IPPROTO_UDP, WEB4, 40000, 53, &ct);
		assert_drops(send_tcp(prog, OUT, &udp, 0), CUT);
	}
	ct = entry(prog, &udp);
	ct.last -= 361 * (uint32_t)BH_TIME_HZ; // idle at last: what comes now is new
	ct.tick = 0;
	bpfprog_ct_set(prog, IPPROTO_UDP, WEB4, 40000, 53, &ct);
	assert_drops(send_tcp(prog, IN, &udp, 0), POLICY_DENIED);
	assert_passes(send_tcp(prog, OUT, &udp, 0), ALLOWED);
}

static void cut_flow_is_revived_by_loosening(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	handshake(prog, IN, &web4);
	change(prog, IN, 1, true);
	assert_drops(send_data(prog, OUT, &web4), CUT);
	change(prog, IN, 2, true); // another change that does not allow it
	assert_drops(send_data(prog, OUT, &web4), CUT);
	change(prog, IN, 3, false);
	assert_passes(send_data(prog, OUT, &web4), ALLOWED);
	assert_silent(send_data(prog, IN, &web4));
	assert_false(entry(prog, &web4).flags & BH_CT_CUT);
	assert_int_equal(bpfprog_stat(prog, BH_STAT_CT_CUT), 1);
}

static void other_side_may_begin_a_new_connection_over_a_cut_one(void **state)
{
	struct bpfprog *prog = *state;

	isolate(prog, IN);
	handshake(prog, IN, &web4);
	change(prog, IN, 1, true);
	assert_drops(send_data(prog, IN, &web4), CUT);
	assert_passes(send_tcp(prog, OUT, &web4, P_SYN), ALLOWED); // its own direction allows it
	assert_silent(send_tcp(prog, IN, &web4, P_SYN | P_ACK));
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 1);
}

static void flip_between_the_fixed_policies_cuts(void **state)
{
	struct bpfprog *prog = *state;

	handshake(prog, OUT, &out6);
	bpfprog_enforce(prog, OUT, BH_POLICY_DENY, BH_GEN_OF(BH_POLICY_DENY));
	assert_drops(send_data(prog, IN, &out6), CUT);
	bpfprog_enforce(prog, OUT, BH_POLICY_ALLOW, BH_GEN_OF(BH_POLICY_ALLOW));
	assert_passes(send_data(prog, IN, &out6), ALLOWED);
}

// Between the two stores of a plan the endpoint has the new matrix and the old generation.
static void judgement_carries_the_generation_of_the_matrix_that_gave_it(void **state)
{
	struct bpfprog *prog = *state;

	isolate_both(prog);
	handshake(prog, IN, &web4);
	install(prog, IN, 30, 177, true);
	bpfprog_endpoint(prog)->policy[IN] = 30;
	assert_silent(
		send_data(prog, IN, &web4)); // still the old generation: still the old verdict
	assert_drops(send_tcp(prog, IN, &(struct flow){ WEB4, 40001, 80, IPPROTO_TCP }, P_SYN),
		     POLICY_DENIED);
	bpfprog_endpoint(prog)->gen[IN] = 177;
	assert_drops(send_data(prog, IN, &web4), CUT);
	assert_int_equal(entry(prog, &web4).gen, 177);
	// the other way round: judged by the old matrix under the new generation, it is judged once more
	bpfprog_endpoint(prog)->gen[IN] = 178;
	assert_drops(send_data(prog, IN, &web4), CUT);
	assert_int_equal(entry(prog, &web4).gen, 177);
}

static void r27_errors_about_a_flow_are_judged_with_it(void **state)
{
	struct bpfprog *prog = *state;
	struct packet p, inner;

	isolate_both(prog);
	handshake(prog, IN, &web4);
	segment(&inner, IN, &web4, P_ACK, 8);
	frame(&p, OUT, WEB4, IPPROTO_ICMP);
	packet_icmp(&p, 3, 3, 0);
	packet_embed(&p, &inner);
	packet_end(&p);
	assert_silent(bpfprog_run(prog, OUT, &p, NULL));
	change(prog, IN, 1, true);
	assert_drops(bpfprog_run(prog, OUT, &p, NULL), CUT);
}

// ---- older than enforcement -------------------------------------------------------------------------------------------------
static void seeded_entry_is_judged_at_its_first_packet(void **state)
{
	struct bh_ct seed = {
		.last = bpfprog_now(),
		.state = BH_CT_ESTABLISHED,
		.flags = BH_CT_SEEDED,
	};
	struct bpfprog *prog = *state;

	isolate_both(prog);
	bpfprog_ct_set(prog, IPPROTO_TCP, WEB4, 40000, 80, &seed);
	bpfprog_ct_set(prog, IPPROTO_TCP, FOE4, 40000, 80, &seed);
	assert_passes(send_data(prog, OUT, &web4), ALLOWED);
	assert_silent(send_data(prog, IN, &web4));
	assert_drops(send_data(prog, OUT, &(struct flow){ FOE4, 40000, 80, IPPROTO_TCP }), CUT);
}

static void r39_adoption_judges_in_one_direction(void **state)
{
	static const struct flow in = { WEB4, 40000, 80, IPPROTO_TCP };
	static const struct flow foe = { FOE4, 443, 50000,
					 IPPROTO_TCP }; // local port is ephemeral: out
	static const struct flow out = { FRIEND4, 443, 50000, IPPROTO_TCP };
	struct bpfprog *prog = *state;

	isolate_both(prog);
	bpfprog_endpoint(prog)->adopt_until = bpfprog_now() + 10 * (uint32_t)BH_TIME_HZ;
	assert_drops(send_data(prog, OUT, &in), POLICY_DENIED); // made up? it may not begin anything
	assert_passes(send_data(prog, IN, &in), ADOPTED);
	assert_silent(send_data(prog, OUT, &in));
	assert_true(entry(prog, &in).flags & BH_CT_SEEDED);
	assert_int_equal(entry(prog, &in).state, BH_CT_ESTABLISHED);
	assert_passes(send_data(prog, IN, &out), ADOPTED);
	assert_silent(send_data(prog, OUT, &out));
	assert_drops(send_data(prog, IN, &foe), POLICY_DENIED);
	assert_drops(send_tcp(prog, IN, &(struct flow){ WEB4, 40009, 80, IPPROTO_TCP }, P_RST),
		     NOT_SYN);
	bpfprog_endpoint(prog)->adopt_until = bpfprog_now() - 1;
	assert_drops(send_data(prog, IN, &(struct flow){ WEB4, 40001, 80, IPPROTO_TCP }), NOT_SYN);
}

static void open_and_tracked_pod_lets_old_connections_pass(void **state)
{
	struct bpfprog *prog = *state;

	assert_silent(
		send_data(prog, IN, &web4)); // and makes no entry: the agent's seed knows better
	assert_int_equal(bpfprog_endpoint(prog)->ct_count, 0);
	isolate(prog, OUT);
	assert_drops(send_data(prog, IN, &web4), NOT_SYN);
	assert_passes(send_tcp(prog, OUT, &dns, 0), ALLOWED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		TEST(r6_tightening_cuts_at_the_next_packet_of_either_side),
		TEST(r6_loosening_disturbs_nothing),
		TEST(r6_change_of_one_direction_leaves_flows_of_the_other_alone),
		TEST(cut_stays_cut_while_the_server_keeps_talking_tcp),
		TEST(cut_stays_cut_while_the_server_keeps_talking_udp),
		TEST(cut_flow_is_revived_by_loosening),
		TEST(other_side_may_begin_a_new_connection_over_a_cut_one),
		TEST(flip_between_the_fixed_policies_cuts),
		TEST(judgement_carries_the_generation_of_the_matrix_that_gave_it),
		TEST(r27_errors_about_a_flow_are_judged_with_it),
		TEST(seeded_entry_is_judged_at_its_first_packet),
		TEST(r39_adoption_judges_in_one_direction),
		TEST(open_and_tracked_pod_lets_old_connections_pass),
	};

	return cmocka_run_group_tests_name("change", tests, NULL, NULL);
}
