/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * abi.h - what the kernel side and the agent agree on: versions, names, limits, endpoints.
 *
 * World: shared (host compilers and clang -target bpf). Pure: yes. Owns: nothing.
 * Every struct here lives in a pinned map. A change of size or meaning raises BH_ABI_VERSION, which
 * is part of the pin folder's check: an agent never adopts tables of another version.
 * Byte order: fields typed __be16/__be32 are network order, everything else is host order.
 */
#pragma once

#include <linux/types.h>

#define BH_ABI_VERSION 6

/* Pins. The folder is an option of the agent; this is its default. */
#define BH_PIN_DIR "/sys/fs/bpf/bulkhead"
#define BH_STATE_DIR "/var/lib/bulkhead"
#define BH_RUN_DIR "/run/bulkhead"
#define BH_SOCKET_NAME "control.sock"

/*
 * Limits: name, default; every one is settable by the agent's configuration and its behaviour when
 * reached is described in docs/limits.md. BH_MAX_ values are ceilings of the layout itself.
 */
#define BH_LIMIT_ENDPOINTS 4096 /* pods of this node */
#define BH_LIMIT_PEERS 524288 /* exact addresses in bh_peer (elements are allocated on demand) */
#define BH_LIMIT_CIDRS 262144 /* prefixes in bh_cidr */
#define BH_LIMIT_PEER_CLASSES 31744 /* equivalence classes of addresses */
#define BH_LIMIT_PORT_CLASSES 4096 /* equivalence classes of (protocol, port) */
#define BH_LIMIT_POLICIES 8192 /* compiled policies (matrices) alive at once */
#define BH_LIMIT_DENSE_CELLS 1048576 /* cells of a dense matrix; beyond it the matrix is sparse */
#define BH_LIMIT_DENSE_TOTAL 8388608 /* cells of all dense matrices together: 64 MiB */
#define BH_LIMIT_SPARSE_CELLS 262144 /* exceptions of all sparse matrices together (bh_cell) */
#define BH_LIMIT_SHARE 25 /* percent of a table that one policy, or one namespace, may use */
#define BH_LIMIT_CT 131072 /* connections per family */
#define BH_LIMIT_HALF 65536 /* half-open flows */
#define BH_LIMIT_GONE 262144 /* bytes of flows that ended in the datapath and nobody has read (bh_gone) */
#define BH_LIMIT_SERVICES 65536 /* addresses and ports of Services (bh_service) */
#define BH_LIMIT_SELF 16384 /* Services of which a pod of this node is a backend, denied to it (bh_self) */
#define BH_LIMIT_BACKENDS 65536 /* flows whose backend is known (bh_backend) */
#define BH_LIMIT_FRAGS 8192 /* fragmented datagrams in flight */
#define BH_LIMIT_DENIED 16384 /* aggregated denies */
#define BH_LIMIT_TOTALS 65536 /* endpoint x direction x reason x rule counters */

#define BH_MAX_ENDPOINTS 4096 /* slots are 12 bits of an endpoint's ident */
#define BH_MAX_CLASSES 65536 /* peer class ids; row maps hold one u16 each */
/* Old and new classes live side by side while a plan runs. */
#define BH_MAX_PEER_CLASSES (BH_MAX_CLASSES / 2 - 1024)
#define BH_MAX_PORT_CLASSES (BH_MAX_CLASSES / 2 - 1024)

/* Directions, seen from the pod. */
enum bh_dir {
	BH_INGRESS = 0,
	BH_EGRESS = 1,
	BH_DIR_MAX,
};

/*
 * An endpoint's ident: slot in the low 12 bits, incarnation (never 0) in the high 20. It is part of
 * every connection key and of each gate's read-only data, so nothing of an earlier pod in the same
 * slot, or of an earlier pod with the same address, can ever match.
 */
#define BH_SLOT_BITS 12
#define BH_SLOT(ident) ((ident) & ((1u << BH_SLOT_BITS) - 1))
#define BH_INCARNATION(ident) ((ident) >> BH_SLOT_BITS)
#define BH_IDENT(slot, incarnation) (((__u32)(incarnation) << BH_SLOT_BITS) | (slot))

enum bh_state {
	BH_STATE_NONE = 0, /* slot is free: programs that still run drop (stale-program) */
	BH_STATE_QUARANTINE, /* all but own node, ND, DAD and DHCP renewal is dropped */
	BH_STATE_ACTIVE, /* judged by policy[] (BH_POLICY_ALLOW in both: open, tracked) */
	BH_STATE_OPENING, /* quarantine that ends when the plan that runs now is in force */
	BH_STATE_MAX,
};

enum bh_endpoint_flag {
	BH_EP_EXTRA = 1 << 0, /* bh_extra holds further addresses that this pod may use */
	BH_EP_RA_OFF = 1 << 1, /* router advertisements to the pod are dropped */
	BH_EP_REPORT_SPOOF = 1 << 2, /* source checks count but do not drop */
};

/* What a pair of judges can do: read-only data `features`. What is not in it is not in the program. */
enum bh_feature {
	BH_FEATURE_TRACK = 1 << 0, /* connections and policy; without: source checks only (open variant) */
	BH_FEATURE_RECORD = 1 << 1, /* packets and bytes per connection */
	BH_FEATURE_EXTRA = 1 << 2, /* extra addresses (with BH_EP_EXTRA) */
	BH_FEATURE_END = 1 << 3,
};

/*
 * A pod's programs are gates: they write their ident to skb->cb[BH_CB_IDENT] and jump to the judge of the
 * pod's features and their direction, element BH_JUDGE() of bh_judge.
 */
#define BH_CB_IDENT 4
#define BH_JUDGE(features, dir) ((features) * BH_DIR_MAX + (dir))
#define BH_JUDGE_MAX BH_JUDGE(BH_FEATURE_END, 0)

/*
 * Policy ids that always exist and have no matrix in bh_policy: programs, agent and simulator know them by
 * id, for every class. Their generation is fixed.
 */
#define BH_POLICY_DENY 0 /* deny, rule BH_RULE_NONE */
#define BH_POLICY_ALLOW 1 /* allow, rule BH_RULE_NONE */
#define BH_POLICY_FIRST 2 /* the first id of a real matrix */
#define BH_GEN_FIXED 1
#define BH_GEN_OF(fixed_policy) (BH_GEN_FIXED + (fixed_policy)) /* they differ: a flip cuts live flows */
#define BH_GEN_FIRST 3 /* the first one of a real matrix */

/*
 * An endpoint: element `slot` of bh_endpoint, an mmapable ARRAY. Two cache lines: the first is read by
 * every packet and written only by the agent, the second is written by the programs.
 *
 * policy[] and gen[] are each one aligned 64-bit unit: they change by one store, both directions at
 * once. gen[d] is the generation that an entry judged in direction d must carry to be a hit; it equals
 * the generation in the header of matrix policy[d] except between two steps of a plan.
 */
struct bh_endpoint {
	__u32 policy[BH_DIR_MAX]; /* ids in bh_policy */
	__u32 gen[BH_DIR_MAX];
	__u32 ident; /* BH_IDENT(slot, incarnation) */
	__u8 state; /* enum bh_state */
	__u8 flags; /* enum bh_endpoint_flag */
	__u8 mac[6]; /* the pod's own */
	__be32 addr4; /* 0: none */
	__u32 ifindex; /* host side of the veth; hairpin */
	__u32 addr6[4]; /* network order; all 0: none */
	__u16 ephemeral_lo; /* the host's ip_local_port_range, for the adoption window */
	__u16 ephemeral_hi;
	__u32 adopt_until; /* bh_now() units; 0: no adoption window */
	__u32 pad0;

	__be32 gateway4; /* the host's addresses on the veth or its bridge: "own node" for egress */
	__u32 gateway6[4]; /* network order */
	__u32 denied_count; /* entries in bh_denied */
	__u32 ct_count; /* entries in bh_ct and bh_ct6 */
	__u32 pad[9];
};
_Static_assert(sizeof(struct bh_endpoint) == 128, "bh_endpoint is two cache lines");

/* Who an endpoint is, for the agent after a restart; programs never read it. bh_identity, by slot. */
struct bh_identity {
	char uid[40];
	char ns[64];
	char name[256];
	__u32 ident;
	__u32 ifindex; /* host side of the veth; what is on the other side is the pod's business */
	__u32 attach; /* enum bh_attach */
	__u32 pad[3];
};
_Static_assert(sizeof(struct bh_identity) == 384, "bh_identity has no holes");

enum bh_attach {
	BH_ATTACH_NONE = 0,
	BH_ATTACH_TCX,
	BH_ATTACH_CLSACT,
	BH_ATTACH_MAX,
};

#define BH_SECRET_WORDS 8

/* What holds on the whole node: bh_node.flags. */
enum bh_node_flag {
	BH_NODE_SERVICES = 1 << 0, /* bh_service may hold something; set before its first element is written */
	BH_NODE_HOOK = 1 << 1, /* the netfilter program is in force: it judges what passes as MIXED */
	BH_NODE_RECORD = 1 << 2, /* somebody reads bh_gone */
	BH_NODE_PLAN = 1 << 3, /* a plan runs, or one ended half way: only the agent reads this */
};

/* Element 0 of bh_node, an mmapable ARRAY: what an agent checks before it adopts pinned tables. */
struct bh_node {
	__u32 abi_version; /* BH_ABI_VERSION */
	__u32 next_incarnation;
	__u64 boot_id; /* low bits of the kernel's boot id: pins do not outlive a boot, this proves it */
	__u32 secret[BH_SECRET_WORDS]; /* what spreads flows over bh_half; random, as old as the tables */
	__u32 flags; /* enum bh_node_flag */
	__u32 any_ports; /* lowest | highest << 16 of bh_service keys of address 0: bh_any_ports_add() */
	__u32 told; /* bh_now() until which flows that began were told by the agent; 0: none was; programs never read it */
	__u32 pad;
};

/* Host addresses: bh_host, by bh_addr. */
enum bh_host_flag {
	BH_HOST_LOCAL = 1 << 0, /* on an interface of this host: own node, ingress */
	BH_HOST_NODE = 1 << 1, /* in this Node's status.addresses: own node, egress */
};

/*
 * bh_host by bh_addr. One 64-bit load; check is bh_addr_check() of the key (see struct bh_peer). A program
 * sees flags of another address as none.
 */
struct bh_host {
	__u32 flags; /* enum bh_host_flag */
	__u32 check;
};

/*
 * Extra addresses: bh_extra (LPM), {ident, prefix} -> the number of an address: number + the address's low
 * 16 bits under mask. Numbers tell a pod's addresses apart in connection keys, 0 being its own.
 */
struct bh_extra_key {
	__u32 prefixlen; /* 32 + the length over the v4-mapped form */
	__u32 ident;
	__u32 addr[4]; /* network order, v4-mapped */
};
struct bh_extra {
	__u16 number; /* of the prefix's first address, never 0 */
	__u16 mask; /* of the prefix's host bits; 0: all its addresses count as one */
};

/* Passed packets and bytes: bh_count (per CPU), by slot * BH_DIR_MAX + direction. Bytes are L3. */
struct bh_count {
	__u64 packets;
	__u64 bytes;
};

/*
 * Exact totals: bh_total (per CPU). For drops every packet is counted; for BH_REASON_ALLOWED the unit
 * is a judgement that allowed (new flows and re-judged ones). BH_REASON_AUDIT counts those of them that
 * policies in audit mode would have denied, by the rule that would have.
 */
struct bh_total_key {
	__u32 ident;
	__u16 reason; /* enum bh_reason */
	__u8 dir; /* enum bh_dir: in which the flow was judged; of the packet where none was */
	__u8 pad;
	__u32 rule;
};
_Static_assert(sizeof(struct bh_total_key) == 12, "bh_total_key has no holes");

/* Detail of denies: bh_denied. One element per flow shape, not per packet. */
struct bh_denied_key {
	__u32 ident;
	__u32 rule;
	__u32 remote[4]; /* network order, v4-mapped */
	__be16 port; /* the service side's port; 0 where the protocol has none */
	__u8 proto;
	__u8 dir;
	__u16 reason;
	__u16 pad;
};
_Static_assert(sizeof(struct bh_denied_key) == 32, "bh_denied_key has no holes");

struct bh_denied {
	__u64 packets;
	__u64 bytes;
	__u32 first; /* bh_now() units */
	__u32 last;
};

/* Node-wide counters: bh_stat (per CPU), by enum bh_stat. */
enum bh_stat {
	BH_STAT_TOTAL_OVERFLOW = 0, /* packets whose exact total found no room in bh_total */
	BH_STAT_DENIED_OVERFLOW, /* denied packets without detail: bh_denied or the quota is full */
	BH_STAT_CT_FULL, /* flows refused: the table is full */
	BH_STAT_CT_QUOTA, /* flows refused: the endpoint's quota is used up */
	BH_STAT_CT_REJUDGED, /* entries judged again after a change */
	BH_STAT_CT_CUT, /* entries that a re-judgement cut */
	BH_STAT_CLASS_RETRY, /* a reused element was seen and looked up again */
	BH_STAT_NO_JUDGE, /* packets dropped: a gate found no judge to jump to */
	BH_STAT_TRANSLATED, /* judgements behind a Service's translation */
	BH_STAT_FLOW_LOST, /* flows that ended untold: bh_gone is full */
	BH_STAT_MAX,
};
