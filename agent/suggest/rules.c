// SPDX-License-Identifier: Apache-2.0
// rules.c - one NetworkPolicy for each group: who may speak to it, to whom it may speak, on which ports.
#include "agent/suggest/suggest_private.h"

#include <string.h>

// What one peer may be spoken to on, or may speak to.
struct allowed {
	const struct group *group; // NULL: a block of addresses
	struct bh_cidr cidr;
	VEC(uint32_t) ports; // protocol << 16 | port, sorted; 0 alone: all, as a protocol without ports was seen
};

struct allowed_list {
	VEC(struct allowed) v;
};

static void allowed_list_fini(struct allowed_list *list)
{
	vec_each(struct allowed, allowed, &list->v)
		vec_fini(&allowed->ports);
	vec_fini(&list->v);
}

// ---- collecting ----------------------------------------------------------------------------------------------------

static struct bh_cidr block_of(const struct suggest *suggest, const struct bh_addr *addr)
{
	struct bh_cidr cidr = { .addr = *addr };
	char text[64];
	unsigned v4 = suggest->options->prefix4, v6 = suggest->options->prefix6;

	cidr.prefixlen = bh_addr_is4(addr) ? BH_V4_PREFIX + v4 : v6;
	// Printed and read again: that masks host bits.
	if (cidr_parse(cidr_format(&cidr, text, sizeof(text)), &cidr) < 0)
		cidr.prefixlen = 128;
	return cidr;
}

static int compare_allowed(const void *a, const void *b)
{
	const struct allowed *x = a, *y = b;

	if (x->group && y->group)
		return x->group->place < y->group->place ? -1 : x->group->place > y->group->place;
	if (x->group || y->group)
		return x->group ? -1 : 1;
	return memcmp(&x->cidr.addr, &y->cidr.addr, sizeof(x->cidr.addr)) ?:
		       (int)x->cidr.prefixlen - (int)y->cidr.prefixlen;
}

// Before they are put together by peer.
struct pair {
	struct allowed peer; // its ports are unused
	uint32_t port;
};

static int compare_pairs(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int order = compare_allowed(&x->peer, &y->peer);

	return order ? order : x->port < y->port ? -1 : x->port > y->port;
}

static struct pair pair_of(const struct suggest *suggest, const struct tuple *tuple)
{
	struct pair pair = { .peer.group = tuple->peer ? tuple->peer->group : NULL };

	if (!tuple->peer)
		pair.peer.cidr = block_of(suggest, &tuple->addr);
	if (proto_has_ports(tuple->proto))
		pair.port = (uint32_t)tuple->proto << 16 | tuple->port;
	return pair;
}

// Sorted pairs: a peer's stand together, its 0 first, which says all.
static int add_pair(struct allowed_list *list, const struct pair *pair)
{
	struct allowed *last = list->v.n ? &list->v.v[list->v.n - 1] : NULL;

	if (!last || compare_allowed(last, &pair->peer)) {
		if (vec_push(&list->v, pair->peer) < 0)
			return -ENOMEM;
		last = &list->v.v[list->v.n - 1];
	} else if (last->ports.v[0] == 0 || last->ports.v[last->ports.n - 1] == pair->port) {
		return 0;
	}
	return vec_push(&last->ports, pair->port);
}

static int collect(const struct suggest *suggest, const struct group *group, enum bh_dir dir, struct allowed_list *list)
{
	VEC(struct pair) pairs = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < suggest->tuples.n; i++) {
		const struct tuple *tuple = suggest->tuples.v[i];

		if (tuple->self->group == group && tuple->dir == dir && tuple->fate == FATE_COVERED)
			r = vec_push(&pairs, pair_of(suggest, tuple));
	}
	vec_sort(&pairs, compare_pairs);
	for (size_t i = 0; r == 0 && i < pairs.n; i++)
		r = add_pair(list, &pairs.v[i]);
	vec_fini(&pairs);
	return r;
}

// ---- as JSON -------------------------------------------------------------------------------------------------------

static struct json_object *port_json(uint32_t port)
{
	struct json_object *json = json_object_new_object();

	put_text(json, "protocol", protocol_name((uint8_t)(port >> 16)));
	put_number(json, "port", port & 0xffff);
	return json;
}

static struct json_object *peer_json(const struct allowed *allowed)
{
	struct json_object *json = json_object_new_object(), *part = json_object_new_object();
	char text[64];

	if (!allowed->group) {
		put_text(part, "cidr", cidr_format(&allowed->cidr, text, sizeof(text)));
		put(json, "ipBlock", part);
		return json;
	}
	put_text(part, "kubernetes.io/metadata.name", allowed->group->ns);
	put(json, "namespaceSelector", json_object_new_object());
	put(json_object_object_get(json, "namespaceSelector"), "matchLabels", part);
	put(json, "podSelector", group_selector(allowed->group));
	return json;
}

static bool same_ports(const struct allowed *a, const struct allowed *b)
{
	return a->ports.n == b->ports.n && !memcmp(a->ports.v, b->ports.v, a->ports.n * sizeof(*a->ports.v));
}

static bool stood_before(const struct allowed_list *list, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (same_ports(&list->v.v[i], &list->v.v[at]))
			return true;
	}
	return false;
}

// Peers of the same ports share a rule.
static struct json_object *rule_json(const struct allowed_list *list, size_t first, const char *peers_field)
{
	const struct allowed *model = &list->v.v[first];
	struct json_object *json = json_object_new_object(), *peers = json_object_new_array();
	struct json_object *ports = json_object_new_array();

	for (size_t i = first; i < list->v.n; i++) {
		if (same_ports(&list->v.v[i], model))
			json_object_array_add(peers, peer_json(&list->v.v[i]));
	}
	put(json, peers_field, peers);
	for (size_t i = 0; model->ports.v[0] && i < model->ports.n; i++)
		json_object_array_add(ports, port_json(model->ports.v[i]));
	if (model->ports.v[0])
		put(json, "ports", ports);
	else
		json_object_put(ports);
	return json;
}

static int put_rules(const struct suggest *suggest, const struct group *group, enum bh_dir dir, struct json_object *spec)
{
	_cleanup_(allowed_list_fini) struct allowed_list list = { 0 };
	struct json_object *rules;

	if (collect(suggest, group, dir, &list) < 0)
		return -ENOMEM;
	rules = json_object_new_array();
	for (size_t i = 0; i < list.v.n; i++) {
		if (!stood_before(&list, i))
			json_object_array_add(rules, rule_json(&list, i, dir == BH_EGRESS ? "to" : "from"));
	}
	put(spec, dir == BH_EGRESS ? "egress" : "ingress", rules);
	return 0;
}

static struct json_object *metadata_json(const struct suggest *suggest, const struct group *group)
{
	struct json_object *json = json_object_new_object(), *annotations;

	put_text(json, "name", group->policy);
	put_text(json, "namespace", group->ns);
	if (suggest->options->audit) {
		annotations = json_object_new_object();
		put_text(annotations, "bulkhead.io/audit", "true");
		put(json, "annotations", annotations);
	}
	return json;
}

static int policy_json(const struct suggest *suggest, const struct group *group, struct json_object **ret)
{
	_cleanup_json_ struct json_object *json = json_object_new_object();
	struct json_object *spec = json_object_new_object(), *types = json_object_new_array();
	int r;

	put_text(json, "apiVersion", object_kind(KIND_NETPOL)->api_version);
	put_text(json, "kind", object_kind(KIND_NETPOL)->name);
	put(json, "metadata", metadata_json(suggest, group));
	put(json, "spec", spec);
	put(spec, "podSelector", group_selector(group));
	json_object_array_add(types, json_object_new_string("Ingress"));
	json_object_array_add(types, json_object_new_string("Egress"));
	put(spec, "policyTypes", types);
	r = put_rules(suggest, group, BH_INGRESS, spec);
	if (r == 0)
		r = put_rules(suggest, group, BH_EGRESS, spec);
	if (r == 0)
		*ret = TAKE_PTR(json);
	return r;
}

bool group_has_policy(const struct suggest *suggest, const struct group *group)
{
	return !group->into && group->told && suggest_wants(suggest, group->ns);
}

int suggest_rules(struct suggest *suggest, struct json_object **ret)
{
	_cleanup_json_ struct json_object *policies = json_object_new_array();

	for (size_t i = 0; i < suggest->groups.n; i++) {
		const struct group *group = suggest->groups.v[i];
		struct json_object *policy = NULL;

		if (!group_has_policy(suggest, group))
			continue;
		if (policy_json(suggest, group, &policy) < 0)
			return -ENOMEM;
		json_object_array_add(policies, policy);
	}
	*ret = TAKE_PTR(policies);
	return 0;
}
