// SPDX-License-Identifier: Apache-2.0
// service_test.c - Services as rows: what of their backends is allowed, and which keys there are at all.
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
	judge_put(&j, KIND_SERVICE,
		  "{'metadata':{'namespace':'x','name':'%s'},'spec':{'clusterIPs':[%s],'ports':[%s]%s}}",
		  name, addrs, ports, more);
}

// A slice of the Service; endpoints: its items.
static void slice(const char *name, const char *of, const char *family, const char *ports,
		  const char *endpoints)
{
	judge_put(&j, KIND_ENDPOINTSLICE,
		  "{'metadata':{'namespace':'x','name':'%s','labels':{'kubernetes.io/service-name':'%s'}},"
		  "'addressType':'%s','ports':[%s],'endpoints':[%s]}",
		  name, of, family, ports, endpoints);
}

#define READY(addr) "{'addresses':['" addr "'],'conditions':{'ready':true}}"
#define PORT_80 "{'port':80,'targetPort':8080}"
#define TO_8080 "{'port':8080}"
#define TO_WEB "{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}]}"
#define TO_WEB_8080 \
	"{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}],'ports':[{'port':8080}]}"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
		TEST(r18_port_is_the_target_port),
		TEST(a_service_without_allowed_backends_is_denied),
		TEST(mixed_backends_are_mixed),
		TEST(nobody_isolates_so_nothing_is_mixed),
		TEST(without_endpoints_new_flows_are_denied),
		TEST(nothing_stands_for_what_is_not_translated),
		TEST(other_ports_and_icmp_are_judged_as_an_address),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
