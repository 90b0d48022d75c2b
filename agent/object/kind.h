// SPDX-License-Identifier: Apache-2.0
// kind.h - what the files of the kinds share: their tables, metadata and the parts of rules.
//
// World: host, one thread. Pure: yes. Owns: nothing by itself.
#pragma once

#include "agent/base/intern.h"
#include "agent/base/vec.h"
#include "agent/object/at.h"
#include "agent/object/labels.h"
#include "agent/object/limits.h"
#include "agent/object/object.h"

#define AUDIT_KEY "bulkhead.io/audit" // annotation of policies, label of namespaces: "true"
#define EXTRA_ANNOTATION "bulkhead.io/allowed-addresses" // of namespaces

extern const struct kind_ops pod_kind;
extern const struct kind_ops namespace_kind;
extern const struct kind_ops node_kind;
extern const struct kind_ops netpol_kind;
extern const struct kind_ops clusternetpol_kind;
extern const struct kind_ops service_kind;
extern const struct kind_ops endpointslice_kind;

// Keeps the first sentence as the object's problem. -ENOMEM or 0.
int object_set_problem(struct object *object, const char *text);

// Annotation or label `key` of metadata is the string "true".
bool object_says_true(const struct at *root, const char *map, const char *key);

// A new object of the same kind, name and problem, whose own fields are empty; NULL for lack of memory.
struct object *object_copy(const struct object *object);

int no_memory(struct err *reterr);

// protocol: absent is TCP; else TCP, UDP or SCTP exactly. 0 or -EBADMSG.
int protocol_read(const struct at *at, uint8_t *ret, struct err *reterr);

typedef VEC(struct peer) peer_vec;
typedef VEC(struct port) port_vec;

bool peer_equal(const struct peer *a, const struct peer *b);
void peer_fini(struct peer *peer);
void rule_fini(struct rule *rule);
void rules_fini(struct rules *rules);
bool rules_equal(const struct rules *a, const struct rules *b);

// Hand the vectors' contents to the rule.
void rule_take_peers(struct rule *rule, peer_vec *peers);
void rule_take_ports(struct rule *rule, port_vec *ports);

// Service and EndpointSlice ports.
int service_ports_read(const struct at *list, struct service_port **ret, uint32_t *retn,
		       struct err *reterr);
void service_ports_fini(struct service_port *ports, uint32_t n);
bool service_ports_equal(const struct service_port *a, uint32_t na, const struct service_port *b,
			 uint32_t nb);

bool addrs_equal(const struct bh_addr *a, uint32_t na, const struct bh_addr *b, uint32_t nb);
