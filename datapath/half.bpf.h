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
		    !bh_half_expired(READ_ONCE(bucket->last[i]), work->pkt.proto, seen->replied,
				     work->now, ct_scale))
			return i;
	}
	return -1;
}

/* Another flow may have the place by now: what is stored then is the other one's. */
INLINE int half_is_still(const struct work *work, const struct bh_half_bucket *bucket, __u32 i)
{
	return READ_ONCE(bucket->tag[i]) == work->tag;
}

/* ---- counting, of the recording variant only ---- */
INLINE struct bh_half_count *half_counted(const struct work *work, __u32 i)
{
	__u32 place = work->place;
	struct bh_half_counts *counts = bpf_map_lookup_elem(&bh_half_count, &place);

	return counts ? &counts->place[i & (BH_HALF_WAYS - 1)] : NULL;
}

/* What was counted in a place, to the entry that its flow is now. */
INLINE void half_hand_over(struct work *work, struct bh_half_count *counted)
{
	struct bh_ct *ct = ct_find(work, work->dir);

	if (!ct)
		return;
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		__sync_fetch_and_add(&ct->packets[dir],
				     __sync_lock_test_and_set(&counted->packets[dir], 0));
		__sync_fetch_and_add(&ct->bytes[dir],
				     __sync_lock_test_and_set(&counted->bytes[dir], 0));
	}
}

/* Tells of the flow that was in the place. */
INLINE void half_evicted(const struct work *work, const struct bh_half *half, __u32 last,
			 const struct bh_half_count *counted)
{
	struct bh_gone *gone;

	if (half->check != bh_half_check(&half->key, &half->flow))
		return;
	gone = gone_reserve(work, BH_GONE_EVICTED);
	if (!gone)
		return;
	gone->key = half->key;
	gone->flow.check = gone->flow.tick = 0; /* all of it is written: what was in the ring is another one's */
	gone->flow.last = last;
	gone->flow.gen = half->flow.gen;
	gone->flow.rule = half->flow.rule;
	gone->flow.shadow = half->flow.shadow;
	gone->flow.created = half->flow.created;
	gone->flow.state = half->flow.replied ? BH_CT_REPLY : BH_CT_NEW;
	gone->flow.flags = half->flow.flags;
	gone->flow.tcp_seen[0] = half->tcp_seen[0];
	gone->flow.tcp_seen[1] = half->tcp_seen[1];
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		gone->flow.packets[dir] = counted->packets[dir];
		gone->flow.bytes[dir] = counted->bytes[dir];
	}
	gone_send(gone);
}

/*
 * Takes place i from the flow that is there. Who wins the tag counts it, if it is whole and its time is not over. True: won,
 * and there was one.
 */
INLINE int half_wins(const struct work *work, struct bh_half_bucket *bucket, __u32 i)
{
	const struct bh_half *half = &bucket->place[i];
	__u32 tag = READ_ONCE(bucket->tag[i]);

	if (!tag || __sync_val_compare_and_swap(&bucket->tag[i], tag, 0) != tag)
		return 0;
	if (half->check == bh_half_check(&half->key, &half->flow) &&
	    !bh_half_expired(READ_ONCE(bucket->last[i]), half->key.proto, half->flow.replied, work->now,
			     ct_scale))
		__sync_fetch_and_add(&bucket->evicted[i], 1);
	return 1;
}

/* Place i is the work's flow's now, which begins with this packet. Who wins it tells of whose it was. */
BH_SUBPROG int half_take(struct work *work, __u32 i)
{
	struct bh_half_bucket *bucket;
	struct bh_half_count *counted;

	if (!work)
		return -1;
	i &= BH_HALF_WAYS - 1;
	bucket = half_bucket(work);
	counted = half_counted(work, i);
	if (!bucket || !counted)
		return 0;
	if (half_wins(work, bucket, i))
		half_evicted(work, &bucket->place[i], READ_ONCE(bucket->last[i]), counted);
	bucket->place[i].tcp_seen[0] = bucket->place[i].tcp_seen[1] = 0;
	*counted = (struct bh_half_count){};
	counted->packets[work->dir & 1] = work->packets;
	counted->bytes[work->dir & 1] = work->pkt.bytes;
	return 0;
}

/* Remembers a flow that begins, as the work judged it. flags: EGRESS, NODE. */
INLINE void half_put(struct work *work, __u32 flags)
{
	const struct bh_half_flow flow = {
		.gen = work->judged.gen,
		.rule = work->judged.verdict,
		.shadow = work->judged.shadow,
		.created = work->now,
		.flags = flags,
	};
	struct bh_half_bucket *bucket = half_bucket(work);
	__u32 i;

	if (!bucket || !work->tag)
		return;
	i = bh_half_victim(bucket, work->tag, work->ident, work->now, ct_scale) & (BH_HALF_WAYS - 1);
	if (HAS(RECORD))
		half_take(work, i);
	else
		half_wins(work, bucket, i);
	WRITE_ONCE(bucket->place[i].check, 0);
	bh_ct6_key_of(&work->pkt, work->dir, work->ident, work->local, &work->key6);
	bucket->place[i].key = work->key6;
	bucket->place[i].flow = flow;
	WRITE_ONCE(bucket->place[i].check, bh_half_check(&work->key6, &flow));
	WRITE_ONCE(bucket->last[i], work->now);
	WRITE_ONCE(bucket->owner[i], work->ident);
	WRITE_ONCE(bucket->tag[i], work->tag);
}

/* The flow is an entry now. */
INLINE void half_free(const struct work *work, struct bh_half_bucket *bucket, __u32 i)
{
	__sync_val_compare_and_swap(&bucket->tag[i], work->tag, 0);
}

INLINE int half_is_stale(const struct work *work, const struct bh_half_bucket *bucket, __u32 i)
{
	return bh_half_age(READ_ONCE(bucket->last[i]), work->now) >= (__u32)BH_TIME_HZ >> half_scale;
}

INLINE void half_touch(const struct work *work, struct bh_half_bucket *bucket, __u32 i)
{
	if (half_is_stale(work, bucket, i) && half_is_still(work, bucket, i))
		WRITE_ONCE(bucket->last[i], work->now);
}

/*
 * The work's judgement in the place of the one before, word by word. Who reads meanwhile finds old and new words together,
 * with a check that is neither the old nor the new judgement's: to him the place is empty, so nothing ever passes on a
 * mixture. His packet is judged as one that begins: an answer may be lost by that, once, and a pod that may itself begin
 * this flow has begun it from then on, as if it had spoken after the place's time. The same is left by another flow that
 * takes the place in between, and by a newer judgement of another CPU.
 */
INLINE void half_rejudge(const struct work *work, struct bh_half_bucket *bucket, __u32 i,
			 struct bh_half_flow *seen)
{
	seen->gen = work->judged.gen;
	seen->rule = work->judged.verdict;
	seen->shadow = work->judged.shadow;
	if (!half_is_still(work, bucket, i))
		return;
	bucket->place[i].flow.gen = seen->gen;
	bucket->place[i].flow.rule = seen->rule;
	bucket->place[i].flow.shadow = seen->shadow;
	WRITE_ONCE(bucket->place[i].check, bh_half_check(&work->key6, seen));
}

/* Begins by a handshake: three packets make it a connection. */
INLINE int half_shakes(const struct work *work)
{
	return work->pkt.proto == BH_PROTO_TCP || work->pkt.proto == BH_PROTO_SCTP;
}

/* What becomes an entry is as old as it is here. */
BH_SUBPROG int half_born(struct work *work)
{
	struct bh_half_bucket *bucket = work ? half_bucket(work) : NULL;

	if (bucket)
		work->born = bucket->place[work->way & (BH_HALF_WAYS - 1)].flow.created;
	return 0;
}

/* An answer of the other side; who began answers, too, where both did. */
INLINE int half_answers(const struct work *work)
{
	if (!half_shakes(work))
		return work->dir != work->initiator;
	return (work->pkt.tcp & BH_TCP_SYN) && !(work->pkt.flags & BH_PKT_OPENER);
}

/*
 * Is it a connection with this packet? The answer to a flow that began beside an old entry turns that entry at
 * once: its packets would not be seen here.
 */
INLINE int half_is_whole(const struct work *work, const struct bh_ct *old,
			 const struct bh_half_bucket *bucket, __u32 i,
			 const struct bh_half_flow *seen)
{
	if (half_shakes(work) && work->dir != work->initiator)
		return old && half_answers(work);
	if (half_shakes(work))
		return seen->replied && !(work->pkt.flags & BH_PKT_OPENER);
	return seen->replied && half_is_stale(work, bucket, i) &&
	       work->now - seen->created >= BH_HALF_SETTLE_SEC * (__u32)BH_TIME_HZ >> half_scale;
}

/* The connection's {state, flags, tcp_seen} with this packet. */
INLINE __u32 half_word(struct work *work, __u32 flags)
{
	struct bh_ct ct = { .state = BH_CT_REPLY, .flags = flags };

	work->side = work->initiator == work->dir ? BH_CT_INITIATOR : BH_CT_RESPONDER;
	work->event = bh_ct_event(work->pkt.tcp, work->pkt.flags & BH_PKT_DATA);
	return bh_ct_step(&ct, work->pkt.proto, READ_ONCE(work->side), READ_ONCE(work->event));
}

/*
 * One that is denied now. Where the other side has spoken it becomes an entry that stays cut while it talks; else
 * its place remembers who began, for as long.
 */
INLINE enum bh_reason half_cut(struct work *work, struct bh_endpoint *ep, struct bh_ct *old,
			       struct bh_half_bucket *bucket, __u32 i,
			       const struct bh_half_flow *seen)
{
	half_born(work);
	if (seen->replied && !(work->pkt.flags & BH_PKT_ERROR) &&
	    ct_create(work, ep, old, half_word(work, seen->flags | BH_CT_CUT)) == BH_REASON_NONE)
		half_free(work, bucket, i);
	else
		half_touch(work, bucket, i);
	return BH_REASON_CUT;
}

/* May the packet pass on the flow's judgement? NONE or why not. */
INLINE enum bh_reason half_judge(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
				 struct bh_half_bucket *bucket, __u32 i, struct bh_half_flow *seen)
{
	int current = seen->gen == READ_ONCE(ep->gen[work->initiator & 1]);
	enum bh_verdict was = BH_CELL_VERDICT(seen->rule);
	enum bh_reason reason;

	if (ep->state != BH_STATE_ACTIVE && !(seen->flags & BH_CT_NODE))
		return BH_REASON_QUARANTINE;
	work->judged.gen = seen->gen;
	work->judged.verdict = seen->rule;
	work->judged.shadow = seen->shadow;
	if (!current || (was != BH_VERDICT_ALLOW && !(seen->flags & BH_CT_NODE))) {
		reason = judge_known(work, ep, work->initiator, seen->flags);
		half_rejudge(work, bucket, i, seen);
		if (reason != BH_REASON_ALLOWED && !node_keeps(work, ep, reason, seen->flags)) {
			stat_add(BH_STAT_CT_CUT, !current);
			return was == BH_VERDICT_MIXED ? reason : BH_REASON_CUT;
		}
		if (!current || was == BH_VERDICT_MIXED)
			total_judged(skb, work, judged_reason(work));
		stat_add(BH_STAT_CT_REJUDGED, !current);
	}
	return node_is_stranger(skb, work, ep, seen->flags) ? stranger_judge(work, ep) :
							      BH_REASON_NONE;
}

/* What the packet does to its flow. ESTABLISHED, or why a connection finds no room: its peers try again. */
INLINE enum bh_reason half_move(struct work *work, struct bh_endpoint *ep, struct bh_ct *old,
				struct bh_half_bucket *bucket, __u32 i,
				const struct bh_half_flow *seen)
{
	enum bh_reason full;

	if (half_shakes(work) && (work->pkt.tcp & BH_TCP_RST)) {
		if (half_is_still(work, bucket, i))
			WRITE_ONCE(bucket->last[i],
				   work->now - ((BH_HALF_SEC - BH_HALF_RESET_SEC) * (__u32)BH_TIME_HZ >>
						(ct_scale & 31)));
		return BH_REASON_ESTABLISHED;
	}
	if (half_answers(work) && half_is_still(work, bucket, i))
		WRITE_ONCE(bucket->place[i].flow.replied, 1);
	if (half_is_whole(work, old, bucket, i, seen)) {
		half_born(work);
		full = ct_create(work, ep, old, half_word(work, seen->flags));
		if (!full)
			half_free(work, bucket, i);
		if (!full || half_shakes(work))
			return full ? full : BH_REASON_ESTABLISHED;
	}
	half_touch(work, bucket, i);
	return BH_REASON_ESTABLISHED;
}

/*
 * Is it no packet of this flow: one of the other side that begins its own, or one of an old connection of
 * which nobody knows any more? To that one an unanswered SYN with its ports gives nothing back.
 */
INLINE int half_is_others(const struct work *work, const struct bh_ct *old,
			  const struct bh_half_flow *seen, __u32 initiator)
{
	if ((work->pkt.flags & BH_PKT_OPENER) && initiator != work->dir)
		return 1;
	if (seen->replied || !half_shakes(work) || (work->pkt.tcp & BH_TCP_SYN) ||
	    (work->pkt.flags & BH_PKT_ERROR))
		return 0;
	if (old && !bh_ct_expired(old, work->pkt.proto, work->now, ct_scale))
		return 1;
	if (work->pkt.proto == BH_PROTO_SCTP)
		return !(work->pkt.tcp & BH_TCP_RST);
	return work->pkt.flags & (BH_PKT_DATA | BH_PKT_LATER);
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
	found &= BH_HALF_WAYS - 1;
	work->way = found;
	initiator = seen.flags & BH_CT_EGRESS ? BH_EGRESS : BH_INGRESS;
	if (half_is_others(work, old, &seen, initiator)) {
		work->tag = 0; /* judged, and not remembered: who began first stays the one who began */
		return BH_REASON_NONE;
	}
	work->initiator = initiator;
	reason = half_judge(skb, work, ep, bucket, found, &seen);
	if (reason == BH_REASON_CUT)
		return half_cut(work, ep, old, bucket, found, &seen);
	if (reason)
		return reason;
	if (work->pkt.flags & BH_PKT_ERROR)
		return BH_REASON_RELATED;
	return half_move(work, ep, old, bucket, found, &seen);
}

/*
 * Counts the packet that half_meet() passed, if no entry was made with it. Where an entry was made of the flow, by this
 * CPU or by another one that emptied the place before this was added, all that is in the place goes there.
 */
BH_SUBPROG int half_count(struct work *work, __u32 reason)
{
	struct bh_half_count *counted;
	struct bh_half_bucket *bucket;
	__u32 i;

	if (!work || (reason != BH_REASON_ESTABLISHED && reason != BH_REASON_CUT))
		return 0;
	i = work->way & (BH_HALF_WAYS - 1);
	bucket = half_bucket(work);
	counted = half_counted(work, i);
	if (!bucket || !counted)
		return 0;
	if (reason == BH_REASON_ESTABLISHED && !work->counted) {
		if (half_shakes(work) && (work->pkt.tcp & BH_TCP_RST) && half_is_still(work, bucket, i))
			bucket->place[i].tcp_seen[work->dir != work->initiator] |= BH_CT_SEEN_RST;
		__sync_fetch_and_add(&counted->packets[work->dir & 1], work->packets);
		__sync_fetch_and_add(&counted->bytes[work->dir & 1], work->pkt.bytes);
	}
	if (!half_is_still(work, bucket, i))
		half_hand_over(work, counted);
	return 0;
}

INLINE enum bh_reason half_pass(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
				struct bh_ct *old)
{
	enum bh_reason reason = half_meet(skb, work, ep, old);

	if (HAS(RECORD) && reason)
		half_count(work, reason);
	return reason;
}
