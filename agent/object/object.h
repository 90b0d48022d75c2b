// SPDX-License-Identifier: Apache-2.0
// object.h - Kubernetes objects, trimmed to what policy needs, parsed from JSON.
//
// World: host, one thread. Pure: yes (no I/O, no logging). Owns: each object its parts; strings are
// interned, so equal strings compare as pointers.
//
// Parsing applies the API's own defaulting (policyTypes, protocol TCP, ...), since files are not
// defaulted by a server. An object that breaks a rule is still returned where its isolation can be
// known: object.problem then says in one sentence what is wrong ("spec.ingress[0].ports[1].port: 0 is
// not in 1..65535") and the policy is trimmed as the design's section 6 says: a NetworkPolicy keeps
// podSelector and policyTypes and loses every allow; of a ClusterNetworkPolicy Accept rules vanish, Deny
// and Pass become Deny. If the selector or subject itself is unreadable, parsing fails with -EBADMSG and
// the caller keeps the object's predecessor.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/addr.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"

enum kind {
	KIND_POD,
	KIND_NAMESPACE,
	KIND_NODE,
	KIND_NETPOL,
	KIND_CLUSTERNETPOL,
	KIND_SERVICE,
	KIND_ENDPOINTSLICE,
	KIND_MAX,
};

// What differs per kind; object_kind(kind) gives it.
struct object;
struct kind_ops {
	const char *name; // "NetworkPolicy"
	const char *api_version; // "networking.k8s.io/v1"
	const char *plural; // "networkpolicies"
	bool namespaced;
	int (*parse)(struct json_object *json, struct object *object, struct err *reterr);
	void (*fini)(struct object *object);
	// Equal in everything that policy or flow records use; resourceVersion and status noise are not.
	bool (*equal)(const struct object *a, const struct object *b);
	size_t size;
};

struct object {
	enum kind kind;
	int refs;
	const char *ns; // NULL when the kind is not namespaced
	const char *name;
	const char *uid; // may be NULL (files); not interned: it stands behind the object, in the same piece of memory
	const char *problem; // malloc'd sentence or NULL: why the object is not enforced as written
};

struct label {
	const char *key;
	const char *value;
};

struct labels {
	uint32_t n;
	const struct label *v; // sorted by strcmp of key, unique keys; interned
};

enum selector_op { SELECTOR_IN, SELECTOR_NOT_IN, SELECTOR_EXISTS, SELECTOR_NOT_EXISTS };

struct selector_term {
	const char *key;
	enum selector_op op;
	uint32_t nvalues;
	const char **values; // sorted, unique
};

// All terms must hold; none: matches everything. matchLabels are lowered to IN with one value; terms
// are sorted, so equal selectors have equal terms.
struct selector {
	uint32_t nterms;
	struct selector_term *terms;
};

enum protocol { PROTOCOL_ANY = 0, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_SCTP = 132 };

struct container_port {
	const char *name;
	uint16_t port;
	uint8_t protocol;
	uint8_t pad[5]; // 0, as lists of them are interned
};

// A port of the node that leads to a container's.
struct host_port {
	struct bh_addr addr; // all 0: every address of the node
	uint16_t port, target; // target: of the container
	uint8_t protocol;
};

#define POD_ADDRS_MAX 8

struct pod {
	struct object object;
	struct labels labels;
	const char *node; // spec.nodeName, NULL: not scheduled
	const char *owner_kind; // controller's kind and name, NULL: none (for flow records)
	const char *owner_name;
	int64_t created; // metadata.creationTimestamp, seconds since 1970; 0 unknown
	struct bh_addr *addrs; // status.podIPs (or podIP)
	const struct container_port *ports; // those with a name, of containers and sidecar init containers (restartPolicy: Always)
	struct host_port *host_ports; // of the same containers
	uint16_t nports, nhost_ports;
	uint8_t naddrs;
	bool host_network;
	bool finished; // phase Succeeded or Failed
	bool lent; // addrs are not the object's own: see store_lend()
};

struct namespace_ {
	struct object object;
	struct labels labels; // kubernetes.io/metadata.name is added where it is missing
	const char *extra_addrs; // annotation bulkhead.io/allowed-addresses: comma-separated CIDRs, or NULL
	bool audit; // label bulkhead.io/audit=true
};

struct node {
	struct object object;
	struct labels labels;
	uint32_t naddrs;
	struct bh_addr *addrs; // status.addresses of types InternalIP and ExternalIP (those that parse)
};

enum peer_kind {
	PEER_PODS, // namespaces and pods selectors
	PEER_CIDR, // one prefix minus excepts
	PEER_NODES, // ClusterNetworkPolicy: nodes selector
	PEER_NONE, // matches nothing (an unknown peer of an Accept rule, domainNames)
	PEER_ANY, // matches everything (an unknown peer of a Deny or Pass rule)
};

struct peer {
	enum peer_kind kind;
	// PEER_PODS: own_namespace: pods of the policy's namespace only (namespaceSelector absent)
	bool own_namespace;
	struct selector namespaces;
	struct selector pods;
	struct selector nodes; // PEER_NODES
	struct bh_cidr cidr; // PEER_CIDR; masked
	uint32_t nexcepts;
	struct bh_cidr *excepts;
};

struct port {
	uint8_t protocol; // enum protocol; PROTOCOL_ANY only with name (CNP destinationNamedPort)
	const char *name; // named port; else NULL
	uint16_t lo, hi; // both 0: every port of the protocol (when name is NULL)
};

enum action { ACTION_ACCEPT, ACTION_DENY, ACTION_PASS };

struct rule {
	const char *name; // CNP rule name, may be NULL
	enum action action; // NetworkPolicy: always ACTION_ACCEPT
	bool any_peer; // no from/to given
	uint32_t npeers;
	struct peer *peers;
	bool any_port; // no ports/protocols given: every protocol
	uint32_t nports;
	struct port *ports;
};

struct rules {
	uint32_t n;
	struct rule *v;
};

struct netpol {
	struct object object;
	struct selector pods;
	bool isolates[2]; // by enum bh_dir: policyTypes
	struct rules rules[2]; // by enum bh_dir
	bool audit; // annotation bulkhead.io/audit: "true"
};

enum tier { TIER_ADMIN, TIER_BASELINE };

struct clusternetpol {
	struct object object;
	enum tier tier;
	int priority; // 0..1000
	struct selector namespaces; // subject
	struct selector pods; // empty for a `namespaces` subject
	struct rules rules[2]; // by enum bh_dir
	bool audit;
};

struct service_port {
	const char *name;
	uint8_t protocol;
	uint16_t port;
	uint16_t node_port;
	const char *target_name; // named targetPort, else NULL
	uint16_t target;
};

struct service {
	struct object object;
	bool has_selector;
	struct selector selector;
	uint32_t naddrs;
	struct bh_addr *addrs; // clusterIPs, externalIPs, load balancer addresses (not ipMode Proxy)
	uint32_t nclusterips; // the first of them; of other families nothing is translated, so none is here
	uint32_t nports;
	struct service_port *ports;
	bool local; // internalTrafficPolicy or externalTrafficPolicy is Local
	bool external_name;
	bool headless; // without a clusterIP, or another proxy's: nobody need translate anything, whatever else it says
};

struct slice_endpoint {
	bool has_addr;
	struct bh_addr addr; // addresses[0]: others mean nothing, as the API says
	bool ready, serving, terminating;
	const char *node;
	const char *pod; // targetRef name when kind is Pod, same namespace
};

struct endpointslice {
	struct object object;
	const char *service; // label kubernetes.io/service-name
	uint32_t nports;
	struct service_port *ports; // name, protocol, port
	uint32_t nendpoints;
	struct slice_endpoint *endpoints;
};

const struct kind_ops *object_kind(enum kind kind);

// KIND_MAX when the pair is none of ours.
enum kind object_kind_find(const char *api_version, const char *kind);

// Parses one object of a known kind. 0: *ret is a new reference (look at problem); -EBADMSG: nothing can
// be made of it, reterr says why in one sentence that begins with the field.
int object_parse(enum kind kind, struct json_object *json, struct object **ret, struct err *reterr);

struct object *object_get(struct object *object);
void object_put(struct object *object); // NULL is fine
DEFINE_CLEANUP(struct object *, object_put)

bool object_equal(const struct object *a, const struct object *b);

// "ns/name" or "name" into buf, returned.
const char *object_title(const struct object *object, char *buf, size_t bytes);

// The same pod with these addresses, a new reference; NULL for lack of memory.
struct object *pod_with_addrs(const struct pod *pod, const struct bh_addr *addrs, uint32_t naddrs, bool lent);

const char *labels_find(const struct labels *labels, const char *interned_key); // NULL: absent
// Kind and name of whose the pod is: Deployment, not ReplicaSet; CronJob, not Job. NULL: it has no owner. The name is the
// pod's or in buf.
#define POD_WORKLOAD_BYTES 256
const char *pod_workload(const struct pod *pod, char buf[static POD_WORKLOAD_BYTES], const char **retname);
// Which of two pods that claim one address has it: the younger one, of equal ages by name.
bool pod_outranks(const struct pod *a, const struct pod *b);

bool selector_match(const struct selector *selector, const struct labels *labels);
bool selector_equal(const struct selector *a, const struct selector *b);

// "10.0.0.0/8" or "2001:db8::/32" with host bits masked; v4-mapped text and leading zeros are accepted
// as stored objects may hold them. 0 or -EINVAL.
int cidr_parse(const char *text, struct bh_cidr *ret);
int addr_parse(const char *text, struct bh_addr *ret);
const char *addr_format(const struct bh_addr *addr, char *buf, size_t bytes);
const char *cidr_format(const struct bh_cidr *cidr, char *buf, size_t bytes);
bool cidr_contains(const struct bh_cidr *cidr, const struct bh_addr *addr);
const char *protocol_name(uint8_t protocol); // "TCP", ...; numbers for others ("47")
int protocol_parse(const char *text, uint8_t *ret); // names in any case, or a number
