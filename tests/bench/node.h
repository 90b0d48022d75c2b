// SPDX-License-Identifier: Apache-2.0
// node.h - a pod whose policy the product compiled and put into tables of its own: what rules cost by their
// number and kind.
//
// World: host, benchmark; root; net_private() first. Owns: tables live as long as the process.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <bulkhead/abi.h>

enum node_rules { // what tells rules apart
	NODE_SELECTORS, // the pod that each selects: 10.64.0.0 + i
	NODE_PORTS, // the TCP port: NODE_PORT + i, from every pod
	NODE_CIDRS, // the block: 10.128.0.0/24 + i
	NODE_RULES_MAX,
};

#define NODE_POD "10.1.0.5"
#define NODE_PORT 1000

struct node_pod {
	int fd; // the program of what comes to the pod
	int half; // its table of half-open flows
	uint32_t matrix_bytes;
	uint8_t mac[6];
};

// A pod whose policies have `n` ingress rules.
void node_pod(enum node_rules rules, uint32_t n, struct node_pod *ret);
