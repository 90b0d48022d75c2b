// SPDX-License-Identifier: Apache-2.0
// scale_test.c - many pods, many rules: what an event costs is printed, what it touches is checked.
#include "tests/harness/test.h"

#include <malloc.h>
#include <time.h>

#include "agent/policy/policy.h"
#include "tests/harness/tables.h"
#include "tests/harness/world.h"

#define NAMESPACES 50
#define PODS 10000
#define LOCAL 100
#define RULES 4000 // of one policy
#define POLICIES 3
#define SERVICES 10000
#define BACKENDS 10 // of each
#define PEERS 8192
#define PEER_BYTES 700 // of a pod of another node, with uid, labels, a port and an address

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void changed(void *arg, const struct object *before, const struct object *after)
{
	struct policy **policy = arg;

	if (*policy)
		policy_changed(*policy, before, after);
}

static void put_pod(struct store *store, uint32_t i, const char *role)
{
	world_put(store, KIND_POD,
		  "{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'ns%u','name':'p%u',"
		  "'labels':{'app':'a%u','role':'%s','id':'%u'}},'spec':{'nodeName':'n',"
		  "'containers':[{'name':'c','ports':[{'name':'web','containerPort':8080}]}]},"
		  "'status':{'phase':'Running','podIPs':[{'ip':'10.%u.%u.%u'}]}}",
		  i % NAMESPACES, i, i % 20, role, i, 1 + (i >> 16), i >> 8 & 255, i & 255);
}

static uint64_t looked; // at how many addresses and prefixes the last compile looked

static uint32_t compile(struct policy *policy, const char *what)
{
	_cleanup_(plan_freep) struct plan *plan = NULL;
	struct policy_stats before, after;
	double start, ms;

	policy_stats(policy, &before);
	start = now_ms();
	assert_ok(policy_compile(policy, &plan));
	ms = now_ms() - start;
	policy_stats(policy, &after);
	looked = after.lookups - before.lookups;
	print_message("%-44s %9.3f ms %6u steps %6llu lookups\n", what, ms,
		      plan->nsteps, (unsigned long long)looked);
	return plan->nsteps;
}

static void start(struct store **store, struct policy **policy, const struct policy_limits *limits)
{
	char ns[16], name[16];

	*policy = NULL;
	assert_ok(store_new(store));
	assert_ok(store_subscribe(*store, changed, policy));
	for (uint32_t i = 0; i < NAMESPACES; i++)
		world_put(*store, KIND_NAMESPACE,
			  "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'ns%u',"
			  "'labels':{'team':'t%u'}}}",
			  i, i % 5);
	for (uint32_t i = 0; i < PODS; i++)
		put_pod(*store, i, "none");
	assert_ok(policy_new(*store, limits, policy));
	for (uint32_t i = 0; i < LOCAL; i++) {
		snprintf(ns, sizeof(ns), "ns%u", i % NAMESPACES);
		snprintf(name, sizeof(name), "p%u", i);
		assert_ok(policy_endpoint_add(*policy, ns, name, i));
	}
}

static void stop(struct store *store, struct policy *policy)
{
	policy_free(policy);
	store_free(store);
}

static void put_usual(struct store *store, uint32_t i, uint32_t port)
{
	world_put(store, KIND_NETPOL,
		  "{'metadata':{'namespace':'ns%u','name':'np'},'spec':{'podSelector':{},"
		  "'policyTypes':['Ingress','Egress'],"
		  "'ingress':[{'from':[{'podSelector':{'matchLabels':{'app':'a%u'}}},"
		  "{'namespaceSelector':{'matchLabels':{'team':'t%u'}},"
		  "'podSelector':{'matchLabels':{'role':'client'}}}],'ports':[{'port':%u}]}],"
		  "'egress':[{'to':[{'ipBlock':{'cidr':'10.0.0.0/8','except':['10.%u.0.0/16']}}]},"
		  "{'to':[{'namespaceSelector':{}}],'ports':[{'port':'web'}]}]}}",
		  i, i % 20, i % 5, port, 64 + i % 64);
}

static void usual_cluster(void **state)
{
	struct policy *policy;
	struct store *store;
	struct policy_stats stats;

	start(&store, &policy, NULL);
	for (uint32_t i = 0; i < NAMESPACES; i++)
		put_usual(store, i, 8080);
	compile(policy, "10,000 pods, 50 policies: first compile");
	policy_stats(policy, &stats);
	print_message("  %u peer classes, %u peers, %u cidrs, %u matrices of %llu bytes\n",
		      stats.peer_classes, stats.peers, stats.cidrs, stats.matrices,
		      (unsigned long long)stats.matrix_bytes);
	assert_int_equal(stats.endpoints, LOCAL);

	put_pod(store, 5000, "irrelevant");
	assert_int_equal(compile(policy, "a label that no selector sees"), 0);
	put_pod(store, 5001, "client");
	assert_true(compile(policy, "a label that 50 policies see") > 0);
	put_pod(store, 5001, "none");
	compile(policy, "and back");
	assert_int_equal(store_remove(store, KIND_POD, "ns2", "p5002"), 1);
	compile(policy, "a pod goes");
	put_pod(store, 7, "client");
	compile(policy, "a local pod is labelled");
	assert_true(looked <= 1);
	put_usual(store, 3, 9090);
	compile(policy, "a policy is edited");
	assert_int_equal(looked, 0);
	store_remove(store, KIND_NETPOL, "ns4", "np"); // whose peers are all 10,000 pods
	compile(policy, "a policy goes");
	assert_int_equal(looked, 100 + 2); // the pods that only it told apart, and its prefixes
	world_put(store, KIND_NAMESPACE,
		  "{'metadata':{'name':'ns9','labels':{'team':'t0','x':'y'}}}");
	compile(policy, "a namespace is labelled");
	assert_int_equal(looked, PODS / NAMESPACES);
	world_put(store, KIND_NETPOL,
		  "{'metadata':{'namespace':'ns5','name':'all'},'spec':{'podSelector':{},"
		  "'ingress':[{'from':[{'namespaceSelector':{}}]}]}}");
	compile(policy, "a policy that sees every pod");
	store_remove(store, KIND_NETPOL, "ns5", "all");
	compile(policy, "and goes");
	assert_int_equal(looked, 0);
	stop(store, policy);
}

static void put_rules(struct store *store, uint32_t p, void (*print_rule)(FILE *out, uint32_t i))
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fprintf(out,
		"{'metadata':{'namespace':'ns1','name':'big%u'},'spec':{'podSelector':{},"
		"'ingress':[",
		p);
	for (uint32_t i = 0; i < RULES; i++) {
		fputs(i ? "," : "", out);
		print_rule(out, p * RULES + i);
	}
	fputs("]}}", out);
	fclose(out);
	world_put(store, KIND_NETPOL, "%s", text);
	free(text);
}

// print_rule gives one of RULES * POLICIES rules.
static void many_rules(const char *what, void (*print_rule)(FILE *out, uint32_t i))
{
	struct policy_limits limits = { .port_classes = 65000,
					.object_share = 100,
					.namespace_share = 100 };
	struct policy_stats stats;
	struct policy *policy;
	struct store *store;
	char line[96];

	start(&store, &policy, &limits);
	compile(policy, "no policy");
	for (uint32_t p = 0; p < POLICIES; p++)
		put_rules(store, p, print_rule);
	snprintf(line, sizeof(line), "12,000 rules by %s", what);
	compile(policy, line);
	policy_stats(policy, &stats);
	print_message("  %u peer classes, %u port classes, %u cidrs, %llu bytes, %llu sparse\n",
		      stats.peer_classes, stats.port_classes, stats.cidrs,
		      (unsigned long long)stats.matrix_bytes,
		      (unsigned long long)stats.sparse_cells);
	put_pod(store, 5001, "client");
	compile(policy, "  then a pod event");
	store_remove(store, KIND_NETPOL, "ns1", "big1");
	compile(policy, "  and one of the policies goes");
	stop(store, policy);
}

static void by_selector(FILE *out, uint32_t i)
{
	fprintf(out,
		"{'from':[{'namespaceSelector':{},'podSelector':{'matchLabels':{'id':'%u'}}}],"
		"'ports':[{'port':80}]}",
		i);
}

static void by_port(FILE *out, uint32_t i)
{
	fprintf(out, "{'from':[{'podSelector':{}}],'ports':[{'port':%u}]}", 1000 + i);
}

static void by_block(FILE *out, uint32_t i)
{
	fprintf(out, "{'from':[{'ipBlock':{'cidr':'20.%u.%u.0/24'}}],'ports':[{'port':443}]}",
		i >> 8, i & 255);
}

static void ten_thousand_rules(void **state)
{
	many_rules("selector", by_selector);
	many_rules("port", by_port);
	many_rules("block", by_block);
}

// ---- Services ---------------------------------------------------------------------------------------------------

static void put_egress(struct store *store, uint32_t i, uint32_t port)
{
	world_put(store, KIND_NETPOL,
		  "{'metadata':{'namespace':'ns%u','name':'out'},'spec':{'podSelector':{},"
		  "'policyTypes':['Egress'],'egress':[{'to':[{'namespaceSelector':{},'podSelector':"
		  "{'matchLabels':{'app':'a%u'}}}],'ports':[{'port':%u}]},"
		  "{'to':[{'namespaceSelector':{'matchLabels':{'team':'t%u'}}}],'ports':[{'port':9090}]}]}}",
		  i, i % 20, port, i % 5);
}

static void put_service(struct store *store, uint32_t i)
{
	world_put(store, KIND_SERVICE,
		  "{'metadata':{'namespace':'ns%u','name':'s%u'},'spec':{'clusterIPs':['172.%u.%u.%u'],"
		  "'ports':[{'port':80,'targetPort':8080}]}}",
		  i % NAMESPACES, i, 20 + (i >> 16), i >> 8 & 255, i & 255);
}

// Its backends: pods of one app, but for the last one, which is the Service's own choice.
static void put_slice(struct store *store, uint32_t i, uint32_t last)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (uint32_t k = 0; k < BACKENDS; k++) {
		uint32_t pod = (k < BACKENDS - 1 ? i + 20 * k : last) % PODS;

		fprintf(out, "%s{'addresses':['10.%u.%u.%u'],'conditions':{'ready':true}}",
			k ? "," : "", 1 + (pod >> 16), pod >> 8 & 255, pod & 255);
	}
	fclose(out);
	world_put(store, KIND_ENDPOINTSLICE,
		  "{'metadata':{'namespace':'ns%u','name':'s%u','labels':{'kubernetes.io/service-name':"
		  "'s%u'}},'addressType':'IPv4','ports':[{'port':8080}],'endpoints':[%s]}",
		  i % NAMESPACES, i, i, text);
	free(text);
}

static void many_services(void **state)
{
	struct policy_stats stats;
	struct policy *policy;
	struct store *store;

	start(&store, &policy, NULL);
	for (uint32_t i = 0; i < SERVICES; i++) {
		put_service(store, i);
		put_slice(store, i, i * 7);
	}
	compile(policy, "10,000 Services of 10 backends, no policy");
	put_slice(store, 905, 6336);
	assert_int_equal(compile(policy, "  other endpoints, and nobody judges them"), 0);
	for (uint32_t i = 0; i < NAMESPACES; i++)
		put_egress(store, i, 8080);
	compile(policy, "  50 policies for egress");
	policy_stats(policy, &stats);
	print_message("  %u peer classes, %u keys, %u mixed, %u matrices of %llu bytes\n",
		      stats.peer_classes, stats.service_keys, stats.mixed, stats.matrices,
		      (unsigned long long)stats.matrix_bytes);
	assert_int_equal(stats.service_keys, SERVICES);
	put_slice(store, 905, 6340);
	assert_true(compile(policy, "  other endpoints of one") > 0);
	assert_int_equal(looked, 0);
	put_pod(store, 5001, "client");
	assert_int_equal(compile(policy, "  a label that no selector sees"), 0);
	put_egress(store, 3, 9090);
	compile(policy, "  a policy is edited");
	put_egress(store, 3, 7777);
	compile(policy, "  a port that nobody named before");
	store_remove(store, KIND_NETPOL, "ns4", "out");
	compile(policy, "  a policy goes");
	store_remove(store, KIND_POD, "ns0", "p4000");
	compile(policy, "  a pod goes that is a backend of ten");
	stop(store, policy);
}

static size_t in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

// Four of an owner; what it takes beyond those that were there, so that tables have doubled once.
static void peers_cost_little(void **state)
{
	struct policy *policy = NULL;
	struct store *store;
	size_t before = 0, bytes;

	assert_ok(store_new(&store));
	assert_ok(store_subscribe(store, changed, &policy));
	assert_ok(policy_new(store, NULL, &policy));
	world_put(store, KIND_NETPOL,
		  "{'metadata':{'namespace':'ns0','name':'n'},'spec':{'podSelector':{},'ingress':[{'from':["
		  "{'podSelector':{'matchLabels':{'app':'a1'}}}]}]}}");
	for (uint32_t i = 0; i < 2 * PEERS; i++) {
		if (i == PEERS) {
			compile(policy, "half of the peers");
			before = in_use();
		}
		world_put(store, KIND_POD,
			  "{'metadata':{'namespace':'ns0','name':'web-5b7c6d9f8-%05x','uid':"
			  "'7d1f3c5a-0000-4000-8000-%012x','labels':{'app':'a%u','tier':'web',"
			  "'pod-template-hash':'%x'}},'spec':{'nodeName':'n','containers':[{'ports':["
			  "{'containerPort':9090},{'name':'web','containerPort':8080}]}]},'status':{'phase':"
			  "'Running','podIPs':[{'ip':'10.%u.%u.%u'}]}}",
			  i, i, i / 4 % 20, i / 4, i >> 16, i >> 8 & 255, i & 255);
	}
	compile(policy, "all of them");
	bytes = (in_use() - before) / PEERS;
	print_message("%-44s %9zu bytes\n", "each of the others", bytes);
	if (in_use()) // sanitizers count elsewhere
		assert_in_range(bytes, 1, PEER_BYTES);
	policy_free(policy);
	store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_cluster),
		cmocka_unit_test(ten_thousand_rules),
		cmocka_unit_test(many_services),
		cmocka_unit_test(peers_cost_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
