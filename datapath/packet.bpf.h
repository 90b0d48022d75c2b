/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * packet.bpf.h - the way of a packet: read, admit, judge, count.
 *
 * World: BPF.
 */
#pragma once

#include "datapath/flow.bpf.h"

BH_SUBPROG int packet_read_any(struct __sk_buff *skb, struct work *work)
{
	if (!work)
		return BH_REASON_INTERNAL;
	if (skb->vlan_present)
		return BH_REASON_VLAN;
	work->pkt = (struct bh_pkt){ .bytes = skb->len - BH_L2_BYTES };
	if (skb->gso_size)
		work->pkt.flags = BH_PKT_GSO;
	return bh_parse_any(skb, work->dir, &work->pkt);
}

INLINE enum bh_reason packet_read(struct __sk_buff *skb, struct work *work)
{
	work->pkt.bytes = skb->len - BH_L2_BYTES;
	if (likely(!skb->vlan_present &&
		   bh_parse_fast((void *)(long)skb->data, (void *)(long)skb->data_end, &work->pkt)))
		return BH_REASON_NONE;
	return packet_read_any(skb, work);
}

INLINE int packet(struct __sk_buff *skb, enum bh_dir dir)
{
	struct work work = { .dir = dir, .initiator = dir, .ident = skb->cb[BH_CB_IDENT] };
	struct bh_endpoint *ep = endpoint_get(work.ident);
	enum bh_reason reason;

	if (!ep)
		return TC_ACT_SHOT; /* never: slots are within the array */
	if (HAS(RECORD))
		work.packets = skb_packets(skb);
	reason = packet_read(skb, &work);
	if (!reason)
		reason = admit(skb, &work, ep, dir);
	if (!reason && HAS(TRACK))
		reason = flow_pass(skb, &work, ep, dir);
	if (reason < BH_REASON_DROP && unlikely(work.pkt.flags & BH_PKT_FIRST) && HAS(TRACK))
		reason = fragment_keep(&work) ?: reason;
	if (unlikely(reason >= BH_REASON_DROP)) {
		drop(skb, &work, ep, reason);
		return TC_ACT_SHOT;
	}
	passed(skb, &work, dir);
	return TC_ACT_UNSPEC;
}
