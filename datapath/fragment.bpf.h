/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * fragment.bpf.h - a later fragment is judged by the ports of its first one, if that passed here.
 *
 * World: BPF.
 */
#pragma once

#include "datapath/policy.bpf.h"

/* Gives a later fragment the ports of its first one. NONE or why it is dropped. */
BH_SUBPROG int fragment_recall(struct work *work)
{
	const struct bh_frag *frag;
	struct bh_datagram datagram;
	struct bh_frag_key key;
	__u32 end;

	if (!work)
		return BH_REASON_INTERNAL;
	bh_datagram_of(&work->pkt, work->dir, work->ident, &datagram);
	bh_frag_key_of(&datagram, frag_share, &key);
	frag = bpf_map_lookup_elem(&bh_frag, &key);
	if (!frag || now_coarse() - frag->created > BH_FRAG_SEC * (__u32)BH_TIME_HZ >> ct_scale)
		return BH_REASON_FRAG_UNKNOWN;
	work->pkt.ports = frag->ports;
	work->pkt.proto = frag->proto;
	work->pkt.tcp = frag->tcp;
	work->pkt.flags |= frag->flags;
	end = frag->end;
	if (!bh_frag_is(frag, &datagram))
		return BH_REASON_FRAG_UNKNOWN;
	return work->pkt.fragment < end ? BH_REASON_FRAG_OVERLAP : BH_REASON_NONE;
}

/* Remembers a first fragment that passes. NONE or FRAG_FULL. */
BH_SUBPROG int fragment_keep(struct work *work)
{
	struct bh_datagram datagram;
	struct bh_frag frag = {};
	struct bh_frag_key key;

	if (!work)
		return BH_REASON_INTERNAL;
	if (work->pkt.flags & BH_PKT_ERROR)
		return BH_REASON_NONE; /* no later fragment of an error can be related */
	bh_datagram_of(&work->pkt, work->dir, work->ident, &datagram);
	bh_frag_key_of(&datagram, frag_share, &key);
	bh_frag_of(&work->pkt, &datagram, now_coarse(), &frag);
	return bpf_map_update_elem(&bh_frag, &key, &frag, BPF_ANY) ? BH_REASON_FRAG_FULL :
								     BH_REASON_NONE;
}
