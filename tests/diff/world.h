// SPDX-License-Identifier: Apache-2.0
// world.h - random clusters: namespaces, nodes, pods and policies that overlap as much as they can.
//
// World: host, tests. Pure: yes. Owns: its objects' JSON.
// Words, addresses, prefixes and ports come from small sets, so that selectors match, prefixes nest and
// policies meet. Pods 0..WORLD_LOCAL-1 are this node's endpoints: they are always there, with these
// addresses; everything else changes.
#pragma once

#include <json-c/json.h>

#include "agent/object/object.h"
#include "tests/diff/rng.h"

#define WORLD_NAMESPACES 4
#define WORLD_NODES 2 // 0 is this one
#define WORLD_LOCAL 6
#define WORLD_REMOTE 8
#define WORLD_PODS (WORLD_LOCAL + WORLD_REMOTE)
#define WORLD_NETPOLS 10
#define WORLD_CLUSTERNETPOLS 8
#define WORLD_SERVICES 4 // in each namespace one, as its slices are: slice i is of Service i % WORLD_SERVICES
#define WORLD_SLICES 12
#define WORLD_ITEMS                                                                                \
	(WORLD_NAMESPACES + WORLD_NODES + WORLD_PODS + WORLD_NETPOLS + WORLD_CLUSTERNETPOLS +      \
	 WORLD_SERVICES + WORLD_SLICES)

struct world_item {
	enum kind kind;
	unsigned index; // among those of its kind
	const char *ns; // NULL: not namespaced
	char name[16];
	struct json_object *json; // NULL: not there
	bool changed; // since world_settle()
};

struct world {
	struct world_item items[WORLD_ITEMS];
};

void world_init(struct world *world);
void world_fini(struct world *world);

// Rolls an item anew, or takes it away.
void world_roll(struct world *world, struct rng *rng, size_t item);
void world_settle(struct world *world); // all changes were seen

// Addresses of a pod: `turn` 0 or 1, a pod of another node has one of two.
struct bh_addr world_pod_addr(unsigned pod, unsigned turn, int family);
struct bh_addr world_node_addr(unsigned node, int family);
struct bh_addr world_service_addr(unsigned service, int family);
const char *world_pod_ns(unsigned pod);
const char *world_pod_name(unsigned pod, char buf[static 16]);

// Addresses and ports at which rules begin and end.
struct bh_addr world_some_addr(struct rng *rng, int family);
uint16_t world_some_port(struct rng *rng);
uint16_t world_node_port(struct rng *rng);
