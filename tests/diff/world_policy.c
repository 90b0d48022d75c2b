// SPDX-License-Identifier: Apache-2.0
// world_policy.c - random NetworkPolicies and ClusterNetworkPolicies.
#include <string.h>

#include "tests/diff/world_private.h"

static const char *const gress[] = { "ingress", "egress" };
static const char *const gress_types[] = { "Ingress", "Egress" };
static const char *const gress_peers[] = { "from", "to" };

// ---- NetworkPolicy ----------------------------------------------------------------------------------------------

static bool is_inside(const struct bh_cidr *inner, const struct bh_cidr *outer)
{
	return inner->prefixlen > outer->prefixlen && cidr_contains(outer, &inner->addr);
}

static void add_block(struct rng *rng, struct json_object *peer)
{
	struct json_object *block = world_put_object(peer, "ipBlock"), *excepts = NULL;
	int family = (int)rng_below(rng, 2);
	const char *text = rng_pick(rng, world_cidrs[family]);
	struct bh_cidr cidr, except;

	world_put(block, "cidr", world_text(text));
	cidr_parse(text, &cidr);
	for (size_t i = 0; i < WORLD_CIDRS; i++) {
		cidr_parse(world_cidrs[family][i], &except);
		if (!is_inside(&except, &cidr) || !rng_chance(rng, 20))
			continue;
		if (!excepts)
			excepts = world_put_array(block, "except");
		json_object_array_add(excepts, world_text(world_cidrs[family][i]));
	}
}

static void add_peer(struct rng *rng, struct json_object *array)
{
	struct json_object *peer = world_add_object(array);
	size_t kind = rng_below(rng, 4);

	if (kind == 0) {
		add_block(rng, peer);
		return;
	}
	if (kind != 1)
		world_selector(rng, peer, "namespaceSelector");
	if (kind != 2)
		world_selector(rng, peer, "podSelector");
}

static void add_port(struct rng *rng, struct json_object *array)
{
	struct json_object *port = world_add_object(array);
	uint16_t number = rng_pick(rng, world_ports);
	size_t kind = rng_below(rng, 10);

	if (rng_chance(rng, 80))
		world_put(port, "protocol", world_text(rng_pick(rng, world_protocols)));
	if (kind < 2)
		return; // every port of the protocol
	if (kind < 5) {
		world_put(port, "port", world_text(rng_pick(rng, world_port_names)));
		return;
	}
	world_put(port, "port", json_object_new_int(number));
	if (kind == 9)
		world_put(port, "endPort",
			  json_object_new_int(number + (int)rng_below(rng, 65536u - number)));
}

static void add_rules(struct rng *rng, struct json_object *spec, int dir)
{
	struct json_object *rules = world_put_array(spec, gress[dir]);

	for (size_t n = rng_below(rng, 4); n > 0; n--) {
		struct json_object *rule = world_add_object(rules), *array;

		if (rng_chance(rng, 85)) {
			array = world_put_array(rule, gress_peers[dir]);
			for (size_t i = rng_below(rng, 3) + 1; i > 0; i--)
				add_peer(rng, array);
		}
		if (rng_chance(rng, 70)) {
			array = world_put_array(rule, "ports");
			for (size_t i = rng_below(rng, 3) + 1; i > 0; i--)
				add_port(rng, array);
		}
	}
}

struct json_object *world_netpol(struct rng *rng, struct json_object *json)
{
	struct json_object *spec = world_put_object(json, "spec"), *types;

	world_selector(rng, spec, "podSelector");
	if (rng_chance(rng, 80)) {
		types = world_put_array(spec, "policyTypes");
		for (int dir = 0; dir < 2; dir++)
			if (rng_chance(rng, 60))
				json_object_array_add(types, world_text(gress_types[dir]));
	}
	for (int dir = 0; dir < 2; dir++)
		if (rng_chance(rng, 75))
			add_rules(rng, spec, dir);
	return json;
}

// ---- ClusterNetworkPolicy ---------------------------------------------------------------------------------------

// {"namespaces": selector} or {"pods": {both selectors}}.
static void put_pods(struct rng *rng, struct json_object *json)
{
	struct json_object *pods;

	if (rng_chance(rng, 50)) {
		world_selector(rng, json, "namespaces");
		return;
	}
	pods = world_put_object(json, "pods");
	world_selector(rng, pods, "namespaceSelector");
	world_selector(rng, pods, "podSelector");
}

static void add_cluster_peer(struct rng *rng, struct json_object *array, int dir)
{
	struct json_object *peer = world_add_object(array), *list;
	size_t kind = dir ? rng_below(rng, 6) : 0;

	if (kind < 3) {
		put_pods(rng, peer);
		return;
	}
	if (kind == 3) {
		world_selector(rng, peer, "nodes");
		return;
	}
	list = world_put_array(peer, "networks");
	for (size_t i = rng_below(rng, 3) + 1; i > 0; i--)
		json_object_array_add(list,
				      world_text(rng_pick(rng, world_cidrs[rng_below(rng, 2)])));
}

static void add_cluster_port(struct rng *rng, struct json_object *array, bool may_name)
{
	static const char *const fields[] = { "tcp", "udp", "sctp" };
	struct json_object *item = world_add_object(array), *port;
	int number = rng_pick(rng, world_ports);

	if (may_name && rng_chance(rng, 25)) {
		world_put(item, "destinationNamedPort",
			  world_text(rng_pick(rng, world_port_names)));
		return;
	}
	port = world_put_object(world_put_object(item, rng_pick(rng, fields)), "destinationPort");
	if (number == 65535 || rng_chance(rng, 70)) {
		world_put(port, "number", json_object_new_int(number));
		return;
	}
	port = world_put_object(port, "range");
	world_put(port, "start", json_object_new_int(number));
	world_put(port, "end",
		  json_object_new_int(number + 1 + (int)rng_below(rng, (size_t)(65535 - number))));
}

// Networks and nodes go with no named port.
static bool has_pods_only(struct json_object *peers)
{
	for (size_t i = 0; i < json_object_array_length(peers); i++) {
		struct json_object *peer = json_object_array_get_idx(peers, i);

		if (!json_object_object_get_ex(peer, "namespaces", NULL) &&
		    !json_object_object_get_ex(peer, "pods", NULL))
			return false;
	}
	return true;
}

static void add_cluster_rules(struct rng *rng, struct json_object *spec, int dir)
{
	static const char *const actions[] = { "Accept", "Deny", "Pass" };
	struct json_object *rules = world_put_array(spec, gress[dir]);

	for (size_t n = rng_below(rng, 4); n > 0; n--) {
		struct json_object *rule = world_add_object(rules), *peers, *array;

		world_put(rule, "action", world_text(rng_pick(rng, actions)));
		peers = world_put_array(rule, gress_peers[dir]);
		for (size_t i = rng_below(rng, 2) + 1; i > 0; i--)
			add_cluster_peer(rng, peers, dir);
		if (!rng_chance(rng, 60))
			continue;
		array = world_put_array(rule, "protocols");
		for (size_t i = rng_below(rng, 3) + 1; i > 0; i--)
			add_cluster_port(rng, array, has_pods_only(peers));
	}
}

struct json_object *world_clusternetpol(struct rng *rng, struct json_object *json, unsigned index)
{
	struct json_object *spec = world_put_object(json, "spec");

	world_put(spec, "tier", world_text(rng_chance(rng, 50) ? "Admin" : "Baseline"));
	world_put(spec, "priority",
		  json_object_new_int((int)(rng_below(rng, 100) * WORLD_CLUSTERNETPOLS + index)));
	put_pods(rng, world_put_object(spec, "subject"));
	for (int dir = 0; dir < 2; dir++)
		if (rng_chance(rng, 70))
			add_cluster_rules(rng, spec, dir);
	return json;
}
