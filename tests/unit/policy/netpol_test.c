// SPDX-License-Identifier: Apache-2.0
// netpol_test.c - NetworkPolicy's fine print, and what other engines got wrong in it.
#include "tests/harness/test.h"

#include "tests/harness/judge.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS

static struct judge j;

static int start(void **state)
{
	judge_start(&j, NULL);
	return 0;
}

static int stop(void **state)
{
	judge_stop(&j);
	return 0;
}

static uint32_t web(void)
{
	return judge_local(
		&j, "x", "web", "'app':'web'", "10.0.0.1 fd00::1",
		"'containers':[{'name':'c','ports':[{'name':'http','containerPort':8080},"
		"{'name':'dns','containerPort':53,'protocol':'UDP'}]}]");
}

static void client(const char *ns, const char *name, const char *labels, const char *addr)
{
	judge_pod(&j, ns, name, labels, addr, "");
}

// Policy in x for all its pods; spec is the rest of the members.
static void policy(const char *name, const char *spec)
{
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'x','name':'%s'},'spec':{'podSelector':{},%s}}", name,
		  spec);
}

static void unselected_pod_is_open(void **state)
{
	uint32_t slot = web();

	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 80);
	assert_true(policy_endpoint_open(j.policy, slot));
	assert_str(judge_rule(&j, slot, IN, "8.8.8.8", "tcp", 80), "no policy");
}

static void unknown_pod_is_denied(void **state)
{
	assert_ok(policy_endpoint_add(j.policy, "x", "later", 5));
	assert_denied(&j, 5, IN, "8.8.8.8", "tcp", 80);
	assert_denied(&j, 5, OUT, "8.8.8.8", "tcp", 80);
	assert_false(policy_endpoint_open(j.policy, 5));
	judge_pod(&j, "x", "later", "", "10.0.0.9", "");
	assert_allowed(&j, 5, IN, "8.8.8.8", "tcp", 80);
	assert_err(policy_endpoint_add(j.policy, "x", "later", 6), -EEXIST);
	assert_err(policy_endpoint_add(j.policy, "x", "other", 5), -EEXIST);
	assert_err(policy_endpoint_add(j.policy, "x", "other", 4096), -ENOSPC);
	assert_ok(policy_endpoint_remove(j.policy, 5));
	judge_compile(&j);
	assert_int_equal(j.tables->endpoints[5].policy[IN], BH_POLICY_DENY);
}

static void default_deny_names_the_policies(void **state)
{
	uint32_t slot = web();

	policy("b", "'policyTypes':['Ingress']");
	policy("a", "'policyTypes':['Ingress']");
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 80);
	assert_allowed(&j, slot, OUT, "8.8.8.8", "tcp", 80);
	assert_str(judge_rule(&j, slot, IN, "8.8.8.8", "tcp", 80), "default deny (x/a, x/b)");
	judge_remove(&j, KIND_NETPOL, "x", "a");
	judge_remove(&j, KIND_NETPOL, "x", "b");
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 80);
	assert_true(policy_endpoint_open(j.policy, slot));
}

static void rules_name_themselves(void **state)
{
	uint32_t slot = web();
	struct bh_judgement judgement;
	struct rule_info info;

	policy("web-ingress", "'ingress':[{'ports':[{'port':80}]},{'ports':[{'port':81}]}]");
	assert_str(judge_rule(&j, slot, IN, "8.8.8.8", "tcp", 81),
		   "NetworkPolicy x/web-ingress rule 1");
	judge_verdict(&j, slot, IN, "8.8.8.8", "tcp", 81, &judgement);
	judge_remove(&j, KIND_NETPOL, "x", "web-ingress");
	judge_compile(&j);
	assert_true(policy_rule_info(j.policy, BH_CELL_RULE(judgement.verdict), &info));
	assert_int_equal(info.kind, RULE_NETPOL);
	assert_false(policy_rule_info(j.policy, 12345, &info));
	assert_int_equal(info.kind, RULE_UNKNOWN);
}

static void own_node_passes_the_networkpolicy_tier(void **state)
{
	uint32_t slot = web();
	struct bh_judgement judgement;
	struct bh_addr addr;

	policy("deny", "'policyTypes':['Ingress']");
	judge_compile(&j);
	assert_ok(addr_parse("172.18.0.2", &addr));
	assert_int_equal(policy_eval(j.policy, slot, IN, &addr, 6, 80, false, &judgement),
			 BH_REASON_POLICY_DENIED);
	assert_int_equal(policy_eval(j.policy, slot, IN, &addr, 6, 80, true, &judgement),
			 BH_REASON_OWN_NODE);
}

static void icmp_needs_a_rule_without_ports(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.1.0.0/16'}}],"
		    "'ports':[{'port':80}]},{'from':[{'ipBlock':{'cidr':'10.2.0.0/16'}}]}]");
	assert_denied(&j, slot, IN, "10.1.0.1", "1", 0);
	assert_allowed(&j, slot, IN, "10.2.0.1", "1", 0);
	assert_allowed(&j, slot, IN, "10.1.0.1", "tcp", 80);
}

static void r13_except_is_limited_to_its_own_rule(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.1.0.0/16',"
		    "'except':['10.1.5.0/24']}}]},"
		    "{'from':[{'ipBlock':{'cidr':'10.1.5.0/24'}}],'ports':[{'port':443}]}]");
	assert_allowed(&j, slot, IN, "10.1.6.1", "tcp", 80);
	assert_denied(&j, slot, IN, "10.1.5.1", "tcp", 80);
	assert_allowed(&j, slot, IN, "10.1.5.1", "tcp", 443);
}

static void r13_except_is_limited_to_its_own_peer_of_a_rule(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.1.0.0/16',"
		    "'except':['10.1.5.0/24']}},{'ipBlock':{'cidr':'10.1.5.128/25'}}]}]");
	assert_denied(&j, slot, IN, "10.1.5.1", "tcp", 80);
	assert_allowed(&j, slot, IN, "10.1.5.129", "tcp", 80);
}

static void r14_same_block_in_two_rules_is_a_union(void **state)
{
	uint32_t slot = web();

	policy("p",
	       "'ingress':[{'from':[{'ipBlock':{'cidr':'10.1.0.0/16'}}],'ports':[{'port':80}]},"
	       "{'from':[{'ipBlock':{'cidr':'10.1.0.0/16'}}],'ports':[{'port':81}]}]");
	assert_allowed(&j, slot, IN, "10.1.0.1", "tcp", 80);
	assert_allowed(&j, slot, IN, "10.1.0.1", "tcp", 81);
	assert_denied(&j, slot, IN, "10.1.0.1", "tcp", 82);
	policy("q", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.1.0.0/16'}}]}]");
	assert_allowed(&j, slot, IN, "10.1.0.1", "tcp", 82);
	assert_allowed(&j, slot, IN, "10.1.0.1", "udp", 82);
}

static void r15_nested_blocks_inherit(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.0/8'}}],'ports':[{'port':1}]},"
		    "{'from':[{'ipBlock':{'cidr':'10.1.0.0/16'}}],'ports':[{'port':2}]},"
		    "{'from':[{'ipBlock':{'cidr':'10.1.1.0/24'}}],'ports':[{'port':3}]}]");
	for (uint16_t port = 1; port <= 3; port++)
		assert_allowed(&j, slot, IN, "10.1.1.1", "tcp", port);
	assert_denied(&j, slot, IN, "10.1.2.1", "tcp", 3);
	assert_allowed(&j, slot, IN, "10.1.2.1", "tcp", 1);
	assert_denied(&j, slot, IN, "10.2.2.1", "tcp", 2);
}

static void r16_odd_blocks(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.1.2.3/16'}}],'ports':[{'port':1}]},"
		    "{'from':[{'ipBlock':{'cidr':'0.0.0.0/0','except':['128.0.0.0/1']}}],"
		    "'ports':[{'port':2}]},"
		    "{'from':[{'ipBlock':{'cidr':'10.9.9.9/32'}},"
		    "{'ipBlock':{'cidr':'fd00::9/128'}}],'ports':[{'port':3}]},"
		    "{'from':[{'ipBlock':{'cidr':'::/0'}}],'ports':[{'port':4}]},"
		    "{'from':[{'ipBlock':{'cidr':'::/0','except':['8000::/1']}},"
		    "{'ipBlock':{'cidr':'fd00:1::77/32'}}],'ports':[{'port':5}]}]");
	assert_allowed(&j, slot, IN, "10.1.200.1", "tcp", 1);
	assert_allowed(&j, slot, IN, "127.255.255.255", "tcp", 2);
	assert_denied(&j, slot, IN, "128.0.0.0", "tcp", 2);
	assert_denied(&j, slot, IN, "fd00::9", "tcp", 2);
	assert_allowed(&j, slot, IN, "10.9.9.9", "tcp", 3);
	assert_denied(&j, slot, IN, "10.9.9.8", "tcp", 3);
	assert_allowed(&j, slot, IN, "fd00::9", "tcp", 3);
	assert_allowed(&j, slot, IN, "fd00::1234", "tcp", 4);
	assert_denied(&j, slot, IN, "10.9.9.9", "tcp", 4);
	assert_allowed(&j, slot, IN, "2001:db8::1", "tcp", 5);
	assert_denied(&j, slot, IN, "fd00:2::1", "tcp", 5);
	assert_allowed(&j, slot, IN, "fd00:1:2::1", "tcp", 5);
}

static void r16_a_block_that_contains_a_pod(void **state)
{
	uint32_t slot = web();

	client("y", "c", "'app':'c'", "10.0.0.5");
	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.5/32'}}]}]");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_denied(&j, slot, IN, "10.0.0.6", "tcp", 80);
	judge_remove(&j, KIND_POD, "y", "c");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
}

static void check_ports(uint32_t slot, uint32_t n)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs("'ingress':[{'from':[{'ipBlock':{'cidr':'10.1.0.0/16'}}],'ports':[", out);
	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s{'port':%u,'protocol':'%s'}", i ? "," : "", 1000 + 2 * i,
			i % 2 ? "UDP" : "TCP");
	fputs("]}]", out);
	fclose(out);
	policy("p", text);
	free(text);
	for (uint32_t i = 0; i < n; i += n / 25 + 1) {
		uint16_t port = (uint16_t)(1000 + 2 * i);

		assert_allowed(&j, slot, IN, "10.1.0.1", i % 2 ? "udp" : "tcp", port);
		assert_denied(&j, slot, IN, "10.1.0.1", i % 2 ? "tcp" : "udp", port);
		assert_denied(&j, slot, IN, "10.1.0.1", "tcp", port + 1);
	}
	assert_denied(&j, slot, IN, "10.1.0.1", "tcp", (uint16_t)(1000 + 2 * n));
}

static void r17_many_ports_none_truncated(void **state)
{
	uint32_t slot = web();

	check_ports(slot, 25);
	check_ports(slot, 100);
	check_ports(slot, 1000);
	check_ports(slot, 8000);
}

static void r17_overlapping_ranges(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.1.0.0/16'}}],"
		    "'ports':[{'port':100,'endPort':200},{'port':150,'endPort':300}]},"
		    "{'from':[{'ipBlock':{'cidr':'10.2.0.0/16'}}],"
		    "'ports':[{'port':250,'endPort':400},{'port':65535,'endPort':65535}]}]");
	assert_denied(&j, slot, IN, "10.1.0.1", "tcp", 99);
	assert_allowed(&j, slot, IN, "10.1.0.1", "tcp", 100);
	assert_allowed(&j, slot, IN, "10.1.0.1", "tcp", 300);
	assert_denied(&j, slot, IN, "10.1.0.1", "tcp", 301);
	assert_denied(&j, slot, IN, "10.2.0.1", "tcp", 249);
	assert_allowed(&j, slot, IN, "10.2.0.1", "tcp", 275);
	assert_allowed(&j, slot, IN, "10.2.0.1", "tcp", 65535);
	assert_denied(&j, slot, IN, "10.2.0.1", "udp", 275);
}

static void r19_named_port_is_the_own_container_s_on_ingress(void **state)
{
	uint32_t slot = web(), other;

	other = judge_local(
		&j, "x", "other", "'app':'o'", "10.0.0.2",
		"'containers':[{'name':'c','ports':[{'name':'http','containerPort':80}]}]");
	policy("p", "'ingress':[{'ports':[{'port':'http'}]}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 8080);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 80);
	assert_denied(&j, slot, IN, "8.8.8.8", "udp", 8080);
	assert_allowed(&j, other, IN, "8.8.8.8", "tcp", 80);
	assert_denied(&j, other, IN, "8.8.8.8", "tcp", 8080);
}

static void r19_unknown_name_and_wrong_protocol_match_nothing(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'ports':[{'port':'nope'}]}]");
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 8080);
	policy("p", "'ingress':[{'ports':[{'port':'dns'}]}]");
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 53);
	assert_denied(&j, slot, IN, "8.8.8.8", "udp", 53);
	policy("p", "'ingress':[{'ports':[{'port':'dns','protocol':'UDP'}]}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "udp", 53);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 53);
}

static void r19_sidecar_counts(void **state)
{
	uint32_t slot = judge_local(
		&j, "x", "web", "", "10.0.0.1",
		"'initContainers':[{'name':'s','restartPolicy':'Always',"
		"'ports':[{'name':'mesh','containerPort':15000}]},"
		"{'name':'i','ports':[{'name':'init','containerPort':15001}]}],'containers':[]");

	policy("p", "'ingress':[{'ports':[{'port':'mesh'},{'port':'init'}]}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 15000);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 15001);
}

static void r19_one_name_for_tcp_and_udp_is_two_ports(void **state)
{
	uint32_t slot = judge_local(
		&j, "x", "web", "", "10.0.0.1",
		"'containers':[{'name':'c','ports':[{'name':'dns','containerPort':53},"
		"{'name':'dns','containerPort':5353,'protocol':'UDP'}]}]");

	policy("p", "'ingress':[{'ports':[{'port':'dns'}]}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 53);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 5353);
	assert_denied(&j, slot, IN, "8.8.8.8", "udp", 5353);
	policy("p", "'ingress':[{'ports':[{'port':'dns','protocol':'UDP'}]}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "udp", 5353);
	assert_denied(&j, slot, IN, "8.8.8.8", "udp", 53);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 53);
}

static void put_server(const char *name, const char *addr, int port)
{
	char spec[160];

	snprintf(spec, sizeof(spec),
		 "'containers':[{'name':'c','ports':[{'name':'http','containerPort':%d}]}]", port);
	judge_pod(&j, "y", name, "'app':'server'", addr, spec);
}

static void r19_egress_names_mean_what_each_pod_says(void **state)
{
	uint32_t slot = web();

	put_server("a", "10.0.1.1", 80);
	put_server("b", "10.0.1.2", 81);
	policy("p", "'policyTypes':['Egress'],'egress':[{'to':[{'namespaceSelector':{}},"
		    "{'ipBlock':{'cidr':'10.0.0.0/8'}}],'ports':[{'port':'http'}]}]");
	assert_allowed(&j, slot, OUT, "10.0.1.1", "tcp", 80);
	assert_denied(&j, slot, OUT, "10.0.1.1", "tcp", 81);
	assert_allowed(&j, slot, OUT, "10.0.1.2", "tcp", 81);
	assert_denied(&j, slot, OUT, "10.0.9.9", "tcp", 80);
	put_server("c", "10.0.1.3", 8443); // a number that the name did not have
	assert_allowed(&j, slot, OUT, "10.0.1.3", "tcp", 8443);
	assert_denied(&j, slot, OUT, "10.0.1.1", "tcp", 8443);
	put_server("c", "10.0.1.3", 80);
	assert_denied(&j, slot, OUT, "10.0.1.3", "tcp", 8443);
	assert_allowed(&j, slot, OUT, "10.0.1.3", "tcp", 80);
}

static void r20_alike_names_do_not_share_verdicts(void **state)
{
	uint32_t a = judge_local(&j, "x", "web-1", "'app':'web'", "10.0.0.1", "");
	uint32_t b = judge_local(&j, "x", "web-1-x", "'app':'api'", "10.0.0.2", "");
	uint32_t c = judge_local(&j, "x-web", "1", "'app':'web'", "10.0.0.3", "");
	uint32_t d = judge_local(&j, "x", "web.1", "'app':'web2'", "10.0.0.4", "");

	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'x','name':'p'},'spec':{'podSelector':"
		  "{'matchLabels':{'app':'web'}},'policyTypes':['Ingress']}}");
	assert_denied(&j, a, IN, "8.8.8.8", "tcp", 80);
	assert_allowed(&j, b, IN, "8.8.8.8", "tcp", 80);
	assert_allowed(&j, c, IN, "8.8.8.8", "tcp", 80);
	assert_allowed(&j, d, IN, "8.8.8.8", "tcp", 80);
}

// owner: members of metadata ("" for a bare pod).
static void put_owned(const char *name, const char *labels, const char *addr, const char *owner)
{
	judge_put(&j, KIND_POD,
		  "{'metadata':{'namespace':'x','name':'%s','labels':{%s}%s},'spec':{'nodeName':'n'},"
		  "'status':{'phase':'Running','podIPs':[{'ip':'%s'}]}}",
		  name, labels, owner, addr);
}

static uint32_t owned(const char *name, const char *labels, const char *addr, const char *owner)
{
	put_owned(name, labels, addr, owner);
	assert_ok(policy_endpoint_add(j.policy, "x", name, j.slots));
	return j.slots++;
}

#define OWNER(kind, name) ",'ownerReferences':[{'kind':'" kind "','name':'" name "','controller':true}]"

// Pods of one template, and of one name in two namespaces: each by its own labels, whoever owns it. Those of one
// owner share what is equal in memory: a label that one of them gets is not the others'.
static void r20_pods_of_one_owner_or_name_are_judged_one_by_one(void **state)
{
	const char *set = OWNER("StatefulSet", "db");
	uint32_t first = owned("db-0", "'app':'db'", "10.0.0.1", set);
	uint32_t second = owned("db-1", "'app':'db'", "10.0.0.2", set);
	uint32_t job = owned("db-0-x7k2p", "'app':'db'", "10.0.0.3", OWNER("Job", "db-0"));
	uint32_t bare = owned("db", "'app':'db'", "10.0.0.4", "");
	uint32_t other = judge_local(&j, "y", "db-0", "'app':'db','role':'primary'", "10.0.0.5", "");

	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'x','name':'p'},'spec':{'podSelector':"
		  "{'matchLabels':{'role':'primary'}},'ingress':[{'from':[{'podSelector':"
		  "{'matchLabels':{'role':'replica'}}}]}]}}");
	assert_allowed(&j, first, IN, "10.0.0.2", "tcp", 80); // no label says anything yet
	put_owned("db-0", "'app':'db','role':'primary'", "10.0.0.1", set);
	assert_denied(&j, first, IN, "10.0.0.2", "tcp", 80);
	put_owned("db-1", "'app':'db','role':'replica'", "10.0.0.2", set);
	assert_allowed(&j, first, IN, "10.0.0.2", "tcp", 80);
	assert_denied(&j, first, IN, "10.0.0.3", "tcp", 80);
	assert_denied(&j, first, IN, "10.0.0.4", "tcp", 80);
	assert_denied(&j, first, IN, "10.0.0.5", "tcp", 80);
	assert_allowed(&j, second, IN, "10.0.0.3", "tcp", 80);
	assert_allowed(&j, job, IN, "10.0.0.3", "tcp", 80);
	assert_allowed(&j, bare, IN, "10.0.0.3", "tcp", 80);
	assert_allowed(&j, other, IN, "10.0.0.3", "tcp", 80);
	put_owned("db-1", "'app':'db','role':'primary'", "10.0.0.2", set); // the roles change
	put_owned("db-0", "'app':'db','role':'replica'", "10.0.0.1", set);
	assert_allowed(&j, first, IN, "8.8.8.8", "tcp", 80);
	assert_allowed(&j, second, IN, "10.0.0.1", "tcp", 80);
	assert_denied(&j, second, IN, "10.0.0.3", "tcp", 80);
}

static void r26_other_family_falls_under_the_default_deny(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'0.0.0.0/0'}}]}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 80);
	assert_denied(&j, slot, IN, "2001:db8::1", "tcp", 80);
	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'::/0'}}]}]");
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 80);
	assert_allowed(&j, slot, IN, "2001:db8::1", "tcp", 80);
}

static void r35_finished_pods_leave_at_once(void **state)
{
	uint32_t slot = web();

	client("x", "job", "'app':'job'", "10.0.0.7");
	policy("p", "'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'job'}}}]}]");
	assert_allowed(&j, slot, IN, "10.0.0.7", "tcp", 80);
	judge_put(&j, KIND_POD,
		  "{'metadata':{'namespace':'x','name':'job','labels':{'app':'job'}},'spec':{},"
		  "'status':{'phase':'Succeeded','podIPs':[{'ip':'10.0.0.7'}]}}");
	assert_denied(&j, slot, IN, "10.0.0.7", "tcp", 80);
}

static void r35_failed_pods_are_no_peers(void **state)
{
	const char *fmt = "{'metadata':{'namespace':'x','name':'job','labels':{'app':'job'}},'spec':{},"
			  "'status':{'phase':'%s','podIPs':[{'ip':'10.0.0.7'},{'ip':'fd00::7'}]}}";
	uint32_t slot = web();

	policy("p", "'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'job'}}}]}],"
		    "'egress':[{'to':[{'namespaceSelector':{}}]}],'policyTypes':['Ingress','Egress']");
	judge_put(&j, KIND_POD, fmt, "Running");
	assert_allowed(&j, slot, IN, "fd00::7", "tcp", 80);
	assert_allowed(&j, slot, OUT, "10.0.0.7", "tcp", 80);
	judge_put(&j, KIND_POD, fmt, "Failed");
	assert_denied(&j, slot, IN, "10.0.0.7", "tcp", 80);
	assert_denied(&j, slot, IN, "fd00::7", "tcp", 80);
	assert_denied(&j, slot, OUT, "10.0.0.7", "tcp", 80);
}

// It is nobody's peer any more, but its device may be there still, and so its slot: nothing of it opens.
static void r35_a_failed_pods_own_isolation_stays(void **state)
{
	const char *fmt = "{'metadata':{'namespace':'x','name':'job','labels':{'app':'job'}},"
			  "'spec':{'nodeName':'n'},'status':{'phase':'%s','podIPs':[{'ip':'10.0.0.7'}]}}";
	uint32_t slot = judge_local(&j, "x", "job", "'app':'job'", "10.0.0.7", "");

	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.0/8'}}]}],"
		    "'policyTypes':['Ingress','Egress']");
	assert_allowed(&j, slot, IN, "10.0.0.1", "tcp", 80);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 80);
	assert_denied(&j, slot, OUT, "10.0.0.1", "tcp", 80);
	judge_put(&j, KIND_POD, fmt, "Failed");
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 80);
	assert_denied(&j, slot, OUT, "10.0.0.1", "tcp", 80);
	assert_false(policy_endpoint_open(j.policy, slot));
	judge_remove(&j, KIND_NETPOL, "x", "p");
	judge_put(&j, KIND_POD, fmt, "Running");
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 80);
}

static void r32_what_is_deleted_isolates_no_more(void **state)
{
	uint32_t slot = web();
	struct bh_judgement judgement;

	policy("p", "'policyTypes':['Ingress','Egress']");
	policy("q", "'ingress':[{'ports':[{'port':80}]}]");
	judge_put(&j, KIND_CLUSTERNETPOL,
		  "{'metadata':{'name':'c'},'spec':{'tier':'Admin','priority':1,'subject':"
		  "{'namespaces':{}},'ingress':[{'action':'Deny','from':[{'namespaces':{}}]}]}}");
	judge_put(&j, KIND_NAMESPACE, "{'metadata':{'name':'x'}}");
	client("x", "c", "", "10.0.0.5");
	assert_int_not_equal(judge_verdict(&j, slot, IN, "10.0.0.5", "tcp", 80, &judgement),
			     BH_VERDICT_ALLOW);
	judge_remove(&j, KIND_CLUSTERNETPOL, NULL, "c"); // as when its definition is deleted
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_denied(&j, slot, OUT, "10.0.0.5", "tcp", 80);
	judge_remove(&j, KIND_NETPOL, "x", "q");
	judge_remove(&j, KIND_NAMESPACE, NULL, "x"); // its policies may be told of later
	assert_denied(&j, slot, IN, "10.0.0.5", "tcp", 80);
	judge_remove(&j, KIND_NETPOL, "x", "p");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_allowed(&j, slot, OUT, "10.0.0.5", "tcp", 80);
	assert_true(policy_endpoint_open(j.policy, slot));
}

static void r9_an_address_belongs_to_its_newest_pod(void **state)
{
	uint32_t slot = web();
	const char *fmt = "{'metadata':{'namespace':'x','name':'%s','creationTimestamp':'%s',"
			  "'labels':{'app':'%s'}},'spec':{},'status':{'phase':'Running',"
			  "'podIPs':[{'ip':'10.0.0.7'}]}}";

	policy("p", "'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'good'}}}]}]");
	judge_put(&j, KIND_POD, fmt, "old", "2026-01-01T00:00:00Z", "good");
	assert_allowed(&j, slot, IN, "10.0.0.7", "tcp", 80);
	judge_put(&j, KIND_POD, fmt, "new", "2026-01-01T00:00:05Z", "bad");
	assert_denied(&j, slot, IN, "10.0.0.7", "tcp", 80);
	judge_remove(&j, KIND_POD, "x", "old");
	assert_denied(&j, slot, IN, "10.0.0.7", "tcp", 80);
	judge_remove(&j, KIND_POD, "x", "new");
	assert_denied(&j, slot, IN, "10.0.0.7", "tcp", 80);
}

static void host_network_pods_are_their_node(void **state)
{
	uint32_t slot = web(), host;

	host = judge_local(&j, "x", "host", "'app':'host'", "172.18.0.2", "'hostNetwork':true");
	policy("p", "'ingress':[{'from':[{'podSelector':{}}]}]");
	assert_allowed(&j, host, IN, "8.8.8.8", "tcp", 80);
	assert_denied(&j, slot, IN, "172.18.0.2", "tcp", 80);
	policy("p", "'ingress':[{'from':[{'ipBlock':{'cidr':'172.18.0.0/16'}}]}]");
	assert_allowed(&j, slot, IN, "172.18.0.2", "tcp", 80);
}

static void put_namespace(const char *name, const char *labels)
{
	judge_put(&j, KIND_NAMESPACE, "{'metadata':{'name':'%s','labels':{%s}}}", name, labels);
}

static void r36_relabelling_reaches_peers(void **state)
{
	uint32_t slot = web();

	put_namespace("y", "'team':'a'");
	client("y", "c", "'app':'c'", "10.0.0.5");
	policy("p", "'ingress':[{'from':[{'namespaceSelector':{'matchLabels':{'team':'b'}},"
		    "'podSelector':{'matchLabels':{'role':'client'}}}]}]");
	assert_denied(&j, slot, IN, "10.0.0.5", "tcp", 80);
	client("y", "c", "'app':'c','role':'client'", "10.0.0.5");
	assert_denied(&j, slot, IN, "10.0.0.5", "tcp", 80); // both selectors: and
	put_namespace("y", "'team':'b'");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	put_namespace("y", "'team':'c'");
	assert_denied(&j, slot, IN, "10.0.0.5", "tcp", 80);
}

static void r36_missing_keys_and_empty_selectors(void **state)
{
	uint32_t slot = web();

	client("y", "c", "", "10.0.0.5");
	client("y", "d", "'tier':'db'", "10.0.0.6");
	policy("p",
	       "'ingress':[{'from':[{'namespaceSelector':{},'podSelector':{'matchExpressions':["
	       "{'key':'tier','operator':'NotIn','values':['db']}]}}],'ports':[{'port':1}]},"
	       "{'from':[{'namespaceSelector':{},'podSelector':{'matchExpressions':["
	       "{'key':'tier','operator':'DoesNotExist'}]}}],'ports':[{'port':2}]},"
	       "{'from':[{'namespaceSelector':{}}],'ports':[{'port':3}]},"
	       "{'from':[{'podSelector':{}}],'ports':[{'port':4}]}]");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 1);
	assert_denied(&j, slot, IN, "10.0.0.6", "tcp", 1);
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 2);
	assert_denied(&j, slot, IN, "10.0.0.6", "tcp", 2);
	assert_allowed(&j, slot, IN, "10.0.0.6", "tcp", 3);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 3);
	assert_denied(&j, slot, IN, "10.0.0.5", "tcp", 4);
	assert_allowed(&j, slot, IN, "10.0.0.1", "tcp", 4);
}

static void r42_missing_parts(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'ports':[{'protocol':'UDP'}]}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "udp", 1);
	assert_allowed(&j, slot, IN, "8.8.8.8", "udp", 65535);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 1);
	assert_denied(&j, slot, IN, "8.8.8.8", "sctp", 1);
	policy("p", "'ingress':[{'from':[],'ports':[]}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "sctp", 1);
	assert_allowed(&j, slot, IN, "8.8.8.8", "1", 0);
	policy("p", "'ingress':[]");
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 1);
	assert_allowed(&j, slot, OUT, "8.8.8.8", "tcp", 1);
	policy("p", "'egress':[]"); // no policyTypes: ingress only
	assert_allowed(&j, slot, OUT, "8.8.8.8", "tcp", 1);
	policy("p", "'egress':[{'ports':[{'port':53,'protocol':'UDP'}]}]");
	assert_denied(&j, slot, OUT, "8.8.8.8", "tcp", 1);
	assert_allowed(&j, slot, OUT, "8.8.8.8", "udp", 53);
}

static void r42_empty_forms(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "1", 0);
	policy("p", "'ingress':[{'ports':[{}]}]"); // any port of TCP
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 65535);
	assert_denied(&j, slot, IN, "8.8.8.8", "udp", 65535);
	assert_denied(&j, slot, IN, "8.8.8.8", "1", 0);
	policy("p", "'ingress':null,'egress':[{}]"); // no policyTypes, but egress rules: both
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 1);
	assert_allowed(&j, slot, OUT, "8.8.8.8", "tcp", 1);
	policy("p", "'policyTypes':['Egress'],'ingress':[{}]"); // rules of no type that is named
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 1);
	assert_denied(&j, slot, OUT, "8.8.8.8", "tcp", 1);
}

// A peer that says nothing: no server takes it, and here it is a mistake, not everybody. The policy isolates.
static void r42_a_peer_without_fields_is_nobody(void **state)
{
	static const char *const specs[] = {
		"'ingress':[{'from':[{}]}],'policyTypes':['Ingress','Egress']",
		"'egress':[{'to':[{}]}],'policyTypes':['Ingress','Egress']",
		"'ingress':[{},{'from':[{'podSelector':{}},{}]}],'egress':[{}]",
		"'ingress':[{}],'egress':[{},{'to':[{'ipBlock':null}]}]",
	};
	uint32_t slot = web();

	client("x", "c", "", "10.0.0.5");
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		policy("p", "'ingress':[{}],'egress':[{}]");
		assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
		assert_allowed(&j, slot, OUT, "10.0.0.5", "tcp", 80);
		policy("p", specs[i]);
		assert_denied(&j, slot, IN, "10.0.0.5", "tcp", 80);
		assert_denied(&j, slot, OUT, "10.0.0.5", "tcp", 80);
	}
}

static void r37_sctp_is_never_tcp_or_udp(void **state)
{
	uint32_t slot = web();

	policy("p", "'ingress':[{'ports':[{'port':81,'protocol':'SCTP'}]}]");
	assert_allowed(&j, slot, IN, "8.8.8.8", "sctp", 81);
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 81);
	assert_denied(&j, slot, IN, "8.8.8.8", "udp", 81);
}

static void audit_is_only_a_shadow(void **state)
{
	uint32_t slot = web();
	struct bh_judgement judgement;

	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'x','name':'p','annotations':{'bulkhead.io/audit':"
		  "'true'}},'spec':{'podSelector':{},'policyTypes':['Ingress']}}");
	assert_int_equal(judge_verdict(&j, slot, IN, "8.8.8.8", "tcp", 80, &judgement),
			 BH_VERDICT_ALLOW);
	assert_int_equal(BH_CELL_VERDICT(judgement.shadow), BH_VERDICT_DENY);
	assert_false(policy_endpoint_open(j.policy, slot));
	policy("p", "'policyTypes':['Ingress']");
	assert_denied(&j, slot, IN, "8.8.8.8", "tcp", 80);
	put_namespace("x", "'bulkhead.io/audit':'true'");
	assert_allowed(&j, slot, IN, "8.8.8.8", "tcp", 80);
}

static void pods_with_equal_rules_share_a_matrix(void **state)
{
	struct policy_stats stats;

	web();
	judge_local(&j, "x", "two", "", "10.0.0.2", "");
	policy("p", "'ingress':[{'from':[{'podSelector':{}}],'ports':[{'port':80}]}]");
	judge_compile(&j);
	policy_stats(j.policy, &stats);
	assert_int_equal(stats.matrices, 1);
	assert_int_equal(stats.endpoints, 2);
	assert_int_equal(stats.port_classes, 2);
}

static void irrelevant_changes_have_no_steps(void **state)
{
	web();
	client("y", "c", "'app':'c'", "10.0.0.5");
	policy("p", "'ingress':[{'from':[{'namespaceSelector':{},'podSelector':{'matchLabels':"
		    "{'app':'d'}}}]}]");
	assert_true(judge_compile(&j) > 0);
	assert_int_equal(judge_compile(&j), 0);
	client("y", "c", "'app':'c','x':'y'", "10.0.0.5");
	assert_int_equal(judge_compile(&j), 0);
	client("y", "e", "'app':'e'", "10.0.0.6");
	assert_int_equal(judge_compile(&j), 0);
	put_namespace("y", "'team':'a'");
	assert_int_equal(judge_compile(&j), 0);
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'z','name':'q'},'spec':{'podSelector':{}}}");
	assert_int_equal(judge_compile(&j), 0);
	judge_remove(&j, KIND_POD, "y", "e");
	assert_int_equal(judge_compile(&j), 0);
}

static uint32_t gen_of(uint32_t slot)
{
	return j.tables->endpoints[slot].gen[IN];
}

static void loosening_keeps_the_generation_tightening_does_not(void **state)
{
	uint32_t slot = web(), gen;

	client("x", "c", "", "10.0.0.5");
	policy("p", "'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'d'}}}]}]");
	judge_compile(&j);
	gen = gen_of(slot);
	client("x", "c", "'app':'d'", "10.0.0.5");
	assert_allowed(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_int_equal(gen_of(slot), gen);
	client("x", "c", "'app':'e'", "10.0.0.5");
	assert_denied(&j, slot, IN, "10.0.0.5", "tcp", 80);
	assert_int_not_equal(gen_of(slot), gen);
}

static uint32_t table_peers(void)
{
	struct policy_stats stats;

	judge_compile(&j);
	policy_stats(j.policy, &stats);
	return stats.peers;
}

// Entry by selector, around it the policy's own exception: when both go, nothing needs an entry.
static void a_policy_that_goes_leaves_no_entry(void **state)
{
	uint32_t slot = web();

	client("x", "c", "'app':'c'", "10.1.0.5");
	policy("stays", "'ingress':[{'from':[{'ipBlock':{'cidr':'10.0.0.0/8'}}],'ports':[{'port':80}]}]");
	assert_int_equal(table_peers(), 0);
	policy("goes", "'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'c'}}},"
		       "{'ipBlock':{'cidr':'10.0.0.0/8','except':['10.1.0.0/16']}}]}]");
	assert_allowed(&j, slot, IN, "10.1.0.5", "tcp", 81);
	assert_denied(&j, slot, IN, "10.1.0.6", "tcp", 81);
	assert_int_equal(table_peers(), 1);
	judge_remove(&j, KIND_NETPOL, "x", "goes");
	assert_int_equal(table_peers(), 0);
	assert_denied(&j, slot, IN, "10.1.0.5", "tcp", 81);
	assert_allowed(&j, slot, IN, "10.1.0.5", "tcp", 80);
}

struct selecting {
	char text[128];
};

static void note(void *arg, const struct object *object)
{
	struct selecting *s = arg;

	strcat(s->text, object->name);
	strcat(s->text, " ");
}

static void selecting_policies_are_listed(void **state)
{
	struct selecting s = { "" };
	uint32_t slot = web();

	policy("b", "'ingress':[]");
	policy("a", "'ingress':[]");
	judge_put(&j, KIND_CLUSTERNETPOL,
		  "{'metadata':{'name':'z'},'spec':{'tier':'Admin','priority':1,'subject':"
		  "{'namespaces':{}},'ingress':[{'action':'Pass','from':[{'namespaces':{}}]}]}}");
	judge_compile(&j);
	policy_selecting_each(j.policy, slot, IN, note, &s);
	assert_str(s.text, "z a b ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unselected_pod_is_open),
		TEST(unknown_pod_is_denied),
		TEST(default_deny_names_the_policies),
		TEST(rules_name_themselves),
		TEST(own_node_passes_the_networkpolicy_tier),
		TEST(icmp_needs_a_rule_without_ports),
		TEST(r9_an_address_belongs_to_its_newest_pod),
		TEST(r13_except_is_limited_to_its_own_rule),
		TEST(r13_except_is_limited_to_its_own_peer_of_a_rule),
		TEST(r14_same_block_in_two_rules_is_a_union),
		TEST(r15_nested_blocks_inherit),
		TEST(r16_odd_blocks),
		TEST(r16_a_block_that_contains_a_pod),
		TEST(r17_many_ports_none_truncated),
		TEST(r17_overlapping_ranges),
		TEST(r19_named_port_is_the_own_container_s_on_ingress),
		TEST(r19_unknown_name_and_wrong_protocol_match_nothing),
		TEST(r19_sidecar_counts),
		TEST(r19_one_name_for_tcp_and_udp_is_two_ports),
		TEST(r20_pods_of_one_owner_or_name_are_judged_one_by_one),
		TEST(r32_what_is_deleted_isolates_no_more),
		TEST(r35_failed_pods_are_no_peers),
		TEST(r35_a_failed_pods_own_isolation_stays),
		TEST(r42_empty_forms),
		TEST(r19_egress_names_mean_what_each_pod_says),
		TEST(r20_alike_names_do_not_share_verdicts),
		TEST(r26_other_family_falls_under_the_default_deny),
		TEST(r35_finished_pods_leave_at_once),
		TEST(host_network_pods_are_their_node),
		TEST(r36_relabelling_reaches_peers),
		TEST(r36_missing_keys_and_empty_selectors),
		TEST(r42_missing_parts),
		TEST(r42_a_peer_without_fields_is_nobody),
		TEST(r37_sctp_is_never_tcp_or_udp),
		TEST(audit_is_only_a_shadow),
		TEST(pods_with_equal_rules_share_a_matrix),
		TEST(irrelevant_changes_have_no_steps),
		TEST(loosening_keeps_the_generation_tightening_does_not),
		TEST(a_policy_that_goes_leaves_no_entry),
		TEST(selecting_policies_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
