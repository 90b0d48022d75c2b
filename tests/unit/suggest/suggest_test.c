// SPDX-License-Identifier: Apache-2.0
// suggest_test.c - suggested policies: asked about all that could happen in the scene, they allow what was seen and no more.
#include "tests/harness/test.h"

#include <arpa/inet.h>

#include "agent/object/names.h"
#include "agent/sim/sim.h"
#include "agent/source/yaml.h"
#include "agent/source/yaml_write.h"
#include "agent/suggest/suggest.h"

// ---- the scene ---------------------------------------------------------------------------------

enum who { WEB0, WEB1, DB, CACHE, CANARY, TWIN_A, TWIN_B, BARE, DNS, OTHER_WEB, PODS, NODE1, NODE2, WORLD1, WORLD2, WHO_MAX };

static const struct label web[] = { { "app", "web" }, { "tier", "front" } }, web1[] = { { "app", "web" }, { "pod", "1" } };
static const struct label db[] = { { "app", "db" } }, cache[] = { { "app", "db" }, { "role", "cache" } };
static const struct label canary[] = { { "app", "db" }, { "track", "canary" } }, twin[] = { { "app", "twin" } };
static const struct label dns[] = { { "k8s-app", "kube-dns" } };

#define POD(ns_, name_, node_, kind_, owner, labels_)                                                              \
	{ .who = FLOW_POD, .ns = ns_, .name = name_, .node = node_, .workload_kind = kind_, .workload_name = owner, \
	  .nlabels = ARRAY_SIZE(labels_), .labels = labels_ }

static const struct flow_card cards[WHO_MAX] = {
	[WEB0] = POD("shop", "web-0", "n1", "Deployment", "web", web),
	[WEB1] = POD("shop", "web-1", "n2", "Deployment", "web", web1),
	[DB] = POD("shop", "db-0", "n1", "StatefulSet", "db", db),
	// Labels of db and one more, twice; labels that are the same; no labels at all.
	[CACHE] = POD("shop", "cache-0", "n1", "Deployment", "cache", cache),
	[CANARY] = POD("shop", "canary-0", "n1", "Deployment", "canary", canary),
	[TWIN_A] = POD("shop", "twin-a-0", "n1", "Deployment", "twin-a", twin),
	[TWIN_B] = POD("shop", "twin-b-0", "n1", "Deployment", "twin-b", twin),
	[BARE] = { .who = FLOW_POD, .ns = "bare", .name = "bare", .node = "n1" },
	[DNS] = POD("kube-system", "dns-0", "n2", "Deployment", "coredns", dns),
	[OTHER_WEB] = POD("other", "web-0", "n1", "Deployment", "web", web),
	[NODE1] = { .who = FLOW_NODE, .name = "n1" },
	[NODE2] = { .who = FLOW_NODE, .name = "n2" },
	[WORLD1] = { .who = FLOW_WORLD },
	[WORLD2] = { .who = FLOW_WORLD },
};

static struct bh_addr address(enum who who)
{
	static const char *const texts[] = { [NODE1] = "172.16.0.1", [NODE2] = "172.16.0.2", [WORLD1] = "192.0.2.7",
					     [WORLD2] = "2001:db8::7" };
	char text[64];
	struct bh_addr addr;

	snprintf(text, sizeof(text), "10.0.0.%d", (int)who + 1);
	assert_ok(addr_parse(who < PODS ? text : texts[who], &addr));
	return addr;
}

struct seen {
	enum who from, to;
	uint8_t proto;
	uint16_t port;
};

static const struct seen seen[] = {
	{ WEB0, DB, PROTOCOL_TCP, 5432 },   { WEB1, DB, PROTOCOL_TCP, 5432 },    { WEB0, DB, PROTOCOL_TCP, 5433 },
	{ WEB0, CACHE, PROTOCOL_TCP, 6379 }, { CANARY, DB, PROTOCOL_SCTP, 7 },   { WEB0, DNS, PROTOCOL_UDP, 53 },
	{ DB, DNS, PROTOCOL_UDP, 53 },       { WORLD1, WEB0, PROTOCOL_TCP, 80 }, { WEB0, WORLD1, PROTOCOL_TCP, 443 },
	{ TWIN_A, DB, PROTOCOL_TCP, 5432 },  { WEB0, TWIN_B, PROTOCOL_TCP, 1 },  { OTHER_WEB, WEB0, PROTOCOL_TCP, 80 },
	{ BARE, DB, PROTOCOL_TCP, 5432 },    { NODE2, WEB0, PROTOCOL_TCP, 80 },  { NODE1, WEB0, PROTOCOL_TCP, 81 },
	{ CACHE, CANARY, 1, 0 },             { WEB0, WEB0, PROTOCOL_TCP, 80 },   { WEB0, WORLD2, PROTOCOL_TCP, 443 },
	{ WEB1, CACHE, PROTOCOL_TCP, 6380 }, // told by the receiver alone
};

// What n1 tells of a flow: as the sender's, as the receiver's, or both.
static void tell(struct suggest *suggest, const struct seen *flow, enum flow_verdict verdict)
{
	static uint64_t id;
	struct err err = { 0 };

	for (enum bh_dir dir = 0; dir < BH_DIR_MAX; dir++) {
		enum who own = dir == BH_EGRESS ? flow->from : flow->to;
		struct flow_record record = {
			.id = ++id,
			.type = verdict == FLOW_DENIED ? FLOW_DENY : FLOW_START,
			.verdict = verdict,
			.reason = verdict == FLOW_DENIED ? BH_REASON_POLICY_DENIED : BH_REASON_OPEN,
			.dir = dir,
			.proto = flow->proto,
			.src = { address(flow->from), 40000, &cards[flow->from] },
			.dst = { address(flow->to), flow->port, &cards[flow->to] },
			.packets = { 3 },
		};
		struct flow_record kept;

		if (own >= PODS || strcmp(cards[own].node, "n1"))
			continue;
		// Cards of a record have references; these are static: copies bring theirs.
		kept = record;
		kept.src.card = flow_card_new(record.src.card);
		kept.dst.card = flow_card_new(record.dst.card);
		assert_ok_err(suggest_add(suggest, &kept, "n1", &err), &err);
		flow_record_fini(&kept);
	}
}

static const struct suggest_options plain = { .prefix4 = 32, .prefix6 = 128 };

struct made {
	struct json_object *policies, *report;
};

static void made_fini(struct made *made)
{
	json_object_put(made->policies);
	json_object_put(made->report);
}

#define _cleanup_made_ _cleanup_(made_fini)

static struct made make(const struct suggest_options *options, const struct seen *flows, size_t n, bool backwards)
{
	_cleanup_(suggest_freep) struct suggest *suggest = NULL;
	struct made made = { 0 };
	struct err err = { 0 };

	assert_ok(suggest_new(options, &suggest));
	for (size_t i = 0; i < n; i++)
		tell(suggest, &flows[backwards ? n - 1 - i : i], FLOW_ALLOWED);
	assert_ok_err(suggest_make(suggest, &made.policies, &made.report, &err), &err);
	return made;
}

static struct made make_all(bool backwards)
{
	return make(&plain, seen, ARRAY_SIZE(seen), backwards);
}

// ---- a cluster with these policies -----------------------------------------------------------------

static void put(struct sim *sim, enum kind kind, struct json_object *json)
{
	struct object *object;
	struct err err = { 0 };

	assert_ok_err(object_parse(kind, json, &object, &err), &err);
	if (object->problem)
		fail_msg("%s", object->problem);
	assert_ok(sim_put(sim, object));
}

static void put_text(struct sim *sim, enum kind kind, const char *text)
{
	_cleanup_json_ struct json_object *json = test_json(text);

	put(sim, kind, json);
}

static void put_card(struct sim *sim, enum who who)
{
	const struct flow_card *card = &cards[who];
	struct bh_addr addr = address(who);
	char text[1024], ip[64], labels[512] = "";

	addr_format(&addr, ip, sizeof(ip));
	for (uint32_t i = 0; i < card->nlabels; i++)
		snprintf(labels + strlen(labels), sizeof(labels) - strlen(labels), "%s'%s':'%s'", i ? "," : "",
			 card->labels[i].key, card->labels[i].value);
	if (card->who == FLOW_NODE)
		snprintf(text, sizeof(text),
			 "{'metadata':{'name':'%s'},'status':{'addresses':[{'type':'InternalIP','address':'%s'}]}}", card->name, ip);
	else
		snprintf(text, sizeof(text),
			 "{'metadata':{'name':'%s','namespace':'%s','labels':{%s}},'spec':{'nodeName':'%s'},'status':{'podIPs':[{'ip':'%s'},{'ip':'fd00::%s'}]}}",
			 card->name, card->ns, labels, card->node, ip, ip);
	put_text(sim, card->who == FLOW_NODE ? KIND_NODE : KIND_POD, text);
}

// Policies go through YAML and back, as files of theirs would.
static int put_document(void *arg, struct json_object *json, size_t line)
{
	if (json)
		put(arg, KIND_NETPOL, json);
	return 0;
}

static void put_policies(struct sim *sim, struct json_object *policies)
{
	_cleanup_free_ char *text = NULL;
	struct err err = { 0 };
	size_t len;
	FILE *out = open_memstream(&text, &len);

	for (size_t i = 0; i < json_object_array_length(policies); i++)
		assert_ok(yaml_write(out, json_object_array_get_idx(policies, i)));
	fclose(out);
	assert_ok_err(yaml_parse(text, len, put_document, sim, &err), &err);
}

static struct sim *cluster(struct json_object *policies)
{
	struct sim *sim;

	assert_ok(sim_new(&sim));
	put_text(sim, KIND_NAMESPACE, "{'metadata':{'name':'shop'}}");
	put_text(sim, KIND_NAMESPACE, "{'metadata':{'name':'bare'}}");
	put_text(sim, KIND_NAMESPACE, "{'metadata':{'name':'other'}}");
	put_text(sim, KIND_NAMESPACE, "{'metadata':{'name':'kube-system'}}");
	for (enum who who = 0; who <= NODE2; who++) {
		if (who != PODS)
			put_card(sim, who);
	}
	put_policies(sim, policies);
	return sim;
}

static void parse_end(struct sim *sim, enum who who, struct sim_end *ret)
{
	struct bh_addr addr = address(who);
	struct err err = { 0 };
	char text[128];

	if (who < PODS)
		snprintf(text, sizeof(text), "%s/%s", cards[who].ns, cards[who].name);
	else
		addr_format(&addr, text, sizeof(text));
	assert_ok_err(sim_end_parse(sim, text, ret, &err), &err);
}

static bool allows(struct sim *sim, enum who from, enum who to, uint8_t proto, uint16_t port)
{
	struct sim_end ends[2];
	struct sim_answer answer;
	struct err err = { 0 };
	bool allow;

	parse_end(sim, from, &ends[0]);
	parse_end(sim, to, &ends[1]);
	assert_ok_err(sim_ask(sim, &ends[0], &ends[1], proto, port, from == WORLD2 || to == WORLD2 ? 6 : 4, &answer, &err), &err);
	allow = answer.allow;
	sim_answer_fini(&answer);
	return allow;
}

// ---- tests -------------------------------------------------------------------------------------

// Pods that one policy cannot tell apart are one; DNS runs elsewhere and told nothing: it has no policy.
static enum who like(enum who who)
{
	return who == WEB1 ? WEB0 : who == TWIN_B ? TWIN_A : who;
}

static bool was_seen(enum who from, enum who to, uint8_t proto, uint16_t port)
{
	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		const struct seen *s = &seen[i];

		// What needs no rule says nothing of others.
		if (s->from == s->to || s->from == NODE1)
			continue;
		if (like(s->from) != like(from) || like(s->to) != like(to))
			continue;
		// ICMP was seen between two: their rule has no ports.
		if ((s->proto == proto && s->port == port) || s->proto == 1)
			return true;
	}
	return false;
}

static bool isolated(enum who who)
{
	return who < PODS && who != DNS;
}

// Every pair of the scene, every port: what was seen passes, and nothing else does.
static void what_was_seen_passes_and_nothing_else(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t port;
	} asked[] = { { PROTOCOL_TCP, 1 },    { PROTOCOL_TCP, 80 },   { PROTOCOL_TCP, 81 },  { PROTOCOL_TCP, 443 },
		      { PROTOCOL_TCP, 5432 }, { PROTOCOL_TCP, 5433 }, { PROTOCOL_TCP, 6379 }, { PROTOCOL_TCP, 6380 }, { PROTOCOL_UDP, 53 },
		      { PROTOCOL_TCP, 53 },   { PROTOCOL_SCTP, 7 },   { 1, 0 } };
	_cleanup_made_ struct made made = make_all(false);
	_cleanup_(sim_freep) struct sim *sim = cluster(made.policies);
	unsigned passed = 0, asked_n = 0;

	for (enum who from = 0; from < WHO_MAX; from++) {
		for (enum who to = 0; to < WHO_MAX; to++) {
			bool exempt = (from == NODE1 && to < PODS && !strcmp(cards[to].node, "n1")) ||
				      (to == NODE1 && from < PODS && !strcmp(cards[from].node, "n1")) ||
				      (from == NODE2 && to == WEB1) || (from == WEB1 && to == NODE2);

			if (from == PODS || to == PODS || from == to || exempt || (!isolated(from) && !isolated(to)) ||
			    (from > PODS && to > PODS))
				continue;
			for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
				bool want = was_seen(from, to, asked[i].proto, asked[i].port);

				if (allows(sim, from, to, asked[i].proto, asked[i].port) != want)
					fail_msg("%d -> %d %d/%d: expected %d", from, to, asked[i].port, asked[i].proto, want);
				asked_n++;
				passed += want;
			}
		}
	}
	assert_true(passed > 15 && asked_n > 1000);
}

static void the_same_whatever_the_order(void **state)
{
	_cleanup_made_ struct made one = make_all(false), other = make_all(true);

	assert_str(json_object_to_json_string(one.policies), json_object_to_json_string(other.policies));
	assert_str(json_object_to_json_string(one.report), json_object_to_json_string(other.report));
}

static struct json_object *policy_of(const struct made *made, const char *name)
{
	for (size_t i = 0; i < json_object_array_length(made->policies); i++) {
		struct json_object *policy = json_object_array_get_idx(made->policies, i), *metadata, *field;

		json_object_object_get_ex(policy, "metadata", &metadata);
		json_object_object_get_ex(metadata, "name", &field);
		if (!strcmp(json_object_get_string(field), name))
			return policy;
	}
	fail_msg("there is no policy %s in %s", name, json_object_to_json_string(made->policies));
	return NULL;
}

static void assert_spec(const struct made *made, const char *name, const char *want)
{
	_cleanup_json_ struct json_object *json = test_json(want);
	struct json_object *spec = json_object_object_get(policy_of(made, name), "spec");

	if (!json_object_equal(spec, json))
		fail_msg("%s: %s\nexpected %s", name, json_object_to_json_string(spec), want);
}

#define PEER(ns, selector) \
	"{'namespaceSelector':{'matchLabels':{'kubernetes.io/metadata.name':'" ns "'}},'podSelector':" selector "}"

// By hand: selectors that leave others out, ports put together, peers of the same ports in one rule.
static void policies_are_the_least(void **state)
{
	_cleanup_made_ struct made made = make_all(false);

	assert_int_equal(json_object_array_length(made.policies), 7);
	assert_spec(&made, "suggested-statefulset-db",
		    "{'podSelector':{'matchLabels':{'app':'db'},'matchExpressions':[{'key':'role','operator':'DoesNotExist'},"
		    "{'key':'track','operator':'DoesNotExist'}]},'policyTypes':['Ingress','Egress'],"
		    "'ingress':[{'from':[" PEER("bare", "{}") "," PEER("shop", "{'matchLabels':{'app':'twin'}}") "],"
		    "'ports':[{'protocol':'TCP','port':5432}]},"
		    "{'from':[" PEER("shop", "{'matchLabels':{'app':'db','track':'canary'}}") "],'ports':[{'protocol':'SCTP','port':7}]},"
		    "{'from':[" PEER("shop", "{'matchLabels':{'app':'web'}}") "],"
		    "'ports':[{'protocol':'TCP','port':5432},{'protocol':'TCP','port':5433}]}],"
		    "'egress':[{'to':[" PEER("kube-system", "{'matchLabels':{'k8s-app':'kube-dns'}}") "],"
		    "'ports':[{'protocol':'UDP','port':53}]}]}");
	assert_spec(&made, "suggested-deployment-canary",
		    "{'podSelector':{'matchLabels':{'app':'db','track':'canary'}},'policyTypes':['Ingress','Egress'],"
		    "'ingress':[{'from':[" PEER("shop", "{'matchLabels':{'app':'db','role':'cache'}}") "]}],"
		    "'egress':[{'to':[" PEER("shop", "{'matchLabels':{'app':'db'},'matchExpressions':[{'key':'role',"
		    "'operator':'DoesNotExist'},{'key':'track','operator':'DoesNotExist'}]}") "],'ports':[{'protocol':'SCTP','port':7}]}]}");
	assert_spec(&made, "suggested-pod-bare",
		    "{'podSelector':{},'policyTypes':['Ingress','Egress'],'ingress':[],'egress':[{'to':["
		    PEER("shop", "{'matchLabels':{'app':'db'},'matchExpressions':[{'key':'role','operator':'DoesNotExist'},"
		    "{'key':'track','operator':'DoesNotExist'}]}") "],'ports':[{'protocol':'TCP','port':5432}]}]}");
}

static struct json_object *at(struct json_object *json, const char *field)
{
	return json_object_object_get(json, field);
}

static int count(const struct made *made, const char *fate, const char *field)
{
	return json_object_get_int(at(at(at(made->report, "flows"), fate), field));
}

static void the_report_tells_what_was_seen(void **state)
{
	_cleanup_made_ struct made made = make_all(false);
	const char *text = json_object_to_json_string(made.report);

	assert_int_equal(count(&made, "own_node", "different"), 1);
	assert_int_equal(count(&made, "self", "flows"), 2);
	assert_int_equal(json_object_array_length(at(made.report, "would_deny")), 0);
	assert_int_equal(json_object_array_length(at(made.report, "not_expressed")), 0);
	assert_str_contains(text, "its 2 workloads have the same labels: they share the policy");
	assert_str_contains(text, "\"Deployment\\/twin-a\", \"Deployment\\/twin-b\"");
	assert_str_contains(text, "1 of its 2 pods are on nodes whose records are missing here");
	assert_str_contains(text, "ICMP to shop\\/canary-0 was seen: a rule that allows it has no ports");
	assert_str_contains(text, "it selects every pod of namespace bare");
	assert_str_contains(text, "its peer selector takes every pod of namespace bare");
}

// ---- names -------------------------------------------------------------------------------------

// Each has a label of its own and spoke to the outside, let through by the policy, if there is one.
static void tell_named(struct suggest *suggest, const char *kind, const char *name, const char *decider)
{
	static uint64_t id = 1 << 20;
	char value[32];
	const struct label label = { "n", value };
	const struct flow_card card = { .who = FLOW_POD, .ns = "shop", .name = value, .node = "n1", .workload_kind = kind,
					.workload_name = name, .nlabels = 1, .labels = &label };
	const struct flow_policy policy = { .kind = FLOW_POLICY_NETPOL, .dir = BH_EGRESS, .policies = &decider, .npolicies = 1 };
	struct flow_record record = {
		.id = ++id, .type = FLOW_START, .reason = BH_REASON_ALLOWED, .dir = BH_EGRESS, .proto = PROTOCOL_TCP,
		.src = { bh_addr_from4((uint32_t)id), 40000 }, .dst = { address(WORLD1), 443 },
	};
	struct err err = { 0 };

	snprintf(value, sizeof(value), "p%llu", (unsigned long long)id);
	record.src.card = flow_card_new(&card);
	record.dst.card = flow_card_new(&cards[WORLD1]);
	record.policy = decider ? flow_policy_new(&policy) : NULL;
	assert_ok_err(suggest_add(suggest, &record, "n1", &err), &err);
	flow_record_fini(&record);
}

static const char *name_at(const struct made *made, size_t i)
{
	return json_object_get_string(at(at(json_object_array_get_idx(made->policies, i), "metadata"), "name"));
}

static void each_policy_has_a_name_of_its_own(void **state)
{
	_cleanup_(suggest_freep) struct suggest *suggest = NULL;
	_cleanup_made_ struct made made = { 0 };
	struct err err = { 0 };
	char one[254], other[254];

	memset(one, 'a', sizeof(one) - 1);
	one[sizeof(one) - 1] = 0;
	memcpy(other, one, sizeof(one));
	other[sizeof(other) - 2] = 'b';
	assert_ok(suggest_new(&plain, &suggest));
	tell_named(suggest, "Deployment", one, NULL);
	tell_named(suggest, "Deployment", other, NULL);
	tell_named(suggest, "Deployment", "web", NULL);
	tell_named(suggest, "FOO", "x", NULL);
	tell_named(suggest, "Foo", "x", NULL);
	tell_named(suggest, "Foo", "x/../y", NULL);
	tell_named(suggest, NULL, "..", NULL);
	assert_ok_err(suggest_make(suggest, &made.policies, &made.report, &err), &err);
	assert_int_equal(json_object_array_length(made.policies), 7);
	for (size_t i = 0; i < 7; i++) {
		if (name_check_subdomain(name_at(&made, i)))
			fail_msg("%s %s", name_at(&made, i), name_check_subdomain(name_at(&made, i)));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(name_at(&made, i), name_at(&made, k));
	}
	policy_of(&made, "suggested-deployment-web");
	policy_of(&made, "suggested-foo-x");
	policy_of(&made, "suggested-foo-x-92b3f28676bdae35"); // the same in every run
}

static void a_policy_of_the_same_name_is_told(void **state)
{
	_cleanup_(suggest_freep) struct suggest *suggest = NULL;
	_cleanup_made_ struct made made = { 0 };
	struct err err = { 0 };

	assert_ok(suggest_new(&plain, &suggest));
	tell_named(suggest, "Deployment", "web", "shop/suggested-deployment-web");
	tell_named(suggest, "Deployment", "api", "shop/web");
	assert_ok_err(suggest_make(suggest, &made.policies, &made.report, &err), &err);
	assert_str_contains(json_object_to_json_string(made.report),
			    "a policy of this name is in force and let 1 flows pass: applied, this one takes its place");
	assert_int_equal(json_object_array_length(at(json_object_array_get_idx(at(made.report, "policies"), 0), "notes")), 0);
}

static void denied_flows_are_left_out_unless_asked_for(void **state)
{
	static const struct seen denied = { WORLD1, DB, PROTOCOL_TCP, 5432 };
	struct suggest_options options = plain;

	for (int include = 0; include < 2; include++) {
		_cleanup_(suggest_freep) struct suggest *suggest = NULL;
		_cleanup_made_ struct made made = { 0 };
		_cleanup_(sim_freep) struct sim *sim = NULL;
		struct err err = { 0 };

		options.include_denied = include;
		assert_ok(suggest_new(&options, &suggest));
		tell(suggest, &seen[0], FLOW_ALLOWED);
		tell(suggest, &denied, FLOW_DENIED);
		assert_ok_err(suggest_make(suggest, &made.policies, &made.report, &err), &err);
		assert_int_equal(count(&made, "denied", "different"), !include);
		assert_int_equal(count(&made, include ? "covered" : "denied", "denied_packets"), 3);
		sim = cluster(made.policies);
		assert_int_equal(allows(sim, WORLD1, DB, PROTOCOL_TCP, 5432), include);
		assert_true(allows(sim, WEB0, DB, PROTOCOL_TCP, 5432));
	}
}

static void addresses_are_put_together_by_option(void **state)
{
	static const struct seen flows[] = { { WEB0, WORLD1, PROTOCOL_TCP, 443 }, { WEB0, WORLD2, PROTOCOL_TCP, 443 },
					     { WEB0, NODE2, PROTOCOL_TCP, 443 } };
	struct suggest_options options = { .prefix4 = 24, .prefix6 = 64, .audit = true };
	_cleanup_made_ struct made made = make(&options, flows, ARRAY_SIZE(flows), false);

	assert_spec(&made, "suggested-deployment-web",
		    "{'podSelector':{'matchLabels':{'app':'web','tier':'front'}},'policyTypes':['Ingress','Egress'],'ingress':[],"
		    "'egress':[{'to':[{'ipBlock':{'cidr':'172.16.0.0/24'}},{'ipBlock':{'cidr':'192.0.2.0/24'}},"
		    "{'ipBlock':{'cidr':'2001:db8::/64'}}],'ports':[{'protocol':'TCP','port':443}]}]}");
	assert_str_contains(json_object_to_json_string(made.policies), "\"bulkhead.io\\/audit\": \"true\"");
}

static void policies_of_other_namespaces_are_left_out(void **state)
{
	static const char *const namespaces[] = { "other", "bare" };
	struct suggest_options options = plain;

	options.namespaces = namespaces;
	options.nnamespaces = ARRAY_SIZE(namespaces);
	{
		_cleanup_made_ struct made made = make(&options, seen, ARRAY_SIZE(seen), false);

		assert_int_equal(json_object_array_length(made.policies), 2);
		policy_of(&made, "suggested-pod-bare");
		policy_of(&made, "suggested-deployment-web");
	}
}

// A Service's flow is that of its backend; without one, nothing can be written.
static void services_are_their_backends(void **state)
{
	_cleanup_(suggest_freep) struct suggest *suggest = NULL;
	_cleanup_made_ struct made made = { 0 };
	struct err err = { 0 };

	assert_ok(suggest_new(&plain, &suggest));
	for (int known = 0; known < 2; known++) {
		struct flow_card service = { .who = FLOW_SERVICE, .ns = "shop", .name = "db" };
		struct flow_record record = {
			.id = 7 + (uint64_t)known,
			.dir = BH_EGRESS,
			.proto = PROTOCOL_TCP,
			.src = { address(WEB0), 40000, flow_card_new(&cards[WEB0]) },
			.dst = { address(WORLD1), (uint16_t)(5000 + known), flow_card_new(&service) },
		};

		if (known)
			record.backend = (struct flow_end){ address(DB), 15432, flow_card_new(&cards[DB]) };
		assert_ok_err(suggest_add(suggest, &record, "n1", &err), &err);
		flow_record_fini(&record);
	}
	assert_ok_err(suggest_make(suggest, &made.policies, &made.report, &err), &err);
	assert_spec(&made, "suggested-deployment-web",
		    "{'podSelector':{'matchLabels':{'app':'web','tier':'front'}},'policyTypes':['Ingress','Egress'],'ingress':[],"
		    "'egress':[{'to':[" PEER("shop", "{'matchLabels':{'app':'db'}}") "],'ports':[{'protocol':'TCP','port':15432}]}]}");
	assert_int_equal(json_object_array_length(at(made.report, "not_expressed")), 1);
	assert_str_contains(json_object_to_json_string(made.report), "where the Service sent it is not known");
}

static void too_many_flows_are_refused(void **state)
{
	struct suggest_options options = plain;
	_cleanup_(suggest_freep) struct suggest *suggest = NULL;
	struct flow_record record = {
		.id = 1,
		.dir = BH_EGRESS,
		.proto = PROTOCOL_TCP,
		.src = { address(WEB0), 40000, &cards[WEB0] },
		.dst = { address(WORLD1), 0, &cards[WORLD1] },
	};
	struct err err = { 0 };

	options.max_tuples = 3;
	assert_ok(suggest_new(&options, &suggest));
	record.src.card = flow_card_new(&cards[WEB0]);
	record.dst.card = flow_card_new(&cards[WORLD1]);
	for (int i = 0; i < 6; i++) {
		record.dst.port = (uint16_t)(80 + i / 2);
		assert_ok_err(suggest_add(suggest, &record, "n1", &err), &err);
	}
	record.dst.port++;
	assert_err(suggest_add(suggest, &record, "n1", &err), -E2BIG);
	assert_str_starts(err.text, "more than 3 different flows");
	flow_record_fini(&record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_seen_passes_and_nothing_else),
		cmocka_unit_test(the_same_whatever_the_order),
		cmocka_unit_test(policies_are_the_least),
		cmocka_unit_test(the_report_tells_what_was_seen),
		cmocka_unit_test(each_policy_has_a_name_of_its_own),
		cmocka_unit_test(a_policy_of_the_same_name_is_told),
		cmocka_unit_test(denied_flows_are_left_out_unless_asked_for),
		cmocka_unit_test(addresses_are_put_together_by_option),
		cmocka_unit_test(policies_of_other_namespaces_are_left_out),
		cmocka_unit_test(services_are_their_backends),
		cmocka_unit_test(too_many_flows_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
