// SPDX-License-Identifier: Apache-2.0
// shape.h - clusters of a given size, made of JSON texts: what the measurements of scale are run on.
//
// World: host, benchmark. Pure: yes. Owns: nothing. Same shape, same objects.
#pragma once

#include "agent/object/object.h"

#define SHAPE_NODE_PODS 110 // what a node runs at most by default
#define SHAPE_TEXT_BYTES 2048 // an object's text fits

// mixed: own-namespace, label, block and named-port peers, a default deny, DNS; one namespace in ten lets
// every pod of the cluster in. Else as published by Antrea for its own controller ("small namespaces"): a
// default deny and two policies whose selected pods let in pods of the same label.
struct shape {
	const char *name;
	uint32_t pods, pods_per_ns;
	bool mixed;
};

#define SHAPE_POLICIES_PER_NS 3

const struct shape *shape_find(const char *name); // "1k", "10k", "50k", "100k", "antrea"; NULL: none

uint32_t shape_namespaces(const struct shape *shape);
uint32_t shape_nodes(const struct shape *shape);
uint32_t shape_policies(const struct shape *shape);

// One object's text. version changes what policies read of it: a pod's role, a policy's port, a namespace's team;
// 0 is what the cluster begins with.
void shape_ns(const struct shape *shape, uint32_t i, uint32_t version, char *text);
void shape_node(const struct shape *shape, uint32_t i, char *text);
void shape_pod(const struct shape *shape, uint32_t i, uint32_t version, char *text);
void shape_policy(const struct shape *shape, uint32_t i, uint32_t version, char *text);

// Every object: namespaces, nodes, pods, policies. Stops when fn returns non-zero, and returns that.
int shape_each(const struct shape *shape, int (*fn)(void *arg, enum kind kind, const char *text),
	       void *arg);

// Where a pod runs: of one namespace's pods each is on another node.
static inline uint32_t shape_node_of(const struct shape *shape, uint32_t pod)
{
	return pod % shape_nodes(shape);
}
static inline uint32_t shape_ns_of(const struct shape *shape, uint32_t pod)
{
	return pod / shape->pods_per_ns;
}
