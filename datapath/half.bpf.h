/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * half.bpf.h - half-open flows: found, remembered, and made connections when both sides have spoken.
 *
 * World: BPF. Plain stores: what two CPUs mix is found out by its check word (bulkhead/half.h).
 */
#pragma once

#include <bulkhead/half.h>

#include "datapath/conntrack.bpf.h"

/* Sets the work's key6 (of both families) and place. */
INLINE void half_place(struct work *work)
{
	__u32 zero = 0;
	const struct bh_node *node = bpf_map_lookup_elem(&bh_node, &zero);
	struct bh_half_place place = {};

	bh_ct6_key_of(&work->pkt, work->dir, work->ident, work->local, &work->key6);
	if (node)
		place = bh_half_place(&work->key6, node->secret, half_buckets);
	work->place = place.bucket;
	work->tag = place.tag;
}

INLINE struct bh_half_bucket *half_bucket(const struct work *work)
{
	__u32 place = work->place;

	return bpf_map_lookup_elem(&bh_half, &place);
}

/* The flow's place in its bucket, -1: it has none. What is known of it goes to *seen. */
INLINE int half_find(const struct work *work, const struct bh_half_bucket *bucket,
		     struct bh_half_flow *seen)
{
	for (int i = 0; i < BH_HALF_WAYS; i++) {
		const struct bh_half *place = &bucket->place[i];

		if (READ_ONCE(bucket->tag[i]) != work->tag)
			continue;
		*seen = *(const volatile struct bh_half_flow *)&place->flow;
		if (bh_half_key_equal(&place->key, &work->key6) &&
		    READ_ONCE(place->check) == bh_half_check(&work->key6, seen) &&
		    !bh_half_expired(READ_ONCE(bucket->last[i]), work->now, ct_scale))
			return i;
	}
	return -1;
}

/* Remembers the work's judgement of the flow. flags: EGRESS, NODE. */
INLINE void half_put(struct work *work, __u32 flags, __u32 replied)
{
	const struct bh_half_flow flow = {
		.gen = work->judged.gen,
		.rule = work->judged.verdict,
		.shadow = work->judged.shadow,
		.created = work->now,
		.flags = flags,
		.replied = replied,
	};
	struct bh_half_bucket *bucket = half_bucket(work);
	__u32 i;

	if (!bucket)
		return;
	i = bh_half_victim(bucket, work->tag, work->now) & (BH_HALF_WAYS - 1);
	WRITE_ONCE(bucket->place[i].check, 0);
	bucket->place[i].key = work->key6;
	bucket->place[i].flow = flow;
	WRITE_ONCE(bucket->place[i].check, bh_half_check(&work->key6, &flow));
	WRITE_ONCE(bucket->last[i], work->now);
	WRITE_ONCE(bucket->tag[i], work->tag);
}

/* Is it a connection with this packet? */
INLINE int half_is_whole(const struct work *work, const struct bh_half_flow *seen)
{
	if (work->pkt.proto == BH_PROTO_TCP || work->pkt.proto == BH_PROTO_SCTP)
		return work->dir == work->initiator && !(work->pkt.flags & BH_PKT_OPENER);
	return work->now - seen->created >= BH_HALF_SETTLE_SEC * (__u32)BH_TIME_HZ >> half_scale;
}

/* The connection's {state, flags, tcp_seen} with this packet. */
INLINE __u32 half_word(struct work *work, __u32 flags)
{
	struct bh_ct ct = { .state = BH_CT_REPLY, .flags = flags };

	work->side = work->initiator == work->dir ? BH_CT_INITIATOR : BH_CT_RESPONDER;
	work->event = bh_ct_event(work->pkt.tcp, work->pkt.flags & BH_PKT_DATA);
	return bh_ct_step(&ct, work->pkt.proto, READ_ONCE(work->side), READ_ONCE(work->event));
}

/* Judged under another policy than the current one: once more, in the initiator's direction. */
INLINE enum bh_reason half_again(struct work *work, struct bh_endpoint *ep, __u32 flags)
{
	enum bh_reason reason = judge_known(work, ep, work->initiator);

	if (reason == BH_REASON_ALLOWED)
		return BH_REASON_NONE;
	if (node_passes(reason, &work->judged) &&
	    ((flags & BH_CT_NODE) || (work->initiator == BH_EGRESS && node_is_remote(work, ep))))
		return BH_REASON_NONE;
	return reason;
}

/*
 * One that is denied now. Where the other side has spoken it becomes an entry that stays cut while it talks; else
 * its place remembers who began. 1: the place is free.
 */
INLINE int half_cut(struct work *work, struct bh_endpoint *ep, struct bh_ct *old,
		    const struct bh_half_flow *seen)
{
	if (!seen->replied || (work->pkt.flags & BH_PKT_ERROR))
		return 0;
	stat_add(BH_STAT_CT_CUT, 1);
	return ct_create(work, ep, old, half_word(work, seen->flags | BH_CT_CUT)) == BH_REASON_NONE;
}

/* May the packet pass on the flow's judgement? NONE or why not. */
INLINE enum bh_reason half_judge(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
				 const struct bh_half_flow *seen)
{
	if (ep->state != BH_STATE_ACTIVE && !(seen->flags & BH_CT_NODE))
		return BH_REASON_QUARANTINE;
	work->judged.gen = seen->gen;
	work->judged.verdict = seen->rule;
	work->judged.shadow = seen->shadow;
	if (seen->gen != READ_ONCE(ep->gen[work->initiator & 1])) {
		stat_add(BH_STAT_CT_REJUDGED, 1);
		if (half_again(work, ep, seen->flags))
			return BH_REASON_CUT;
		half_put(work, seen->flags, seen->replied);
		total(skb, work, BH_REASON_ALLOWED);
	}
	return node_is_stranger(skb, work, ep, seen->flags) ? stranger_judge(work, ep) :
							      BH_REASON_NONE;
}

/*
 * What the packet does to its flow. An answer to one that began beside an old entry turns that entry at
 * once: its packets would not be seen here. 1: the flow's place is free.
 */
INLINE int half_move(struct work *work, struct bh_endpoint *ep, struct bh_ct *old,
		     struct bh_half *place, const struct bh_half_flow *seen)
{
	int tcp = work->pkt.proto == BH_PROTO_TCP;
	int answers = work->dir != work->initiator && (!tcp || (work->pkt.tcp & BH_TCP_SYN));

	if (tcp && (work->pkt.tcp & BH_TCP_RST))
		return 1;
	if (answers)
		WRITE_ONCE(place->flow.replied, 1);
	if ((seen->replied && half_is_whole(work, seen)) || (tcp && answers && old))
		return ct_create(work, ep, old, half_word(work, seen->flags)) == BH_REASON_NONE;
	return 0;
}

/*
 * Is it no packet of this flow: one of the other side that begins its own, or one of an old connection, to
 * which an unanswered SYN with its ports gives nothing back?
 */
INLINE int half_is_others(const struct work *work, const struct bh_ct *old,
			  const struct bh_half_flow *seen, __u32 initiator)
{
	if ((work->pkt.flags & BH_PKT_OPENER) && initiator != work->dir)
		return 1;
	return old && !seen->replied && work->pkt.proto == BH_PROTO_TCP &&
	       !(work->pkt.tcp & BH_TCP_SYN);
}

/*
 * A packet of a half-open flow. old: an entry of the same key that does not count for it, or NULL. NONE:
 * there is no such flow, or the packet begins one of its own.
 */
BH_SUBPROG int half_meet(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
			 struct bh_ct *old)
{
	struct bh_half_bucket *bucket;
	enum bh_reason reason;
	struct bh_half_flow seen;
	__u32 initiator;
	int found;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	work->now = now_coarse();
	half_place(work);
	bucket = half_bucket(work);
	found = bucket ? half_find(work, bucket, &seen) : -1;
	if (found < 0 || !bucket)
		return BH_REASON_NONE;
	initiator = seen.flags & BH_CT_EGRESS ? BH_EGRESS : BH_INGRESS;
	if (half_is_others(work, old, &seen, initiator))
		return BH_REASON_NONE;
	work->initiator = initiator;
	found &= BH_HALF_WAYS - 1;
	reason = half_judge(skb, work, ep, &seen);
	if (reason == BH_REASON_CUT && half_cut(work, ep, old, &seen))
		WRITE_ONCE(bucket->tag[found], 0);
	if (reason)
		return reason;
	if (work->pkt.flags & BH_PKT_ERROR)
		return BH_REASON_RELATED;
	if (half_move(work, ep, old, &bucket->place[found], &seen))
		WRITE_ONCE(bucket->tag[found], 0);
	else if (work->now - READ_ONCE(bucket->last[found]) > (__u32)BH_TIME_HZ >> ct_scale)
		WRITE_ONCE(bucket->last[found], work->now);
	return BH_REASON_ESTABLISHED;
}
