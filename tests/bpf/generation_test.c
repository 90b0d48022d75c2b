// SPDX-License-Identifier: Apache-2.0
// generation_test.c - a flow that an old policy judged is never taken for one that the new policy judged: not
// after a restart of the agent, not after the counter of generations began anew.
#include "tests/bpf/rig.h"

#include "agent/policy/room.h"
#include "tests/harness/live.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS

#define FRIEND "10.2.0.1"
#define FROM_FRIENDS "{'from':[{'podSelector':{'matchLabels':{'friend':'y'}}}]}"

static const struct live_flow flow = { 0, IN, FRIEND, IPPROTO_TCP, 40000, 80 };
static const struct live_flow flow6 = { 0, IN, "fd00:2::1", IPPROTO_TCP, 40000, 80 };
static const struct live_flow others = { 1, IN, FRIEND, IPPROTO_TCP, 40000, 80 };

static struct live live;

static int live_setup(void **state)
{
	if (net_fresh(NULL))
		return -1;
	live_start(&live, &rig_config);
	live_pod(&live, "a", "p", "'app':'p'", "10.1.0.5", "fd00:1::5");
	live_pod(&live, "a", "q", "'app':'q'", "10.1.0.6", "fd00:1::6");
	judge_pod(&live.judge, "a", "f", "'friend':'y'", FRIEND " fd00:2::1", "");
	return 0;
}

static int live_teardown(void **state)
{
	live_stop(&live);
	return 0;
}

static void allow(const char *app)
{
	live_policy(&live, "a", app, app, IN, FROM_FRIENDS);
	live_apply(&live);
}

static void deny(const char *app)
{
	live_policy(&live, "a", app, app, IN, "");
	live_apply(&live);
}

static void open_up(const char *app)
{
	judge_remove(&live.judge, KIND_NETPOL, "a", app);
	live_apply(&live);
}

static uint32_t gen_of_entry(const struct live_flow *of)
{
	struct bh_ct ct = { 0 };

	assert_true(live_entry(&live, of, &ct));
	return ct.gen;
}

static uint32_t gen_of_pod(uint32_t slot)
{
	return tables_endpoint(live.tables, slot)->gen[IN];
}

// The matrix that judged it is gone when the agent starts again: nothing in the tables tells its generation.
static void restart_does_not_revive_what_an_old_policy_allowed(void **state)
{
	uint32_t old;

	allow("p");
	live_establish(&live, &flow);
	live_establish(&live, &flow6);
	old = gen_of_entry(&flow);
	open_up("p");
	live_restart(&live);
	assert_int_equal(gen_of_entry(&flow), old);
	deny("p");
	assert_int_equal(gen_of_pod(0), old); // given again, and nothing carries it
	assert_int_equal(gen_of_entry(&flow), 0);
	assert_int_equal(gen_of_entry(&flow6), 0);
	assert_true(live_is_cut(&live, &flow, OUT));
	assert_true(live_is_cut(&live, &flow6, IN));
}

static void restart_forgets_no_flow_that_is_judged(void **state)
{
	uint32_t gen;

	allow("p");
	allow("q");
	live_establish(&live, &flow);
	live_establish(&live, &others);
	gen = gen_of_entry(&others);
	live_restart(&live);
	deny("p");
	assert_int_equal(gen_of_entry(&others), gen);
	assert_true(live_flows(&live, &others, OUT));
	assert_true(live_is_cut(&live, &flow, OUT));
}

// Nor one that is half open: its server may answer, and be answered, on the old policy's word.
static void restart_does_not_revive_a_half_open_flow(void **state)
{
	struct bh_ct ct;
	uint32_t old;

	allow("p");
	assert_true(live_send(&live, &flow, flow.dir, P_SYN));
	assert_true(live_send(&live, &flow, !flow.dir, P_SYN | P_ACK));
	old = gen_of_entry(&flow);
	open_up("p");
	live_restart(&live);
	deny("p");
	assert_int_equal(gen_of_pod(0), old);
	assert_false(live_entry(&live, &flow, &ct));
	assert_false(live_send(&live, &flow, flow.dir, P_ACK));
}

// Idle since before the wrap, with the very generation that comes round.
static void wrap_does_not_revive_what_an_old_policy_allowed(void **state)
{
	uint32_t old;

	allow("p");
	live_establish(&live, &flow);
	live_establish(&live, &flow6);
	old = gen_of_entry(&flow);
	assert_int_equal(old, BH_GEN_FIRST);
	open_up("p");
	live.judge.policy->last_gen = UINT32_MAX;
	deny("p");
	assert_int_equal(gen_of_pod(0), old);
	assert_true(live_is_cut(&live, &flow, IN));
	assert_true(live_is_cut(&live, &flow6, OUT));
}

// In force while the counter begins anew, out of force when it comes by: other flows still carry it.
static void generation_held_through_a_wrap_is_not_given(void **state)
{
	uint32_t held, given[8];

	allow("p");
	allow("q");
	live_establish(&live, &flow);
	live_establish(&live, &others);
	held = gen_of_pod(0);
	live.judge.policy->last_gen = UINT32_MAX;
	deny("q");
	given[0] = gen_of_pod(1);
	open_up("p");
	assert_int_equal(gen_of_entry(&flow), held);
	for (int i = 1; i < 8; i++) {
		open_up("q");
		deny("q");
		given[i] = gen_of_pod(1);
	}
	for (int i = 0; i < 8; i++)
		assert_int_not_equal(given[i], held);
	assert_true(given[0] >= BH_GEN_FIRST && given[7] < 32); // it did begin anew
	deny("p");
	assert_int_not_equal(gen_of_pod(0), held);
	assert_true(live_is_cut(&live, &flow, OUT));
	assert_true(live_is_cut(&live, &others, IN));
}

// All that one plan gives fits behind the counter, or it begins anew before the plan.
static void a_plan_gives_generations_of_one_round(void **state)
{
	uint32_t last = UINT32_MAX - 2 * BH_LIMIT_POLICIES - 1;

	live.judge.policy->last_gen = last;
	allow("p");
	assert_int_equal(gen_of_pod(0), last + 1);
	live_establish(&live, &flow);
	deny("p");
	assert_int_equal(gen_of_pod(0), BH_GEN_FIRST);
	assert_true(live_is_cut(&live, &flow, OUT));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, live_setup, live_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(restart_does_not_revive_what_an_old_policy_allowed),
		TEST(restart_forgets_no_flow_that_is_judged),
		TEST(restart_does_not_revive_a_half_open_flow),
		TEST(wrap_does_not_revive_what_an_old_policy_allowed),
		TEST(generation_held_through_a_wrap_is_not_given),
		TEST(a_plan_gives_generations_of_one_round),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
