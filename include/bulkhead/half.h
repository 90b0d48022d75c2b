/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * half.h - flows that are half open: allowed, but not yet a connection of both sides. bh_half.
 *
 * World: shared. Pure: yes. Owns: nothing.
 *
 * A flow lives here from its first packet until it is one of both sides: TCP and SCTP until the third step of the
 * handshake, others until both have spoken and it is some seconds old. So neither a flood that nobody
 * answers nor a pod that answers a million short questions takes a place in the connection tables. Places are
 * an array of buckets that a secret spreads flows over; a newcomer takes the oldest place of its bucket. A
 * flow that loses its place is judged anew, as if it began; a TCP peer repeats its SYN.
 *
 * Two writers of one place may mix: `check` covers what must belong together, and a place whose check is
 * wrong is empty.
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/abi.h>
#include <bulkhead/conntrack.h>

#define BH_HALF_WAYS 4 /* places of a bucket */
#define BH_HALF_SEC 60 /* idle time of an unanswered flow; an answered one has its state's (BH_CT_REPLY) */
#define BH_HALF_RESET_SEC 5 /* what is left of it after a reset, which anybody may have sent */
#define BH_HALF_SETTLE_SEC 2 /* age at which an answered flow without a handshake is a connection */

/* What is known of one. */
struct bh_half_flow {
	__u32 gen; /* of the matrix that judged */
	__u32 rule; /* BH_CELL_WORD of that judgement */
	__u32 shadow;
	__u32 created; /* bh_now() */
	__u32 flags; /* enum bh_ct_flag: EGRESS, NODE */
	__u32 replied; /* the other side has answered */
};

struct bh_half {
	struct bh_ct6_key key; /* of both families: IPv4 addresses are mapped */
	struct bh_half_flow flow;
	__u32 check; /* bh_half_check() */
	__u8 tcp_seen[2]; /* enum bh_ct_seen, as in bh_ct: RST only, by the recording variant only */
	__u16 pad;
};
_Static_assert(sizeof(struct bh_half) == 64, "bh_half is one cache line");

/* Whole lines of cache, so that a flow is in two: that of the tags and its place. */
struct bh_half_bucket {
	__u32 tag[BH_HALF_WAYS]; /* of the key's hash, 0: empty */
	__u32 last[BH_HALF_WAYS]; /* bh_now() of the last packet, stored when stale */
	__u32 owner[BH_HALF_WAYS]; /* ident of the key */
	__u32 evicted[BH_HALF_WAYS]; /* how many flows lost the place to others before their time; only grows */
	struct bh_half place[BH_HALF_WAYS];
};
_Static_assert(sizeof(struct bh_half_bucket) == 320, "bh_half_bucket has no holes");

/* What passed of a bucket's flows, place by place: an element of bh_half_count, of the recording variant only. */
struct bh_half_count {
	__u64 bytes[BH_DIR_MAX]; /* by direction seen from the pod */
	__u64 packets[BH_DIR_MAX];
};

struct bh_half_counts {
	struct bh_half_count place[BH_HALF_WAYS];
};
_Static_assert(sizeof(struct bh_half_counts) == 128, "bh_half_counts is two cache lines");

/* Where a key belongs. Nobody who does not know the secret can choose keys of one bucket. */
struct bh_half_place {
	__u32 bucket, tag;
};

BH_CT_INLINE struct bh_half_place bh_half_place(const struct bh_ct6_key *key,
						const __u32 secret[BH_SECRET_WORDS], __u32 buckets)
{
	const __u32 *w = (const __u32 *)key;
	__u64 sum = 0;

	for (int i = 0; i < BH_SECRET_WORDS; i += 2)
		sum += (__u64)(__u32)(w[i] + secret[i]) * (__u32)(w[i + 1] + secret[i + 1]);
	sum ^= sum >> 29;
	sum *= 0xbf58476d1ce4e5b9ull;
	sum ^= sum >> 32;
	return (struct bh_half_place){
		.bucket = (__u64)(__u32)(sum >> 32) * buckets >> 32,
		.tag = (__u32)sum | 1,
	};
}

BH_CT_INLINE int bh_half_key_equal(const struct bh_ct6_key *a, const struct bh_ct6_key *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]));
}

/* `replied` is left out: it changes by itself, and says little. */
BH_CT_INLINE __u32 bh_half_check(const struct bh_ct6_key *key, const struct bh_half_flow *flow)
{
	__u32 x = bh_ct6_check(key) ^ flow->gen * 0x85ebca6bu ^ flow->rule * 0xc2b2ae35u ^
		  flow->shadow * 0x27d4eb2fu ^ flow->created * 0x165667b1u ^
		  flow->flags * 0x9e3779b1u;

	return (x ^ (x >> 15)) | 1;
}

/* Since its last packet, in bh_now() units. Another CPU's clock may be a tick ahead. */
BH_CT_INLINE __u32 bh_half_age(__u32 last, __u32 now)
{
	__u32 age = now - last;

	return age > 0xffff0000u ? 0 : age;
}

BH_CT_INLINE int bh_half_expired(__u32 last, __u8 proto, __u32 replied, __u32 now, __u32 scale)
{
	__u32 sec = replied ? bh_ct_timeout_sec(BH_CT_REPLY, proto) : BH_HALF_SEC;

	return bh_half_age(last, now) > sec * (__u32)BH_TIME_HZ >> (scale & 31);
}

/*
 * Which place a newcomer takes: its own, a free one; in a full bucket its pod's oldest if the pod is there
 * already, so that a pod's flood has one place of each bucket and the other pods' three are theirs; else the one
 * that was silent the longest.
 */
BH_CT_INLINE __u32 bh_half_victim(const struct bh_half_bucket *bucket, __u32 tag, __u32 owner,
				  __u32 now, __u32 scale)
{
	__u32 worth = 0, victim = 0;

	for (__u32 i = 0; i < BH_HALF_WAYS; i++) {
		__u32 age = bh_half_age(bucket->last[i], now), rank = age >> 1;

		if (bucket->tag[i] == tag)
			return i;
		if (!bucket->tag[i] || age > BH_HALF_SEC * (__u32)BH_TIME_HZ >> (scale & 31))
			rank = 0xffffffffu;
		else if (bucket->owner[i] == owner)
			rank |= 0x80000000u;
		if (rank >= worth) {
			worth = rank;
			victim = i;
		}
	}
	return victim;
}
