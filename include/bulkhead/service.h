/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * service.h - Services: what a pod's packet to one means before somebody (kube-proxy) has chosen the backend,
 * and what is known of the backend once it is chosen.
 *
 * World: shared. Pure: yes. Owns: nothing.
 *
 * At the pod's veth the destination is still the Service's address. A (address, port, protocol) in bh_service
 * is a class as an address in bh_peer is: a row of the ordinary matrices, so the publishing order covers it.
 * Such a row says the same in every column (programs ask for column BH_PORT_CLASS_NONE): ALLOW when every
 * backend is allowed, DENY or DENY_CLUSTER when none is, else MIXED with the rule of a backend that is denied.
 *
 *   new flow	ALLOW passes. DENY drops, unless the pod itself is the backend (bh_self). MIXED passes unjudged
 *		while the netfilter program is in force (BH_NODE_HOOK): that one judges behind the translation, at
 *		POST_ROUTING and LOCAL_IN, on the backend; else it drops. BH_SERVICE_EMPTY drops.
 *   known flow	judged again on its backend, if that is known (bh_backend) and cannot have changed: always for TCP,
 *		for others while the netfilter program compares it with every packet. Else by the row; EMPTY keeps
 *		the flow.
 *
 * Nothing begins at a ClusterIP: what comes from one and belongs to no flow is what a backend goes on sending in
 * one that was forgotten, or is forged. It begins no flow to a pod whose egress is judged (BH_REASON_SERVICE_UNASKED),
 * where the pod's ingress would take it for a stranger's.
 *
 * The netfilter program sees both directions of every flow that this node translates for its pods. It writes
 * bh_backend when a flow's backend is new or was judged under another generation, before the packet reaches
 * either of the pod's programs again. An entry that was evicted is learned again from the flow's next packet.
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/addr.h>
#include <bulkhead/conntrack.h>

/* bh_service. Address 0: every address of this node (NodePorts, hostPorts without an address). */
struct bh_service_key {
	__u32 addr[4]; /* network order, v4-mapped */
	__be16 port;
	__u8 proto; /* BH_PROTO_TCP, _UDP, _SCTP */
	__u8 pad;
};
_Static_assert(sizeof(struct bh_service_key) == 20, "bh_service_key has no holes");

/* In cls, beside the peer class. Bit 30 is the programs'. */
#define BH_SERVICE_EMPTY (1u << 31) /* no backends; the row denies */
#define BH_SERVICE_CLUSTER_IP (1u << 29) /* the address is nobody's own: no flow begins there */
#define BH_SERVICE_NOT4 (1u << 28) /* address 0: to this node's IPv4 addresses there is no such port */
#define BH_SERVICE_NOT6 (1u << 27)
#define BH_SERVICE_CLASS(cls) ((cls) & 0xffffu)

/* One 64-bit load; check is bh_service_check() of the key (see bh_addr_check()). */
struct bh_service {
	__u32 cls; /* peer class and BH_SERVICE_ flags */
	__u32 check;
};

/* Of a key of address 0: is it about addresses of this family, too? */
BH_CT_INLINE int bh_service_has(__u32 cls, int v4)
{
	return !(cls & (v4 ? BH_SERVICE_NOT4 : BH_SERVICE_NOT6));
}

/*
 * bh_self: a pod of this node is a backend of the Service. A pod cannot be blocked from itself: asked only
 * when the row's verdict is BH_VERDICT_DENY (a ClusterNetworkPolicy's deny binds). Changing one changes what
 * the row says for that pod: it takes a new generation.
 */
struct bh_self_key {
	__u32 slot;
	struct bh_service_key service;
};
_Static_assert(sizeof(struct bh_self_key) == 24, "bh_self_key has no holes");

enum bh_self_how {
	BH_SELF_NOT = 0,
	BH_SELF_ONLY, /* the only backend: allowed */
	BH_SELF_ONE, /* one of several: as MIXED */
};

/* One 64-bit load; check is bh_self_check() of the key. */
struct bh_self {
	__u32 how; /* enum bh_self_how */
	__u32 check;
};

/*
 * bh_local, by bh_addr: whose address of this node's endpoints it is; their own addresses, not those of bh_extra.
 * One 64-bit load; check is bh_addr_check() of the key. Where it is missing nothing goes unjudged: from_pod looks
 * before it lets a flow pass to the netfilter program.
 */
struct bh_local {
	__u32 ident;
	__u32 check;
};

/*
 * bh_backend, by struct bh_ct6_key of the flow as its pod sees it (both families; the remote is the Service's
 * address and port; local is 0). Written whole, never in place.
 */
struct bh_backend {
	__u32 check; /* bh_backend_check() of the key and of all that follows */
	__u32 gen; /* of the matrix that judged; 0: nobody has */
	__u32 verdict; /* BH_CELL_WORD */
	__u32 shadow; /* BH_CELL_WORD */
	__u32 addr[4]; /* the backend's: network order, v4-mapped */
	__be16 port;
	__u16 pad;
	__u32 pad2;
};
_Static_assert(sizeof(struct bh_backend) == 40, "bh_backend has no holes");

/* ---- the key repeated in the value, see bh_addr_check() ---- */
BH_CT_INLINE __u32 bh_service_check(const struct bh_service_key *key)
{
	__u32 fold = key->addr[0] ^ (key->addr[1] * 0x27d4eb2fu) ^ (key->addr[2] * 0x9e3779b1u) ^
		     (key->addr[3] * 0x165667b1u);

	return bh_ct_mix(key->proto, fold, key->port, 0, 0);
}

BH_CT_INLINE __u32 bh_self_check(const struct bh_self_key *key)
{
	__u32 x = bh_service_check(&key->service) ^ key->slot * 0x85ebca6bu;

	return x ^ (x >> 15);
}

BH_CT_INLINE __u32 bh_backend_check(const struct bh_ct6_key *key, const struct bh_backend *backend)
{
	__u32 x = bh_ct6_check(key) ^ backend->gen * 0x85ebca6bu ^ backend->verdict * 0xc2b2ae35u ^
		  backend->shadow * 0x27d4eb2fu ^ backend->addr[0] ^ backend->addr[1] * 0x165667b1u ^
		  backend->addr[2] * 0x9e3779b1u ^ backend->addr[3] * 0x2545f491u ^
		  backend->port * 0x7feb352du;

	return x ^ (x >> 15);
}

/* ---- struct bh_node: which ports keys with address 0 have ---- */

/* Is the port (host order) within bh_node.any_ports? */
BH_CT_INLINE int bh_any_ports_has(__u32 any_ports, __u16 port)
{
	return port >= (any_ports & 0xffff) && port <= any_ports >> 16;
}

/* any_ports widened by a port. BH_ANY_PORTS_NONE: no port is in it. */
#define BH_ANY_PORTS_NONE 0x0000ffffu

BH_CT_INLINE __u32 bh_any_ports_add(__u32 any_ports, __u16 port)
{
	__u32 lo = any_ports & 0xffff, hi = any_ports >> 16;

	if (port < lo)
		lo = port;
	if (port > hi)
		hi = port;
	return hi << 16 | lo;
}
