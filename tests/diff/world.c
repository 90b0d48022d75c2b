// SPDX-License-Identifier: Apache-2.0
// world.c - namespaces, nodes and pods; the policies are in world_policy.c.
#include "tests/diff/world.h"

#include <stdio.h>
#include <string.h>

#include "tests/diff/world_private.h"

static const char *const namespaces[WORLD_NAMESPACES] = { "a", "b", "c", "d" };
static const char *const keys[] = { "app", "tier", "env" };
static const char *const values[] = { "x", "y", "z", "" };
const char *const world_port_names[] = { "web", "dns", "db", "other" };
const uint16_t world_ports[] = { 1, 22, 53, 80, 81, 443, 8080, 8081, 9000, 65535 };
const char *const world_protocols[] = { "TCP", "UDP", "SCTP" };
const char *const world_cidrs[2][WORLD_CIDRS] = {
	{ "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/24", "10.1.0.4/30", "10.1.0.5/32",
	  "10.2.0.0/16", "10.2.0.0/28", "10.2.0.8/29", "192.168.0.0/16", "192.168.7.2/32",
	  "203.0.113.0/24", "203.0.113.128/25", "10.1.0.0/25" },
	{ "::/0", "fd00::/8", "fd00:1::/32", "fd00:1::/120", "fd00:1::4/126", "fd00:1::5/128",
	  "fd00:2::/32", "fd00:2::/124", "fd00:2::8/125", "fd00:7::/32", "fd00:7::2/128",
	  "2001:db8::/32", "2001:db8:8000::/33", "fd00:1::/121" },
};

// ---- names and addresses ----------------------------------------------------------------------------------------

const char *world_pod_ns(unsigned pod)
{
	return namespaces[pod % WORLD_NAMESPACES];
}

const char *world_pod_name(unsigned pod, char buf[static 16])
{
	snprintf(buf, 16, "p%u", pod);
	return buf;
}

static struct bh_addr addr_of(const char *text)
{
	struct bh_addr addr = { 0 };

	addr_parse(text, &addr);
	return addr;
}

struct bh_addr world_pod_addr(unsigned pod, unsigned turn, int family)
{
	bool local = pod < WORLD_LOCAL;
	unsigned number = local ? pod + 2 : (pod - WORLD_LOCAL) * 2 + turn + 1;
	char text[64];

	snprintf(text, sizeof(text), family ? "fd00:%u::%x" : "10.%u.0.%u", local ? 1 : 2, number);
	return addr_of(text);
}

struct bh_addr world_node_addr(unsigned node, int family)
{
	char text[64];

	snprintf(text, sizeof(text), family ? "fd00:7::%x" : "192.168.7.%u", node + 2);
	return addr_of(text);
}

uint16_t world_some_port(struct rng *rng)
{
	uint16_t port = rng_pick(rng, world_ports);

	if (rng_chance(rng, 30))
		port = (uint16_t)(port + rng_below(rng, 3) - 1);
	return port ? port : 2;
}

// An address in, or just outside of, a prefix.
static struct bh_addr near_cidr(struct rng *rng, int family)
{
	struct bh_cidr cidr;
	struct bh_addr addr;
	uint32_t last;

	cidr_parse(world_cidrs[family][1 + rng_below(rng, WORLD_CIDRS - 1)], &cidr);
	addr = cidr.addr;
	last = be32toh(addr.w[3]);
	if (cidr.prefixlen > 96 && rng_chance(rng, 60)) // its last address, or the one behind
		last += (uint32_t)((1ull << (128 - cidr.prefixlen)) - rng_below(rng, 2));
	else
		last += (uint32_t)rng_below(rng, 300);
	addr.w[3] = htobe32(last);
	return addr;
}

struct bh_addr world_some_addr(struct rng *rng, int family)
{
	size_t kind = rng_below(rng, 13);

	if (kind < 5)
		return world_pod_addr((unsigned)rng_below(rng, WORLD_PODS),
				      (unsigned)rng_below(rng, 2), family);
	if (kind == 5)
		return world_node_addr((unsigned)rng_below(rng, WORLD_NODES), family);
	if (kind >= 10) // the last one is an external address
		return world_service_addr((unsigned)rng_below(rng, WORLD_SERVICES + 1), family);
	return near_cidr(rng, family);
}

// ---- JSON -------------------------------------------------------------------------------------------------------

struct json_object *world_text(const char *text)
{
	return json_object_new_string(text);
}

struct json_object *world_put(struct json_object *json, const char *field,
			      struct json_object *value)
{
	json_object_object_add(json, field, value);
	return value;
}

struct json_object *world_get(struct json_object *json, const char *field)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(json, field, &value);
	return value;
}

struct json_object *world_put_object(struct json_object *json, const char *field)
{
	return world_put(json, field, json_object_new_object());
}

struct json_object *world_put_array(struct json_object *json, const char *field)
{
	return world_put(json, field, json_object_new_array());
}

struct json_object *world_add_object(struct json_object *array)
{
	struct json_object *json = json_object_new_object();

	json_object_array_add(array, json);
	return json;
}

static struct json_object *head(const struct world_item *item)
{
	const struct kind_ops *kind = object_kind(item->kind);
	struct json_object *json = json_object_new_object(), *metadata;

	world_put(json, "apiVersion", world_text(kind->api_version));
	world_put(json, "kind", world_text(kind->name));
	metadata = world_put_object(json, "metadata");
	world_put(metadata, "name", world_text(item->name));
	if (item->ns)
		world_put(metadata, "namespace", world_text(item->ns));
	return json;
}

void world_labels(struct rng *rng, struct json_object *json, const char *field)
{
	struct json_object *labels = world_put_object(json, field);

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (rng_chance(rng, 60))
			world_put(labels, keys[i], world_text(rng_pick(rng, values)));
}

static void add_expression(struct rng *rng, struct json_object *array)
{
	static const char *const ops[] = { "In", "NotIn", "Exists", "DoesNotExist" };
	struct json_object *term = world_add_object(array), *list;
	size_t op = rng_below(rng, ARRAY_SIZE(ops));

	world_put(term, "key", world_text(rng_pick(rng, keys)));
	world_put(term, "operator", world_text(ops[op]));
	if (op > 1)
		return;
	list = world_put_array(term, "values");
	for (size_t i = rng_below(rng, 2) + 1; i > 0; i--)
		json_object_array_add(list, world_text(rng_pick(rng, values)));
}

void world_selector(struct rng *rng, struct json_object *json, const char *field)
{
	struct json_object *selector = world_put_object(json, field);

	if (rng_chance(rng, 25))
		return;
	if (rng_chance(rng, 60)) {
		struct json_object *labels = world_put_object(selector, "matchLabels");

		world_put(labels, rng_pick(rng, keys), world_text(rng_pick(rng, values)));
	}
	if (rng_chance(rng, 40))
		add_expression(rng, world_put_array(selector, "matchExpressions"));
}

// ---- objects ----------------------------------------------------------------------------------------------------

static void add_addr(struct json_object *array, const char *field, const struct bh_addr *addr)
{
	struct json_object *json = world_add_object(array);
	char text[64];

	world_put(json, field, world_text(addr_format(addr, text, sizeof(text))));
	if (!strcmp(field, "address"))
		world_put(json, "type", world_text("InternalIP"));
}

struct json_object *world_containers(struct rng *rng)
{
	struct json_object *containers = json_object_new_array();
	struct json_object *container = world_add_object(containers);
	struct json_object *array;

	world_put(container, "name", world_text("main"));
	array = world_put_array(container, "ports");
	for (size_t i = 0; i < ARRAY_SIZE(world_port_names) - 1; i++) {
		struct json_object *port;

		if (!rng_chance(rng, 60))
			continue;
		port = world_add_object(array);
		world_put(port, "name", world_text(world_port_names[i]));
		world_put(port, "containerPort", json_object_new_int(rng_pick(rng, world_ports)));
		world_put(port, "protocol", world_text(rng_pick(rng, world_protocols)));
		if (rng_chance(rng, 15))
			world_put(port, "hostPort", json_object_new_int(world_node_port(rng)));
	}
	return containers;
}

static struct json_object *roll_pod(struct rng *rng, const struct world_item *item)
{
	bool local = item->index < WORLD_LOCAL, host = !local && rng_chance(rng, 8);
	struct json_object *json = head(item), *spec, *status, *ips;
	unsigned turn = local ? 0 : (unsigned)rng_below(rng, 2);

	json_object_object_get_ex(json, "metadata", &spec);
	world_labels(rng, spec, "labels");
	spec = world_put_object(json, "spec");
	world_put(spec, "nodeName", world_text(local ? "n0" : "n1"));
	if (host)
		world_put(spec, "hostNetwork", json_object_new_boolean(true));
	world_put(spec, "containers", world_containers(rng));
	status = world_put_object(json, "status");
	world_put(status, "phase",
		  world_text(!local && rng_chance(rng, 8) ? "Succeeded" : "Running"));
	ips = world_put_array(status, "podIPs");
	for (int family = 0; family < 2; family++) {
		struct bh_addr addr = host ? world_node_addr(1, family) :
					     world_pod_addr(item->index, turn, family);

		add_addr(ips, "ip", &addr);
	}
	return json;
}

static struct json_object *roll_node(struct rng *rng, const struct world_item *item)
{
	struct json_object *json = head(item), *metadata, *array;

	json_object_object_get_ex(json, "metadata", &metadata);
	world_labels(rng, metadata, "labels");
	array = world_put_array(world_put_object(json, "status"), "addresses");
	for (int family = 0; family < 2; family++) {
		struct bh_addr addr = world_node_addr(item->index, family);

		add_addr(array, "address", &addr);
	}
	return json;
}

static struct json_object *roll_namespace(struct rng *rng, const struct world_item *item)
{
	struct json_object *json = head(item), *metadata;

	json_object_object_get_ex(json, "metadata", &metadata);
	world_labels(rng, metadata, "labels");
	json_object_object_get_ex(metadata, "labels", &metadata);
	if (rng_chance(rng, 10))
		world_put(metadata, "bulkhead.io/audit", world_text("true"));
	return json;
}

// ---- the world --------------------------------------------------------------------------------------------------

static const struct {
	enum kind kind;
	unsigned n;
	const char *prefix;
	unsigned absent; // percent
} sections[] = {
	{ KIND_NAMESPACE, WORLD_NAMESPACES, "", 0 },
	{ KIND_NODE, WORLD_NODES, "n", 0 },
	{ KIND_POD, WORLD_PODS, "p", 20 },
	{ KIND_NETPOL, WORLD_NETPOLS, "np", 40 },
	{ KIND_CLUSTERNETPOL, WORLD_CLUSTERNETPOLS, "cnp", 55 },
	{ KIND_SERVICE, WORLD_SERVICES, "s", 15 },
	{ KIND_ENDPOINTSLICE, WORLD_SLICES, "es", 40 },
};

void world_init(struct world *world)
{
	struct world_item *item = world->items;

	memset(world, 0, sizeof(*world));
	for (size_t s = 0; s < ARRAY_SIZE(sections); s++) {
		for (unsigned i = 0; i < sections[s].n; i++, item++) {
			item->kind = sections[s].kind;
			item->index = i;
			if (item->kind == KIND_NAMESPACE)
				snprintf(item->name, sizeof(item->name), "%s", namespaces[i]);
			else
				snprintf(item->name, sizeof(item->name), "%s%u", sections[s].prefix,
					 i);
			if (object_kind(item->kind)->namespaced)
				item->ns = namespaces[i % WORLD_NAMESPACES];
		}
	}
}

void world_fini(struct world *world)
{
	for (size_t i = 0; i < WORLD_ITEMS; i++)
		json_object_put(world->items[i].json);
}

static bool rolls_away(struct rng *rng, const struct world_item *item)
{
	if (item->kind == KIND_POD && item->index < WORLD_LOCAL)
		return false;
	for (size_t s = 0; s < ARRAY_SIZE(sections); s++)
		if (sections[s].kind == item->kind)
			return rng_chance(rng, sections[s].absent);
	return false;
}

static struct json_object *policy_head(struct rng *rng, const struct world_item *item)
{
	struct json_object *json = head(item), *metadata;

	json_object_object_get_ex(json, "metadata", &metadata);
	if (rng_chance(rng, 10))
		world_put(world_put_object(metadata, "annotations"), "bulkhead.io/audit",
			  world_text("true"));
	return json;
}

static struct json_object *roll(struct rng *rng, const struct world_item *item)
{
	switch (item->kind) {
	case KIND_NAMESPACE:
		return roll_namespace(rng, item);
	case KIND_NODE:
		return roll_node(rng, item);
	case KIND_POD:
		return roll_pod(rng, item);
	case KIND_SERVICE:
		return world_service(rng, head(item), item->index);
	case KIND_ENDPOINTSLICE:
		return world_slice(rng, head(item), item->index);
	case KIND_NETPOL:
		return world_netpol(rng, policy_head(rng, item));
	default:
		return world_clusternetpol(rng, policy_head(rng, item), item->index);
	}
}

void world_roll(struct world *world, struct rng *rng, size_t index)
{
	struct world_item *item = &world->items[index];

	json_object_put(item->json);
	item->json = rolls_away(rng, item) ? NULL : roll(rng, item);
	item->changed = true;
}

void world_settle(struct world *world)
{
	for (size_t i = 0; i < WORLD_ITEMS; i++)
		world->items[i].changed = false;
}
