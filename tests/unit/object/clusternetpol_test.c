// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/object/parse.h"

#include <bulkhead/abi.h>

#include "agent/base/intern.h"

#define HEAD                                                                                       \
	"{'metadata':{'name':'c'},'spec':{'tier':'Admin','priority':7,'subject':{'namespaces':{}},"
#define INGRESS(rules) HEAD "'ingress':[" rules "]}}"
#define EGRESS(rules) HEAD "'egress':[" rules "]}}"
#define ACCEPT(peers) "{'action':'Accept','to':[" peers "]}"
#define DENY(peers) "{'action':'Deny','to':[" peers "]}"
#define PASS(peers) "{'action':'Pass','to':[" peers "]}"
#define ANYONE "{'namespaces':{}}"
#define DENY_PORTS(protocols)                                                                      \
	EGRESS("{'action':'Deny','to':[" ANYONE "],'protocols':[" protocols "]}," ACCEPT(ANYONE))

static struct clusternetpol *policy(const char *text)
{
	return (struct clusternetpol *)parse(KIND_CLUSTERNETPOL, text);
}

static void put(struct clusternetpol *cnp)
{
	object_put(&cnp->object);
}

static void the_whole_of_v1alpha2_is_read(void **state)
{
	struct clusternetpol *cnp = policy(
		"{'metadata':{'name':'c'},'spec':{'tier':'Baseline','priority':1000,"
		"'subject':{'pods':{'namespaceSelector':{'matchLabels':{'a':'b'}},'podSelector':{}}},"
		"'ingress':[{'name':'in','action':'Accept','from':[{'pods':{'podSelector':{}}}],"
		"'protocols':[{'tcp':{'destinationPort':{'number':80}}},{'destinationNamedPort':'web'}]}],"
		"'egress':[{'action':'Deny','to':[{'networks':['10.0.0.1/8','::/0']},{'nodes':{}}],"
		"'protocols':[{'udp':{'destinationPort':{'range':{'start':1,'end':9}}}},"
		"{'sctp':{'destinationPort':{'number':7}}}]},{'action':'Pass','to':[" ANYONE
		"]}]}}");
	const struct rule *in = cnp->rules[BH_INGRESS].v, *out = cnp->rules[BH_EGRESS].v;

	assert_null(cnp->object.problem);
	assert_null(cnp->object.ns);
	assert_int_equal(cnp->tier, TIER_BASELINE);
	assert_int_equal(cnp->priority, 1000);
	assert_int_equal(cnp->namespaces.nterms, 1);
	assert_str(in->name, "in");
	assert_int_equal(in->action, ACTION_ACCEPT);
	assert_int_equal(in->peers[0].kind, PEER_PODS);
	assert_false(in->peers[0].own_namespace);
	assert_int_equal(in->ports[0].protocol, PROTOCOL_TCP);
	assert_int_equal(in->ports[0].hi, 80);
	assert_int_equal(in->ports[1].protocol, PROTOCOL_ANY);
	assert_str(in->ports[1].name, "web");
	assert_int_equal(out[0].npeers, 3);
	assert_int_equal(out[0].peers[0].kind, PEER_CIDR);
	assert_int_equal(out[0].peers[0].cidr.prefixlen, BH_V4_PREFIX + 8);
	assert_int_equal(out[0].peers[1].cidr.prefixlen, 0);
	assert_int_equal(out[0].peers[2].kind, PEER_NODES);
	assert_int_equal(out[0].ports[0].lo, 1);
	assert_int_equal(out[0].ports[0].hi, 9);
	assert_int_equal(out[0].ports[1].protocol, PROTOCOL_SCTP);
	assert_int_equal(out[1].action, ACTION_PASS);
	assert_true(out[1].any_port);
	put(cnp);
}

// The API's words for a peer of an unknown kind: Accept matches no traffic, the others deny all.
static void unknown_peers_close_their_rule_alone(void **state)
{
	struct clusternetpol *cnp = policy(EGRESS(ACCEPT("{'moons':{}}," ANYONE) "," DENY(
		"{}") ","
		      "{'action':'Pass','name':'n','to':[{'moons':1}],'protocols':["
		      "{'tcp':{'destinationPort':{'number':80}}}]}," ACCEPT(ANYONE)));
	const struct rule *rules = cnp->rules[BH_EGRESS].v;

	assert_str_starts(cnp->object.problem,
			  "spec.egress[0].to[0]: is a peer of an unknown kind");
	assert_int_equal(cnp->rules[BH_EGRESS].n, 4);
	assert_int_equal(rules[0].action, ACTION_ACCEPT);
	assert_int_equal(rules[0].npeers, 1);
	assert_int_equal(rules[0].peers[0].kind, PEER_NONE);
	assert_int_equal(rules[1].action, ACTION_DENY);
	assert_int_equal(rules[1].peers[0].kind, PEER_ANY);
	assert_int_equal(rules[2].action, ACTION_DENY);
	assert_true(rules[2].any_port);
	assert_int_equal(rules[2].nports, 0);
	assert_str(rules[2].name, "n");
	assert_int_equal(rules[3].action, ACTION_ACCEPT);
	assert_int_equal(rules[3].peers[0].kind, PEER_PODS);
	put(cnp);
}

static void egress_peers_are_unknown_in_ingress(void **state)
{
	struct clusternetpol *cnp =
		policy(INGRESS("{'action':'Deny','from':[{'networks':['10.0.0.0/8']}]}"));

	assert_str_starts(cnp->object.problem, "spec.ingress[0].from[0]: ");
	assert_int_equal(cnp->rules[BH_INGRESS].v[0].peers[0].kind, PEER_ANY);
	put(cnp);
}

static void domain_names_match_nothing_in_accept_rules(void **state)
{
	struct clusternetpol *cnp =
		policy(EGRESS(ACCEPT("{'domainNames':['*.example.com','a.b.']}," ANYONE) "," PASS(
			ANYONE) "," DENY("{'domainNames':['example.com']}")));
	const struct rule *rules = cnp->rules[BH_EGRESS].v;

	assert_str_starts(cnp->object.problem, "spec.egress[0].to[0].domainNames: ");
	assert_int_equal(rules[0].npeers, 2);
	assert_int_equal(rules[0].peers[0].kind, PEER_NONE);
	assert_int_equal(rules[0].peers[1].kind, PEER_PODS);
	assert_int_equal(rules[1].action, ACTION_PASS);
	assert_int_equal(rules[2].peers[0].kind, PEER_ANY);
	put(cnp);
}

// Whatever the schema refuses: no Accept or Pass is left, and no Deny is lost.
static void refused_policies_only_deny(void **state)
{
	static const struct {
		const char *text, *start;
		bool any_peer; // the first rule denies everybody
	} cases[] = {
		{ DENY_PORTS("{'tcp':{}}"),
		  "spec.egress[0].protocols[0].tcp.destinationPort:", false },
		{ DENY_PORTS("{'tcp':{'destinationPort':{}}}"),
		  "spec.egress[0].protocols[0].tcp.destinationPort:", false },
		{ DENY_PORTS("{'tcp':{'destinationPort':{'number':0}}}"),
		  "spec.egress[0].protocols[0].tcp.destinationPort.number: 0", false },
		{ DENY_PORTS("{'tcp':{'destinationPort':{'range':{'start':9,'end':9}}}}"),
		  "spec.egress[0].protocols[0].tcp.destinationPort.range:", false },
		{ DENY_PORTS("{'icmp':{}}"), "spec.egress[0].protocols[0]:", false },
		{ DENY_PORTS("{}"), "spec.egress[0].protocols[0]:", false },
		{ DENY_PORTS(""), "spec.egress[0].protocols: must not be empty", false },
		{ EGRESS("{'action':'Allow','to':[" ANYONE "]}"), "spec.egress[0].action:", false },
		{ EGRESS("{'to':[" ANYONE "]}"), "spec.egress[0].action: is missing", false },
		{ EGRESS("{'action':'Deny'}"), "spec.egress[0].to: is missing", true },
		{ EGRESS(DENY("")), "spec.egress[0].to: must not be empty", true },
		{ EGRESS(PASS("{'networks':['10.0.0.0/33']}")),
		  "spec.egress[0].to[0].networks[0]:", true },
		{ EGRESS(DENY("{'networks':[]}")), "spec.egress[0].to[0].networks:", true },
		{ EGRESS(DENY("{'pods':{}}")), "spec.egress[0].to[0].pods.podSelector:", true },
		{ EGRESS(DENY("{'namespaces':{},'nodes':{}}")), "spec.egress[0].to[0]:", true },
		{ EGRESS(DENY("7")), "spec.egress[0].to[0]: is an integer", true },
		{ EGRESS(DENY("{'nodes':{'matchLabels':{'a':7}}}")),
		  "spec.egress[0].to[0].nodes.matchLabels:", true },
		{ EGRESS("{'action':'Deny','to':[" ANYONE "],'protocol':[]}"),
		  "spec.egress[0].protocol: unknown field", false },
		{ EGRESS("{'action':'Deny','to':[{'networks':['10.0.0.0/8']}],"
			 "'protocols':[{'destinationNamedPort':'a'}]}"),
		  "spec.egress[0]: destinationNamedPort", false },
		{ EGRESS("7"), "spec.egress[0]: is an integer", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct clusternetpol *cnp = policy(cases[i].text);
		const struct rules *rules = &cnp->rules[BH_EGRESS];

		if (!cnp->object.problem)
			fail_msg("no problem in %s", cases[i].text);
		assert_str_starts(cnp->object.problem, cases[i].start);
		assert_int_equal(rules->n, 1);
		assert_int_equal(rules->v[0].action, ACTION_DENY);
		assert_true(rules->v[0].npeers == 1);
		assert_int_equal(rules->v[0].peers[0].kind == PEER_ANY, cases[i].any_peer);
		put(cnp);
	}
}

static void unreadable_rules_deny_all(void **state)
{
	struct clusternetpol *cnp = policy(HEAD "'egress':'x'}}");

	assert_str_starts(cnp->object.problem, "spec.egress: is a string");
	assert_int_equal(cnp->rules[BH_INGRESS].n, 0);
	assert_int_equal(cnp->rules[BH_EGRESS].n, 1);
	assert_true(cnp->rules[BH_EGRESS].v[0].any_peer && cnp->rules[BH_EGRESS].v[0].any_port);
	assert_int_equal(cnp->rules[BH_EGRESS].v[0].action, ACTION_DENY);
	put(cnp);
}

static void rank_is_checked(void **state)
{
	static const struct {
		const char *rank, *start;
		enum tier tier;
	} cases[] = {
		{ "'tier':'Admin','priority':1001", "spec.priority: 1001", TIER_ADMIN },
		{ "'tier':'Baseline','priority':-1", "spec.priority: -1", TIER_BASELINE },
		{ "'tier':'Baseline'", "spec.priority: is missing", TIER_BASELINE },
		{ "'priority':1", "spec.tier: is missing", TIER_ADMIN },
		{ "'tier':'admin','priority':1", "spec.tier: \"admin\"", TIER_ADMIN },
	};
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct clusternetpol *cnp;

		snprintf(
			text, sizeof(text),
			"{'metadata':{'name':'c'},'spec':{%s,'subject':{'namespaces':{}},'egress':[" ACCEPT(
				ANYONE) "]}}",
			cases[i].rank);
		cnp = policy(text);
		assert_str_starts(cnp->object.problem, cases[i].start);
		assert_int_equal(cnp->tier, cases[i].tier);
		assert_int_equal(cnp->rules[BH_EGRESS].n, 0);
		put(cnp);
	}
}

static void an_unreadable_subject_refuses_the_policy(void **state)
{
	static const struct {
		const char *subject, *start;
	} cases[] = {
		{ "null", "spec.subject: must be exactly one" },
		{ "{}", "spec.subject: must be exactly one" },
		{ "{'namespaces':{},'pods':{'podSelector':{}}}",
		  "spec.subject: must be exactly one" },
		{ "{'nodes':{}}", "spec.subject.nodes: unknown field" },
		{ "{'pods':{}}", "spec.subject.pods.podSelector: is missing" },
		{ "{'namespaces':{'matchLabels':{'a':[]}}}",
		  "spec.subject.namespaces.matchLabels:" },
	};
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(
			text, sizeof(text),
			"{'metadata':{'name':'c'},'spec':{'tier':'Admin','priority':1,'subject':%s}}",
			cases[i].subject);
		refuse(KIND_CLUSTERNETPOL, text, cases[i].start);
	}
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
		TEST(the_whole_of_v1alpha2_is_read),
		TEST(unknown_peers_close_their_rule_alone),
		TEST(egress_peers_are_unknown_in_ingress),
		TEST(domain_names_match_nothing_in_accept_rules),
		TEST(refused_policies_only_deny),
		TEST(unreadable_rules_deny_all),
		TEST(rank_is_checked),
		TEST(an_unreadable_subject_refuses_the_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
