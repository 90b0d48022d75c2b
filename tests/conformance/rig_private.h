// SPDX-License-Identifier: Apache-2.0
// rig_private.h - what rig.c, which knows what should be there, asks of rig_wire.c, which lays it.
//
// World: host, tests. Pure: no. Owns: see rig.h.
#pragma once

#include "agent/base/vec.h"
#include "tests/conformance/netlink.h"
#include "tests/conformance/rig.h"

struct rig_pod {
	char ns[64], name[256];
	unsigned id;
	struct rig_node *node;
	struct bh_addr addrs[2]; // by family; all 0: none
	int netns;
	struct probe_end end;
};

struct rig {
	int netns, nl; // of the hub
	struct bh_addr addrs[2]; // of the hub
	struct probe_end end; // the world outside
	size_t nnodes;
	struct rig_node nodes[RIG_NODES_MAX];
	VEC(struct rig_pod *) pods;
	VEC(struct bh_addr) outside;
	unsigned next_pod;
};

// Addresses that the wiring needs and no case uses.
enum wire_role {
	WIRE_HUB, // the hub's own
	WIRE_NODE, // a node's own, beside those of its Node object
	WIRE_POD_GATEWAY, // next hop of a pod's default route
	WIRE_NODE_GATEWAY, // of a node's
	WIRE_NODE_LINK, // a node as the hub's next hop
};
struct bh_addr wire_addr(int family, enum wire_role role, unsigned id);

int wire_node(struct rig *rig, struct rig_node *node, const char *name, unsigned id,
	      struct err *reterr);
// The address of its Node object; none (all 0) takes the one away that it had.
int wire_node_addr(struct rig *rig, struct rig_node *node, int family, const struct bh_addr *addr,
		   struct err *reterr);

int wire_pod(struct rig *rig, struct rig_pod *pod, struct err *reterr);
// Returns when packets pass between an end, by its addresses (one a family), and the hub; nobody may judge them yet.
int wire_try(struct rig *rig, struct prober *prober, struct probe_end *end,
	     const struct bh_addr *addrs, struct err *reterr);
int unwire_pod(struct rig *rig, struct rig_pod *pod, struct err *reterr);
void pod_free(struct rig_pod *pod);
