// SPDX-License-Identifier: Apache-2.0
// world_service.c - random Services and their slices: few ports, endpoints from the addresses that there are.
#include <stdio.h>

#include "tests/diff/world_private.h"

#define NODE_PORTS 3

// Port i of a Service has one name and protocol, so that its slices speak of it.
static const char *port_name(unsigned service, size_t port)
{
	return world_port_names[(service + port) % ARRAY_SIZE(world_port_names)];
}

static const char *port_protocol(unsigned service, size_t port)
{
	return world_protocols[(service + port) % 2];
}

struct bh_addr world_service_addr(unsigned service, int family)
{
	struct bh_addr addr = { 0 };
	char text[64];

	snprintf(text, sizeof(text), family ? "fd00:96::%x" : "10.96.0.%u", service + 1);
	addr_parse(text, &addr);
	return addr;
}

uint16_t world_node_port(struct rng *rng)
{
	return (uint16_t)(30000 + rng_below(rng, NODE_PORTS));
}

static void add_text(struct json_object *array, const struct bh_addr *addr)
{
	char text[64];

	json_object_array_add(array, world_text(addr_format(addr, text, sizeof(text))));
}

static void add_ports(struct rng *rng, struct json_object *json, unsigned service, bool of_service)
{
	struct json_object *array = world_put_array(json, "ports");

	for (size_t i = 0; i < 1 + rng_below(rng, 2); i++) {
		struct json_object *port = world_add_object(array);

		world_put(port, "name", world_text(port_name(service, i)));
		world_put(port, "protocol", world_text(port_protocol(service, i)));
		world_put(port, "port", json_object_new_int(rng_pick(rng, world_ports)));
		if (of_service && rng_chance(rng, 40))
			world_put(port, "nodePort", json_object_new_int(world_node_port(rng)));
	}
}

struct json_object *world_service(struct rng *rng, struct json_object *json, unsigned service)
{
	struct json_object *spec = world_put_object(json, "spec"), *array;

	if (rng_chance(rng, 10)) {
		world_put(spec, "clusterIP", world_text("None"));
	} else {
		array = world_put_array(spec, "clusterIPs");
		for (int family = 0; family < 2; family++) {
			struct bh_addr addr = world_service_addr(service, family);

			if (!family || rng_chance(rng, 70))
				add_text(array, &addr);
		}
	}
	if (rng_chance(rng, 30)) { // two may claim it, or it may be a pod's
		struct bh_addr addr =
			rng_chance(rng, 50) ?
				world_service_addr(WORLD_SERVICES, 0) :
				world_pod_addr((unsigned)rng_below(rng, WORLD_PODS), 0, 0);

		add_text(world_put_array(spec, "externalIPs"), &addr);
	}
	if (rng_chance(rng, 30))
		world_put(spec, "internalTrafficPolicy", world_text("Local"));
	add_ports(rng, spec, service, true);
	return json;
}

static void add_endpoint(struct rng *rng, struct json_object *array, int family)
{
	struct json_object *json = world_add_object(array), *conditions;
	struct bh_addr addr = world_some_addr(rng, family);

	add_text(world_put_array(json, "addresses"), &addr);
	world_put(json, "nodeName", world_text(rng_chance(rng, 50) ? "n0" : "n1"));
	conditions = world_put_object(json, "conditions");
	world_put(conditions, "ready", json_object_new_boolean(rng_chance(rng, 65)));
	world_put(conditions, "serving", json_object_new_boolean(rng_chance(rng, 60)));
	world_put(conditions, "terminating", json_object_new_boolean(rng_chance(rng, 50)));
}

struct json_object *world_slice(struct rng *rng, struct json_object *json, unsigned slice)
{
	unsigned service = slice % WORLD_SERVICES;
	int family = rng_chance(rng, 40);
	struct json_object *array;
	char name[16];

	snprintf(name, sizeof(name), "s%u", service);
	world_put(world_put_object(world_get(json, "metadata"), "labels"),
		  "kubernetes.io/service-name", world_text(name));
	world_put(json, "addressType", world_text(family ? "IPv6" : "IPv4"));
	add_ports(rng, json, service, false);
	array = world_put_array(json, "endpoints");
	for (size_t i = rng_below(rng, 4); i > 0; i--)
		add_endpoint(rng, array, family);
	return json;
}
