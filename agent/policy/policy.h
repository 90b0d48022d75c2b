// SPDX-License-Identifier: Apache-2.0
// policy.h - the compiler: from the store's objects to peer classes, port classes and matrices.
//
// World: host, one thread. Pure: no I/O, no clock, no logging. Borrows: the store, for its whole life.
// Owns: everything compiled. The simulator, the agent and the tests use it unchanged.
//
// Words. A *peer atom* is one rule's whole peer list (or its part for one meaning of a named port); an
// address's *signature* is the set of atoms that match it; a *peer class* is an id for a signature. A
// *port atom* is one rule's resolved port list; a *port class* likewise. A *matrix* is one direction of one
// compiled policy; pods whose compiled rules are equal share it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/abi.h>
#include <bulkhead/addr.h>
#include <bulkhead/policy.h>

#include "agent/policy/plan.h"
#include "agent/store/store.h"

struct policy;

struct policy_limits { // 0: the default of bulkhead/abi.h
	uint32_t endpoints, peers, cidrs, peer_classes, port_classes, policies;
	uint32_t dense_cells, dense_total, sparse_cells;
	uint32_t services, selves;
	uint32_t object_share; // share of a table one policy object may use, in percent (25)
	uint32_t namespace_share; // same for one namespace (25)
	// Processors may let a program's loads overtake each other: always so where they do, else by this (tests).
	bool loads_reorder;
	bool audit; // every policy is in audit mode: compiled, and nothing is denied by it
};

int policy_new(const struct store *store, const struct policy_limits *limits, struct policy **ret);
void policy_free(struct policy *policy);
DEFINE_CLEANUP(struct policy *, policy_free)

// What the store says (it is the caller's store subscriber): marks what the change can touch. Cheap; the
// work is policy_compile()'s.
void policy_changed(struct policy *policy, const struct object *before, const struct object *after);

// Which pods are endpoints of this node. The pod object may be missing from the store still (then it is
// judged by deny-all in both directions). slot < limits.endpoints. 0, -EEXIST, -ENOSPC.
int policy_endpoint_add(struct policy *policy, const char *ns, const char *name, uint32_t slot);
int policy_endpoint_remove(struct policy *policy, uint32_t slot);

// The name of the own Node (NULL: not known): what is at its status addresses passes the NetworkPolicy tier, as
// a Service's backend too.
void policy_set_node(struct policy *policy, const char *name);

// Takes over tables found in the kernel, before the first policy_compile(): what the tables hold is the
// old state of the first plan, ids are kept where the content is the same, and a matrix whose content is
// what would be compiled now keeps its id and generation. (struct policy_tables: plan.h)
int policy_adopt(struct policy *policy, const struct policy_tables *tables);

// Compiles everything marked. *ret is a plan (maybe of no steps) that must be run to its end before the
// next policy_compile(). A policy over its share is not an error: it is refused (see
// policy_problem_each) and contributes its isolation. When memory runs out in the middle the process
// ends (see must.h): the tables keep enforcing and are adopted at the next start.
int policy_compile(struct policy *policy, struct plan **ret);

// True when an endpoint needs no judging in either direction: its programs may be the open variant.
bool policy_endpoint_open(const struct policy *policy, uint32_t slot);

// Rules that no matrix holds any more but records may: so many stay known.
#define POLICY_RETIRED_MAX 65536

// ---- asking ---------------------------------------------------------------------------------------------------

// What a rule id says. Names are borrowed until the next policy_compile(); retired rules stay known
// while POLICY_RETIRED_MAX allows.
enum rule_kind {
	RULE_NONE, // no policy isolates: allowed
	RULE_NETPOL, // a rule of a NetworkPolicy allows
	RULE_CLUSTERNETPOL, // a rule of a ClusterNetworkPolicy decides
	RULE_DEFAULT_DENY, // policies[] isolate and none of their rules matched
	RULE_UNKNOWN, // deny-all before the pod is known, and ids that nobody remembers
};

struct rule_info {
	enum rule_kind kind;
	enum bh_dir dir;
	enum tier tier; // RULE_CLUSTERNETPOL
	enum action action; // RULE_CLUSTERNETPOL
	uint32_t npolicies;
	const char **policies; // "ns/name" or "name"; one for a rule, all isolating ones for a default deny
	uint32_t index; // of the rule in the policy's list
	const char *name; // CNP rule name, may be NULL
};
bool policy_rule_info(const struct policy *policy, uint32_t rule, struct rule_info *ret); // false: unknown

// One line for people: "NetworkPolicy shop/web-ingress rule 0", "default deny (shop/default-deny, shop/x)",
// "ClusterNetworkPolicy baseline rule 2 'no-egress'", "no policy". Returns buf.
const char *policy_rule_text(const struct policy *policy, uint32_t rule, char *buf, size_t bytes);

// Verdict of the compiled matrices for one endpoint and direction. The remote is an address (host order
// port). as_node: the remote is the pod's own node (design 3.3). *ret as the datapath would store it. What a pod
// sends to a Service's address and port is judged on its backends (policy_service_find()); of the own node's, those of
// NodePorts and hostPorts, too. BH_REASON_SERVICE_MIXED: some backends are allowed, some are not.
enum bh_reason policy_eval(const struct policy *policy, uint32_t slot, enum bh_dir dir,
			   const struct bh_addr *remote, uint8_t proto, uint16_t port, bool as_node,
			   struct bh_judgement *ret);

// The class under which an address is known, BH_CLASS_NONE: none; and the row of a class in the matrix that judges an
// endpoint, BH_ROW_NONE: none, which is denied. Addresses of one row are judged alike on every port, Services apart: who asks
// about many need ask about one of each.
uint32_t policy_peer_class(const struct policy *policy, const struct bh_addr *addr);
uint32_t policy_row(const struct policy *policy, uint32_t slot, enum bh_dir dir, uint32_t cls);

// What an address and port (host order) lead to; false: to nothing but themselves.
struct policy_service {
	enum kind kind; // KIND_SERVICE, or KIND_POD of a hostPort; of several that claim it the first
	const char *ns, *name;
	const char *port; // the Service port's name, may be NULL
	bool any; // the key is one of every address of this node
	uint32_t nbackends;
};
bool policy_service_find(const struct policy *policy, const struct bh_addr *addr, uint8_t proto,
			 uint16_t port, bool as_node, struct policy_service *ret);

// Its backends, and what each alone is judged as for an endpoint.
typedef void (*policy_backend_fn)(void *arg, const struct bh_addr *addr, uint16_t port,
				  enum bh_reason reason, const struct bh_judgement *judgement);
void policy_backend_each(const struct policy *policy, uint32_t slot, const struct bh_addr *addr,
			 uint8_t proto, uint16_t port, bool as_node, policy_backend_fn fn, void *arg);

// Policies that are not enforced as written, and why (invalid, over a share).
typedef void (*policy_problem_fn)(void *arg, enum kind kind, const char *ns, const char *name,
				  const char *text);
void policy_problem_each(const struct policy *policy, policy_problem_fn fn, void *arg);

// Which policies select an endpoint, in evaluation order (endpoint get, policy show).
typedef void (*policy_selecting_fn)(void *arg, const struct object *object);
void policy_selecting_each(const struct policy *policy, uint32_t slot, enum bh_dir dir,
			   policy_selecting_fn fn, void *arg);

struct policy_stats {
	uint32_t endpoints, peer_classes, port_classes, peers, cidrs, matrices, rules;
	uint64_t matrix_bytes, sparse_cells;
	uint64_t compiles;
	uint32_t services; // that lead somewhere else than to themselves
	uint32_t service_keys, selves; // elements of bh_service, of bh_self
	uint32_t mixed; // of the keys, for some pod of this node
	uint64_t lookups; // addresses and prefixes that were asked what matches them, since the start
};
void policy_stats(const struct policy *policy, struct policy_stats *ret);
