// SPDX-License-Identifier: Apache-2.0
// naive.h - a second evaluator, written from the semantics alone: it loops over every object, each time.
//
// World: host, tests. Pure: yes. Owns: nothing. Shares no line with agent/policy, so that a mistake in one is
// not made in the other.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/abi.h>
#include <bulkhead/policy.h>

#include "agent/store/store.h"

struct naive {
	const struct store *store;
	// Is this pod an endpoint of the node whose view is asked? It wins an address over other claimants.
	bool (*local)(void *arg, const struct pod *pod);
	// Is this an address of the node's own interfaces? NodePorts and hostPorts are there.
	bool (*host)(void *arg, const struct bh_addr *addr);
	void *arg;
	const char *node; // its name; NULL: not known
};

// Where a new flow of the pod goes that is sent to this address and port.
struct naive_service {
	bool is_service;
	size_t backends, selves, own_nodes; // selves: the pod itself, so often
};
struct naive_service naive_service_of(const struct naive *naive, const char *ns, const char *name,
				      const struct bh_addr *remote, uint8_t protocol, uint16_t port);

// Verdict for the pod ns/name and a new flow to (egress) or from (ingress) the remote address. port is
// the destination's. shadow: policies in audit mode count, too. A Service's address and port is judged on each of
// its backends. The own node's addresses are Services' where NodePorts and hostPorts are concerned, else judged as
// any (its exemption is the caller's).
enum bh_verdict naive_verdict(const struct naive *naive, const char *ns, const char *name,
			      enum bh_dir dir, const struct bh_addr *remote, uint8_t protocol,
			      uint16_t port, bool shadow);
