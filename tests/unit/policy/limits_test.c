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
	for (int i = 29; i >= 10; i--) { // pods go, nobody touches the policy
		snprintf(name, sizeof(name), "c%d", i);
		judge_remove(&j, KIND_POD, "b", name);
	}
	judge_compile(&j);
	assert_int_equal(problems().n, 0);
	judge_pod(&j, "b", "late", "", "10.0.1.50", "");
	assert_allowed(&j, a, IN, "10.0.1.50", "tcp", 80);
	judge_stop(&j);
}

// Pods of namespace x with a label for each bit of their number.
static void put_bits(uint32_t bits)
{
	char name[16], addr[16], labels[160];

	for (uint32_t i = 0; i < 1u << bits; i++) {
		size_t at = 0;

		labels[0] = 0;
		for (uint32_t bit = 0; bit < bits; bit++)
			if (i >> bit & 1)
				at += (size_t)snprintf(labels + at, sizeof(labels) - at,
						       "%s'b%u':'x'", at ? "," : "", bit);
		snprintf(name, sizeof(name), "x%u", i);
		snprintf(addr, sizeof(addr), "10.3.0.%u", i + 1);
		judge_pod(&j, "x", name, labels, addr, "");
	}
}

// Selectors that tell all of these pods apart: twice as many classes with each policy.
static void put_bit_policies(const char *ns, uint32_t bits)
{
	for (uint32_t bit = 0; bit < bits; bit++)
		judge_put(&j, KIND_NETPOL,
			  "{'metadata':{'namespace':'%s','name':'bit%u'},'spec':{'podSelector':{},"
			  "'ingress':[{'from':[{'namespaceSelector':{},'podSelector':{'matchLabels':{"
			  "'b%u':'x'}}}]}]}}",
			  ns, bit, bit);
}

static void peer_classes_that_one_tenant_explodes_are_taken_from_it(void **state)
{
	uint32_t a, b, gen;

	start(&(struct policy_limits){ .peer_classes = 40 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	b = judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_bits(6);
	put_blocks("b", "large", 9); // one policy larger than any of the other's
	judge_compile(&j);
	gen = j.tables->endpoints[b].gen[IN];
	put_bit_policies("a", 6);
	assert_allowed(&j, b, IN, "20.8.0.1", "tcp", 1008);
	assert_int_equal(j.tables->endpoints[b].gen[IN], gen); // not even judged again
	assert_true(problems().n > 0);
	assert_str_contains(problems().name, "bit");
	assert_str_contains(problems().text, "peer classes");
	assert_denied(&j, a, IN, "10.3.0.1", "tcp", 80);
	for (uint32_t i = 0; i < 48; i++) { // as pods go, room comes
		char name[16];

		snprintf(name, sizeof(name), "x%u", i);
		judge_remove(&j, KIND_POD, "x", name);
		judge_compile(&j);
	}
	assert_int_equal(problems().n, 0);
	for (uint32_t i = 49; i < 64; i++) { // the last sixteen have bits 4 and 5
		char addr[16];

		snprintf(addr, sizeof(addr), "10.3.0.%u", i + 1);
		assert_allowed(&j, a, IN, addr, "tcp", 80);
	}
	judge_stop(&j);
}

static void a_cluster_policy_without_room_keeps_its_denies(void **state)
{
	uint32_t a;

	start(&(struct policy_limits){ .peer_classes = 30 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	put_bits(5);
	judge_put(&j, KIND_CLUSTERNETPOL,
		  "{'metadata':{'name':'c'},'spec':{'tier':'Admin','priority':1,'subject':"
		  "{'namespaces':{}},'ingress':["
		  "{'action':'Deny','from':[{'pods':{'namespaceSelector':{},'podSelector':{"
		  "'matchLabels':{'b0':'x','b1':'x'}}}}]},"
		  "{'action':'Accept','from':[{'pods':{'namespaceSelector':{},'podSelector':{"
		  "'matchLabels':{'b1':'x'}}}}]},"
		  "{'action':'Accept','from':[{'pods':{'namespaceSelector':{},'podSelector':{"
		  "'matchLabels':{'b2':'x'}}}}]},"
		  "{'action':'Accept','from':[{'pods':{'namespaceSelector':{},'podSelector':{"
		  "'matchLabels':{'b3':'x'}}}}]},"
		  "{'action':'Accept','from':[{'pods':{'namespaceSelector':{},'podSelector':{"
		  "'matchLabels':{'b4':'x'}}}}]}]}}");
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'a','name':'deny'},'spec':{'podSelector':{}}}");
	assert_allowed(&j, a, IN, "10.3.0.3", "tcp", 80);
	assert_int_equal(problems().n, 0);
	judge_put(&j, KIND_NETPOL, // 15 more, in which the pods have no part
		  "{'metadata':{'namespace':'a','name':'blocks'},'spec':{'podSelector':{},'ingress':["
		  "{'from':[{'ipBlock':{'cidr':'20.0.0.0/16'}}]},{'from':[{'ipBlock':{'cidr':"
		  "'20.1.0.0/16'}}]},{'from':[{'ipBlock':{'cidr':'20.2.0.0/16'}}]},"
		  "{'from':[{'ipBlock':{'cidr':'20.3.0.0/16'}}]},{'from':[{'ipBlock':{'cidr':"
		  "'20.4.0.0/16'}}]},{'from':[{'ipBlock':{'cidr':'20.5.0.0/16'}}]},"
		  "{'from':[{'ipBlock':{'cidr':'20.6.0.0/16'}}]},{'from':[{'ipBlock':{'cidr':"
		  "'20.7.0.0/16'}}]},{'from':[{'ipBlock':{'cidr':'20.8.0.0/16'}}]},"
		  "{'from':[{'ipBlock':{'cidr':'20.9.0.0/16'}}]},{'from':[{'ipBlock':{'cidr':"
		  "'20.10.0.0/16'}}]},{'from':[{'ipBlock':{'cidr':'20.11.0.0/16'}}]}]}}");
	judge_compile(&j);
	assert_str(problems().name, "c");
	assert_denied_cluster(&j, a, IN, "10.3.0.4", "tcp", 80); // b0, b1: still denied
	assert_denied(&j, a, IN, "10.3.0.3", "tcp", 80); // b1: accepted no more
	assert_allowed(&j, a, IN, "20.11.0.1", "tcp", 80); // all of whom are not concerned
	judge_remove(&j, KIND_NETPOL, "a", "blocks");
	assert_allowed(&j, a, IN, "10.3.0.3", "tcp", 80);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

// Each policy of the same few classes; together they are many: odd ports, ports 1 and 2 of 4, ...
static void put_port_bits(uint32_t bits, uint32_t ports)
{
	for (uint32_t bit = 0; bit < bits; bit++) {
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		for (uint32_t port = 0, n = 0; port < ports; port++)
			if (port >> bit & 1)
				fprintf(out, "%s{'port':%u}", n++ ? "," : "", 1000 + port);
		fclose(out);
		judge_put(&j, KIND_NETPOL,
			  "{'metadata':{'namespace':'a','name':'ports%u'},'spec':{'podSelector':{},"
			  "'ingress':[{'ports':[%s]}]}}",
			  bit, text);
		free(text);
	}
}

static void port_classes_that_one_tenant_explodes_are_taken_from_it(void **state)
{
	uint32_t a, b;

	start(&(struct policy_limits){ .port_classes = 48 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	b = judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_blocks("b", "large", 9);
	judge_compile(&j);
	put_port_bits(6, 64); // six classes by themselves, 63 together
	assert_allowed(&j, b, IN, "20.8.0.1", "tcp", 1008);
	assert_true(problems().n > 0);
	assert_str_contains(problems().name, "ports");
	assert_str_contains(problems().text, "port classes");
	assert_true(j.policy->ports.classes.by_sig.n <= 48 + 1);
	judge_remove(&j, KIND_NETPOL, "b", "large");
	for (uint32_t bit = 0; bit < 2; bit++) {
		char name[16];

		snprintf(name, sizeof(name), "ports%u", bit);
		judge_remove(&j, KIND_NETPOL, "a", name);
	}
	judge_compile(&j);
	assert_int_equal(problems().n, 0);
	for (uint32_t port = 4; port < 64; port++)
		assert_allowed(&j, a, IN, "8.8.8.8", "tcp", 1000 + port);
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

static void cells_of_one_tenant_leave_the_others_theirs(void **state)
{
	uint32_t a, b, gen;

	start(&(struct policy_limits){ .dense_cells = 4, .sparse_cells = 40, .object_share = 100,
				       .namespace_share = 100 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	b = judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_blocks("a", "most", 30);
	judge_compile(&j);
	assert_int_equal(problems().n, 0);
	put_blocks("b", "few", 12); // who comes last is not who takes most
	judge_compile(&j);
	assert_int_equal(problems().n, 1);
	assert_str(problems().name, "most");
	assert_allowed(&j, b, IN, "20.1.0.1", "tcp", 1001);
	assert_denied(&j, a, IN, "20.1.0.1", "tcp", 1001);
	gen = j.tables->endpoints[b].gen[IN];
	put_blocks("a", "other", 1); // it cannot come back by that
	judge_compile(&j);
	assert_int_equal(problems().n, 1);
	assert_int_equal(j.tables->endpoints[b].gen[IN], gen);
	judge_remove(&j, KIND_NETPOL, "b", "few");
	assert_allowed(&j, a, IN, "20.1.0.1", "tcp", 1001);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

static const struct matrix *judging(uint32_t slot)
{
	return j.policy->slots.v[slot]->shown[IN];
}

static void a_large_matrix_with_few_exceptions_takes_little(void **state)
{
	uint32_t a;

	start(NULL);
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	put_blocks("a", "small", 16);
	judge_compile(&j);
	assert_false(judging(a)->sparse);
	put_blocks("a", "large", 256); // a diagonal
	judge_compile(&j);
	assert_true(judging(a)->ncols * judging(a)->rows.n > MATRIX_SMALL_CELLS);
	assert_true(judging(a)->nunits < 1000);
	assert_int_equal(j.tables->cells.n, 256);
	assert_allowed(&j, a, IN, "20.200.0.1", "tcp", 1200);
	assert_denied(&j, a, IN, "20.200.0.1", "tcp", 1201);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

static void dense_cells_of_one_tenant_leave_the_others_theirs(void **state)
{
	uint32_t a, b;

	start(&(struct policy_limits){ .dense_total = 300 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	b = judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_blocks("a", "most", 16); // 17 x 17
	judge_compile(&j);
	assert_int_equal(problems().n, 0);
	put_blocks("b", "few", 4); // 5 x 5
	judge_compile(&j);
	assert_int_equal(problems().n, 1);
	assert_str(problems().name, "most");
	assert_str_contains(problems().text, "dense cells");
	assert_allowed(&j, b, IN, "20.1.0.1", "tcp", 1001);
	assert_denied(&j, a, IN, "20.1.0.1", "tcp", 1001);
	judge_remove(&j, KIND_NETPOL, "b", "few");
	assert_allowed(&j, a, IN, "20.1.0.1", "tcp", 1001);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

// A large policy and a small one of each pod's own: a matrix for each pod.
static void a_policy_in_many_dense_matrices_is_refused_once(void **state)
{
	char name[16], labels[32], addr[16];
	uint32_t slots[4];

	start(&(struct policy_limits){ .dense_total = 1000 });
	put_blocks("a", "big", 16);
	for (uint32_t i = 0; i < ARRAY_SIZE(slots); i++) {
		snprintf(name, sizeof(name), "p%u", i);
		snprintf(labels, sizeof(labels), "'app':'p%u'", i);
		snprintf(addr, sizeof(addr), "10.0.0.%u", i + 1);
		slots[i] = judge_local(&j, "a", name, labels, addr, "");
		judge_put(&j, KIND_NETPOL,
			  "{'metadata':{'namespace':'a','name':'own%u'},'spec':{'podSelector':"
			  "{'matchLabels':{%s}},'ingress':[{'from':[{'ipBlock':{'cidr':"
			  "'30.%u.0.0/16'}}],'ports':[{'port':%u}]}]}}",
			  i, labels, i, 2000 + i);
	}
	judge_compile(&j);
	assert_int_equal(problems().n, 1);
	assert_str(problems().name, "big");
	for (uint32_t i = 0; i < ARRAY_SIZE(slots); i++) {
		snprintf(addr, sizeof(addr), "30.%u.0.1", i);
		assert_allowed(&j, slots[i], IN, addr, "tcp", 2000 + i);
		assert_denied(&j, slots[i], IN, "20.1.0.1", "tcp", 1001);
	}
	judge_remove(&j, KIND_NETPOL, "a", "own0");
	judge_remove(&j, KIND_NETPOL, "a", "own1");
	assert_allowed(&j, slots[2], IN, "20.1.0.1", "tcp", 1001);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

// A matrix that stays gets rows with every new class it tells apart: that, too, must have room.
static void cells_that_a_matrix_grows_by_have_a_limit(void **state)
{
	char name[16], addr[16];
	uint32_t a, b, before;

	start(&(struct policy_limits){ .dense_cells = 4, .sparse_cells = 24, .object_share = 100,
				       .namespace_share = 100 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	b = judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_blocks("b", "few", 4);
	for (uint32_t bit = 0; bit < 5; bit++)
		judge_put(&j, KIND_NETPOL,
			  "{'metadata':{'namespace':'a','name':'bit%u'},'spec':{'podSelector':{},"
			  "'ingress':[{'from':[{'namespaceSelector':{},'podSelector':{'matchLabels':{"
			  "'b%u':'x'}}}],'ports':[{'port':%u}]}]}}",
			  bit, bit, 100 + bit);
	judge_compile(&j);
	assert_int_equal(problems().n, 0);
	put_bits(5);
	judge_compile(&j);
	before = problems().n;
	assert_true(before > 0);
	assert_str_contains(problems().name, "bit");
	assert_true(j.tables->cells.n <= 24);
	assert_allowed(&j, b, IN, "20.1.0.1", "tcp", 1001);
	for (int i = 31; i >= 4; i--) {
		snprintf(name, sizeof(name), "x%d", i);
		judge_remove(&j, KIND_POD, "x", name);
	}
	judge_compile(&j);
	judge_pod(&j, "x", "last", "'b4':'x'", "10.3.0.9", "");
	snprintf(addr, sizeof(addr), "10.3.0.9");
	assert_allowed(&j, a, IN, addr, "tcp", 104);
	assert_int_equal(problems().n, 0);
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
	assert_int_equal(problems().n, 1);
	assert_str(problems().name, "p");
	assert_str(problems().text, "the table of compiled policies is full: nothing may enter it");
	judge_remove(&j, KIND_NETPOL, "a", "x"); // nothing but room: the same plan fills it
	assert_allowed(&j, b, IN, "20.0.0.1", "tcp", 1000);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

// Pods of namespace a, each with a compiled policy of its own.
static void take_ids(uint32_t n)
{
	char name[16], labels[32], addr[16];

	for (uint32_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		snprintf(labels, sizeof(labels), "'app':'a%u'", i);
		snprintf(addr, sizeof(addr), "10.0.2.%u", i + 1);
		judge_local(&j, "a", name, labels, addr, "");
		judge_put(&j, KIND_NETPOL,
			  "{'metadata':{'namespace':'a','name':'p%u'},'spec':{'podSelector':{"
			  "'matchLabels':{'app':'a%u'}},'ingress':[{'ports':[{'port':%u}]}]}}",
			  i, i, 1 + i);
	}
	judge_compile(&j);
}

static void policy_ids_of_one_tenant_leave_the_others_theirs(void **state)
{
	uint32_t b;

	start(&(struct policy_limits){ .policies = 32 });
	take_ids(40);
	assert_true(problems().n >= 8);
	b = judge_local(&j, "b", "p", "", "10.0.0.2", "");
	for (uint32_t port = 1; port < 4; port++) { // old and new side by side, again and again
		put_blocks("b", "y", port);
		assert_allowed(&j, b, IN, "20.0.0.1", "tcp", 1000);
	}
	assert_allowed(&j, 0, IN, "20.0.0.1", "tcp", 1);
	judge_stop(&j);
}

static void images_grow_when_no_policy_id_is_left(void **state)
{
	uint32_t a;

	start(&(struct policy_limits){ .policies = BH_POLICY_FIRST + 2 });
	a = judge_local(&j, "a", "p", "", "10.0.0.1", "");
	judge_local(&j, "b", "p", "", "10.0.0.2", "");
	put_blocks("a", "x", 2);
	judge_compile(&j);
	put_blocks("b", "many", 200); // the second and last id; fresh ids for a's matrix, too
	assert_allowed(&j, a, IN, "20.1.0.1", "tcp", 1001);
	assert_denied(&j, a, IN, "20.2.0.1", "tcp", 1002);
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
		cmocka_unit_test(cells_of_one_tenant_leave_the_others_theirs),
		cmocka_unit_test(a_large_matrix_with_few_exceptions_takes_little),
		cmocka_unit_test(dense_cells_of_one_tenant_leave_the_others_theirs),
		cmocka_unit_test(a_policy_in_many_dense_matrices_is_refused_once),
		cmocka_unit_test(cells_that_a_matrix_grows_by_have_a_limit),
		cmocka_unit_test(no_policy_id_left_denies),
		cmocka_unit_test(policy_ids_of_one_tenant_leave_the_others_theirs),
		cmocka_unit_test(images_grow_when_no_policy_id_is_left),
		cmocka_unit_test(peer_classes_that_one_tenant_explodes_are_taken_from_it),
		cmocka_unit_test(a_cluster_policy_without_room_keeps_its_denies),
		cmocka_unit_test(port_classes_that_one_tenant_explodes_are_taken_from_it),
		cmocka_unit_test(an_invalid_policy_reports_its_problem),
		cmocka_unit_test(images_grow_under_the_same_generation),
		cmocka_unit_test(generations_wrap_past_zero_and_live_ones),
		cmocka_unit_test(rule_ids_survive_a_restart),
		cmocka_unit_test(r33_churn_returns_to_the_baseline),
		cmocka_unit_test(ids_come_back_only_after_a_wait),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
