// SPDX-License-Identifier: Apache-2.0
// service_test.c - Services as rows: what of their backends is allowed, and which keys there are at all.
#include <string.h>

#include "tests/harness/test.h"

#include "tests/harness/judge.h"

#define OUT BH_EGRESS

static struct judge j;

static int start(void **state)
{
	judge_start(&j, NULL);
	judge_put(&j, KIND_NAMESPACE, "{'metadata':{'name':'x','labels':{'team':'x'}}}");
	judge_put(&j, KIND_NAMESPACE, "{'metadata':{'name':'y','labels':{'team':'y'}}}");
	return 0;
}

static int stop(void **state)
{
	judge_stop(&j);
	return 0;
}

// ---- sentences -------------------------------------------------------------------------------------------------

static uint32_t client(void)
{
	return judge_local(&j, "x", "client", "'app':'client'", "10.0.0.1 fd00::1", "");
}

// Egress of x's client pods: the members of a rule.
static void egress(const char *rule)
{
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'x','name':'out'},'spec':{'podSelector':{'matchLabels':"
		  "{'app':'client'}},'policyTypes':['Egress'],'egress':[%s]}}",
		  rule);
}

static void pod(const char *ns, const char *name, const char *app, const char *addrs)
{
	char labels[64];

	snprintf(labels, sizeof(labels), "'app':'%s'", app);
	judge_pod(&j, ns, name, labels, addrs, "");
}

// ports: items of spec.ports; more: further members of spec, with a comma in front.
static void service(const char *name, const char *addrs, const char *ports, const char *more)
{
	judge_put(
		&j, KIND_SERVICE,
		"{'metadata':{'namespace':'x','name':'%s'},'spec':{'clusterIPs':[%s],'ports':[%s]%s}}",
		name, addrs, ports, more);
}

// A slice of the Service; endpoints: its items.
static void slice(const char *name, const char *of, const char *family, const char *ports,
		  const char *endpoints)
{
	judge_put(
		&j, KIND_ENDPOINTSLICE,
		"{'metadata':{'namespace':'x','name':'%s','labels':{'kubernetes.io/service-name':'%s'}},"
		"'addressType':'%s','ports':[%s],'endpoints':[%s]}",
		name, of, family, ports, endpoints);
}

#define READY(addr) "{'addresses':['" addr "'],'conditions':{'ready':true}}"
#define PORT_80 "{'port':80,'targetPort':8080}"
#define TO_8080 "{'port':8080}"
#define TO_WEB "{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}]}"
#define TO_WEB_8080 "{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}],'ports':[{'port':8080}]}"

static enum bh_reason reason_at(uint32_t slot, const char *remote, uint16_t port, bool as_node)
{
	struct bh_judgement judgement;
	struct bh_addr addr;

	judge_compile(&j);
	assert_ok(addr_parse(remote, &addr));
	return policy_eval(j.policy, slot, OUT, &addr, 6, port, as_node, &judgement);
}

static uint32_t mixed(void)
{
	struct policy_stats stats;

	judge_compile(&j);
	policy_stats(j.policy, &stats);
	return stats.mixed;
}

static uint32_t keys(void)
{
	judge_compile(&j);
	return (uint32_t)j.tables->services.n;
}

#define assert_mixed(slot, remote, port)                                                           \
	do {                                                                                       \
		assert_verdict_(&j, slot, OUT, remote, "tcp", port, BH_VERDICT_MIXED);             \
		assert_int_equal(reason_at(slot, remote, port, false), BH_REASON_SERVICE_MIXED);   \
		assert_true(mixed() > 0);                                                          \
	} while (0)

// ---- rows ------------------------------------------------------------------------------------------------------

static uint32_t two_webs(void)
{
	uint32_t slot = client();

	pod("x", "web1", "web", "10.0.0.5");
	pod("x", "web2", "web", "10.0.0.6");
	pod("x", "db", "db", "10.0.0.7");
	service("web", "'10.96.0.1'", PORT_80, "");
	return slot;
}

static void r18_port_is_the_target_port(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5") "," READY("10.0.0.6"));
	egress(TO_WEB_8080);
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	assert_str(judge_rule(&j, slot, OUT, "10.96.0.1", "tcp", 80), "NetworkPolicy x/out rule 0");
	egress("{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}],'ports':[{'port':80}]}");
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	assert_str(judge_rule(&j, slot, OUT, "10.96.0.1", "tcp", 80), "default deny (x/out)");
	assert_int_equal(mixed(), 0);
}

static void a_service_without_allowed_backends_is_denied(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.7"));
	egress(TO_WEB);
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	judge_pod(&j, "x", "db", "'app':'web'", "10.0.0.7", ""); // relabelled
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

static void mixed_backends_are_mixed(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5") "," READY("10.0.0.7"));
	egress(TO_WEB);
	assert_mixed(slot, "10.96.0.1", 80);
	assert_str(judge_rule(&j, slot, OUT, "10.96.0.1", "tcp", 80), "default deny (x/out)");
	assert_int_equal(mixed(), 1);
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	assert_int_equal(mixed(), 0);
}

static void nobody_isolates_so_nothing_is_mixed(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5") "," READY("10.0.0.7"));
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	assert_int_equal(mixed(), 0);
	egress(TO_WEB);
	assert_mixed(slot, "10.96.0.1", 80);
	judge_remove(&j, KIND_NETPOL, "x", "out");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	assert_int_equal(mixed(), 0);
}

static void without_endpoints_new_flows_are_denied(void **state)
{
	uint32_t slot = two_webs();

	egress(TO_WEB);
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	assert_int_equal(reason_at(slot, "10.96.0.1", 80, false), BH_REASON_SERVICE_EMPTY);
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	judge_remove(&j, KIND_ENDPOINTSLICE, "x", "web-1");
	assert_int_equal(reason_at(slot, "10.96.0.1", 80, false), BH_REASON_SERVICE_EMPTY);
}

static void other_ports_and_icmp_are_judged_as_an_address(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	egress(TO_WEB ",{'to':[{'ipBlock':{'cidr':'10.96.0.0/24'}}],'ports':[{'port':81}]}");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 81);
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 82);
	assert_denied(&j, slot, OUT, "10.96.0.1", "udp", 80);
	assert_denied(&j, slot, OUT, "10.96.0.1", "1", 0);
	egress("{'to':[{'ipBlock':{'cidr':'10.96.0.0/24'}}]}");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "1", 0);
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 80); // its backend is not in the block
}

static void nothing_stands_for_what_is_not_translated(void **state)
{
	uint32_t slot = two_webs();

	judge_remove(&j, KIND_SERVICE, "x", "web");
	assert_int_equal(keys(), 0);
	service("none", "'None'", PORT_80, ",'externalIPs':['198.51.100.1']");
	judge_put(&j, KIND_SERVICE,
		  "{'metadata':{'namespace':'x','name':'alias'},'spec':{'type':'ExternalName',"
		  "'externalName':'example.org','clusterIP':'10.96.0.3','ports':[{'port':80}]}}");
	slice("none-1", "none", "IPv4", TO_8080, READY("10.0.0.5"));
	egress(TO_WEB);
	assert_int_equal(keys(), 0);
	assert_denied(&j, slot, OUT, "198.51.100.1", "tcp", 80);
}

// ---- which backends -------------------------------------------------------------------------------------------

static void r18_named_target_ports_are_numbers_of_each_slice(void **state)
{
	uint32_t slot = two_webs();

	service("web", "'10.96.0.1'", "{'name':'http','port':80,'targetPort':'web'}", "");
	slice("web-1", "web", "IPv4", "{'name':'http','port':8080}", READY("10.0.0.5"));
	slice("web-2", "web", "IPv4", "{'name':'http','port':9090}", READY("10.0.0.6"));
	egress(TO_WEB_8080);
	assert_mixed(slot, "10.96.0.1", 80);
	egress("{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}],"
	       "'ports':[{'port':8080},{'port':9090}]}");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

static void r18_named_ports_of_a_rule_are_the_backends_own(void **state)
{
	uint32_t slot = client();

	judge_pod(&j, "x", "a", "'app':'web'", "10.0.0.5",
		  "'containers':[{'name':'c','ports':[{'name':'http','containerPort':8080}]}]");
	judge_pod(&j, "x", "b", "'app':'web'", "10.0.0.6",
		  "'containers':[{'name':'c','ports':[{'name':'http','containerPort':9090}]}]");
	service("web", "'10.96.0.1'", "{'port':80,'targetPort':'http'}", "");
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	slice("web-2", "web", "IPv4", "{'port':9090}", READY("10.0.0.6"));
	egress("{'to':[{'podSelector':{}}],'ports':[{'port':'http'}]}");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	slice("web-2", "web", "IPv4", TO_8080, READY("10.0.0.6")); // b says 9090
	assert_mixed(slot, "10.96.0.1", 80);
}

static void r18_several_ports_lead_to_their_own(void **state)
{
	uint32_t slot = two_webs();

	service("web", "'10.96.0.1'",
		"{'name':'http','port':80,'targetPort':8080},{'name':'metrics','port':9100},"
		"{'name':'dns','port':53,'protocol':'UDP'}",
		"");
	slice("web-1", "web", "IPv4",
	      "{'name':'http','port':8080},{'name':'metrics','port':9100},"
	      "{'name':'dns','port':5353,'protocol':'UDP'}",
	      READY("10.0.0.5"));
	egress("{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}],"
	       "'ports':[{'port':8080},{'port':5353,'protocol':'UDP'}]}");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 9100);
	assert_allowed(&j, slot, OUT, "10.96.0.1", "udp", 53);
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 53);
	assert_int_equal(keys(), 3);
}

static void r18_end_port_spans_the_target_port(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	egress("{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}],"
	       "'ports':[{'port':8000,'endPort':8079}]}");
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	egress("{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}],"
	       "'ports':[{'port':8000,'endPort':8080}]}");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

static void r18_every_family_has_its_own_backends(void **state)
{
	uint32_t slot = client();

	pod("x", "web", "web", "10.0.0.5 fd00::5");
	pod("x", "db", "db", "10.0.0.7 fd00::7");
	service("web", "'10.96.0.1','fd96::1'", PORT_80, "");
	slice("web-4", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	slice("web-6", "web", "IPv6", TO_8080, READY("fd00::7"));
	egress(TO_WEB);
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	assert_denied(&j, slot, OUT, "fd96::1", "tcp", 80);
	slice("web-6", "web", "IPv6", TO_8080, READY("fd00::5"));
	assert_allowed(&j, slot, OUT, "fd96::1", "tcp", 80);
}

static void r18_labels_of_the_service_do_not_matter(void **state)
{
	uint32_t slot = two_webs();

	// its selector asks for more than the policy, or for something else
	service("web", "'10.96.0.1'", PORT_80, ",'selector':{'app':'web','version':'2'}");
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	egress(TO_WEB);
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	egress("{'to':[{'podSelector':{'matchLabels':{'version':'2'}}}]}");
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

static void r18_without_a_selector_it_is_judged_by_its_slices(void **state)
{
	uint32_t slot = client();

	service("ext", "'10.96.0.9'", "{'port':443}", "");
	slice("ext-1", "ext", "IPv4", "{'port':443}", READY("203.0.113.7"));
	egress("{'to':[{'ipBlock':{'cidr':'10.96.0.0/16'}}]}"); // the Service's own address counts for nothing
	assert_denied(&j, slot, OUT, "10.96.0.9", "tcp", 443);
	egress("{'to':[{'ipBlock':{'cidr':'203.0.113.0/24','except':['203.0.113.7/32']}}]}");
	assert_denied(&j, slot, OUT, "10.96.0.9", "tcp", 443);
	egress("{'to':[{'ipBlock':{'cidr':'203.0.113.0/24'}}]}");
	assert_allowed(&j, slot, OUT, "10.96.0.9", "tcp", 443);
}

static void ready_ones_then_those_that_still_serve(void **state)
{
	uint32_t slot = two_webs();

	egress(TO_WEB);
	slice("web-1", "web", "IPv4", TO_8080,
	      READY("10.0.0.5") ",{'addresses':['10.0.0.7'],'conditions':{'ready':false,'serving':true,"
				"'terminating':true}}");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	slice("web-1", "web", "IPv4", TO_8080,
	      "{'addresses':['10.0.0.5'],'conditions':{'ready':false,'serving':false}},"
	      "{'addresses':['10.0.0.7'],'conditions':{'ready':false,'serving':true,'terminating':true}}");
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	assert_int_equal(reason_at(slot, "10.96.0.1", 80, false), BH_REASON_POLICY_DENIED);
	slice("web-1", "web", "IPv4", TO_8080,
	      "{'addresses':['10.0.0.5'],'conditions':{'ready':false,'serving':false,'terminating':true}}");
	assert_int_equal(reason_at(slot, "10.96.0.1", 80, false), BH_REASON_SERVICE_EMPTY);
	slice("web-1", "web", "IPv4", TO_8080, "{'addresses':['10.0.0.5']}"); // nothing said: ready
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

// What a proxy falls back to on this node counts beside what others have: both traffic policies, each family by itself.
static void traffic_that_stays_on_its_node_goes_to_those_that_end(void **state)
{
#define ON(node, addr, conditions)                                                                 \
	"{'nodeName':'" node "','addresses':['" addr "'],'conditions':{" conditions "}}"
#define ENDING "'ready':false,'serving':true,'terminating':true"
	static const char *const policies[] = { ",'internalTrafficPolicy':'Local'",
						",'externalTrafficPolicy':'Local'" };
	uint32_t slot = two_webs();

	policy_set_node(j.policy, "n");
	egress(TO_WEB);
	slice("web-1", "web", "IPv4", TO_8080,
	      ON("m", "10.0.0.5", "'ready':true") "," ON("n", "10.0.0.7", ENDING));
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	for (size_t i = 0; i < ARRAY_SIZE(policies); i++) {
		service("web", "'10.96.0.1'", PORT_80, policies[i]);
		assert_mixed(slot, "10.96.0.1", 80);
	}
	// one that is ready on this node, or none that still serves here
	slice("web-2", "web", "IPv4", TO_8080, ON("n", "10.0.0.6", ""));
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	slice("web-2", "web", "IPv4", TO_8080, ON("m", "10.0.0.6", ""));
	assert_mixed(slot, "10.96.0.1", 80);
	policy_set_node(j.policy, "o");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	policy_set_node(j.policy, "n");
	assert_mixed(slot, "10.96.0.1", 80);
	service("web", "'10.96.0.1'", PORT_80, ",'internalTrafficPolicy':'Cluster'");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

// The API gives no meaning to others, and proxies do not look at them.
static void of_an_endpoints_addresses_the_first_counts(void **state)
{
	uint32_t slot = two_webs();

	egress(TO_WEB);
	slice("web-1", "web", "IPv4", TO_8080, "{'addresses':['10.0.0.5','10.0.0.7']}");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	slice("web-1", "web", "IPv4", TO_8080, "{'addresses':['10.0.0.7','10.0.0.5']}");
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

static void slices_together_are_the_service(void **state)
{
	uint32_t slot = two_webs();

	egress(TO_WEB);
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	slice("web-2", "web", "IPv4", TO_8080, READY("10.0.0.7"));
	assert_mixed(slot, "10.96.0.1", 80);
	slice("web-2", "other", "IPv4", TO_8080, READY("10.0.0.7")); // changes hands
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

// ---- which keys --------------------------------------------------------------------------------------------------

static void balancers_and_external_addresses_are_keys(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	judge_put(
		&j, KIND_SERVICE,
		"{'metadata':{'namespace':'x','name':'web'},'spec':{'clusterIPs':['10.96.0.1'],"
		"'externalIPs':['198.51.100.1'],'ports':[{'port':80}]},'status':{'loadBalancer':{'ingress':["
		"{'ip':'198.51.100.2'},{'ip':'198.51.100.3','ipMode':'Proxy'},{'ip':'198.51.100.4','ipMode':'VIP'}]}}}");
	egress(TO_WEB);
	assert_allowed(&j, slot, OUT, "198.51.100.1", "tcp", 80);
	assert_allowed(&j, slot, OUT, "198.51.100.2", "tcp", 80);
	assert_denied(&j, slot, OUT, "198.51.100.3", "tcp", 80);
	assert_allowed(&j, slot, OUT, "198.51.100.4", "tcp", 80);
	assert_int_equal(keys(), 4);
}

static void node_ports_are_the_own_nodes(void **state)
{
	uint32_t slot = two_webs();

	service("web", "'10.96.0.1'", "{'port':80,'nodePort':30080}", ",'type':'NodePort'");
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.7"));
	egress(TO_WEB);
	assert_int_equal(reason_at(slot, "172.18.0.1", 30080, true), BH_REASON_POLICY_DENIED);
	assert_int_equal(reason_at(slot, "172.18.0.1", 30081, true), BH_REASON_OWN_NODE);
	assert_int_equal(reason_at(slot, "172.18.0.9", 30080, false), BH_REASON_POLICY_DENIED);
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	assert_int_equal(reason_at(slot, "172.18.0.1", 30080, true), BH_REASON_ALLOWED);
	assert_int_equal(reason_at(slot, "172.18.0.9", 30080, false), BH_REASON_POLICY_DENIED);
}

// To an address of another family nobody translates: it is the node.
static void node_ports_are_of_the_families_of_the_service(void **state)
{
	uint32_t slot = two_webs();

	judge_local(&j, "x", "host", "'app':'host'", "10.0.0.9",
		    "'containers':[{'name':'c','ports':[{'containerPort':80,'hostPort':31000}]}]");
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.7"));
	slice("web-6", "web", "IPv6", TO_8080, READY("fd00::7"));
	egress(TO_WEB);
	for (int i = 0; i < 2; i++) { // and back
		service("web", "'10.96.0.1'", "{'port':80,'nodePort':30080}", "");
		assert_int_equal(reason_at(slot, "172.18.0.1", 30080, true), BH_REASON_POLICY_DENIED);
		assert_int_equal(reason_at(slot, "fd18::1", 30080, true), BH_REASON_OWN_NODE);
		service("web", "'fd96::1'", "{'port':80,'nodePort':30080}", "");
		assert_int_equal(reason_at(slot, "172.18.0.1", 30080, true), BH_REASON_OWN_NODE);
		assert_int_equal(reason_at(slot, "fd18::1", 30080, true), BH_REASON_POLICY_DENIED);
		service("web", "'10.96.0.1','fd96::1'", "{'port':80,'nodePort':30080}", "");
		assert_int_equal(reason_at(slot, "172.18.0.1", 30080, true), BH_REASON_POLICY_DENIED);
		assert_int_equal(reason_at(slot, "fd18::1", 30080, true), BH_REASON_POLICY_DENIED);
	}
	assert_int_equal(reason_at(slot, "172.18.0.1", 31000, true), BH_REASON_POLICY_DENIED);
	assert_int_equal(reason_at(slot, "fd18::1", 31000, true), BH_REASON_OWN_NODE);
}

// A proxy passes over a Service without a ClusterIP of its family, whatever other addresses it has.
static void addresses_are_of_the_families_of_the_service(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	slice("web-6", "web", "IPv6", TO_8080, READY("10.0.0.5"));
	egress(TO_WEB);
	service("web", "'10.96.0.1'", PORT_80, ",'externalIPs':['198.51.100.1','2001:db8::1']");
	assert_int_equal(keys(), 2);
	assert_allowed(&j, slot, OUT, "198.51.100.1", "tcp", 80);
	service("web", "'10.96.0.1','fd96::1'", PORT_80, ",'externalIPs':['198.51.100.1','2001:db8::1']");
	assert_int_equal(keys(), 4);
}

static uint32_t word_at(const char *addr)
{
	struct policy_tables tables;
	struct bh_addr at;
	uint32_t word = 0;

	judge_compile(&j);
	assert_ok(addr_parse(addr, &at));
	memtables_dump(j.tables, &tables);
	for (uint32_t i = 0; i < tables.nservices; i++)
		if (!memcmp(tables.services[i].key.addr, &at, sizeof(at)))
			word = tables.services[i].word;
	policy_tables_fini(&tables);
	return word;
}

static void programs_are_told_what_is_a_cluster_ip(void **state)
{
	two_webs();
	service("web", "'10.96.0.1','fd96::1'", PORT_80, ",'externalIPs':['198.51.100.1','10.96.0.2']");
	assert_true(word_at("10.96.0.1") & BH_SERVICE_CLUSTER_IP);
	assert_true(word_at("fd96::1") & BH_SERVICE_CLUSTER_IP);
	assert_false(word_at("198.51.100.1") & BH_SERVICE_CLUSTER_IP);
	assert_false(word_at("10.96.0.2") & BH_SERVICE_CLUSTER_IP);
	service("db", "'10.96.0.2'", PORT_80, "");
	assert_true(word_at("10.96.0.2") & BH_SERVICE_CLUSTER_IP);
	judge_remove(&j, KIND_SERVICE, "x", "db");
	assert_false(word_at("10.96.0.2") & BH_SERVICE_CLUSTER_IP);
	assert_true(word_at("10.96.0.2"));
}

static void host_ports_lead_to_their_pod(void **state)
{
	uint32_t slot = client(), other;

	egress("{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}],'ports':[{'port':8080}]}");
	other = judge_local(
		&j, "x", "web", "'app':'web'", "10.0.0.5",
		"'containers':[{'name':'c','ports':[{'containerPort':8080,'hostPort':80},"
		"{'containerPort':9090,'hostPort':90},"
		"{'containerPort':8080,'hostPort':81,'hostIP':'172.18.0.1'},"
		"{'containerPort':8080,'hostPort':82,'hostIP':'10.0.0.7'},"
		"{'containerPort':8080,'hostPort':83,'hostIP':'127.0.0.1'},"
		"{'containerPort':8080,'hostPort':84,'hostIP':'::1'}]}]");
	assert_int_equal(reason_at(slot, "172.18.0.1", 80, true), BH_REASON_ALLOWED);
	assert_int_equal(reason_at(slot, "172.18.0.1", 90, true), BH_REASON_POLICY_DENIED);
	assert_int_equal(reason_at(slot, "172.18.0.1", 81, true), BH_REASON_ALLOWED);
	// what is not this node's is nobody's to translate: neither the others nor the pod itself may go there
	assert_denied(&j, slot, OUT, "10.0.0.7", "tcp", 82);
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'name':'shut','namespace':'x'},"
		  "'spec':{'podSelector':{'matchLabels':{'app':'web'}},'policyTypes':['Egress']}}");
	assert_denied(&j, other, OUT, "10.0.0.7", "tcp", 82);
	assert_int_equal(keys(), 4);
	assert_ok(policy_endpoint_remove(j.policy, other)); // another node's are nothing here
	assert_int_equal(keys(), 0);
}

static void two_services_of_one_address_are_both_meant(void **state)
{
	uint32_t slot = two_webs();

	service("web", "'10.96.0.1'", PORT_80, ",'externalIPs':['198.51.100.1']");
	service("db", "'10.96.0.2'", PORT_80, ",'externalIPs':['198.51.100.1']");
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	slice("db-1", "db", "IPv4", TO_8080, READY("10.0.0.7"));
	egress(TO_WEB);
	assert_mixed(slot, "198.51.100.1", 80);
	judge_remove(&j, KIND_SERVICE, "x", "db");
	assert_allowed(&j, slot, OUT, "198.51.100.1", "tcp", 80);
}

// Which of the two a proxy takes nobody can tell: what it takes must not be let pass because of the other one.
static void a_claim_on_anothers_cluster_ip_makes_it_mixed(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	slice("bait-1", "bait", "IPv4", TO_8080, READY("10.0.0.7"));
	egress(TO_WEB);
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	service("bait", "'10.96.0.2'", PORT_80, ",'externalIPs':['10.96.0.1']");
	assert_mixed(slot, "10.96.0.1", 80);
	judge_remove(&j, KIND_SERVICE, "x", "bait");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

// ---- exemptions ----------------------------------------------------------------------------------------------------

static void backends_on_the_nodes_network(void **state)
{
	uint32_t slot = client();

	judge_put(
		&j, KIND_NODE,
		"{'metadata':{'name':'n'},'status':{'addresses':[{'type':'InternalIP','address':'172.18.0.1'}]}}");
	judge_put(
		&j, KIND_NODE,
		"{'metadata':{'name':'m'},'status':{'addresses':[{'type':'InternalIP','address':'172.18.0.2'}]}}");
	service("api", "'10.96.0.1'", "{'port':443}", "");
	slice("api-1", "api", "IPv4", "{'port':6443}", READY("172.18.0.1"));
	egress("");
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 443);
	policy_set_node(j.policy, "n");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 443);
	slice("api-1", "api", "IPv4", "{'port':6443}", READY("172.18.0.2"));
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 443);
	slice("api-1", "api", "IPv4", "{'port':6443}", READY("172.18.0.1") "," READY("172.18.0.2"));
	assert_mixed(slot, "10.96.0.1", 443);
	policy_set_node(j.policy, "m");
	assert_mixed(slot, "10.96.0.1", 443);
	policy_set_node(j.policy, NULL);
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 443);
}

static uint32_t how_of(uint32_t slot)
{
	struct policy_tables tables;
	uint32_t how = BH_SELF_NOT;

	judge_compile(&j);
	memtables_dump(j.tables, &tables);
	for (uint32_t i = 0; i < tables.nselves; i++)
		if (tables.selves[i].key.slot == slot)
			how = tables.selves[i].how;
	policy_tables_fini(&tables);
	return how;
}

static void r30_a_pod_is_not_kept_from_itself(void **state)
{
	uint32_t slot = client();

	pod("x", "web", "web", "10.0.0.5");
	service("self", "'10.96.0.1'", PORT_80, "");
	slice("self-1", "self", "IPv4", TO_8080, READY("10.0.0.1"));
	egress("");
	assert_int_equal(how_of(slot), BH_SELF_ONLY);
	assert_int_equal(reason_at(slot, "10.96.0.1", 80, false), BH_REASON_HAIRPIN);
	slice("self-1", "self", "IPv4", TO_8080, READY("10.0.0.1") "," READY("10.0.0.5"));
	assert_int_equal(how_of(slot), BH_SELF_ONE);
	assert_int_equal(reason_at(slot, "10.96.0.1", 80, false), BH_REASON_SERVICE_MIXED);
	assert_int_equal(mixed(), 1);
	slice("self-1", "self", "IPv4", TO_8080, READY("10.0.0.5"));
	assert_int_equal(how_of(slot), BH_SELF_NOT);
	assert_int_equal(reason_at(slot, "10.96.0.1", 80, false), BH_REASON_POLICY_DENIED);
	assert_int_equal(mixed(), 0);
}

// ---- ClusterNetworkPolicy ------------------------------------------------------------------------------------------

static void cluster(const char *tier, const char *action, const char *pods)
{
	judge_put(
		&j, KIND_CLUSTERNETPOL,
		"{'metadata':{'name':'c'},'spec':{'tier':'%s','priority':1,'subject':{'namespaces':{}},"
		"'egress':[{'action':'%s','to':[{'pods':{'namespaceSelector':{},'podSelector':%s}}]}]}}",
		tier, action, pods);
}

static void cluster_policies_judge_each_backend(void **state)
{
	uint32_t slot = two_webs();

	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5") "," READY("10.0.0.7"));
	cluster("Admin", "Deny", "{'matchLabels':{'app':'db'}}");
	assert_mixed(slot, "10.96.0.1", 80);
	assert_str(judge_rule(&j, slot, OUT, "10.96.0.1", "tcp", 80),
		   "ClusterNetworkPolicy c rule 0");
	cluster("Admin", "Deny", "{}");
	assert_denied_cluster(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	egress(TO_WEB);
	assert_denied_cluster(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	cluster("Admin", "Pass", "{'matchLabels':{'app':'web'}}");
	assert_mixed(slot, "10.96.0.1", 80);
	cluster("Admin", "Accept", "{'matchLabels':{'app':'db'}}");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	cluster("Baseline", "Deny", "{}"); // NetworkPolicies go first
	assert_mixed(slot, "10.96.0.1", 80);
	judge_remove(&j, KIND_NETPOL, "x", "out");
	assert_denied_cluster(&j, slot, OUT, "10.96.0.1", "tcp", 80);
	judge_remove(&j, KIND_ENDPOINTSLICE, "x", "web-1"); // nobody isolates, nobody to deny
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 80);
}

// ---- plans -----------------------------------------------------------------------------------------------------------

static struct plan *plan_now(void)
{
	struct plan *plan;

	assert_ok(policy_compile(j.policy, &plan));
	memtables_run(j.tables, plan);
	return plan;
}

static uint32_t count(const struct plan *plan, enum step_kind kind)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->nsteps; i++)
		n += plan->steps[i].kind == kind;
	return n;
}

// The first of a kind, or the number of steps.
static uint32_t first(const struct plan *plan, enum step_kind kind)
{
	uint32_t i = 0;

	while (i < plan->nsteps && plan->steps[i].kind != kind)
		i++;
	return i;
}

static void one_more_of_the_same_is_no_step(void **state)
{
	struct plan *plan;

	two_webs();
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5") "," READY("10.0.0.7"));
	egress("{'to':[{'podSelector':{}}]}");
	judge_compile(&j);
	slice("web-1", "web", "IPv4", TO_8080,
	      READY("10.0.0.5") "," READY("10.0.0.6") "," READY("10.0.0.7"));
	plan = plan_now();
	assert_int_equal(plan->nsteps, 0);
	plan_free(plan);
}

static void a_rollout_resolves_before_it_judges_anew(void **state)
{
	struct plan *plan;

	two_webs();
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	egress(TO_WEB);
	judge_compile(&j);
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5") "," READY("10.0.0.7"));
	plan = plan_now();
	assert_int_equal(count(plan, STEP_RESOLVE), 1); // allowed, now mixed
	assert_true(first(plan, STEP_RESOLVE) < first(plan, STEP_SERVICE_SET));
	assert_true(first(plan, STEP_SERVICE_SET) < first(plan, STEP_ENDPOINT)); // a new generation
	assert_true(first(plan, STEP_ENDPOINT) < plan->nsteps);
	assert_true(plan->mixed);
	plan_free(plan);
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5"));
	plan = plan_now();
	assert_int_equal(count(plan, STEP_RESOLVE), 1); // lost one
	assert_int_equal(count(plan, STEP_ENDPOINT), 0); // and got freer
	assert_false(plan->mixed);
	plan_free(plan);
}

static void a_policy_resolves_what_it_makes_mixed(void **state)
{
	struct plan *plan;

	two_webs();
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5") "," READY("10.0.0.7"));
	judge_compile(&j);
	egress(TO_WEB);
	plan = plan_now();
	assert_int_equal(count(plan, STEP_RESOLVE), 1);
	assert_true(first(plan, STEP_RESOLVE) < first(plan, STEP_ENDPOINT));
	assert_true(plan->mixed);
	plan_free(plan);
	egress("{'to':[{'podSelector':{'matchLabels':{'app':'db'}}}]}"); // the other half
	plan = plan_now();
	assert_int_equal(count(plan, STEP_RESOLVE), 0); // mixed before and after
	plan_free(plan);
	egress("");
	plan = plan_now();
	assert_int_equal(count(plan, STEP_RESOLVE), 1);
	assert_false(plan->mixed);
	plan_free(plan);
}

static void services_that_come_wait_for_replaced_policies(void **state)
{
	uint32_t flip, set;
	struct plan *plan;

	two_webs();
	egress(TO_WEB);
	judge_compile(&j);
	egress(TO_WEB_8080); // another matrix
	service("db", "'10.96.0.2'", PORT_80, "");
	plan = plan_now();
	flip = first(plan, STEP_ENDPOINT);
	set = first(plan, STEP_SERVICE_SET);
	assert_true(flip < plan->nsteps && set < plan->nsteps && flip < set);
	for (uint32_t i = flip; i < set; i++) // nobody is left under the old one
		if (plan->steps[i].kind == STEP_WAIT)
			flip = plan->nsteps;
	assert_int_equal(flip, plan->nsteps);
	plan_free(plan);
}

static uint32_t classes(void)
{
	struct policy_stats stats;

	judge_compile(&j);
	policy_stats(j.policy, &stats);
	return stats.peer_classes;
}

static void services_whose_backends_are_alike_are_one_class(void **state)
{
	uint32_t n;

	two_webs();
	pod("x", "db2", "db", "10.0.0.2"); // before the webs, the other one after them
	egress(TO_WEB);
	slice("web-1", "web", "IPv4", TO_8080, READY("10.0.0.5") "," READY("10.0.0.7"));
	n = classes();
	service("again", "'10.96.0.2'", PORT_80, "");
	slice("again-1", "again", "IPv4", TO_8080,
	      READY("10.0.0.2") "," READY("10.0.0.5") "," READY("10.0.0.6"));
	assert_int_equal(classes(), n);
	slice("again-1", "again", "IPv4", TO_8080, READY("10.0.0.6"));
	assert_int_equal(classes(), n + 1);
}

static void ingress_knows_nothing_of_services(void **state)
{
	struct policy_stats before, after;
	char name[16], addr[32];

	client();
	judge_put(
		&j, KIND_NETPOL,
		"{'metadata':{'namespace':'x','name':'in'},'spec':{'podSelector':{},'ingress':["
		"{'from':[{'podSelector':{'matchLabels':{'n':'0'}}}]},{'from':[{'podSelector':{'matchLabels':"
		"{'n':'1'}}}]},{'from':[{'podSelector':{'matchLabels':{'n':'2'}}}]}]}}");
	for (uint32_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		snprintf(addr, sizeof(addr), "10.0.1.%u", i);
		judge_put(
			&j, KIND_POD,
			"{'metadata':{'namespace':'x','name':'%s','labels':{'n':'%u'}},'spec':{'nodeName':'m'},"
			"'status':{'podIP':'%s'}}",
			name, i, addr);
	}
	judge_compile(&j);
	policy_stats(j.policy, &before);
	for (uint32_t i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		snprintf(addr, sizeof(addr), "'10.96.0.%u'", i + 1);
		service(name, addr, PORT_80, "");
		snprintf(addr, sizeof(addr), "{'addresses':['10.0.1.%u']}", i);
		slice(name, name, "IPv4", TO_8080, addr);
	}
	judge_compile(&j);
	policy_stats(j.policy, &after);
	assert_int_equal(after.peer_classes, before.peer_classes + 1); // one for all
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
		TEST(r18_port_is_the_target_port),
		TEST(a_service_without_allowed_backends_is_denied),
		TEST(mixed_backends_are_mixed),
		TEST(nobody_isolates_so_nothing_is_mixed),
		TEST(without_endpoints_new_flows_are_denied),
		TEST(r18_named_target_ports_are_numbers_of_each_slice),
		TEST(r18_named_ports_of_a_rule_are_the_backends_own),
		TEST(r18_several_ports_lead_to_their_own),
		TEST(r18_end_port_spans_the_target_port),
		TEST(r18_every_family_has_its_own_backends),
		TEST(r18_labels_of_the_service_do_not_matter),
		TEST(r18_without_a_selector_it_is_judged_by_its_slices),
		TEST(ready_ones_then_those_that_still_serve),
		TEST(traffic_that_stays_on_its_node_goes_to_those_that_end),
		TEST(of_an_endpoints_addresses_the_first_counts),
		TEST(slices_together_are_the_service),
		TEST(balancers_and_external_addresses_are_keys),
		TEST(node_ports_are_the_own_nodes),
		TEST(node_ports_are_of_the_families_of_the_service),
		TEST(addresses_are_of_the_families_of_the_service),
		TEST(programs_are_told_what_is_a_cluster_ip),
		TEST(host_ports_lead_to_their_pod),
		TEST(two_services_of_one_address_are_both_meant),
		TEST(a_claim_on_anothers_cluster_ip_makes_it_mixed),
		TEST(backends_on_the_nodes_network),
		TEST(r30_a_pod_is_not_kept_from_itself),
		TEST(cluster_policies_judge_each_backend),
		TEST(one_more_of_the_same_is_no_step),
		TEST(a_rollout_resolves_before_it_judges_anew),
		TEST(a_policy_resolves_what_it_makes_mixed),
		TEST(services_that_come_wait_for_replaced_policies),
		TEST(services_whose_backends_are_alike_are_one_class),
		TEST(ingress_knows_nothing_of_services),
		TEST(nothing_stands_for_what_is_not_translated),
		TEST(other_ports_and_icmp_are_judged_as_an_address),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
