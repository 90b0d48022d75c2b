/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * flow.bpf.h - a packet's flow: known and judged, known and to be judged again, or new.
 *
 * World: BPF.
 */
#pragma once

#include "datapath/conntrack.bpf.h"

INLINE int is_open(const struct bh_endpoint *ep, __u32 dir)
{
	return READ_ONCE(ep->policy[dir & 1]) == BH_POLICY_ALLOW;
}

INLINE int is_adopting(const struct bh_endpoint *ep, __u32 now)
{
	return ep->adopt_until && (__s32)(ep->adopt_until - now) > 0;
}

/* Judges a packet that begins something, with the exemptions; no entry is looked at or made. */
INLINE enum bh_reason judge_first(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep)
{
	enum bh_reason exempt = BH_REASON_NONE, reason;

	if (work->dir == BH_INGRESS)
		exempt = node_sends(skb, work, ep);
	else if (ep->state != BH_STATE_ACTIVE && node_is_remote(work, ep))
		exempt = BH_REASON_OWN_NODE;
	if (ep->state != BH_STATE_ACTIVE && !exempt)
		return BH_REASON_QUARANTINE;
	reason = judge(work, ep, work->dir);
	if (reason == BH_REASON_ALLOWED)
		return exempt ? exempt : reason;
	if (!node_passes(reason, &work->judged))
		return reason;
	if (work->dir == BH_EGRESS && node_is_remote(work, ep))
		return BH_REASON_OWN_NODE;
	return exempt ? exempt : reason;
}

/* A segment of a connection older than enforcement: judged in one direction only, told by its port. */
BH_SUBPROG int flow_adopt(struct work *work, struct bh_endpoint *ep, struct bh_ct *old)
{
	__u32 port, flags = BH_CT_SEEDED;
	enum bh_reason reason;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	port = BH_HOST16(work_local_port(work));
	if (ep->state != BH_STATE_ACTIVE)
		return BH_REASON_QUARANTINE;
	work->initiator = BH_INGRESS;
	if (port >= ep->ephemeral_lo && port <= ep->ephemeral_hi)
		work->initiator = BH_EGRESS;
	reason = judge(work, ep, work->initiator);
	if (reason != BH_REASON_ALLOWED)
		return reason;
	if (work->initiator == BH_EGRESS)
		flags |= BH_CT_EGRESS;
	reason = ct_create(work, ep, old, flags);
	return reason ? reason : BH_REASON_ADOPTED;
}

/* What never begins a flow, without a flow. */
BH_SUBPROG int flow_answer(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
			   struct bh_ct *old)
{
	enum bh_reason reason;
	__u32 tcp;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	tcp = work->pkt.proto == BH_PROTO_TCP && !(work->pkt.flags & BH_PKT_ERROR);
	if (ep->state == BH_STATE_ACTIVE && is_open(ep, work->dir) &&
	    (!tcp || is_open(ep, !work->dir)))
		return BH_REASON_OPEN;
	if (!tcp)
		return BH_REASON_ICMP_UNRELATED;
	if (!is_adopting(ep, work->now) || (work->pkt.tcp & (BH_TCP_SYN | BH_TCP_RST)) ||
	    (work->pkt.flags & BH_PKT_GROUP))
		return BH_REASON_NOT_SYN;
	reason = flow_adopt(work, ep, old);
	if (reason == BH_REASON_ADOPTED)
		total(skb, work, reason);
	return reason;
}

/*
 * A miss. old: an entry that does not count as a hit for this packet, or NULL. Multicast and broadcast are
 * judged packet by packet, nothing is kept of them.
 */
BH_SUBPROG int flow_new(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
			struct bh_ct *old)
{
	enum bh_reason reason, full;
	struct bh_total_key key;
	__u32 flags;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	work->initiator = work->dir;
	work->now = now_coarse();
	if (HAS(RECORD))
		work->packets = skb_packets(skb);
	if (work->pkt.flags & (BH_PKT_ERROR | BH_PKT_ANSWER))
		return flow_answer(skb, work, ep, old);
	reason = judge_first(skb, work, ep);
	if (reason >= BH_REASON_DROP)
		return reason;
	flags = work->dir == BH_EGRESS ? BH_CT_EGRESS : 0;
	if (reason != BH_REASON_ALLOWED)
		flags |= BH_CT_NODE;
	full = work->pkt.flags & BH_PKT_GROUP ? BH_REASON_NONE : ct_create(work, ep, old, flags);
	if (full)
		return full;
	key = total_key(work, reason);
	total_count(&key, skb_packets(skb), work->pkt.bytes);
	return reason;
}

INLINE void flow_record(struct __sk_buff *skb, const struct work *work, struct bh_ct *ct,
			enum bh_dir dir)
{
	if (!HAS(RECORD) || (work->pkt.flags & BH_PKT_ERROR))
		return;
	__sync_fetch_and_add(&ct->packets[dir], skb_packets(skb));
	__sync_fetch_and_add(&ct->bytes[dir], work->pkt.bytes);
}

/* Nothing about the connection changes: a plain segment of an established one, or of an answered flow. */
INLINE int flow_is_quiet(const struct work *work, const struct bh_ct *seen)
{
	if (work->initiator != work->dir && !(seen->flags & BH_CT_REPLIED))
		return 0;
	return work->pkt.proto != BH_PROTO_TCP ||
	       (seen->state == BH_CT_ESTABLISHED &&
		!(work->pkt.tcp & (BH_TCP_SYN | BH_TCP_FIN | BH_TCP_RST)));
}

INLINE enum bh_reason flow_pass(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
				enum bh_dir dir)
{
	struct bh_ct seen = {}, *ct;
	enum bh_reason reason;

	if (unlikely(work->pkt.flags & (BH_PKT_GROUP | BH_PKT_ERROR_ODD)))
		return flow_new(skb, work, ep, NULL);
	ct = ct_find(work, dir);
	if (!ct)
		return flow_new(skb, work, ep, NULL);
	seen.judgement = READ_ONCE(ct->judgement);
	seen.word = READ_ONCE(ct->word);
	if (unlikely(READ_ONCE(ct->check) != work->check))
		return BH_REASON_INTERNAL; /* deleted under us: the next packet is a clean miss */
	work->initiator = seen.flags & BH_CT_EGRESS ? BH_EGRESS : BH_INGRESS;
	if (unlikely((work->pkt.flags & BH_PKT_OPENER) &&
		     (work->initiator != dir || bh_ct_reopens(seen.state, 1))))
		return flow_new(skb, work, ep, ct);
	if (unlikely((__u32)bpf_jiffies64() - READ_ONCE(ct->tick) > ct_fresh) && ct_stale(work, ct))
		return flow_new(skb, work, ep, ct);
	if (unlikely(seen.gen != READ_ONCE(ep->gen[work->initiator & 1]) ||
		     BH_CELL_VERDICT(seen.rule) != BH_VERDICT_ALLOW ||
		     ep->state != BH_STATE_ACTIVE)) {
		reason = ct_again(skb, work, ep, ct);
		if (reason != BH_REASON_ESTABLISHED)
			return reason;
	}
	flow_record(skb, work, ct, dir);
	if (unlikely(work->pkt.flags & BH_PKT_ERROR))
		return BH_REASON_RELATED;
	if (!flow_is_quiet(work, &seen))
		ct_move(work, ep, ct);
	return BH_REASON_ESTABLISHED;
}
