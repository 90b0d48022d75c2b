// SPDX-License-Identifier: Apache-2.0
// rig.h - a cluster of network namespaces: nodes, their pods, and the world outside.
//
// World: host, tests. Pure: no. Owns: its namespaces and everything in them.
//
//	pod eth0 ---- v<id> node up ---- n<id> hub        one /32 or /128 route per pod, neighbours are static
//
// The hub is the namespace that the rig is made in: it routes between the nodes and holds the addresses
// outside. Nodes and pods that two states share are kept from one to the next; a node that a state
// lacks stays and waits for the next that has it.
#pragma once

#include "agent/sim/cases.h"
#include "tests/conformance/probe.h"

#define RIG_NODES_MAX 32
#define RIG_DEFAULT_NODE "node" // of pods whose case names none

struct rig_node {
	char name[256];
	unsigned id;
	bool active; // the present state has it
	size_t npods;
	int netns, nl;
	struct bh_addr addrs[2]; // by family; all 0: the state gives it none
	struct probe_end end;
};

struct rig;

int rig_new(struct rig **ret, struct err *reterr);
void rig_free(struct rig *rig);
DEFINE_CLEANUP(struct rig *, rig_free)

// Makes the nodes and pods of a state. Every new one is tried: what leaves it must reach the hub and the
// other way round, in each of its families, since nobody judges it yet. prober NULL: they are not tried.
int rig_set(struct rig *rig, struct prober *prober, const struct sim_case *c, struct err *reterr);

size_t rig_nodes(const struct rig *rig);
struct rig_node *rig_node(struct rig *rig, size_t index);

// What an end of an expectation stands for in one family (0 IPv4, 1 IPv6). An address outside is added
// to the hub. 0: *ret and *retaddr; 1: the end has no address of this family; -errno.
int rig_end(struct rig *rig, const struct sim_case *c, const char *text, int family,
	    struct probe_end **ret, struct bh_addr *retaddr, struct err *reterr);
