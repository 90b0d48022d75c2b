// SPDX-License-Identifier: Apache-2.0
// netpol.c - NetworkPolicy, as the API defaults and validates it; invalid: isolation and no allow.
#include <errno.h>
#include <string.h>

#include <bulkhead/abi.h>

#include "agent/object/kind.h"
#include "agent/object/names.h"

static const char *const spec_fields[] = {"podSelector", "policyTypes", "ingress", "egress", NULL};
static const char *const peer_fields[] = {"podSelector", "namespaceSelector", "ipBlock", NULL};
static const char *const block_fields[] = {"cidr", "except", NULL};
static const char *const port_fields[] = {"protocol", "port", "endPort", NULL};

// What differs between the directions.
static const struct direction {
	const char *type;  // in policyTypes
	const char *rules; // in spec
	const char *peers; // in a rule
	const char *rule_fields[3];
} directions[BH_DIR_MAX] = {
	[BH_INGRESS] = {"Ingress", "ingress", "from", {"from", "ports", NULL}},
	[BH_EGRESS] = {"Egress", "egress", "to", {"to", "ports", NULL}},
};

static int read_cidr(const struct at *at, struct bh_cidr *ret, struct err *reterr)
{
	const char *text = NULL;
	int r = at_string(at, &text, reterr);

	if (r < 0)
		return r;
	if (!text || !*text)
		return at_fail(at, reterr, "is missing");
	if (cidr_parse(text, ret) < 0)
		return at_fail(at, reterr,
			       "\"%.80s\" is no CIDR, e.g. 10.9.8.0/24 or 2001:db8::/64", text);
	return 0;
}

static int read_excepts(const struct at *list, struct peer *peer, struct err *reterr)
{
	uint32_t n = 0;
	int r = at_list(list, OBJECT_MAX_EXCEPTS, &n, reterr);

	if (r < 0)
		return r;
	peer->excepts = calloc((size_t)n + 1, sizeof(*peer->excepts));
	if (!peer->excepts)
		return no_memory(reterr);
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(list, i);
		struct bh_cidr *except = &peer->excepts[i];

		r = read_cidr(&item, except, reterr);
		if (r < 0)
			return r;
		if (except->prefixlen <= peer->cidr.prefixlen ||
		    !cidr_contains(&peer->cidr, &except->addr))
			return at_fail(&item, reterr, "must be a strict subset of cidr");
		peer->nexcepts++;
	}
	return 0;
}

static int read_block(const struct at *at, struct peer *peer, struct err *reterr)
{
	struct at cidr = at_field(at, "cidr");
	struct at except = at_field(at, "except");
	int r = at_only(at, block_fields, reterr);

	if (r < 0)
		return r;
	peer->kind = PEER_CIDR;
	r = read_cidr(&cidr, &peer->cidr, reterr);
	return r < 0 ? r : read_excepts(&except, peer, reterr);
}

static int read_peer(const struct at *at, struct peer *peer, struct err *reterr)
{
	struct at pods = at_field(at, "podSelector");
	struct at namespaces = at_field(at, "namespaceSelector");
	struct at block = at_field(at, "ipBlock");
	int r = at_only(at, peer_fields, reterr);

	if (r < 0)
		return r;
	if (!pods.json && !namespaces.json && !block.json)
		return at_fail(at, reterr, "must specify a peer");
	if (block.json && (pods.json || namespaces.json))
		return at_fail(at, reterr, "may not specify both ipBlock and another peer");
	if (block.json)
		return read_block(&block, peer, reterr);

	peer->kind = PEER_PODS;
	peer->own_namespace = !namespaces.json;
	r = selector_read(&pods, &peer->pods, reterr);
	if (r < 0)
		return r;
	return selector_read(&namespaces, &peer->namespaces, reterr);
}

static int read_peers(const struct at *list, struct rule *rule, struct err *reterr)
{
	uint32_t n = 0;
	int r = at_list(list, OBJECT_MAX_PEERS, &n, reterr);

	if (r < 0)
		return r;
	rule->any_peer = !n;
	if (!n)
		return 0;
	rule->peers = calloc(n, sizeof(*rule->peers));
	if (!rule->peers)
		return no_memory(reterr);
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(list, i);

		r = read_peer(&item, &rule->peers[rule->npeers++], reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_numbers(const struct at *number, const struct at *end, struct port *port,
			struct err *reterr)
{
	int64_t lo, hi;
	int r = at_int(number, 1, UINT16_MAX, &lo, reterr);

	if (r < 0)
		return r;
	hi = lo;
	r = at_int(end, INT32_MIN, INT32_MAX, &hi, reterr);
	if (r < 0)
		return r;
	if (hi < lo)
		return at_fail(end, reterr, "%lld is less than port, which is %lld", (long long)hi,
			       (long long)lo);
	if (hi > UINT16_MAX)
		return at_fail(end, reterr, "%lld is not in 1..65535", (long long)hi);
	port->lo = (uint16_t)lo;
	port->hi = (uint16_t)hi;
	return 0;
}

static int read_port_name(const struct at *name, const struct at *end, struct port *port,
			  struct err *reterr)
{
	const char *text = "", *wrong;
	int r;

	if (end->json)
		return at_fail(end, reterr, "may not be specified when port is a name");
	r = at_string(name, &text, reterr);
	if (r < 0)
		return r;
	wrong = name_check_port(text);
	if (wrong)
		return at_fail(name, reterr, "\"%.80s\" %s", text, wrong);
	port->name = intern(text);
	return port->name ? 0 : no_memory(reterr);
}

static int read_port(const struct at *at, struct port *port, struct err *reterr)
{
	struct at protocol = at_field(at, "protocol");
	struct at number = at_field(at, "port");
	struct at end = at_field(at, "endPort");
	int r = at_only(at, port_fields, reterr);

	if (r < 0)
		return r;
	r = protocol_read(&protocol, &port->protocol, reterr);
	if (r < 0)
		return r;
	if (json_object_is_type(number.json, json_type_string))
		return read_port_name(&number, &end, port, reterr);
	if (number.json)
		return read_numbers(&number, &end, port, reterr);
	if (end.json)
		return at_fail(&end, reterr, "may not be specified when port is not specified");
	return 0;
}

static int read_ports(const struct at *list, struct rule *rule, struct err *reterr)
{
	uint32_t n = 0;
	int r = at_list(list, OBJECT_MAX_PORTS, &n, reterr);

	if (r < 0)
		return r;
	rule->any_port = !n;
	if (!n)
		return 0;
	rule->ports = calloc(n, sizeof(*rule->ports));
	if (!rule->ports)
		return no_memory(reterr);
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(list, i);

		r = read_port(&item, &rule->ports[rule->nports++], reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_rule(const struct at *at, const struct direction *direction, struct rule *rule,
		     struct err *reterr)
{
	struct at peers = at_field(at, direction->peers);
	struct at ports = at_field(at, "ports");
	int r = at_only(at, direction->rule_fields, reterr);

	if (r < 0)
		return r;
	rule->action = ACTION_ACCEPT;
	r = read_ports(&ports, rule, reterr);
	return r < 0 ? r : read_peers(&peers, rule, reterr);
}

static int read_rules(const struct at *spec, const struct direction *direction, struct rules *rules,
		      struct err *reterr)
{
	struct at list = at_field(spec, direction->rules);
	uint32_t n = 0;
	int r = at_list(&list, OBJECT_MAX_RULES, &n, reterr);

	if (r <= 0 || !n)
		return r;
	rules->v = calloc(n, sizeof(*rules->v));
	if (!rules->v)
		return no_memory(reterr);
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(&list, i);

		r = read_rule(&item, direction, &rules->v[rules->n++], reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

// The API's default: Ingress, and Egress if there is an egress rule (or what cannot be read as
// rules).
static void default_types(const struct at *spec, struct netpol *policy)
{
	struct at egress = at_field(spec, directions[BH_EGRESS].rules);
	uint32_t n = 0;

	policy->isolates[BH_INGRESS] = true;
	policy->isolates[BH_EGRESS] = at_list(&egress, UINT32_MAX, &n, NULL) < 0 || n > 0;
}

static int read_type(const struct at *at, struct netpol *policy, struct err *reterr)
{
	const char *text = "";
	int r = at_string(at, &text, reterr);

	if (r < 0)
		return r;
	for (int i = 0; i < BH_DIR_MAX; i++) {
		if (!strcmp(directions[i].type, text)) {
			policy->isolates[i] = true;
			return 0;
		}
	}
	return at_fail(at, reterr, "\"%.80s\" is none of Ingress, Egress", text);
}

static int read_types(const struct at *spec, struct netpol *policy, struct err *reterr)
{
	struct at list = at_field(spec, "policyTypes");
	uint32_t n = 0;
	int r = at_list(&list, UINT32_MAX, &n, reterr);

	if (r < 0)
		return r;
	if (!n)
		default_types(spec, policy);
	for (uint32_t i = 0; i < n && i < BH_DIR_MAX; i++) {
		struct at item = at_item(&list, i);

		r = read_type(&item, policy, reterr);
		if (r < 0)
			return r;
	}
	if (n > BH_DIR_MAX)
		return at_fail(&list, reterr, "may not specify more than two policyTypes");
	return 0;
}

static int read_allows(const struct at *spec, struct netpol *policy, struct err *reterr)
{
	int r = 0;

	for (int i = 0; i < BH_DIR_MAX && r >= 0; i++)
		r = read_rules(spec, &directions[i], &policy->rules[i], reterr);
	return r < 0 ? r : at_only(spec, spec_fields, reterr);
}

static int netpol_parse(struct json_object *json, struct object *object, struct err *reterr)
{
	struct netpol *policy = (struct netpol *)object;
	struct at root = at_root(json);
	struct at spec = at_field(&root, "spec");
	struct at pods = at_field(&spec, "podSelector");
	struct err problem = {0};
	int r;

	r = at_object(&spec, reterr);
	if (r < 0)
		return r;
	r = selector_read(&pods, &policy->pods, reterr);
	if (r < 0)
		return r;
	policy->audit = object_says_true(&root, "annotations", AUDIT_KEY);

	r = read_types(&spec, policy, &problem);
	if (r < 0) // which directions were meant is unknown: both
		policy->isolates[BH_INGRESS] = policy->isolates[BH_EGRESS] = true;
	else
		r = read_allows(&spec, policy, &problem);
	if (r >= 0)
		return 0;

	for (int i = 0; i < BH_DIR_MAX; i++)
		rules_fini(&policy->rules[i]);
	if (r != -EBADMSG || object_set_problem(object, problem.text) < 0)
		return no_memory(reterr);
	return 0;
}

static void netpol_fini(struct object *object)
{
	struct netpol *policy = (struct netpol *)object;

	selector_fini(&policy->pods);
	for (int i = 0; i < BH_DIR_MAX; i++)
		rules_fini(&policy->rules[i]);
}

static bool netpol_equal(const struct object *a, const struct object *b)
{
	const struct netpol *x = (const struct netpol *)a, *y = (const struct netpol *)b;

	for (int i = 0; i < BH_DIR_MAX; i++)
		if (x->isolates[i] != y->isolates[i] || !rules_equal(&x->rules[i], &y->rules[i]))
			return false;
	return x->audit == y->audit && selector_equal(&x->pods, &y->pods);
}

const struct kind_ops netpol_kind = {
	.name = "NetworkPolicy",
	.api_version = "networking.k8s.io/v1",
	.plural = "networkpolicies",
	.namespaced = true,
	.parse = netpol_parse,
	.fini = netpol_fini,
	.equal = netpol_equal,
	.size = sizeof(struct netpol),
};
