/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * conntrack.bpf.h - map operations around bulkhead/conntrack.h: find, make, move, judge again.
 *
 * World: BPF. Who writes what of an entry: {gen, rule} one 64-bit store by whoever judged last; {state,
 * flags, tcp_seen} compare-and-swap; last by plain stores. The agent's sweeper deletes.
 */
#pragma once

#include "datapath/record.bpf.h"
#include "datapath/service.bpf.h"

/* The work's key with its check word, and its entry: one lookup. */
INLINE struct bh_ct *ct_find(struct work *work, enum bh_dir dir)
{
	if (work->pkt.flags & BH_PKT_V4) {
		bh_ct_key_of(&work->pkt, dir, work->ident, work->local, &work->key4);
		work->check = bh_ct_check(&work->key4);
		return bpf_map_lookup_elem(&bh_ct, &work->key4);
	}
	bh_ct6_key_of(&work->pkt, dir, work->ident, work->local, &work->key6);
	work->check = bh_ct6_check(&work->key6);
	return bpf_map_lookup_elem(&bh_ct6, &work->key6);
}

INLINE int ct_write(struct work *work, const struct bh_ct *ct, __u64 how)
{
	if (work->pkt.flags & BH_PKT_V4) {
		bh_ct_key_of(&work->pkt, work->dir, work->ident, work->local, &work->key4);
		return bpf_map_update_elem(&bh_ct, &work->key4, ct, how);
	}
	bh_ct6_key_of(&work->pkt, work->dir, work->ident, work->local, &work->key6);
	return bpf_map_update_elem(&bh_ct6, &work->key6, ct, how);
}

/* The packet, to the entry that another CPU made. */
INLINE void ct_count(struct work *work)
{
	struct bh_ct *ct = ct_find(work, work->dir);

	if (ct)
		flow_count(work, ct);
}

INLINE __u64 ct_judgement(const struct bh_judgement *judged)
{
	struct bh_ct ct = {};

	ct.gen = judged->gen;
	ct.rule = judged->verdict;
	return ct.judgement;
}

INLINE int is_open(const struct bh_endpoint *ep, __u32 dir)
{
	return READ_ONCE(ep->policy[dir & 1]) == BH_POLICY_ALLOW;
}

/* There is no room for a flow. A pod that no policy selects is tracked to be recorded only: it goes on, untold. */
INLINE int ct_refuse(const struct bh_endpoint *ep, enum bh_stat stat, enum bh_reason reason)
{
	stat_add(stat, 1);
	if (!is_open(ep, BH_INGRESS) || !is_open(ep, BH_EGRESS))
		return reason;
	if (HAS(RECORD))
		stat_add(BH_STAT_FLOW_LOST, 1);
	return BH_REASON_NONE;
}

/*
 * Writes the flow's entry, over `old` if there is one (it is replaced in place and not counted twice), with what
 * the packet at hand adds if it is not cut. word: {state, flags, tcp_seen}. NONE or why there is no room.
 */
BH_SUBPROG int ct_create(struct work *work, struct bh_endpoint *ep, struct bh_ct *old, __u32 word)
{
	struct bh_ct ct = { .word = word };
	int r;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	if (!old && READ_ONCE(ep->ct_count) >= ct_quota)
		return ct_refuse(ep, BH_STAT_CT_QUOTA, BH_REASON_CT_QUOTA);
	ct.check = work->check;
	ct.last = work->now;
	ct.created = work->born ? work->born : work->now; /* a connection is as old as the flow that it was */
	ct.tick = bpf_jiffies64();
	ct.judgement = ct_judgement(&work->judged);
	ct.shadow = work->judged.shadow;
	if (HAS(RECORD) && !(ct.flags & BH_CT_CUT)) {
		work->counted = 1;
		ct.packets[work->dir & 1] = work->packets;
		ct.bytes[work->dir & 1] = work->pkt.bytes;
	}
	r = ct_write(work, &ct, old ? BPF_ANY : BPF_NOEXIST);
	if (r == -17) { /* EEXIST: another CPU was first with the same verdict */
		if (HAS(RECORD) && !(ct.flags & BH_CT_CUT))
			ct_count(work);
		return BH_REASON_NONE;
	}
	if (r) {
		work->counted = 0;
		return ct_refuse(ep, BH_STAT_CT_FULL, BH_REASON_CT_FULL);
	}
	if (HAS(RECORD) && old)
		entry_replaced(work, old);
	if (!old)
		__sync_fetch_and_add(&ep->ct_count, 1);
	return BH_REASON_NONE;
}

/* What the packet does to its connection. */
BH_SUBPROG int ct_move(struct work *work, struct bh_ct *ct)
{
	struct bh_ct seen = {};
	__u32 next;

	if (!work || !ct)
		return -1;
	work->side = work->initiator == work->dir ? BH_CT_INITIATOR : BH_CT_RESPONDER;
	work->event = bh_ct_event(work->pkt.tcp, work->pkt.flags & BH_PKT_DATA);
	seen.word = READ_ONCE(ct->word);
	next = bh_ct_step(&seen, work->pkt.proto, READ_ONCE(work->side), READ_ONCE(work->event));
	/* Who loses the race leaves the move to its next packet. */
	if (next != seen.word)
		__sync_val_compare_and_swap(&ct->word, seen.word, next);
	return 0;
}

/*
 * An entry whose age was not looked at for some ticks. 1: too old, a miss; 0: seen now. Reading the clock
 * costs as much as the whole table lookup, a tick is one load: so most hits read only that.
 */
BH_SUBPROG int ct_stale(struct work *work, struct bh_ct *ct)
{
	if (!work || !ct)
		return 1;
	work->now = now_coarse();
	if (bh_ct_expired(ct, work->pkt.proto, work->now, ct_scale))
		return 1;
	if (work->pkt.flags & BH_PKT_ERROR)
		return 0;
	WRITE_ONCE(ct->last, work->now);
	WRITE_ONCE(ct->tick, (__u32)bpf_jiffies64());
	return 0;
}

INLINE void ct_set_flag(struct bh_ct *ct, __u32 flag, int on)
{
	const struct bh_ct mask = { .flags = flag };

	if (on)
		__sync_fetch_and_or(&ct->word, mask.word);
	else
		__sync_fetch_and_and(&ct->word, ~mask.word);
}

/*
 * A hit whose judgement is not the current one, or does not allow. Judged in the initiator's direction with that
 * matrix's own generation stored; denied, the entry stays, cut. A cut one is judged at each packet, as a
 * flow that never was allowed: what only loosens (a peer's new label) makes no generation; so is one to a Service
 * whose backend is not known yet. ESTABLISHED or why it is dropped.
 */
BH_SUBPROG int ct_again(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep,
			struct bh_ct *ct)
{
	enum bh_reason reason = BH_REASON_POLICY_DENIED;
	struct bh_ct seen = {};
	int pass, current;

	if (!work || !ep || !ct)
		return BH_REASON_INTERNAL;
	seen.word = READ_ONCE(ct->word);
	seen.judgement = READ_ONCE(ct->judgement);
	work->judged.verdict = seen.rule;
	if (ep->state != BH_STATE_ACTIVE && !(seen.flags & BH_CT_NODE))
		return BH_REASON_QUARANTINE;
	current = seen.gen == READ_ONCE(ep->gen[work->initiator & 1]);
	if (current && BH_CELL_VERDICT(seen.rule) == BH_VERDICT_ALLOW)
		return BH_REASON_ESTABLISHED;
	if (!current || (seen.flags & BH_CT_CUT) || BH_CELL_VERDICT(seen.rule) == BH_VERDICT_MIXED)
		reason = judge_known(work, ep, work->initiator, seen.flags);
	if (!current)
		stat_add(BH_STAT_CT_REJUDGED, 1);
	pass = reason == BH_REASON_ALLOWED || node_keeps(work, ep, reason, seen.flags);
	if (BH_CELL_VERDICT(seen.rule) != BH_VERDICT_MIXED)
		reason = BH_REASON_CUT; /* if it is denied, what allowed it was a judgement */
	if (!work->judged.gen || (seen.judgement == ct_judgement(&work->judged) &&
				  pass == !(seen.flags & BH_CT_CUT)))
		return pass ? BH_REASON_ESTABLISHED : reason;
	if (READ_ONCE(ct->check) != work->check)
		return BH_REASON_INTERNAL; /* replaced under us: another flow's entry by now */
	WRITE_ONCE(ct->judgement, ct_judgement(&work->judged));
	WRITE_ONCE(ct->shadow, work->judged.shadow);
	if (READ_ONCE(ct->check) != work->check) { /* replaced between the two: whose it is now is judged again */
		WRITE_ONCE(ct->judgement, 0);
		return BH_REASON_INTERNAL;
	}
	if (pass)
		total_judged(skb, work, judged_reason(work));
	else if (!(seen.flags & BH_CT_CUT))
		stat_add(BH_STAT_CT_CUT, 1);
	if (pass != !(seen.flags & BH_CT_CUT))
		ct_set_flag(ct, BH_CT_CUT, !pass);
	return pass ? BH_REASON_ESTABLISHED : reason;
}

/* A packet of an exempt flow that is not the node's: judged without the exemption. NONE or why it is dropped. */
INLINE enum bh_reason stranger_judge(struct work *work, struct bh_endpoint *ep)
{
	enum bh_reason reason;

	if (ep->state != BH_STATE_ACTIVE)
		return BH_REASON_QUARANTINE;
	reason = judge_known(work, ep, work->initiator, 0);
	return reason == BH_REASON_ALLOWED ? BH_REASON_NONE : reason;
}
