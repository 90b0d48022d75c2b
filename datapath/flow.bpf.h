/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * flow.bpf.h - a packet's flow: known and judged, known and to be judged again, or new.
 *
 * World: BPF.
 */
#pragma once

#include "datapath/half.bpf.h"

/* Between the two tables of flows: as STALL() (policy.bpf.h). */
#ifndef STALL_BETWEEN
#define STALL_BETWEEN()
#endif

INLINE int is_adopting(const struct bh_endpoint *ep, __u32 now)
{
	/* Bounded on both sides: the clock wraps, and an agent may be gone before it ends the window. */
	return ep->adopt_until && ep->adopt_until - now - 1 < BH_ADOPT_MAX_SEC * (__u32)BH_TIME_HZ;
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
	reason = judge(work, ep, work->dir, 0);
	if (work->service)
		return service_begins(work, ep, reason);
	if (reason == BH_REASON_ALLOWED && !exempt && work->dir == BH_INGRESS &&
	    service_unasked(work, ep)) {
		judged_set(work, BH_VERDICT_DENY, BH_RULE_NONE);
		return BH_REASON_SERVICE_UNASKED;
	}
	if (reason == BH_REASON_ALLOWED)
		return exempt ? exempt : reason;
	if (!node_passes(reason, &work->judged))
		return reason;
	if (work->dir == BH_EGRESS && node_is_remote(work, ep))
		return BH_REASON_OWN_NODE;
	return exempt ? exempt : reason;
}

/*
 * A segment of a connection older than enforcement: judged in one direction only, told by its port. What the
 * pod sends it can make up, with any port: it must be allowed to begin flows, too.
 */
BH_SUBPROG int flow_adopt(struct work *work, struct bh_endpoint *ep, struct bh_ct *old)
{
	struct bh_ct ct = { .flags = BH_CT_SEEDED, .state = BH_CT_ESTABLISHED };
	enum bh_reason reason = BH_REASON_ALLOWED;
	__u32 port;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	port = BH_HOST16(work_local_port(work));
	if (ep->state != BH_STATE_ACTIVE)
		return BH_REASON_QUARANTINE;
	work->initiator = BH_INGRESS;
	if (port >= ep->ephemeral_lo && port <= ep->ephemeral_hi)
		work->initiator = BH_EGRESS;
	if (work->initiator != work->dir && work->dir == BH_EGRESS)
		reason = judge_known(work, ep, work->dir, BH_CT_SEEDED);
	if (reason == BH_REASON_ALLOWED)
		reason = judge_known(work, ep, work->initiator, BH_CT_SEEDED);
	if (reason != BH_REASON_ALLOWED)
		return reason;
	if (work->initiator == BH_EGRESS)
		ct.flags |= BH_CT_EGRESS;
	if (work->service)
		ct.flags |= BH_CT_SERVICE;
	reason = ct_create(work, ep, old, ct.word);
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
		total_judged(skb, work, reason);
	return reason;
}

/* A flow that nobody has seen yet. NONE of it is kept for multicast and broadcast: judged packet by packet. */
BH_SUBPROG int flow_begin(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep)
{
	struct bh_ct first = {};
	enum bh_reason reason;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	reason = judge_first(skb, work, ep);
	if (reason >= BH_REASON_DROP)
		return reason;
	first.flags = work->dir == BH_EGRESS ? BH_CT_EGRESS : 0;
	if (work->service)
		first.flags |= BH_CT_SERVICE;
	else if (reason != BH_REASON_ALLOWED)
		first.flags |= BH_CT_NODE;
	if (!(work->pkt.flags & BH_PKT_GROUP))
		half_put(work, first.flags);
	total_judged(skb, work, reason);
	return reason;
}

/* Nothing about the connection changes: a plain segment of an established one, or of an answered flow. */
INLINE int flow_is_quiet(const struct work *work, const struct bh_ct *seen)
{
	if (work->pkt.proto != BH_PROTO_TCP)
		return seen->state == BH_CT_REPLY || work->initiator == work->dir;
	return seen->state == BH_CT_ESTABLISHED &&
	       !(work->pkt.tcp & (BH_TCP_SYN | BH_TCP_FIN | BH_TCP_RST));
}

/* May a flow be opening beside this entry: one that ended, is cut, or whose beginner answers? */
INLINE int flow_may_open(const struct work *work, const struct bh_ct *seen, enum bh_dir dir)
{
	if (!half_shakes(work))
		return 0;
	return (seen->flags & BH_CT_CUT) || seen->state == BH_CT_CLOSED ||
	       ((work->pkt.tcp & BH_TCP_SYN) && work->initiator == dir);
}

/* A packet of a connection that is known. */
INLINE enum bh_reason flow_known(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
				 struct bh_ct *ct, const struct bh_ct *seen)
{
	enum bh_reason reason;

	if (unlikely(node_is_stranger(skb, work, ep, seen->flags))) {
		reason = stranger_judge(work, ep);
		if (reason)
			return reason;
	}
	if (unlikely(seen->gen != READ_ONCE(ep->gen[work->initiator & 1]) ||
		     BH_CELL_VERDICT(seen->rule) != BH_VERDICT_ALLOW ||
		     ep->state != BH_STATE_ACTIVE)) {
		reason = ct_again(skb, work, ep, ct);
		if (reason != BH_REASON_ESTABLISHED)
			return reason;
	}
	if (unlikely(work->pkt.flags & BH_PKT_ERROR))
		return BH_REASON_RELATED;
	if (HAS(RECORD))
		flow_count(work, ct);
	if (!flow_is_quiet(work, seen))
		ct_move(work, ct);
	return BH_REASON_ESTABLISHED;
}

/*
 * A packet that found neither a connection nor a half-open flow, though its flow may have become the one from the other
 * between the two looks: its entry is made before its place is freed, so one more look finds it. NONE: it has none.
 */
BH_SUBPROG int flow_settled(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep)
{
	struct bh_ct seen = {}, *ct;

	if (!work || !ep || (work->pkt.flags & BH_PKT_OPENER))
		return BH_REASON_NONE;
	ct = ct_find(work, work->dir);
	if (!ct || bh_ct_expired(ct, work->pkt.proto, work->now, ct_scale))
		return BH_REASON_NONE;
	seen.judgement = READ_ONCE(ct->judgement);
	seen.word = READ_ONCE(ct->word);
	if (READ_ONCE(ct->check) != work->check)
		return BH_REASON_INTERNAL;
	work->initiator = seen.flags & BH_CT_EGRESS ? BH_EGRESS : BH_INGRESS;
	return flow_known(skb, work, ep, ct, &seen);
}

INLINE enum bh_reason flow_pass(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
				enum bh_dir dir)
{
	struct bh_ct seen = {}, *ct;
	enum bh_reason reason;

	if (unlikely(work->pkt.flags & (BH_PKT_GROUP | BH_PKT_ERROR_ODD))) {
		work->now = now_coarse();
		ct = NULL;
		goto begin;
	}
	ct = ct_find(work, dir);
	if (!ct)
		goto miss;
	seen.judgement = READ_ONCE(ct->judgement);
	seen.word = READ_ONCE(ct->word);
	if (unlikely(READ_ONCE(ct->check) != work->check))
		return BH_REASON_INTERNAL; /* deleted under us: the next packet is a clean miss */
	work->initiator = seen.flags & BH_CT_EGRESS ? BH_EGRESS : BH_INGRESS;
	if (unlikely((work->pkt.flags & BH_PKT_OPENER) &&
		     (work->initiator != dir || bh_ct_reopens(seen.state, 1))))
		goto miss;
	if (unlikely((__u32)bpf_jiffies64() - READ_ONCE(ct->tick) > ct_fresh) && ct_stale(work, ct))
		goto miss;
	if (unlikely(flow_may_open(work, &seen, dir))) {
		reason = half_pass(skb, work, ep, ct);
		if (reason)
			return reason;
	}
	return flow_known(skb, work, ep, ct, &seen);
miss:
	STALL_BETWEEN();
	reason = half_pass(skb, work, ep, ct);
	if (reason)
		return reason;
	reason = flow_settled(skb, work, ep);
	if (reason)
		return reason;
begin: /* of no flow, half-open ones included; ct: an entry that does not count as a hit for it */
	work->initiator = dir;
	if (work->pkt.flags & (BH_PKT_ERROR | BH_PKT_ANSWER))
		return flow_answer(skb, work, ep, ct);
	return flow_begin(skb, work, ep);
}
