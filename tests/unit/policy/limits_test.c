// SPDX-License-Identifier: Apache-2.0
// limits_test.c - a policy that is too large is refused and nobody else; ids and images at their ends.
#include "tests/harness/test.h"

#include "agent/base/intern.h"
#include "agent/policy/room.h"
#include "tests/harness/judge.h"

#define IN BH_INGRESS
#define OUT BH_EGRESS

static struct judge j;

static void start(const struct policy_limits *limits)
{
	judge_start(&j, limits);
}

// A policy of namespace ns with one rule per block 20.i.0.0/16, each with a port of its own.
static void put_blocks(const char *ns, const char *name, uint32_t n)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (uint32_t i = 0; i < n; i++)
		fprintf(out,
			"%s{'from':[{'ipBlock':{'cidr':'20.%u.0.0/16'}}],'ports':[{'port':%u}]}",
			i ? "," : "", i, 1000 + i);
	fclose(out);
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'%s','name':'%s'},'spec':{'podSelector':{},"
		  "'ingress':[%s]}}",
		  ns, name, text);
	free(text);
}

struct problems {
	uint32_t n;
	char name[64], text[256];
};

static void note(void *arg, enum kind kind, const char *ns, const char *name, const char *text)
{
	struct problems *problems = arg;

	problems->n++;
	snprintf(problems->name, sizeof(problems->name), "%s", name);
	snprintf(problems->text, sizeof(problems->text), "%s", text);
}

static struct problems problems(void)
{
	struct problems ret = { 0 };

	policy_problem_each(j.policy, note, &ret);
	return ret;
}

static void over_its_share_a_policy_isolates_and_allows_nothing(void **state)
{
	uint32_t a, b;

	start(&(struct policy_limits){ .cidrs = 40 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	b = judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_blocks("a", "big", 11);
	put_blocks("b", "small", 9);
	assert_denied(&j, a, IN, "20.1.0.1", "tcp", 1001);
	assert_allowed(&j, b, IN, "20.1.0.1", "tcp", 1001);
	assert_int_equal(problems().n, 1);
	assert_str(problems().name, "big");
	assert_str_contains(problems().text, "address blocks");
	put_blocks("a", "big", 10);
	assert_allowed(&j, a, IN, "20.1.0.1", "tcp", 1001);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

static void a_refused_policy_comes_back_when_it_fits(void **state)
{
	uint32_t a;

	start(&(struct policy_limits){ .cidrs = 40 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	put_blocks("a", "one", 8);
	judge_compile(&j);
	put_blocks("a", "two", 9); // together over the namespace's share
	judge_compile(&j);
	assert_int_equal(problems().n, 1);
	assert_str(problems().name, "two");
	assert_denied(&j, a, IN, "20.8.0.1", "tcp", 1008);
	assert_allowed(&j, a, IN, "20.7.0.1", "tcp", 1007);
	judge_remove(&j, KIND_NETPOL, "a", "one");
	assert_allowed(&j, a, IN, "20.8.0.1", "tcp", 1008);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

static void a_cluster_policy_over_its_share_denies(void **state)
{
	uint32_t a;

	start(&(struct policy_limits){ .cidrs = 8 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	judge_put(&j, KIND_CLUSTERNETPOL,
		  "{'metadata':{'name':'c'},'spec':{'tier':'Admin','priority':1,'subject':"
		  "{'namespaces':{}},'egress':["
		  "{'action':'Accept','to':[{'networks':['20.1.0.0/16','20.2.0.0/16']}]},"
		  "{'action':'Pass','to':[{'networks':['20.3.0.0/16']}]}]}}");
	assert_denied_cluster(&j, a, OUT, "20.3.0.1", "tcp", 80);
	assert_allowed(&j, a, OUT, "8.8.8.8", "tcp", 80); // the Deny keeps its peers: they fit
	judge_put(&j, KIND_CLUSTERNETPOL,
		  "{'metadata':{'name':'c'},'spec':{'tier':'Admin','priority':1,'subject':"
		  "{'namespaces':{}},'egress':[{'action':'Deny','to':[{'networks':["
		  "'20.1.0.0/16','20.2.0.0/16','20.3.0.0/16']}]}]}}");
	assert_denied_cluster(&j, a, OUT, "8.8.8.8", "tcp", 80); // they do not: all
	judge_stop(&j);
}

static void too_many_port_classes_are_refused(void **state)
{
	uint32_t a;

	start(&(struct policy_limits){ .port_classes = 40 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	put_blocks("a", "big", 11);
	assert_denied(&j, a, IN, "20.1.0.1", "tcp", 1001);
	assert_str_contains(problems().text, "port classes");
	judge_stop(&j);
}

static void too_many_peers_refuse_the_largest_policy(void **state)
{
	char name[16], addr[16];
	uint32_t a;

	start(&(struct policy_limits){ .peers = 20 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	for (int i = 0; i < 30; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		snprintf(addr, sizeof(addr), "10.0.1.%d", i + 1);
		judge_pod(&j, "b", name, i < 10 ? "'few':'x'" : "'app':'y'", addr, "");
	}
	judge_put(
		&j, KIND_NETPOL,
		"{'metadata':{'namespace':'a','name':'few'},'spec':{'podSelector':{},'ingress':["
		"{'from':[{'namespaceSelector':{},'podSelector':{'matchLabels':{'few':'x'}}}]}]}}");
	assert_allowed(&j, a, IN, "10.0.1.1", "tcp", 80);
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'a','name':'all'},'spec':{'podSelector':{},'ingress':["
		  "{'from':[{'namespaceSelector':{}}],'ports':[{'port':80}]},"
		  "{'from':[{'namespaceSelector':{}}],'ports':[{'port':81}]}]}}");
	assert_allowed(&j, a, IN, "10.0.1.1", "tcp", 80);
	assert_denied(&j, a, IN, "10.0.1.20", "tcp", 80);
	assert_str(problems().name, "all");
	assert_str_contains(problems().text, "peers");
	judge_stop(&j);
}

static void too_many_sparse_cells_refuse_the_largest_policy(void **state)
{
	uint32_t a;

	start(&(struct policy_limits){ .dense_cells = 4, .sparse_cells = 10 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	put_blocks("a", "small", 4);
	assert_allowed(&j, a, IN, "20.1.0.1", "tcp", 1001);
	put_blocks("a", "big", 20);
	assert_allowed(&j, a, IN, "20.1.0.1", "tcp", 1001);
	assert_denied(&j, a, IN, "20.9.0.1", "tcp", 1009);
	assert_str(problems().name, "big");
	assert_str_contains(problems().text, "cells");
	judge_stop(&j);
}

static void no_policy_id_left_denies(void **state)
{
	uint32_t a, b;

	start(&(struct policy_limits){ .policies = BH_POLICY_FIRST + 1 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	b = judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_blocks("a", "x", 1);
	judge_compile(&j);
	put_blocks("b", "y", 1);
	assert_allowed(&j, a, IN, "20.0.0.1", "tcp", 1000);
	assert_denied(&j, b, IN, "20.0.0.1", "tcp", 1000);
	judge_remove(&j, KIND_NETPOL, "a", "x");
	judge_compile(&j);
	judge_pod(&j, "b", "p", "'again':'x'", "10.0.0.2", "");
	judge_compile(&j);
	assert_allowed(&j, b, IN, "20.0.0.1", "tcp", 1000);
	judge_stop(&j);
}

static void an_invalid_policy_reports_its_problem(void **state)
{
	uint32_t a;

	start(NULL);
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'a','name':'bad'},'spec':{'podSelector':{},'ingress':["
		  "{'ports':[{'port':0}]}]}}");
	assert_denied(&j, a, IN, "8.8.8.8", "tcp", 80);
	assert_int_equal(problems().n, 1);
	assert_str(problems().name, "bad");
	judge_stop(&j);
}

static void images_grow_under_the_same_generation(void **state)
{
	uint32_t a, gen;
	char name[16], labels[32], addr[16];

	start(NULL);
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_blocks("a", "x", 2);
	judge_compile(&j);
	gen = j.tables->endpoints[a].gen[IN];
	put_blocks("b", "many", 200); // 200 fresh classes of peers and of ports
	judge_compile(&j);
	assert_allowed(&j, a, IN, "20.1.0.1", "tcp", 1001);
	assert_denied(&j, a, IN, "20.2.0.1", "tcp", 1002);
	assert_int_equal(j.tables->endpoints[a].gen[IN], gen);
	for (int i = 0; i < 40; i++) { // rows
		snprintf(name, sizeof(name), "c%d", i);
		snprintf(labels, sizeof(labels), "'l%d':'x','k':'x'", i);
		snprintf(addr, sizeof(addr), "20.%d.0.9", i);
		judge_pod(&j, "b", name, labels, addr, "");
	}
	assert_allowed(&j, a, IN, "20.1.0.9", "tcp", 1001);
	judge_stop(&j);
}

static void generations_wrap_past_zero_and_live_ones(void **state)
{
	uint32_t a, live;

	start(NULL);
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_blocks("a", "x", 1);
	judge_compile(&j);
	live = j.tables->endpoints[a].gen[IN];
	assert_true(live >= BH_GEN_FIRST);
	j.policy->last_gen = UINT32_MAX;
	put_blocks("b", "y", 1);
	judge_compile(&j);
	assert_true(j.tables->endpoints[1].gen[IN] >= BH_GEN_FIRST);
	assert_int_not_equal(j.tables->endpoints[1].gen[IN], live);
	judge_stop(&j);
}

static void rule_ids_survive_a_restart(void **state)
{
	struct bh_judgement one, two;
	struct policy *again;
	struct plan *plan;
	struct bh_addr addr;
	uint32_t a;

	start(NULL);
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	put_blocks("a", "x", 3);
	judge_verdict(&j, a, IN, "20.1.0.1", "tcp", 1001, &one);
	assert_ok(policy_new(j.store, NULL, &again));
	assert_ok(policy_endpoint_add(again, "a", "p", 0));
	assert_ok(policy_compile(again, &plan));
	plan_free(plan);
	assert_ok(addr_parse("20.1.0.1", &addr));
	policy_eval(again, 0, IN, &addr, 6, 1001, false, &two);
	assert_int_equal(one.verdict, two.verdict);
	policy_free(again);
	judge_stop(&j);
}

static void churn(uint32_t round)
{
	char ns[16], name[16], labels[64], spec[160];

	snprintf(ns, sizeof(ns), "ns%u", round);
	snprintf(name, sizeof(name), "p%u", round);
	snprintf(labels, sizeof(labels), "'l%u':'v%u'", round, round);
	snprintf(spec, sizeof(spec),
		 "'containers':[{'name':'c','ports':[{'name':'n%u','containerPort':%u}]}]", round,
		 1 + round);
	judge_put(&j, KIND_NAMESPACE, "{'metadata':{'name':'%s','labels':{'t%u':'x'}}}", ns, round);
	judge_pod(&j, ns, name, labels, "10.0.0.7", spec);
	assert_ok(policy_endpoint_add(j.policy, ns, name, 9));
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'%s','name':'p'},'spec':{'podSelector':{},"
		  "'policyTypes':['Ingress','Egress'],'ingress':[{'from':[{'namespaceSelector':{"
		  "'matchLabels':{'t%u':'x'}}},{'ipBlock':{'cidr':'20.%u.0.0/16'}}],"
		  "'ports':[{'port':'n%u'}]}],'egress':[{'to':[{'namespaceSelector':{}}],"
		  "'ports':[{'port':'n%u'},{'port':%u}]}]}}",
		  ns, round, round % 200, round, round, 1 + round);
	judge_compile(&j);
	assert_ok(policy_endpoint_remove(j.policy, 9));
	judge_remove(&j, KIND_POD, ns, name);
	if (round % 2)
		judge_compile(&j);
	judge_remove(&j, KIND_NETPOL, ns, "p");
	judge_remove(&j, KIND_NAMESPACE, NULL, ns);
	judge_compile(&j);
}

static void r33_churn_returns_to_the_baseline(void **state)
{
	struct policy_stats before, after;
	size_t strings, bytes, strings_after, bytes_after;

	start(NULL);
	judge_local(&j, "a", "p", "", "10.0.0.1", "");
	put_blocks("a", "x", 3);
	churn(0);
	policy_stats(j.policy, &before);
	intern_stats(&strings, &bytes);
	for (uint32_t round = 1; round < 1500; round++)
		churn(round);
	policy_stats(j.policy, &after);
	intern_stats(&strings_after, &bytes_after);
	assert_int_equal(strings_after, strings);
	assert_int_equal(after.peer_classes, before.peer_classes);
	assert_int_equal(after.port_classes, before.port_classes);
	assert_int_equal(after.peers, before.peers);
	assert_int_equal(after.cidrs, before.cidrs);
	assert_int_equal(after.matrices, before.matrices);
	assert_int_equal(j.tables->peers.n, before.peers);
	assert_int_equal(j.tables->cidrs.n, before.cidrs);
	judge_stop(&j);
}

static void ids_come_back_only_after_a_wait(void **state)
{
	struct ids ids;

	ids_init(&ids, 1, 4);
	assert_int_equal(ids_take(&ids), 1);
	assert_int_equal(ids_take(&ids), 2);
	assert_int_equal(ids_take(&ids), 3);
	assert_int_equal(ids_take(&ids), IDS_NONE);
	ids_put(&ids, 2);
	ids_settle(&ids, true, false); // its own plan's wait is too early
	assert_int_equal(ids_take(&ids), IDS_NONE);
	ids_settle(&ids, false, false);
	assert_int_equal(ids_take(&ids), IDS_NONE);
	assert_true(ids_crowded(&ids));
	ids_settle(&ids, true, false);
	assert_int_equal(ids_take(&ids), 2);
	ids_put(&ids, 3);
	ids_settle(&ids, true, true);
	assert_int_equal(ids_take(&ids), 3);
	ids_fini(&ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_its_share_a_policy_isolates_and_allows_nothing),
		cmocka_unit_test(a_refused_policy_comes_back_when_it_fits),
		cmocka_unit_test(a_cluster_policy_over_its_share_denies),
		cmocka_unit_test(too_many_port_classes_are_refused),
		cmocka_unit_test(too_many_peers_refuse_the_largest_policy),
		cmocka_unit_test(too_many_sparse_cells_refuse_the_largest_policy),
		cmocka_unit_test(no_policy_id_left_denies),
		cmocka_unit_test(an_invalid_policy_reports_its_problem),
		cmocka_unit_test(images_grow_under_the_same_generation),
		cmocka_unit_test(generations_wrap_past_zero_and_live_ones),
		cmocka_unit_test(rule_ids_survive_a_restart),
		cmocka_unit_test(r33_churn_returns_to_the_baseline),
		cmocka_unit_test(ids_come_back_only_after_a_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
