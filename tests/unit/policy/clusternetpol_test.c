// SPDX-License-Identifier: Apache-2.0
// clusternetpol_test.c - tiers, priorities, Pass, peers of ClusterNetworkPolicy.
#include "tests/harness/test.h"

#include "tests/harness/judge.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS

static struct judge j;
static uint32_t slot;

static int start(void **state)
{
	judge_start(&j, NULL);
	slot = judge_local(&j, "x", "web", "'app':'web'", "10.0.0.1 fd00::1",
			   "'containers':[{'name':'c','ports':[{'name':'web','containerPort':80},"
			   "{'name':'web','containerPort':53,'protocol':'UDP'}]}]");
	judge_pod(&j, "y", "c", "'app':'c'", "10.0.0.5",
		  "'containers':[{'name':'c','ports':[{'name':'web','containerPort':81}]}]");
	return 0;
}

static int stop(void **state)
{
	judge_stop(&j);
	return 0;
}

static void put(const char *name, const char *tier, int priority, const char *rules)
{
	judge_put(&j, KIND_CLUSTERNETPOL,
		  "{'metadata':{'name':'%s'},'spec':{'tier':'%s','priority':%d,"
		  "'subject':{'namespaces':{}},%s}}",
		  name, tier, priority, rules);
}

static void isolate(const char *rules)
{
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'x','name':'np'},'spec':{'podSelector':{},%s}}", rules);
}

#define FROM_ALL "'from':[{'namespaces':{}}]"

static void admin_goes_before_networkpolicy(void **state)
{
	isolate("'ingress':[{}]");
	put("deny", "Admin", 10,
	    "'ingress':[{'action':'Deny','name':'no','"
	    "from':[{'namespaces':{}}]}]");
	assert_denied_cluster(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 80);
	assert_str(judge_rule(&j, slot, IN, "10.0.0.5", "tcp", 80),
		   "ClusterNetworkPolicy deny rule 0 'no'");
	isolate("'ingress':[]");
	put("deny", "Admin", 10, "'ingress':[{'action':'Accept'," FROM_ALL "}]");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 80);
}

static void first_rule_of_the_lowest_priority_wins(void **state)
{
	put("b", "Admin", 5, "'ingress':[{'action':'Deny'," FROM_ALL "}]");
	put("a", "Admin", 6, "'ingress':[{'action':'Accept'," FROM_ALL "}]");
	assert_denied_cluster(&j, slot, IN, "10.0.0.5", "tcp", 80);
	put("a", "Admin", 4, "'ingress':[{'action':'Accept'," FROM_ALL "}]");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	put("a", "Admin", 5, "'ingress':[{'action':'Accept'," FROM_ALL "}]"); // then by name
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	put("c", "Admin", 0,
	    "'ingress':[{'action':'Deny'," FROM_ALL ",'protocols':[{'tcp':{'destinationPort':"
	    "{'number':80}}}]},{'action':'Accept'," FROM_ALL "}]");
	assert_denied_cluster(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 81);
}

static void pass_skips_the_rest_of_its_tier(void **state)
{
	put("a", "Admin", 1, "'ingress':[{'action':'Pass'," FROM_ALL "}]");
	put("b", "Admin", 2, "'ingress':[{'action':'Deny'," FROM_ALL "}]");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	put("c", "Baseline", 1, "'ingress':[{'action':'Deny'," FROM_ALL "}]");
	assert_denied_cluster(&j, slot, IN, "10.0.0.5", "tcp", 80);
	put("d", "Baseline", 0, "'ingress':[{'action':'Pass'," FROM_ALL "}]");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	isolate("'ingress':[]");
	assert_denied(&j, slot, IN, "10.0.0.5", "tcp", 80);
}

static void baseline_is_for_the_unisolated_only(void **state)
{
	put("base", "Baseline", 1,
	    "'ingress':[{'action':'Deny'," FROM_ALL "}],"
	    "'egress':[{'action':'Deny','to':[{'networks':['0.0.0.0/0']}]}]");
	assert_denied_cluster(&j, slot, IN, "10.0.0.5", "tcp", 80);
	isolate("'ingress':[{}]");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_denied_cluster(&j, slot, OUT, "10.0.0.5", "tcp", 80); // egress is not isolated
	assert_allowed(&j, slot, OUT, "fd00::5", "tcp", 80);
	isolate("'ingress':[]");
	assert_denied(&j, slot, IN, "10.0.0.5", "tcp", 80); // NetworkPolicy's deny hides Baseline
}

static void own_node_does_not_pass_a_cluster_deny(void **state)
{
	struct bh_judgement judgement;
	struct bh_addr addr;

	judge_put(&j, KIND_NODE,
		  "{'metadata':{'name':'n','labels':{'pool':'a'}},'status':{'addresses':["
		  "{'type':'InternalIP','address':'172.18.0.2'}]}}");
	put("a", "Admin", 1,
	    "'egress':[{'action':'Deny','to':[{'nodes':{'matchLabels':"
	    "{'pool':'a'}}}]}]");
	assert_denied_cluster(&j, slot, OUT, "172.18.0.2", "tcp", 80);
	assert_allowed(&j, slot, OUT, "172.18.0.3", "tcp", 80);
	assert_ok(addr_parse("172.18.0.2", &addr));
	assert_int_equal(policy_eval(j.policy, slot, OUT, &addr, 6, 80, true, &judgement),
			 BH_REASON_POLICY_DENIED);
	judge_put(&j, KIND_NODE,
		  "{'metadata':{'name':'n','labels':{'pool':'b'}},'status':{'addresses':["
		  "{'type':'InternalIP','address':'172.18.0.2'}]}}");
	assert_allowed(&j, slot, OUT, "172.18.0.2", "tcp", 80);
}

static void networks_match_pods_and_icmp(void **state)
{
	put("a", "Admin", 1, "'egress':[{'action':'Deny','to':[{'networks':['10.0.0.0/8']}]}]");
	assert_denied_cluster(&j, slot, OUT, "10.0.0.5", "tcp", 80);
	assert_denied_cluster(&j, slot, OUT, "10.0.0.5", "1", 0);
	assert_allowed(&j, slot, OUT, "fd00::5", "tcp", 80);
}

static void named_ports_of_any_protocol(void **state)
{
	put("a", "Admin", 1,
	    "'ingress':[{'action':'Deny'," FROM_ALL
	    ",'protocols':[{'destinationNamedPort':'web'}]}],"
	    "'egress':[{'action':'Deny','to':[{'namespaces':{}}],"
	    "'protocols':[{'destinationNamedPort':'web'}]}]");
	assert_denied_cluster(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_denied_cluster(&j, slot, IN, "10.0.0.5", "udp", 53);
	assert_allowed(&j, slot, IN, "10.0.0.5", "udp", 80);
	assert_denied_cluster(&j, slot, OUT, "10.0.0.5", "tcp", 81);
	assert_allowed(&j, slot, OUT, "10.0.0.5", "tcp", 80);
}

static void subject_selects_by_pod_and_namespace(void **state)
{
	judge_put(&j, KIND_CLUSTERNETPOL,
		  "{'metadata':{'name':'a'},'spec':{'tier':'Admin','priority':1,'subject':{'pods':{"
		  "'namespaceSelector':{'matchLabels':{'team':'t'}},'podSelector':{'matchLabels':"
		  "{'app':'web'}}}},'ingress':[{'action':'Deny','from':[{'namespaces':{}}]}]}}");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	judge_put(&j, KIND_NAMESPACE, "{'metadata':{'name':'x','labels':{'team':'t'}}}");
	assert_denied_cluster(&j, slot, IN, "10.0.0.5", "tcp", 80);
	judge_pod(&j, "x", "web", "'app':'api'", "10.0.0.1", "");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(admin_goes_before_networkpolicy),
		TEST(first_rule_of_the_lowest_priority_wins),
		TEST(pass_skips_the_rest_of_its_tier),
		TEST(baseline_is_for_the_unisolated_only),
		TEST(own_node_does_not_pass_a_cluster_deny),
		TEST(networks_match_pods_and_icmp),
		TEST(named_ports_of_any_protocol),
		TEST(subject_selects_by_pod_and_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
