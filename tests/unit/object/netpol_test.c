// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/object/parse.h"

#include <bulkhead/abi.h>

#include "agent/base/intern.h"

#define POLICY(spec) "{'metadata':{'name':'p','namespace':'shop'},'spec':" spec "}"
#define INGRESS(rule) POLICY("{'podSelector':{},'ingress':[" rule "]}")
#define PORT(port) INGRESS("{'ports':[" port "]}")
#define PEER(peer) INGRESS("{'from':[" peer "]}")

static struct netpol *policy(const char *text)
{
	return (struct netpol *)parse(KIND_NETPOL, text);
}

static void put(struct netpol *np)
{
	object_put(&np->object);
}

static void check_types(const char *text, bool ingress, bool egress)
{
	struct netpol *np = policy(text);

	assert_null(np->object.problem);
	assert_int_equal(np->isolates[BH_INGRESS], ingress);
	assert_int_equal(np->isolates[BH_EGRESS], egress);
	put(np);
}

static void policy_types_default_as_in_the_api(void **state)
{
	check_types(POLICY("{}"), true, false);
	check_types("{'metadata':{'name':'p'}}", true, false);
	check_types(POLICY("{'policyTypes':null,'egress':null}"), true, false);
	check_types(POLICY("{'policyTypes':[],'egress':[]}"), true, false);
	check_types(POLICY("{'egress':[{}]}"), true, true);
	check_types(POLICY("{'egress':[{}],'policyTypes':['Ingress']}"), true, false);
	check_types(POLICY("{'ingress':[{}],'policyTypes':['Egress']}"), false, true);
	check_types(POLICY("{'policyTypes':['Egress','Ingress']}"), true, true);
	check_types(POLICY("{'policyTypes':['Ingress','Ingress']}"), true, false);
}

static void rules_without_parts_mean_any(void **state)
{
	struct netpol *np =
		policy(POLICY("{'ingress':[{},{'from':[],'ports':null},{'ports':[{}]}]}"));
	const struct rules *rules = &np->rules[BH_INGRESS];

	assert_int_equal(rules->n, 3);
	assert_true(rules->v[0].any_peer && rules->v[0].any_port);
	assert_true(rules->v[1].any_peer && rules->v[1].any_port);
	assert_true(rules->v[2].any_peer && !rules->v[2].any_port);
	assert_int_equal(rules->v[2].ports[0].protocol, PROTOCOL_TCP);
	assert_int_equal(rules->v[2].ports[0].lo, 0);
	assert_int_equal(rules->v[2].ports[0].hi, 0);
	put(np);
}

static void peers_know_their_namespaces(void **state)
{
	struct netpol *np =
		policy(PEER("{'podSelector':{}},{'namespaceSelector':{}},"
			    "{'podSelector':{'matchLabels':{'a':'b'}},'namespaceSelector':{}},"
			    "{'podSelector':null,'namespaceSelector':{}}"));
	const struct rule *rule = &np->rules[BH_INGRESS].v[0];

	assert_int_equal(rule->npeers, 4);
	assert_true(rule->peers[0].own_namespace);
	assert_false(rule->peers[1].own_namespace);
	assert_false(rule->peers[2].own_namespace);
	assert_int_equal(rule->peers[2].pods.nterms, 1);
	assert_false(rule->peers[3].own_namespace);
	put(np);
}

static void blocks_are_masked(void **state)
{
	struct netpol *np =
		policy(PEER("{'ipBlock':{'cidr':'10.0.0.1/8','except':['10.1.2.3/16']}}"));
	const struct peer *peer = &np->rules[BH_INGRESS].v[0].peers[0];
	char buf[64];

	assert_int_equal(peer->kind, PEER_CIDR);
	assert_str(cidr_format(&peer->cidr, buf, sizeof(buf)), "10.0.0.0/8");
	assert_int_equal(peer->nexcepts, 1);
	assert_str(cidr_format(&peer->excepts[0], buf, sizeof(buf)), "10.1.0.0/16");
	put(np);
}

static void ports_are_numbers_ranges_and_names(void **state)
{
	struct netpol *np =
		policy(PORT("{'port':80},{'port':8000,'endPort':9000,'protocol':'UDP'},"
			    "{'port':'dns','protocol':'SCTP'},{'port':1,'endPort':65535}"));
	const struct port *ports = np->rules[BH_INGRESS].v[0].ports;

	assert_int_equal(np->rules[BH_INGRESS].v[0].nports, 4);
	assert_int_equal(ports[0].lo, 80);
	assert_int_equal(ports[0].hi, 80);
	assert_int_equal(ports[1].lo, 8000);
	assert_int_equal(ports[1].hi, 9000);
	assert_int_equal(ports[1].protocol, PROTOCOL_UDP);
	assert_str(ports[2].name, "dns");
	assert_int_equal(ports[2].lo, 0);
	assert_int_equal(ports[3].hi, 65535);
	put(np);
}

// Isolation without any allow, and a sentence that begins with the field.
static void check_problem(const char *text, const char *start)
{
	struct netpol *np = policy(text);

	if (!np->object.problem)
		fail_msg("no problem in %s", text);
	assert_str_starts(np->object.problem, start);
	assert_true(np->isolates[BH_INGRESS]);
	assert_int_equal(np->rules[BH_INGRESS].n, 0);
	assert_int_equal(np->rules[BH_EGRESS].n, 0);
	put(np);
}

static void invalid_policies_isolate_and_allow_nothing(void **state)
{
	static const struct {
		const char *text, *start;
	} cases[] = {
		{ PORT("{'port':0}"), "spec.ingress[0].ports[0].port: 0 is not in 1..65535" },
		{ PORT("{},{'port':-1}"), "spec.ingress[0].ports[1].port: -1 is not" },
		{ PORT("{'port':99999999999999999999}"), "spec.ingress[0].ports[0].port: " },
		{ PORT("{'port':80.5}"), "spec.ingress[0].ports[0].port: is a number with a" },
		{ PORT("{'port':[80]}"), "spec.ingress[0].ports[0].port: is a list" },
		{ PORT("{'port':'80'}"), "spec.ingress[0].ports[0].port: \"80\" is no port name" },
		{ PORT("{'port':''}"), "spec.ingress[0].ports[0].port: \"\"" },
		{ PORT("{'port':'a--b'}"), "spec.ingress[0].ports[0].port: \"a--b\"" },
		{ PORT("{'port':80,'endPort':70000}"), "spec.ingress[0].ports[0].endPort: 70000" },
		{ PORT("{'protocol':'tcp'}"), "spec.ingress[0].ports[0].protocol: \"tcp\"" },
		{ PORT("{'protocol':''}"), "spec.ingress[0].ports[0].protocol: \"\"" },
		{ PORT("{'prot':80}"), "spec.ingress[0].ports[0].prot: unknown field" },
		{ PORT("7"), "spec.ingress[0].ports[0]: is an integer, not an object" },
		{ PEER("{}"), "spec.ingress[0].from[0]: must specify a peer" },
		{ PEER("{'podSelector':[]}"), "spec.ingress[0].from[0].podSelector: is a list" },
		{ PEER("{'ipBlock':{}}"), "spec.ingress[0].from[0].ipBlock.cidr: is missing" },
		{ PEER("{'ipBlock':{'cidr':'::/0','except':['10.0.0.0/8']}}"),
		  "spec.ingress[0].from[0].ipBlock.except[0]: must be a strict subset" },
		{ PEER("{'ipBlock':{'cidr':'::/0','excepts':[]}}"),
		  "spec.ingress[0].from[0].ipBlock.excepts: unknown field" },
		{ INGRESS("{'form':[]}"), "spec.ingress[0].form: unknown field" },
		{ INGRESS("{'to':[]}"), "spec.ingress[0].to: unknown field" },
		{ POLICY("{'ingress':{}}"), "spec.ingress: is an object, not a list" },
		{ POLICY("{'egress':'all'}"), "spec.egress: is a string, not a list" },
		{ POLICY("{'policyTypes':'Ingress'}"), "spec.policyTypes: is a string" },
		{ POLICY("{'policyTypes':[1]}"), "spec.policyTypes[0]: is an integer" },
		{ POLICY("{'ingress':[{}],'policyTypes':['Ingress','']}"), "spec.policyTypes[1]:" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_problem(cases[i].text, cases[i].start);
}

static void unreadable_types_isolate_both_directions(void **state)
{
	struct netpol *np = policy(POLICY("{'policyTypes':['Forward']}"));

	assert_true(np->isolates[BH_INGRESS] && np->isolates[BH_EGRESS]);
	put(np);
	np = policy(POLICY("{'egress':7}"));
	assert_true(np->isolates[BH_INGRESS] && np->isolates[BH_EGRESS]);
	put(np);
	np = policy(POLICY("{'policyTypes':['Egress'],'egress':7}"));
	assert_true(!np->isolates[BH_INGRESS] && np->isolates[BH_EGRESS]);
	put(np);
}

static void an_unreadable_selector_refuses_the_policy(void **state)
{
	refuse(KIND_NETPOL, POLICY("{'podSelector':{'matchLabels':{'a':7}}}"),
	       "spec.podSelector.matchLabels: ");
	refuse(KIND_NETPOL, POLICY("{'podSelector':'a=b'}"), "spec.podSelector: is a string");
	refuse(KIND_NETPOL, POLICY("[]"), "spec: is a list");
	refuse(KIND_NETPOL, "{'metadata':{'namespace':'a'},'spec':{}}",
	       "metadata.name: is missing");
	refuse(KIND_NETPOL, "{'metadata':{'name':'A b'},'spec':{}}", "metadata.name: \"A b\"");
	refuse(KIND_NETPOL, "{'metadata':{'name':'a','namespace':'a.b'}}", "metadata.namespace:");
	refuse(KIND_NETPOL, "{'metadata':7}", "metadata: is an integer");
	refuse(KIND_NETPOL, "[]", "is a list, not an object");
}

static void the_limit_is_named(void **state)
{
	_cleanup_json_ struct json_object *json = test_json(INGRESS("{'ports':[]}"));
	struct json_object *spec, *rules, *ports;
	struct object *object = NULL;
	struct err err = { 0 };

	json_object_object_get_ex(json, "spec", &spec);
	json_object_object_get_ex(spec, "ingress", &rules);
	json_object_object_get_ex(json_object_array_get_idx(rules, 0), "ports", &ports);
	for (int i = 0; i <= 8192; i++)
		json_object_array_add(ports, json_object_new_object());
	assert_ok_err(object_parse(KIND_NETPOL, json, &object, &err), &err);
	assert_str(object->problem,
		   "spec.ingress[0].ports: has 8193 elements, at most 8192 are allowed");
	object_put(object);
}

static void audit_is_an_annotation(void **state)
{
	struct netpol *np =
		policy("{'metadata':{'name':'p','annotations':{'bulkhead.io/audit':'true'}}}");

	assert_true(np->audit);
	assert_str(np->object.ns, "default");
	put(np);
}

static void equality_sees_rules_and_ignores_noise(void **state)
{
	struct object *a = parse(KIND_NETPOL, PEER("{'ipBlock':{'cidr':'10.0.0.0/8'}}"));
	struct object *b =
		parse(KIND_NETPOL, "{'metadata':{'name':'p','namespace':'shop',"
				   "'resourceVersion':'9'},'spec':{'policyTypes':['Ingress'],"
				   "'ingress':[{'from':[{'ipBlock':{'cidr':'10.9.0.0/8'}}]}]}}");
	struct object *c = parse(KIND_NETPOL, PEER("{'ipBlock':{'cidr':'10.0.0.0/9'}}"));

	assert_true(object_equal(a, b));
	assert_false(object_equal(a, c));
	object_put(a);
	object_put(b);
	object_put(c);
}

static int nothing_is_left(void **state)
{
	size_t strings, bytes;

	intern_stats(&strings, &bytes);
	assert_int_equal(strings, 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, nothing_is_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(policy_types_default_as_in_the_api),
		TEST(rules_without_parts_mean_any),
		TEST(peers_know_their_namespaces),
		TEST(blocks_are_masked),
		TEST(ports_are_numbers_ranges_and_names),
		TEST(invalid_policies_isolate_and_allow_nothing),
		TEST(unreadable_types_isolate_both_directions),
		TEST(an_unreadable_selector_refuses_the_policy),
		TEST(the_limit_is_named),
		TEST(audit_is_an_annotation),
		TEST(equality_sees_rules_and_ignores_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
