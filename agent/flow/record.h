// SPDX-License-Identifier: Apache-2.0
// record.h - what is told of a flow: one record when it is first seen, while it lasts, when it is over, when it is
// denied. The schema of docs/flows.md; every sink and every reader works on this.
//
// World: host. Pure: yes. Owns: a record holds references on its cards and verdicts; everything else is by value.
// Threads: cards and verdicts never change once made, their counts of references are atomic; a record itself
// belongs to whoever made it.
//
// A flow is told by the pod of this node that has it: of two pods of one node each tells, one as egress and one as
// ingress. `src` is who began. Numbers are since the flow began (update and end tell the whole, not what came since
// the last record), but for denies: since the record before.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/abi.h>
#include <bulkhead/addr.h>
#include <bulkhead/reason.h>

#include "agent/base/cleanup.h"
#include "agent/object/object.h"

#define FLOW_SCHEMA_VERSION 1

enum flow_type { FLOW_START, FLOW_UPDATE, FLOW_END, FLOW_DENY, FLOW_TYPE_MAX };
enum flow_verdict {
	FLOW_ALLOWED,
	FLOW_DENIED, // packets were dropped
	FLOW_AUDIT, // it passes, and would not if policies in audit mode were enforced
	FLOW_VERDICT_MAX,
};

// Why a flow is over.
enum flow_over {
	FLOW_NOT_OVER,
	FLOW_CLOSED, // both sides closed it
	FLOW_RESET,
	FLOW_IDLE, // nobody spoke for longer than its state allows
	FLOW_CUT, // a policy change cut it, and it has been silent since
	FLOW_REPLACED, // a new flow of the same ports took its place
	FLOW_EVICTED, // half open, and its place was needed
	FLOW_POD_GONE,
	FLOW_FORGOTTEN, // the agent took it out of the tables: what goes on is told as another one
	FLOW_OVER_MAX,
};

// TCP flags that a side was seen to send, as far as the connection table remembers.
enum flow_tcp { FLOW_TCP_SYN = 1 << 0, FLOW_TCP_ACK = 1 << 1, FLOW_TCP_FIN = 1 << 2, FLOW_TCP_RST = 1 << 3 };

// ---- who an address was ------------------------------------------------------------------------------------------

enum flow_who {
	FLOW_POD,
	FLOW_NODE, // an address of a Node object, of a host-network pod, or of this host
	FLOW_SERVICE, // of a Service: a ClusterIP, an external address
	FLOW_WORLD, // none that the cluster knows
	FLOW_WHO_MAX,
};

// Immutable once made. Strings are the card's own; NULL where there is none.
struct flow_card {
	int refs;
	enum flow_who who;
	const char *ns, *name; // of the pod or the Service; name of the node
	const char *uid; // of the pod
	const char *workload_kind, *workload_name; // as users know it: Deployment, not ReplicaSet; CronJob where known
	const char *node; // where the pod is
	uint32_t nlabels;
	const struct label *labels; // of the pod, sorted by key; those that change with each rollout are left out
	uint32_t labels_cut; // so many more found no room (BOOK_LABELS)
};

struct flow_card *flow_card_get(const struct flow_card *card); // NULL is fine
void flow_card_put(const struct flow_card *card); // NULL is fine
// A copy of all that `model` says, one reference; NULL: no memory. Strings of the model are copied.
struct flow_card *flow_card_new(const struct flow_card *model);

// ---- what decided --------------------------------------------------------------------------------------------------

enum flow_policy_kind {
	FLOW_POLICY_NONE, // no policy isolates the pod in this direction
	FLOW_POLICY_NETPOL, // a rule of a NetworkPolicy allows
	FLOW_POLICY_CLUSTERNETPOL, // a rule of a ClusterNetworkPolicy decides
	FLOW_POLICY_DEFAULT_DENY, // policies isolate, and no rule of theirs matched
	FLOW_POLICY_UNKNOWN, // nobody remembers what the number stood for
	FLOW_POLICY_KIND_MAX,
};

// Immutable once made.
struct flow_policy {
	int refs;
	uint32_t id; // the rule's number in the datapath
	enum flow_policy_kind kind;
	enum bh_dir dir; // of the rule
	uint32_t npolicies;
	const char **policies; // "ns/name" or "name": one for a rule, all that isolate for a default deny
	uint32_t index; // of the rule in its list
	const char *rule_name; // ClusterNetworkPolicy; NULL: none
	const char *tier; // "Admin", "Baseline" of a ClusterNetworkPolicy, else NULL
};

struct flow_policy *flow_policy_get(const struct flow_policy *policy);
void flow_policy_put(const struct flow_policy *policy); // NULL is fine
struct flow_policy *flow_policy_new(const struct flow_policy *model); // strings are copied

// ---- the record ----------------------------------------------------------------------------------------------------

struct flow_end {
	struct bh_addr addr;
	uint16_t port; // host order; ICMP echo: the id on the requester's side; 0: none. Denies tell no source port
	const struct flow_card *card; // who had the address when the flow began; never NULL once a record is told
};

enum flow_way { FLOW_FORWARD, FLOW_REVERSE, FLOW_WAY_MAX }; // from src to dst, and back

struct flow_record {
	uint64_t id; // of the flow: the same in all its records, different for another flow; 0: a deny has none
	uint64_t seq; // of this record, set by who tells it; from 1
	enum flow_type type;
	enum flow_verdict verdict;
	enum bh_reason reason; // why the flow passes or its packets are dropped
	enum flow_over over; // FLOW_END
	enum bh_dir dir; // as the telling pod sees it: BH_EGRESS: it began
	uint8_t proto;
	int64_t time_ns, first_ns, last_ns; // since 1970: when it was told, first packet, last packet seen (about 1 s exact)
	struct flow_end src, dst; // dst: as the pod addressed it
	struct flow_end backend; // where a Service's flow went really; card NULL: no Service, or not known
	const struct flow_card *service; // NULL: it went to none
	uint64_t packets[FLOW_WAY_MAX], bytes[FLOW_WAY_MAX]; // L3 bytes; denies: FLOW_FORWARD only
	uint8_t tcp[FLOW_WAY_MAX]; // enum flow_tcp
	const struct flow_policy *policy; // what decided, as the datapath recorded it; NULL: reason says it all
	const struct flow_policy *audit; // FLOW_AUDIT: what would have denied it
};

// Fields by value, references on all cards and policies.
void flow_record_copy(struct flow_record *to, const struct flow_record *from);
void flow_record_fini(struct flow_record *record); // drops them

const char *flow_type_name(enum flow_type type); // "start", "update", "end", "deny"
const char *flow_verdict_name(enum flow_verdict verdict); // "allowed", "denied", "audit"
const char *flow_over_name(enum flow_over over); // "closed", "reset", "idle", "cut", "replaced", "evicted", "pod-gone", "forgotten"
const char *flow_who_name(enum flow_who who); // "pod", "node", "service", "world"
const char *flow_policy_kind_name(enum flow_policy_kind kind); // "none", "NetworkPolicy", "ClusterNetworkPolicy", ...
const char *flow_reason_name(enum bh_reason reason); // as in reason.h
