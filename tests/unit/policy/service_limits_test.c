// SPDX-License-Identifier: Apache-2.0
// service_limits_test.c - Services that take too much are denied and nobody else; nothing stays of those that go.
#include "tests/harness/test.h"

#include "tests/harness/judge.h"

#define OUT BH_EGRESS

static struct judge j;

static uint32_t client(const struct policy_limits *limits)
{
	uint32_t slot;

	judge_start(&j, limits);
	slot = judge_local(&j, "x", "client", "'app':'client'", "10.0.0.1", "");
	judge_pod(&j, "x", "web", "'app':'web'", "10.0.0.5", "");
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'x','name':'out'},'spec':{'podSelector':{'matchLabels':"
		  "{'app':'client'}},'policyTypes':['Egress'],"
		  "'egress':[{'to':[{'podSelector':{'matchLabels':{'app':'web'}}}]}]}}");
	return slot;
}

// n ports from 1 on at one address, all of them leading to `backend`.
static void service(const char *ns, const char *name, const char *addr, uint32_t n,
		    const char *backend)
{
	char *ports = NULL;
	size_t len;
	FILE *out = open_memstream(&ports, &len);

	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s{'name':'p%u','port':%u}", i ? "," : "", i, i + 1);
	fclose(out);
	judge_put(
		&j, KIND_SERVICE,
		"{'metadata':{'namespace':'%s','name':'%s'},'spec':{'clusterIPs':['%s'],'ports':[%s]}}",
		ns, name, addr, ports);
	judge_put(
		&j, KIND_ENDPOINTSLICE,
		"{'metadata':{'namespace':'%s','name':'%s','labels':{'kubernetes.io/service-name':'%s'}},"
		"'addressType':'IPv4','ports':[%s],'endpoints':[{'addresses':['%s']}]}",
		ns, name, name, ports, backend);
	free(ports);
}

struct problems {
	uint32_t n;
	char name[64], text[256];
};

static void note(void *arg, enum kind kind, const char *ns, const char *name, const char *text)
{
	struct problems *problems = arg;

	assert_int_equal(kind, KIND_SERVICE);
	problems->n++;
	snprintf(problems->name, sizeof(problems->name), "%s", name);
	snprintf(problems->text, sizeof(problems->text), "%s", text);
}

static struct problems problems(void)
{
	struct problems ret = { 0 };

	judge_compile(&j);
	policy_problem_each(j.policy, note, &ret);
	return ret;
}

static void over_its_share_a_service_is_denied(void **state)
{
	uint32_t slot = client(&(struct policy_limits){ .services = 40 });

	service("a", "big", "10.96.0.1", 11, "10.0.0.5");
	service("b", "small", "10.96.0.2", 10, "10.0.0.5");
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 11);
	assert_allowed(&j, slot, OUT, "10.96.0.2", "tcp", 10);
	assert_int_equal(problems().n, 1);
	assert_str(problems().name, "big");
	assert_str_contains(problems().text, "one Service's share");
	service("a", "big", "10.96.0.1", 10, "10.0.0.5");
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 10);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

static void a_refused_service_comes_back_when_there_is_room(void **state)
{
	uint32_t slot = client(&(struct policy_limits){ .services = 40 });

	service("a", "one", "10.96.0.1", 6, "10.0.0.5");
	service("a", "two", "10.96.0.2", 5, "10.0.0.5"); // together over the namespace's share
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 1);
	assert_denied(&j, slot, OUT, "10.96.0.2", "tcp", 1);
	assert_str(problems().name, "two");
	assert_str_contains(problems().text, "its namespace's share");
	judge_remove(&j, KIND_SERVICE, "a", "one");
	assert_allowed(&j, slot, OUT, "10.96.0.2", "tcp", 1);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

// Nobody can shut another one's address by a Service that is too large: each flow is judged on where it goes.
static void a_refused_service_makes_a_common_address_mixed(void **state)
{
	uint32_t slot = client(&(struct policy_limits){ .services = 40 });

	service("a", "small", "198.51.100.1", 2, "10.0.0.5");
	assert_allowed(&j, slot, OUT, "198.51.100.1", "tcp", 1);
	service("b", "big", "198.51.100.1", 11, "10.0.0.5");
	assert_verdict_(&j, slot, OUT, "198.51.100.1", "tcp", 1, BH_VERDICT_MIXED);
	assert_denied(&j, slot, OUT, "198.51.100.1", "tcp", 3);
	judge_stop(&j);
}

static void beyond_twice_the_limit_an_address_is_an_address(void **state)
{
	uint32_t slot = client(&(struct policy_limits){ .services = 20 });

	judge_put(
		&j, KIND_NETPOL,
		"{'metadata':{'namespace':'x','name':'block'},'spec':{'podSelector':{},'policyTypes':"
		"['Egress'],'egress':[{'to':[{'ipBlock':{'cidr':'10.96.0.0/16'}}]}]}}");
	service("a", "big", "10.96.0.1", 40, "10.0.0.9");
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 40); // refused
	service("b", "more", "10.96.0.2", 3, "10.0.0.9");
	assert_allowed(&j, slot, OUT, "10.96.0.2", "tcp", 3);
	assert_int_equal(j.tables->services.n, 40);
	assert_int_equal(problems().n, 2);
	judge_remove(&j, KIND_SERVICE, "a", "big");
	assert_denied(&j, slot, OUT, "10.96.0.2", "tcp", 3);
	assert_int_equal(j.tables->services.n, 3);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

// Endpoints of a Service: n, the first of which is the client's friend.
static void endpoints(const char *ns, const char *name, uint32_t n)
{
	char *list = NULL;
	size_t len;
	FILE *out = open_memstream(&list, &len);

	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s{'addresses':['%s%u']}", i ? "," : "", "10.0.0.", i + 5);
	fclose(out);
	judge_put(
		&j, KIND_ENDPOINTSLICE,
		"{'metadata':{'namespace':'%s','name':'%s','labels':{'kubernetes.io/service-name':'%s'}},"
		"'addressType':'IPv4','ports':[{'name':'p0','port':1}],'endpoints':[%s]}",
		ns, name, name, list);
	free(list);
}

static void too_many_backends_are_not_kept(void **state)
{
	uint32_t slot = client(&(struct policy_limits){ .peers = 40 });

	service("a", "big", "10.96.0.1", 1, "10.0.0.5");
	endpoints("a", "big", 11);
	assert_denied(&j, slot, OUT, "10.96.0.1", "tcp", 1);
	assert_int_equal(problems().n, 1);
	assert_str_contains(problems().text, "backends");
	endpoints("a", "big", 1);
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 1);
	assert_int_equal(problems().n, 0);
	endpoints("a", "big", 10);
	assert_verdict_(&j, slot, OUT, "10.96.0.1", "tcp", 1, BH_VERDICT_MIXED);
	service("a", "more", "10.96.0.2", 1, "10.0.0.5"); // together over the namespace's share
	service("b", "other", "10.96.0.3", 1, "10.0.0.5");
	assert_denied(&j, slot, OUT, "10.96.0.2", "tcp", 1);
	assert_allowed(&j, slot, OUT, "10.96.0.3", "tcp", 1);
	assert_str(problems().name, "more");
	judge_remove(&j, KIND_SERVICE, "a", "big");
	assert_allowed(&j, slot, OUT, "10.96.0.2", "tcp", 1);
	assert_int_equal(problems().n, 0);
	judge_stop(&j);
}

static void services_give_their_classes_before_policies_do(void **state)
{
	uint32_t slot = client(&(struct policy_limits){ .peer_classes = 24 });
	char name[16], text[256];
	struct policy_stats stats;

	for (uint32_t i = 0; i < 8; i++) { // eight kinds of pods for egress, one Service of each
		snprintf(name, sizeof(name), "web%u", i);
		snprintf(text, sizeof(text), "10.0.1.%u", i + 1);
		judge_pod(&j, "x", name, "'app':'web'", text, "");
		judge_put(
			&j, KIND_NETPOL,
			"{'metadata':{'namespace':'x','name':'out%u'},'spec':{'podSelector':{},'policyTypes':"
			"['Egress'],'egress':[{'to':[{'ipBlock':{'cidr':'10.0.1.%u/32'}}]}]}}",
			i, i + 1);
		snprintf(name, sizeof(name), "10.96.0.%u", i + 1);
		snprintf(text, sizeof(text), "s%u", i);
		service(i < 2 ? "a" : "b", text, name, 1, i < 7 ? "10.0.0.5" : "10.0.1.8");
	}
	for (uint32_t i = 0; i < 6; i++) { // pairs of them
		snprintf(text, sizeof(text), "s%u", i + 1);
		snprintf(name, sizeof(name), "10.0.1.%u", i + 1);
		judge_put(
			&j, KIND_ENDPOINTSLICE,
			"{'metadata':{'namespace':'b','name':'more%u','labels':{'kubernetes.io/service-name':'%s'}},"
			"'addressType':'IPv4','ports':[{'name':'p0','port':%u}],'endpoints':[{'addresses':['%s']}]}",
			i, text, 1, name);
	}
	judge_compile(&j);
	policy_stats(j.policy, &stats);
	assert_true(stats.peer_classes <= 24);
	assert_true(problems().n > 0); // of Services alone: note() looks
	assert_str_contains(problems().text, "peer classes");
	assert_allowed(&j, slot, OUT, "10.0.1.3", "tcp", 1); // the policies are as written
	assert_allowed(&j, slot, OUT, "10.96.0.1", "tcp", 1); // and who needs little has it
	judge_stop(&j);
}

static void selves_without_room_stay_denied(void **state)
{
	struct bh_judgement judgement;
	struct bh_addr addr;
	uint32_t slot = client(&(struct policy_limits){ .selves = 1 });

	service("a", "one", "10.96.0.1", 1, "10.0.0.1");
	judge_compile(&j);
	service("a", "two", "10.96.0.2", 1, "10.0.0.1");
	judge_compile(&j);
	assert_ok(addr_parse("10.96.0.1", &addr));
	assert_int_equal(policy_eval(j.policy, slot, OUT, &addr, 6, 1, false, &judgement),
			 BH_REASON_HAIRPIN);
	assert_ok(addr_parse("10.96.0.2", &addr));
	assert_int_equal(policy_eval(j.policy, slot, OUT, &addr, 6, 1, false, &judgement),
			 BH_REASON_POLICY_DENIED);
	judge_stop(&j);
}

static void churn_of_services_leaves_nothing(void **state)
{
	struct policy_stats before, after;
	char name[16], addr[32];

	client(NULL);
	judge_compile(&j);
	policy_stats(j.policy, &before);
	for (uint32_t round = 0; round < 50; round++) {
		for (uint32_t i = 0; i < 20; i++) {
			snprintf(name, sizeof(name), "s%u", i);
			snprintf(addr, sizeof(addr), "10.96.%u.%u", round % 7, i);
			service("a", name, addr, 1 + (i + round) % 3,
				i % 2 ? "10.0.0.5" : "203.0.113.1");
		}
		judge_compile(&j);
	}
	for (uint32_t i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		judge_remove(&j, KIND_SERVICE, "a", name);
		judge_remove(&j, KIND_ENDPOINTSLICE, "a", name);
	}
	judge_compile(&j);
	policy_stats(j.policy, &after);
	assert_int_equal(after.service_keys, 0);
	assert_int_equal(j.tables->services.n, 0);
	assert_int_equal(after.peer_classes, before.peer_classes);
	assert_int_equal(after.peers, before.peers);
	judge_stop(&j);
}

static enum bh_reason as_node(uint32_t slot, const char *remote, uint16_t port)
{
	struct bh_judgement judgement;
	struct bh_addr addr;

	judge_compile(&j);
	assert_ok(addr_parse(remote, &addr));
	return policy_eval(j.policy, slot, OUT, &addr, 6, port, true, &judgement);
}

// Its policy found no room: what stands behind a Service is told by a policy's rows, and it has none.
static void a_pod_without_room_for_its_policy_reaches_its_node_by_no_service(void **state)
{
	uint32_t slot = client(&(struct policy_limits){ .policies = 3 }), shut;

	judge_put(&j, KIND_NODE,
		  "{'metadata':{'name':'n'},'status':{'addresses':[{'type':'InternalIP','address':'172.18.0.1'}]}}");
	policy_set_node(j.policy, "n");
	service("x", "web", "10.96.0.1", 1, "10.0.0.5");
	service("x", "api", "10.96.0.2", 1, "172.18.0.1");
	judge_put(&j, KIND_SERVICE,
		  "{'metadata':{'namespace':'x','name':'web'},'spec':{'clusterIPs':['10.96.0.1'],"
		  "'ports':[{'name':'p0','port':1,'nodePort':30001}]}}");
	assert_allowed(&j, slot, OUT, "10.96.0.2", "tcp", 1);
	shut = judge_local(&j, "x", "other", "'app':'other'", "10.0.0.2", "");
	service("x", "self", "10.96.0.3", 1, "10.0.0.2");
	judge_put(&j, KIND_NETPOL,
		  "{'metadata':{'namespace':'x','name':'more'},'spec':{'podSelector':{'matchLabels':"
		  "{'app':'other'}},'policyTypes':['Egress'],'egress':[{'to':[{'podSelector':{}}]}]}}");
	judge_compile(&j);
	assert_int_equal(as_node(shut, "172.18.0.1", 1), BH_REASON_OWN_NODE);
	assert_int_equal(as_node(shut, "172.18.0.1", 30001), BH_REASON_POLICY_DENIED);
	assert_int_equal(as_node(shut, "10.96.0.3", 1), BH_REASON_HAIRPIN);
	assert_denied(&j, shut, OUT, "10.96.0.1", "tcp", 1);
	assert_denied(&j, shut, OUT, "10.96.0.2", "tcp", 1);
	judge_stop(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_its_share_a_service_is_denied),
		cmocka_unit_test(a_refused_service_comes_back_when_there_is_room),
		cmocka_unit_test(a_refused_service_makes_a_common_address_mixed),
		cmocka_unit_test(beyond_twice_the_limit_an_address_is_an_address),
		cmocka_unit_test(too_many_backends_are_not_kept),
		cmocka_unit_test(services_give_their_classes_before_policies_do),
		cmocka_unit_test(selves_without_room_stay_denied),
		cmocka_unit_test(churn_of_services_leaves_nothing),
		cmocka_unit_test(
			a_pod_without_room_for_its_policy_reaches_its_node_by_no_service),
	};

	return cmocka_run_group_tests_name("service_limits", tests, NULL, NULL);
}
