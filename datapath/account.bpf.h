/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * account.bpf.h - every packet is counted: passes by endpoint, drops and judgements by reason and rule,
 * denies in detail.
 *
 * World: BPF. Totals are per CPU and exact; what finds no room is counted as lost (bh_stat). Nothing is
 * sent anywhere.
 */
#pragma once

#include "datapath/work.bpf.h"

INLINE void stat_add(enum bh_stat stat, __u64 n)
{
	__u32 key = stat;
	__u64 *value = bpf_map_lookup_elem(&bh_stat, &key);

	if (value)
		*value += n;
}

INLINE int total_count(const struct bh_total_key *key, __u32 packets, __u32 bytes)
{
	struct bh_count none = {}, *count;

	count = bpf_map_lookup_elem(&bh_total, key);
	if (!count) {
		bpf_map_update_elem(&bh_total, key, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&bh_total, key);
	}
	if (!count) {
		stat_add(BH_STAT_TOTAL_OVERFLOW, packets);
		return -1;
	}
	count->packets += packets;
	count->bytes += bytes;
	return 0;
}

INLINE struct bh_total_key total_key(const struct work *work, enum bh_reason reason)
{
	return (struct bh_total_key){
		.ident = work->ident,
		.reason = reason,
		.dir = work->initiator,
		.rule = BH_CELL_RULE(work->judged.verdict),
	};
}

/* One more packet by this reason and the work's rule. */
BH_SUBPROG int total(struct __sk_buff *skb, const struct work *work, __u32 reason)
{
	struct bh_total_key key;

	if (!work)
		return -1;
	key = total_key(work, reason);
	return total_count(&key, skb_packets(skb), work->pkt.bytes);
}

/* Would the policies in audit mode, enforced as well, have denied what passes for this reason? */
INLINE int audit_denies(const struct work *work, enum bh_reason reason)
{
	enum bh_verdict shadow = BH_CELL_VERDICT(work->judged.shadow);

	if (shadow == BH_VERDICT_DENY) /* passed by who is exempt from it */
		return reason == BH_REASON_ALLOWED || reason == BH_REASON_ADOPTED;
	return shadow == BH_VERDICT_DENY_CLUSTER;
}

/* A judgement lets a flow pass: counted by what decided, and by what would have denied it. */
BH_SUBPROG int total_judged(struct __sk_buff *skb, const struct work *work, __u32 reason)
{
	struct bh_total_key key;

	if (!work)
		return -1;
	key = total_key(work, reason);
	total_count(&key, skb_packets(skb), work->pkt.bytes);
	if (likely(work->judged.shadow == work->judged.verdict) || !audit_denies(work, reason))
		return 0;
	key.reason = BH_REASON_AUDIT;
	key.rule = BH_CELL_RULE(work->judged.shadow);
	return total_count(&key, skb_packets(skb), work->pkt.bytes);
}

INLINE int reason_is_detailed(enum bh_reason reason)
{
	return reason == BH_REASON_POLICY_DENIED || reason == BH_REASON_CUT ||
	       reason == BH_REASON_QUARANTINE || reason == BH_REASON_NOT_SYN ||
	       reason == BH_REASON_CLASS_UNKNOWN || reason == BH_REASON_NO_POLICY ||
	       (reason >= BH_REASON_SERVICE_MIXED && reason <= BH_REASON_BACKEND_UNKNOWN);
}

INLINE int proto_has_ports(__u8 proto)
{
	return proto == BH_PROTO_TCP || proto == BH_PROTO_UDP || proto == BH_PROTO_SCTP;
}

/* One more of this shape, within the endpoint's share. NULL: no room. */
INLINE struct bh_denied *denied_new(struct bh_endpoint *ep, const struct bh_denied_key *key,
				    __u32 now)
{
	struct bh_denied fresh = { .first = now };

	if (READ_ONCE(ep->denied_count) >= denied_quota)
		return NULL;
	if (!bpf_map_update_elem(&bh_denied, key, &fresh, BPF_NOEXIST))
		__sync_fetch_and_add(&ep->denied_count, 1);
	return bpf_map_lookup_elem(&bh_denied, key);
}

BH_SUBPROG int denied_add(struct work *work, struct bh_endpoint *ep, __u32 reason, __u32 packets)
{
	struct bh_denied_key key = { .reason = reason };
	struct bh_denied *denied;
	int reply;

	if (!work || !ep)
		return -1;
	key.ident = work->ident;
	key.rule = BH_CELL_RULE(work->judged.verdict);
	key.dir = work->initiator;
	key.proto = work->pkt.proto;
	__builtin_memcpy(key.remote, work_remote(work), sizeof(key.remote));
	/* A flow's packets go both ways; the service is where its first packet went. */
	reply = work->initiator != work->dir;
	if (proto_has_ports(key.proto))
		key.port = reply ? work->pkt.sport : work->pkt.dport;
	denied = bpf_map_lookup_elem(&bh_denied, &key);
	if (!denied)
		denied = denied_new(ep, &key, work->now);
	if (!denied) {
		stat_add(BH_STAT_DENIED_OVERFLOW, packets);
		return -1;
	}
	__sync_fetch_and_add(&denied->packets, packets);
	__sync_fetch_and_add(&denied->bytes, work->pkt.bytes);
	WRITE_ONCE(denied->last, work->now);
	return 0;
}

/* A packet that goes no further. */
BH_SUBPROG int drop(struct __sk_buff *skb, struct work *work, struct bh_endpoint *ep, __u32 reason)
{
	if (!work || !ep)
		return -1;
	total(skb, work, reason);
	if (!reason_is_detailed(reason))
		return 0;
	work->now = now_coarse();
	return denied_add(work, ep, reason, skb_packets(skb));
}

INLINE void passed(struct __sk_buff *skb, const struct work *work, enum bh_dir dir)
{
	__u32 key = BH_SLOT(work->ident) * BH_DIR_MAX + dir;
	struct bh_count *count = bpf_map_lookup_elem(&bh_count, &key);

	if (!count)
		return;
	count->packets += skb_packets(skb);
	count->bytes += work->pkt.bytes;
}
