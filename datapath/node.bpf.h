/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * node.bpf.h - the pod's own node, and the pod itself by way of it, pass the NetworkPolicy tier.
 *
 * World: BPF. A ClusterNetworkPolicy's deny binds them too (BH_VERDICT_DENY_CLUSTER).
 */
#pragma once

#include "datapath/source.bpf.h"

/*
 * Egress: this Node's addresses and the pod's gateway, where that is an address of the host (its routes are
 * the pod's to change); other addresses of the host (ClusterIPs of IPVS,
 * node-local DNS) are judged like any other. Told by the address alone, so asked only when it matters.
 */
BH_SUBPROG int node_is(const struct bh_endpoint *ep, const struct bh_addr *addr, int v4)
{
	int flags;

	if (!ep || !addr)
		return 0;
	flags = host_flags(addr);
	return (flags & BH_HOST_NODE) || ((flags & BH_HOST_LOCAL) && is_gateway(ep, addr, v4));
}

/* A Service at such an address is its backends, not the node. */
INLINE int node_is_remote(const struct work *work, const struct bh_endpoint *ep)
{
	return !work->service && node_is(ep, work_remote(work), work->pkt.flags & BH_PKT_V4);
}

/*
 * Ingress, OWN_NODE, HAIRPIN or NONE for a packet that begins a flow: host-made packets have no ingress
 * device, whatever is forwarded, bridged or masqueraded has one. Only this packet can tell, so the entry
 * remembers.
 */
INLINE enum bh_reason node_sends(struct __sk_buff *skb, const struct work *work,
				 const struct bh_endpoint *ep)
{
	__u32 from = skb->ingress_ifindex;

	if ((from && from != ep->ifindex) || !(host_flags(work_remote(work)) & BH_HOST_LOCAL))
		return BH_REASON_NONE;
	return from ? BH_REASON_HAIRPIN : BH_REASON_OWN_NODE;
}

/*
 * Somebody else behind the node's address, on the ports of a flow that is exempt: forwarded, so not the node's.
 */
INLINE int node_is_stranger(struct __sk_buff *skb, const struct work *work,
			    const struct bh_endpoint *ep, __u32 flags)
{
	__u32 from = skb->ingress_ifindex;

	return (flags & BH_CT_NODE) && work->dir == BH_INGRESS && from && from != ep->ifindex;
}

/* Does it let through what is exempt? A deny of the NetworkPolicy tier does, a missing policy does not. */
INLINE int node_passes(enum bh_reason reason, const struct bh_judgement *judged)
{
	return reason == BH_REASON_POLICY_DENIED &&
	       BH_CELL_VERDICT(judged->verdict) == BH_VERDICT_DENY;
}

/* Does a known flow keep its exemption? flags: enum bh_ct_flag. */
INLINE int node_keeps(const struct work *work, const struct bh_endpoint *ep, enum bh_reason reason,
		      __u32 flags)
{
	return node_passes(reason, &work->judged) &&
	       ((flags & BH_CT_NODE) || (work->initiator == BH_EGRESS && node_is_remote(work, ep)));
}
