/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * source.bpf.h - may this packet be here at all: is the program current, are the addresses the pod's, does
 * the link need it. What every pod pays, selected or not.
 *
 * World: BPF.
 */
#pragma once

#include "datapath/fragment.bpf.h"

INLINE int is_own(const struct bh_endpoint *ep, const struct bh_addr *addr, int v4)
{
	if (v4)
		return addr->w[3] == ep->addr4 && ep->addr4;
	return addr->w[3] == ep->addr6[3] && addr->w[2] == ep->addr6[2] &&
	       addr->w[1] == ep->addr6[1] && addr->w[0] == ep->addr6[0] && addr->w[0];
}

INLINE int is_gateway(const struct bh_endpoint *ep, const struct bh_addr *addr, int v4)
{
	if (v4)
		return addr->w[3] == ep->gateway4 && ep->gateway4;
	return addr->w[3] == ep->gateway6[3] && addr->w[2] == ep->gateway6[2] &&
	       addr->w[1] == ep->gateway6[1] && addr->w[0] == ep->gateway6[0] && addr->w[0];
}

/* The number of an address of the pod: 0 its own, more for extra ones, -1: not the pod's. */
BH_SUBPROG int local_number(const struct bh_endpoint *ep, const struct bh_addr *addr, int v4)
{
	struct bh_extra_key key = { .prefixlen = 32 + 128 };
	const struct bh_extra *extra;

	if (!ep || !addr)
		return -1;
	if (is_own(ep, addr, v4))
		return 0;
	if (!HAS(EXTRA) || !(ep->flags & BH_EP_EXTRA))
		return -1;
	key.ident = ep->ident;
	__builtin_memcpy(key.addr, addr, sizeof(key.addr));
	extra = bpf_map_lookup_elem(&bh_extra, &key);
	if (!extra)
		return -1;
	return (__u16)(extra->number + (BH_HOST32(addr->w[3]) & extra->mask));
}

/* May a pod tell the link that this address is its own, or speak from it there (which tells others its MAC
 * as well)? Link-local ones are not known to us, but those of the gateway and the host are. */
INLINE int may_claim(const struct bh_endpoint *ep, const struct bh_addr *addr)
{
	if (bh_addr6_linklocal(addr))
		return !is_gateway(ep, addr, 0) && !host_flags(addr);
	return local_number(ep, addr, 0) >= 0;
}

INLINE int is_dhcp6_group(const struct bh_addr *addr)
{
	return BH_HOST32(addr->w[0]) == 0xff020000u && !addr->w[1] && !addr->w[2] &&
	       BH_HOST32(addr->w[3]) == 0x00010002u; /* ff02::1:2 */
}

/* A source check that failed (reason NONE: none did): the reason, or NONE where such checks only count. */
BH_SUBPROG int spoof(struct __sk_buff *skb, const struct work *work, const struct bh_endpoint *ep,
		     __u32 reason)
{
	if (!work || !ep)
		return BH_REASON_INTERNAL;
	if (!reason || !(ep->flags & BH_EP_REPORT_SPOOF))
		return reason;
	total(skb, work, reason);
	return BH_REASON_NONE;
}

/* What is false about an ARP, ND or MLD packet of the pod; NONE: nothing. */
BH_SUBPROG int false_claim(const struct bh_endpoint *ep, const struct bh_pkt *pkt)
{
	if (!ep || !pkt)
		return BH_REASON_INTERNAL;
	if (pkt->flags & BH_PKT_ARP)
		return !(pkt->flags & BH_PKT_CLAIM) &&
				       (!pkt->src.w[3] || local_number(ep, &pkt->src, 1) >= 0) ?
			       BH_REASON_NONE :
			       BH_REASON_SPOOFED_ARP;
	if (!bh_addr_zero(&pkt->src) && !may_claim(ep, &pkt->src))
		return BH_REASON_SPOOFED_ADDR;
	return (pkt->flags & BH_PKT_CLAIM) && !may_claim(ep, &pkt->inner) ? BH_REASON_SPOOFED_ARP :
									    BH_REASON_NONE;
}

/*
 * Routers forward neighbour discovery like any other packet, it is the receiver who minds the hop limit. So what
 * could go on past the node is no link control: it is judged. A pod's neighbours are in its own /64.
 */
BH_SUBPROG int stays_on_link(const struct bh_endpoint *ep, const struct bh_pkt *pkt)
{
	const struct bh_addr *dst;

	if (!ep || !pkt)
		return 0;
	dst = &pkt->dst;
	if (!(pkt->flags & BH_PKT_ND))
		return 1; /* ARP, and MLD with a hop limit of 1 */
	if (pkt->flags & BH_PKT_GROUP)
		return BH_HOST32(dst->w[0]) >> 16 == 0xff02;
	return bh_addr6_linklocal(dst) || is_gateway(ep, dst, 0) || host_flags(dst) ||
	       (dst->w[0] == ep->addr6[0] && dst->w[1] == ep->addr6[1]);
}

/* What the link needs, sent by the pod. NONE: not such a packet. */
BH_SUBPROG int control_from_pod(struct __sk_buff *skb, const struct work *work,
				const struct bh_endpoint *ep)
{
	const struct bh_pkt *pkt;
	enum bh_reason reason;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	pkt = &work->pkt;
	if (pkt->flags & (BH_PKT_ARP | BH_PKT_ND | BH_PKT_MLD)) {
		reason = spoof(skb, work, ep, false_claim(ep, pkt));
		if (reason)
			return reason;
		return stays_on_link(ep, pkt) ? BH_REASON_CONTROL : BH_REASON_NONE;
	}
	if (!(pkt->flags & BH_PKT_DHCP))
		return BH_REASON_NONE;
	/* Only to where any server listens: a chosen destination is judged like every other. */
	if (pkt->flags & BH_PKT_V4)
		return pkt->dst.w[3] == 0xffffffffu &&
				       (!pkt->src.w[3] || is_own(ep, &pkt->src, 1)) ?
			       BH_REASON_CONTROL :
			       BH_REASON_NONE;
	return bh_addr6_linklocal(&pkt->src) && may_claim(ep, &pkt->src) &&
			       is_dhcp6_group(&pkt->dst) ?
		       BH_REASON_CONTROL :
		       BH_REASON_NONE;
}

/* The same towards the pod. */
BH_SUBPROG int control_to_pod(const struct bh_endpoint *ep, const struct bh_pkt *pkt)
{
	int v4;

	if (!ep || !pkt)
		return BH_REASON_INTERNAL;
	v4 = pkt->flags & BH_PKT_V4;
	if (pkt->flags & (BH_PKT_ARP | BH_PKT_MLD))
		return BH_REASON_CONTROL;
	if (pkt->flags & BH_PKT_ND) {
		if ((ep->flags & BH_EP_RA_OFF) &&
		    (pkt->icmp_type == BH_ND_RA || pkt->icmp_type == BH_ND_REDIRECT))
			return BH_REASON_LINK_CONTROL;
		return (pkt->flags & BH_PKT_GROUP) || bh_addr6_linklocal(&pkt->dst) ||
				       local_number(ep, &pkt->dst, 0) >= 0 ?
			       BH_REASON_CONTROL :
			       BH_REASON_NOT_MINE;
	}
	if (!(pkt->flags & BH_PKT_DHCP))
		return BH_REASON_NONE;
	if (v4)
		return pkt->dst.w[3] == 0xffffffffu ||
				       (is_gateway(ep, &pkt->src, 1) && is_own(ep, &pkt->dst, 1)) ?
			       BH_REASON_CONTROL :
			       BH_REASON_NONE;
	return bh_addr6_linklocal(&pkt->src) && bh_addr6_linklocal(&pkt->dst) ? BH_REASON_CONTROL :
										BH_REASON_NONE;
}

BH_SUBPROG int admit_from_pod(struct __sk_buff *skb, struct work *work,
			      const struct bh_endpoint *ep)
{
	struct bh_pkt *pkt;
	int number, v4;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	pkt = &work->pkt;
	v4 = pkt->flags & BH_PKT_V4;
	number = local_number(ep, &pkt->src, v4);
	if (number >= 0)
		work->local = number;
	else if (spoof(skb, work, ep, BH_REASON_SPOOFED_ADDR))
		return BH_REASON_SPOOFED_ADDR;
	if ((pkt->flags & BH_PKT_LINK_GROUP) && local_number(ep, &pkt->dst, v4) < 0)
		pkt->flags |= BH_PKT_GROUP; /* a subnet's broadcast */
	if (!(pkt->flags & BH_PKT_ERROR))
		return BH_REASON_NONE;
	number = local_number(ep, &pkt->inner, v4);
	if (number < 0)
		pkt->flags |= BH_PKT_ERROR_ODD;
	else
		work->local = number;
	return BH_REASON_NONE;
}

BH_SUBPROG int admit_to_pod(struct __sk_buff *skb, struct work *work, const struct bh_endpoint *ep)
{
	struct bh_pkt *pkt;
	int number, v4;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	pkt = &work->pkt;
	v4 = pkt->flags & BH_PKT_V4;
	number = local_number(ep, &pkt->dst, v4);
	if (number >= 0) {
		work->local = number;
		/* Nobody but the pod itself sends with its address, and that comes in by its own veth. */
		if (local_number(ep, &pkt->src, v4) < 0)
			return BH_REASON_NONE;
		return skb->ingress_ifindex == ep->ifindex ?
			       BH_REASON_HAIRPIN :
			       spoof(skb, work, ep, BH_REASON_SPOOFED_ADDR);
	}
	if (pkt->flags & BH_PKT_LINK_GROUP)
		pkt->flags |= BH_PKT_GROUP;
	if (!(pkt->flags & BH_PKT_GROUP))
		return BH_REASON_NOT_MINE;
	/* Its own multicast, flooded back by a bridge. */
	return local_number(ep, &pkt->src, v4) >= 0 && skb->ingress_ifindex != ep->ifindex ?
		       spoof(skb, work, ep, BH_REASON_SPOOFED_ADDR) :
		       BH_REASON_NONE;
}

/* A policy that the open judge cannot enforce: the judge that tracks is not there yet. */
INLINE __u32 is_judged(const struct bh_endpoint *ep, enum bh_dir dir)
{
	return READ_ONCE(ep->policy[dir & 1]) ^ BH_POLICY_ALLOW;
}

INLINE int mac_is_own(const struct bh_endpoint *ep, const struct bh_pkt *pkt)
{
	const __u16 *mac = (const __u16 *)ep->mac;

	return mac[0] == pkt->smac[0] && mac[1] == pkt->smac[1] && mac[2] == pkt->smac[2];
}

/* NONE: judge it; CONTROL, HAIRPIN: it passes; else why not. */
BH_SUBPROG int admit_kind(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep)
{
	enum bh_reason reason;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	if (work->dir == BH_EGRESS) {
		reason = control_from_pod(skb, work, ep);
		return reason ? reason : admit_from_pod(skb, work, ep);
	}
	reason = control_to_pod(ep, &work->pkt);
	return reason ? reason : admit_to_pod(skb, work, ep);
}

BH_SUBPROG int admit_any(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep)
{
	enum bh_reason reason = BH_REASON_NONE;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	if (ep->ident != work->ident || ep->state == BH_STATE_NONE)
		return BH_REASON_STALE_PROGRAM;
	if (work->dir == BH_EGRESS && !mac_is_own(ep, &work->pkt))
		reason = spoof(skb, work, ep, BH_REASON_SPOOFED_MAC);
	if (!reason)
		reason = admit_kind(skb, work, ep);
	if (reason)
		return reason;
	if (!HAS(TRACK)) /* who cannot judge cannot tell the node from others */
		return ep->state == BH_STATE_ACTIVE && !is_judged(ep, work->dir) ? BH_REASON_NONE :
										   BH_REASON_QUARANTINE;
	return work->pkt.flags & BH_PKT_LATER ? fragment_recall(work) : BH_REASON_NONE;
}

/* 0 when the two low words, which tell almost all addresses apart, are equal. */
INLINE __u32 addr6_differs_low(const struct bh_addr *addr, const __u32 own[4])
{
	return (addr->w[3] ^ own[3]) | (addr->w[2] ^ own[2]);
}

INLINE __u32 addr6_differs(const struct bh_addr *addr, const __u32 own[4])
{
	return addr6_differs_low(addr, own) | (addr->w[1] ^ own[1]) | (addr->w[0] ^ own[0]);
}

/*
 * The ordinary packet: current program, active endpoint, own address and MAC. One sum of differences and one
 * branch. What looks like the pod's own source at its ingress is left to the thorough check.
 */
INLINE enum bh_reason admit(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
			    enum bh_dir dir)
{
	struct bh_pkt *pkt = &work->pkt;
	const struct bh_addr *local = dir == BH_EGRESS ? &pkt->src : &pkt->dst;
	const __u16 *mac = (const __u16 *)ep->mac;
	__u32 differs =
		(ep->ident ^ work->ident) | (ep->state ^ BH_STATE_ACTIVE) | (pkt->flags & BH_PKT_SPECIAL);
	__u32 self = 1;

	if (!HAS(TRACK))
		differs |= is_judged(ep, dir);
	if (dir == BH_EGRESS)
		differs |=
			(mac[0] ^ pkt->smac[0]) | (mac[1] ^ pkt->smac[1]) | (mac[2] ^ pkt->smac[2]);
	if (pkt->flags & BH_PKT_V4) {
		differs |= local->w[3] ^ ep->addr4;
		if (dir == BH_INGRESS)
			self = pkt->src.w[3] ^ ep->addr4;
	} else {
		differs |= addr6_differs(local, ep->addr6);
		if (dir == BH_INGRESS)
			self = addr6_differs_low(&pkt->src, ep->addr6);
	}
	if (likely(!differs && self))
		return BH_REASON_NONE;
	return admit_any(skb, work, ep);
}
