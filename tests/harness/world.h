// SPDX-License-Identifier: Apache-2.0
// world.h - a small random cluster: a store, changes to it, flows to ask about. Same seed, same world.
//
// World: host, tests. Pure: yes. Owns: its store and the endpoints' list.
#pragma once

#include <bulkhead/addr.h>
#include <bulkhead/abi.h>

#include "agent/base/cleanup.h"
#include "agent/store/store.h"
#include "tests/harness/naive.h"

#define WORLD_PODS 14
#define WORLD_LOCAL 6 // pods p0.. of this node, slot i is pod i
#define WORLD_NAMESPACES 3
#define WORLD_SERVICES 5
#define WORLD_SLICES 3 // of each Service
#define WORLD_OWN_NODE "n0" // the own one

struct world {
	uint64_t random;
	struct store *store;
	struct naive naive;
	uint32_t netpols, cnps; // upper bounds of their numbers
	uint64_t created;
};

struct world_flow {
	uint32_t slot;
	enum bh_dir dir;
	struct bh_addr remote;
	uint8_t proto;
	uint16_t port;
};

enum world_change { // what a change may touch
	WORLD_POLICY = 1 << 0,
	WORLD_POD = 1 << 1,
	WORLD_NAMESPACE = 1 << 2,
	WORLD_NODE = 1 << 3,
	WORLD_SERVICE = 1 << 4,
	WORLD_ANY = 31,
};

struct world *world_new(uint64_t seed, store_changed_fn fn, void *arg);
void world_free(struct world *world);
DEFINE_CLEANUP(struct world *, world_free)

uint32_t world_below(struct world *world, uint32_t n);
void world_fill(struct world *world); // namespaces, nodes, pods, some policies
void world_change(struct world *world, unsigned int kinds); // one random change of these kinds
struct world_flow world_flow(struct world *world);

bool world_is_host(const struct bh_addr *addr); // of the own node's interfaces

const char *world_pod_ns(uint32_t pod); // pod i's namespace and name
const char *world_pod_name(uint32_t pod, char buf[16]);

// Puts an object given as JSON with ' for "; fails the test if it does not parse.
void world_put(struct store *store, enum kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

enum bh_verdict world_naive(const struct world *world, const struct world_flow *flow, bool shadow);
