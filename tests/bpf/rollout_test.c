// SPDX-License-Identifier: Apache-2.0
// rollout_test.c - Services from objects to packets: what their backends allow, what a change of them does to live
// flows, and what an agent that starts again finds in the tables.
#include "tests/bpf/rig.h"

#include "tests/harness/live.h"

#define OUT BH_EGRESS

#define VIP "10.96.0.1"
#define VIP6 "fd00:96::1"
#define ALLOWED "10.2.0.1"
#define ALSO "10.2.0.2"
#define FORBIDDEN "10.2.0.9"

static struct live live;

static const struct live_flow flow = { 0, OUT, VIP, 6, 80, 40000 };
static const struct live_flow again = { 0, OUT, VIP, 6, 80, 40001 };

static void pod(const char *name, const char *friend, const char *addrs)
{
	char labels[32];

	snprintf(labels, sizeof(labels), "'friend':'%s'", friend);
	judge_pod(&live.judge, "a", name, labels, addrs, "");
}

static void service(const char *more)
{
	judge_put(&live.judge, KIND_SERVICE,
		  "{'metadata':{'namespace':'a','name':'s'},'spec':{'clusterIPs':['" VIP "','" VIP6
		  "'],'ports':[{'port':80,'targetPort':8080,'nodePort':30080}]%s}}",
		  more);
}

// Endpoints as items: {'addresses':[..]}, ...
static void endpoints(const char *items)
{
	judge_put(
		&live.judge, KIND_ENDPOINTSLICE,
		"{'metadata':{'namespace':'a','name':'s-1','labels':{'kubernetes.io/service-name':'s'}},"
		"'addressType':'IPv4','ports':[{'port':8080}],'endpoints':[%s]}",
		items);
	live_apply(&live);
}

#define AT(addr) "{'addresses':['" addr "']}"

static int live_setup(void **state)
{
	if (net_fresh(NULL))
		return -1;
	live_start(&live, &rig_config);
	live_pod(&live, "a", "p", "'app':'p'", "10.1.0.5", "fd00:1::5");
	pod("one", "y", ALLOWED);
	pod("two", "y", ALSO);
	pod("other", "n", FORBIDDEN);
	live_policy(
		&live, "a", "out", "p", OUT,
		"{'to':[{'podSelector':{'matchLabels':{'friend':'y'}}}],'ports':[{'port':8080}]}");
	service("");
	endpoints(AT(ALLOWED));
	return 0;
}

static int live_teardown(void **state)
{
	live_stop(&live);
	return 0;
}

static enum bh_reason asked(const char *remote, uint16_t port)
{
	struct tables_answer answer;
	struct bh_addr addr;

	assert_ok(addr_parse(remote, &addr));
	return tables_ask(live.tables, 0, OUT, &addr, 6, port, &answer);
}

static void a_flow_is_judged_on_the_backends(void **state)
{
	live_establish(&live, &flow);
	assert_int_equal(asked(VIP, 80), BH_REASON_ALLOWED);
	assert_int_equal(asked(VIP, 8080), BH_REASON_POLICY_DENIED); // its address is nobody's
	assert_int_equal(asked(VIP6, 80), BH_REASON_SERVICE_EMPTY);
	endpoints(AT(FORBIDDEN));
	assert_false(live_send(&live, &again, OUT, P_SYN));
	assert_int_equal(asked(VIP, 80), BH_REASON_POLICY_DENIED);
	endpoints(AT(ALLOWED) "," AT(FORBIDDEN)); // no netfilter program here
	assert_false(live_send(&live, &again, OUT, P_SYN));
	assert_int_equal(asked(VIP, 80), BH_REASON_SERVICE_MIXED);
	endpoints(AT(ALLOWED) "," AT(ALSO));
	live_establish(&live, &again);
}

static void a_rollout_between_allowed_backends_disturbs_nothing(void **state)
{
	struct bh_ct before, after;

	live_establish(&live, &flow);
	assert_true(live_entry(&live, &flow, &before));
	endpoints(AT(ALLOWED) "," AT(ALSO));
	endpoints(AT(ALSO));
	assert_true(live_flows(&live, &flow, OUT));
	assert_true(live_entry(&live, &flow, &after));
	assert_int_equal(before.gen, after.gen); // not even judged again
	endpoints("");
	assert_true(live_flows(&live, &flow, OUT)); // those that it had go on
	assert_false(live_send(&live, &again, OUT, P_SYN));
	assert_int_equal(asked(VIP, 80), BH_REASON_SERVICE_EMPTY);
	endpoints(AT(ALLOWED));
	assert_true(live_flows(&live, &flow, OUT));
}

static void a_service_that_becomes_forbidden_is_cut(void **state)
{
	live_establish(&live, &flow);
	endpoints(AT(FORBIDDEN));
	assert_true(live_is_cut(&live, &flow, OUT));
	endpoints(AT(ALLOWED));
	pod("one", "n", ALLOWED); // relabelled
	live_apply(&live);
	assert_int_equal(asked(VIP, 80), BH_REASON_POLICY_DENIED);
	assert_true(live_is_cut(&live, &flow, OUT));
}

static void a_service_that_goes_leaves_an_address(void **state)
{
	live_establish(&live, &flow);
	judge_remove(&live.judge, KIND_SERVICE, "a", "s");
	live_apply(&live);
	assert_true(live_is_cut(&live, &flow, OUT));
	live_policy(&live, "a", "block", "p", OUT, "{'to':[{'ipBlock':{'cidr':'10.96.0.0/16'}}]}");
	live_apply(&live);
	live_establish(&live, &again);
	service(""); // what its address may does not count any more, but its backend may
	live_apply(&live);
	assert_true(live_flows(&live, &again, OUT));
	endpoints(AT(FORBIDDEN));
	assert_true(live_is_cut(&live, &again, OUT));
}

// ---- starting again ----------------------------------------------------------------------------------------------

static void an_agent_that_starts_again_changes_nothing(void **state)
{
	struct bh_ct before, after;

	judge_put(
		&live.judge, KIND_SERVICE,
		"{'metadata':{'namespace':'a','name':'self'},'spec':{'clusterIP':'10.96.0.2','ports':[{'port':80}]}}");
	judge_put(
		&live.judge, KIND_ENDPOINTSLICE,
		"{'metadata':{'namespace':'a','name':'self-1','labels':{'kubernetes.io/service-name':'self'}},"
		"'addressType':'IPv4','ports':[{'port':80}],'endpoints':[" AT("10.1.0.5") "]}");
	endpoints(AT(ALLOWED) "," AT(ALSO));
	live_establish(&live, &flow);
	assert_true(live_entry(&live, &flow, &before));
	assert_int_equal(live_restart(&live), 0);
	assert_int_equal(asked("10.96.0.2", 80), BH_REASON_HAIRPIN);
	assert_true(live_flows(&live, &flow, OUT));
	assert_true(live_entry(&live, &flow, &after));
	assert_int_equal(before.gen, after.gen);
	endpoints(AT(ALLOWED) "," AT(FORBIDDEN));
	assert_int_equal(asked(VIP, 80), BH_REASON_SERVICE_MIXED);
	assert_int_equal(live_restart(&live), 0);
}

static void a_world_that_changed_meanwhile_is_caught_up_with(void **state)
{
	live_establish(&live, &flow);
	judge_remove(&live.judge, KIND_ENDPOINTSLICE, "a", "s-1");
	judge_put(
		&live.judge, KIND_ENDPOINTSLICE,
		"{'metadata':{'namespace':'a','name':'s-2','labels':{'kubernetes.io/service-name':'s'}},"
		"'addressType':'IPv4','ports':[{'port':8080}],'endpoints':[" AT(FORBIDDEN) "]}");
	judge_put(
		&live.judge, KIND_SERVICE,
		"{'metadata':{'namespace':'a','name':'new'},'spec':{'clusterIP':'10.96.0.3','ports':[{'port':80}]}}");
	assert_true(live_restart(&live) > 0);
	assert_true(live_is_cut(&live, &flow, OUT));
	assert_int_equal(asked("10.96.0.3", 80), BH_REASON_SERVICE_EMPTY);
	judge_remove(&live.judge, KIND_SERVICE, "a", "s");
	assert_true(live_restart(&live) > 0);
	assert_int_equal(asked(VIP, 80), BH_REASON_POLICY_DENIED);
	assert_int_equal(live_restart(&live), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, live_setup, live_teardown)
		TEST(a_flow_is_judged_on_the_backends),
		TEST(a_rollout_between_allowed_backends_disturbs_nothing),
		TEST(a_service_that_becomes_forbidden_is_cut),
		TEST(a_service_that_goes_leaves_an_address),
		TEST(an_agent_that_starts_again_changes_nothing),
		TEST(a_world_that_changed_meanwhile_is_caught_up_with),
	};

	return cmocka_run_group_tests_name("rollout", tests, NULL, NULL);
}
