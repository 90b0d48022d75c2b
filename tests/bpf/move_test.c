// SPDX-License-Identifier: Apache-2.0
// move_test.c - an address that comes to mean something else (a label, another pod, no pod at all, a list of
// blocks), policies staying as they are: tightening cuts live flows at the next packet of either side, in
// both directions; loosening disturbs nothing and gives back what was cut.
#include "tests/bpf/rig.h"

#include "tests/harness/live.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS

#define FRIEND "10.2.0.1"
#define FRIEND6 "fd00:2::1"
#define STRANGER "10.2.0.2"
#define STAYS "10.2.0.3" // a friend whose flows nothing may disturb

#define FRIENDS "{'podSelector':{'matchLabels':{'friend':'y'}}}"

static struct live live;

static void pod(const char *name, const char *friend, const char *addrs)
{
	char labels[32];

	snprintf(labels, sizeof(labels), "'friend':'%s'", friend);
	judge_pod(&live.judge, "a", name, labels, addrs, "");
}

#define BLOCK "{'ipBlock':{'cidr':'10.9.0.0/16','except':['10.9.1.0/24']}}"

// Friends and a block without its hole may come and be gone to.
static int live_setup(void **state)
{
	if (net_fresh(NULL))
		return -1;
	live_start(&live, &rig_config);
	live_pod(&live, "a", "p", "'app':'p'", "10.1.0.5", "fd00:1::5");
	pod("friend", "y", FRIEND " " FRIEND6);
	pod("stays", "y", STAYS);
	live_policy(&live, "a", "in", "p", IN, "{'from':[" FRIENDS "," BLOCK "]}");
	live_policy(&live, "a", "out", "p", OUT, "{'to':[" FRIENDS "," BLOCK "]}");
	live_apply(&live);
	return 0;
}

static int live_teardown(void **state)
{
	live_stop(&live);
	return 0;
}

// Of each direction, two that hear from the pod first and two that hear from the other end.
struct flows {
	struct live_flow flow[4];
};

static struct flows flows_with(const char *remote)
{
	return (struct flows){ {
		{ 0, IN, remote, IPPROTO_TCP, 40000, 80 },
		{ 0, IN, remote, IPPROTO_TCP, 40001, 80 },
		{ 0, OUT, remote, IPPROTO_TCP, 443, 50000 },
		{ 0, OUT, remote, IPPROTO_TCP, 443, 50001 },
	} };
}

static struct flows establish(const char *remote)
{
	struct flows flows = flows_with(remote);

	for (int i = 0; i < 4; i++)
		live_establish(&live, &flows.flow[i]);
	return flows;
}

static void assert_cut(const struct flows *flows)
{
	for (int i = 0; i < 4; i++)
		if (!live_is_cut(&live, &flows->flow[i], i & 1))
			fail_msg("flow %d with %s lives on", i, flows->flow[i].remote);
}

static void assert_live(const struct flows *flows)
{
	for (int i = 0; i < 4; i++)
		if (!live_flows(&live, &flows->flow[i], i & 1))
			fail_msg("flow %d with %s does not live", i, flows->flow[i].remote);
}

// The next one applied cuts the flows with `remote`, and those with `STAYS` go on.
#define assert_change_cuts(flows, stays)                                                           \
	do {                                                                                       \
		live_apply(&live);                                                                 \
		assert_cut(flows);                                                                 \
		assert_live(stays);                                                                \
	} while (0)

#define assert_change_gives_back(flows, stays)                                                     \
	do {                                                                                       \
		live_apply(&live);                                                                 \
		assert_live(flows);                                                                \
		assert_live(stays);                                                                \
	} while (0)

static void r36_relabel_cuts_and_gives_back(void **state)
{
	struct flows flows = establish(FRIEND), flows6 = establish(FRIEND6);
	struct flows stays = establish(STAYS);

	pod("friend", "n", FRIEND " " FRIEND6);
	assert_change_cuts(&flows, &stays);
	assert_cut(&flows6);
	assert_cut(&flows); // for good
	pod("friend", "y", FRIEND " " FRIEND6);
	assert_change_gives_back(&flows, &stays);
	assert_live(&flows6);
}

// UDP has no handshake to begin anew with: while it talks it keeps its ports.
static void udp_that_keeps_talking_is_given_back(void **state)
{
	static const struct live_flow dns = { 0, OUT, FRIEND, IPPROTO_UDP, 53, 5353 };

	assert_true(live_flows(&live, &dns, OUT));
	pod("friend", "n", FRIEND);
	live_apply(&live);
	assert_true(live_is_cut(&live, &dns, OUT));
	pod("friend", "y", FRIEND);
	live_apply(&live);
	assert_true(live_flows(&live, &dns, OUT));
}

static void r9_address_that_goes_to_another_pod_cuts(void **state)
{
	struct flows flows = establish(FRIEND), stays = establish(STAYS);

	judge_remove(&live.judge, KIND_POD, "a", "friend");
	pod("stranger", "n", FRIEND);
	assert_change_cuts(&flows, &stays);
}

// In steps, each a plan of its own: the address is nobody's in between.
static void r9_address_that_was_nobodys_is_judged_by_its_new_pod(void **state)
{
	struct flows flows = establish(FRIEND), stays = establish(STAYS);

	judge_remove(&live.judge, KIND_POD, "a", "friend");
	assert_change_cuts(&flows, &stays);
	pod("stranger", "n", FRIEND);
	assert_change_cuts(&flows, &stays);
	judge_remove(&live.judge, KIND_POD, "a", "stranger");
	pod("friend", "y", FRIEND);
	assert_change_gives_back(&flows, &stays);
}

// bh_cidr answers for an address that leaves bh_peer: the block allows it, the block's hole does not.
static void pod_that_leaves_its_address_to_a_block(void **state)
{
	struct flows stays = establish(STAYS), inside, hole;

	pod("friend", "y", "10.9.0.1");
	pod("other", "y", "10.9.1.1");
	live_apply(&live);
	inside = establish("10.9.0.1");
	hole = establish("10.9.1.1");
	judge_remove(&live.judge, KIND_POD, "a", "other");
	assert_change_cuts(&hole, &stays);
	judge_remove(&live.judge, KIND_POD, "a", "friend");
	assert_change_gives_back(&inside, &stays);
	assert_cut(&hole);
	pod("friend", "n", "10.9.0.1");
	assert_change_gives_back(&inside, &stays); // the block allows whoever is there
}

static void block_that_leaves_a_pod_to_its_labels(void **state)
{
	struct flows stays = establish(STAYS), friend, stranger;

	pod("friend", "y", "10.9.0.1");
	pod("stranger", "n", "10.9.0.2");
	live_apply(&live);
	friend = establish("10.9.0.1");
	stranger = establish("10.9.0.2");
	live_policy(&live, "a", "in", "p", IN, "{'from':[" FRIENDS "]}");
	live_policy(&live, "a", "out", "p", OUT, "{'to':[" FRIENDS "]}");
	assert_change_cuts(&stranger, &stays);
	assert_live(&friend);
}

// A flow carries the generation it was judged under: nothing made it be judged again.
static void loosening_disturbs_nothing(void **state)
{
	uint64_t before[BH_STAT_MAX], after[BH_STAT_MAX];
	struct flows stays = establish(STAYS), flows;

	assert_ok(tables_stats_get(live.tables, before));
	pod("stranger", "n", STRANGER);
	live_apply(&live);
	pod("stranger", "y", STRANGER);
	assert_change_gives_back(&stays, &stays);
	flows = establish(STRANGER);
	assert_live(&flows);
	assert_ok(tables_stats_get(live.tables, after));
	assert_int_equal(after[BH_STAT_CT_REJUDGED], before[BH_STAT_CT_REJUDGED]);
}

// R6 by the agent's own plans: a rule goes, a rule comes.
static void r6_tightened_rule_cuts_loosened_rule_does_not(void **state)
{
	struct flows flows = establish(FRIEND), stays = establish(STAYS);

	live_policy(&live, "a", "in", "p", IN,
		    "{'from':[" FRIENDS "],'ports':[{'port':80}]}"); // what flows use stays allowed
	assert_change_gives_back(&flows, &stays);
	live_policy(&live, "a", "in", "p", IN, "{'from':[" FRIENDS "],'ports':[{'port':81}]}");
	live_apply(&live);
	for (int i = 0; i < 4; i++)
		assert_true(i < 2 ? live_is_cut(&live, &flows.flow[i], i & 1) :
				    live_flows(&live, &flows.flow[i], i & 1));
	judge_remove(&live.judge, KIND_NETPOL, "a", "in");
	assert_change_gives_back(&flows, &stays);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, live_setup, live_teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(r36_relabel_cuts_and_gives_back),
		TEST(udp_that_keeps_talking_is_given_back),
		TEST(r9_address_that_goes_to_another_pod_cuts),
		TEST(r9_address_that_was_nobodys_is_judged_by_its_new_pod),
		TEST(pod_that_leaves_its_address_to_a_block),
		TEST(block_that_leaves_a_pod_to_its_labels),
		TEST(loosening_disturbs_nothing),
		TEST(r6_tightened_rule_cuts_loosened_rule_does_not),
	};

	return net_private() < 0 ? 1 : cmocka_run_group_tests_name("move", tests, NULL, NULL);
}
