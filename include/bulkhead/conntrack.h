/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * conntrack.h - connections: keys, values, the state table, when an entry is too old.
 *
 * World: shared. Pure: yes, the clock is a parameter. Owns: nothing.
 * A key is seen from the pod, so both directions of a flow meet in one entry, and carries the pod's
 * ident, so two pods never share one and a reused address never meets an old one.
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/abi.h>

/*
 * Time: bh_now() = CLOCK_MONOTONIC nanoseconds >> BH_TIME_SHIFT as u32 (units of 1.05 ms; wraps after 52
 * days; compare by signed difference only). Programs take it from the coarse clock.
 */
#define BH_TIME_SHIFT 20
#define BH_TIME_HZ (1000000000ull >> BH_TIME_SHIFT) /* units per second */

/* ICMP echo and timestamp: the id is the requester's port, the other port 0. Without ports: both 0. */
struct bh_ct_key {
	__u32 ident;
	__be32 remote;
	__be16 remote_port;
	__be16 local_port;
	__u16 local; /* number of the pod's address: 0 its own, others from bh_extra */
	__u8 proto;
	__u8 pad;
};
_Static_assert(sizeof(struct bh_ct_key) == 16, "bh_ct_key has no holes");

struct bh_ct6_key {
	__u32 ident;
	__u32 remote[4]; /* network order */
	__be16 remote_port;
	__be16 local_port;
	__u16 local;
	__u8 proto;
	__u8 pad;
	__u32 pad2;
};
_Static_assert(sizeof(struct bh_ct6_key) == 32, "bh_ct6_key has no holes");

enum bh_ct_flag {
	BH_CT_EGRESS = 1 << 0, /* the pod initiated (enum bh_dir of the first packet) */
	BH_CT_NODE = 1 << 1, /* the own node or a hairpin: re-judging keeps the exemption */
	BH_CT_SEEDED = 1 << 2, /* written by the agent or in the adoption window */
	BH_CT_CUT =
		1
		<< 3, /* denied by a re-judgement: judged in the initiator's direction until idle */
	BH_CT_SERVICE = 1 << 4, /* begun towards a Service: its backend may be in bh_backend */
};

/* Connection states; what moves between them and the time-outs stand in the tables below. */
enum bh_ct_state {
	BH_CT_NEW = 0, /* other protocols: first packet; TCP: SYN */
	BH_CT_REPLY, /* other protocols: both sides seen; TCP: SYN|ACK seen */
	BH_CT_ESTABLISHED, /* TCP: data both ways possible */
	BH_CT_FIN, /* TCP: one side closed */
	BH_CT_CLOSED, /* TCP: both sides closed, or RST */
	BH_CT_STATE_MAX,
};

/* What a side was seen to do: bh_ct.tcp_seen. */
enum bh_ct_seen {
	BH_CT_SEEN_FIN = 1 << 0,
	BH_CT_SEEN_ALIVE = 1 << 1, /* a segment after a reset */
	BH_CT_SEEN_RST = 1 << 2, /* a reset; nothing follows from it: it is for who tells of the flow */
};

/*
 * The value: one cache line. {gen, rule} is one aligned 64-bit unit: a judgement is one store, so nobody
 * ever pairs one judgement's generation with another's verdict. {state, flags, tcp_seen} is one 32-bit
 * unit, changed by compare-and-swap. Counters are written by the recording variant only.
 */
struct bh_ct {
	__u32 check; /* bh_ct_check() of the key: first, so that a reused element shows it first */
	__u32 last; /* bh_now() of the last packet, stored when stale */
	union {
		struct {
			__u32 gen; /* of the matrix that judged; 0: judge at the next packet */
			__u32 rule; /* BH_CELL_WORD of that judgement */
		};
		__u64 judgement;
	};
	__u32 shadow; /* BH_CELL_WORD */
	__u32 created; /* bh_now() */
	union {
		struct {
			__u8 state; /* enum bh_ct_state */
			__u8 flags; /* enum bh_ct_flag */
			__u8 tcp_seen
				[2]; /* enum bh_ct_seen of the initiator [0] and the responder [1] */
		};
		__u32 word;
	};
	__u32 tick; /* low jiffies when `last` was looked at: hits within a few of it read no clock; 0: not yet */
	__u64 bytes[BH_DIR_MAX]; /* by direction seen from the pod */
	__u64 packets[BH_DIR_MAX];
};
_Static_assert(sizeof(struct bh_ct) == 64, "bh_ct is one cache line");

/* Why the datapath ended a flow by itself. */
enum bh_gone_why {
	BH_GONE_REPLACED = 1, /* an entry: another flow of its key took its place */
	BH_GONE_EVICTED, /* half open: a newcomer took its place */
};

/* What is told of it through the ring bh_gone, while BH_NODE_RECORD is set. */
struct bh_gone {
	struct bh_ct6_key key; /* of both families: IPv4 addresses are mapped */
	struct bh_ct flow; /* as it was last; half open: the state is NEW or REPLY, no check word */
	__u32 now; /* bh_now() */
	__u32 why; /* enum bh_gone_why */
};
_Static_assert(sizeof(struct bh_gone) == 104, "bh_gone has no holes");

#define BH_CT_INLINE static inline __attribute__((always_inline))

/* ---- the key repeated in the value, see bh_addr_check() ---- */
BH_CT_INLINE __u32 bh_ct_mix(__u32 ident, __u32 remote, __be16 remote_port, __be16 local_port,
			     __u32 last)
{
	__u32 x = remote ^ ident * 0x9e3779b1u ^
		  (((__u32)remote_port << 16) | local_port) * 0x85ebca6bu ^ last * 0xc2b2ae35u;

	return x ^ (x >> 15);
}

BH_CT_INLINE __u32 bh_ct_check(const struct bh_ct_key *key)
{
	return bh_ct_mix(key->ident, key->remote, key->remote_port, key->local_port,
			 ((__u32)key->proto << 16) | key->local);
}

BH_CT_INLINE __u32 bh_ct6_check(const struct bh_ct6_key *key)
{
	__u32 fold = key->remote[0] ^ (key->remote[1] * 0x27d4eb2fu) ^
		     (key->remote[2] * 0x9e3779b1u) ^ (key->remote[3] * 0x165667b1u);

	return bh_ct_mix(key->ident, fold, key->remote_port, key->local_port,
			 ((__u32)key->proto << 16) | key->local);
}

/* ---- time ---- */
#define BH_PROTO_ICMP 1
#define BH_PROTO_TCP 6
#define BH_PROTO_UDP 17
#define BH_PROTO_ICMP6 58
#define BH_PROTO_SCTP 132

#define BH_ADOPT_MAX_SEC 3600 /* an adoption window never lasts longer, whatever an endpoint says */
#define BH_CT_CUT_SEC 360 /* idle time of a cut entry, if its state's is longer */

/* Idle seconds after which an entry is a miss. */
BH_CT_INLINE __u32 bh_ct_timeout_sec(__u8 state, __u8 proto)
{
	switch (proto) {
	case BH_PROTO_TCP:
		switch (state) {
		case BH_CT_ESTABLISHED:
			return 24 * 3600;
		case BH_CT_FIN:
			return 600; /* a half-closed peer may compute its answer for a while */
		case BH_CT_CLOSED:
			return 20;
		default:
			return 60;
		}
	case BH_PROTO_UDP:
		return state == BH_CT_NEW ? 60 : 360; /* gaps of 5 minutes survive */
	case BH_PROTO_ICMP:
	case BH_PROTO_ICMP6:
		return 30;
	case BH_PROTO_SCTP:
		return state == BH_CT_NEW ? 60 : 3600; /* heartbeats come every 30 s */
	default:
		return state == BH_CT_NEW ? 60 : 600;
	}
}

/* In bh_now() units; scale halves it that many times (tests; 0: as is). */
BH_CT_INLINE __u32 bh_ct_timeout(const struct bh_ct *ct, __u8 proto, __u32 scale)
{
	__u32 sec = bh_ct_timeout_sec(ct->state, proto);

	if ((ct->flags & BH_CT_CUT) && sec > BH_CT_CUT_SEC)
		sec = BH_CT_CUT_SEC;
	return sec * (__u32)BH_TIME_HZ >> (scale & 31);
}

/* Units since the last packet. Another CPU's clock may be a tick ahead: that is 0. */
BH_CT_INLINE __u32 bh_ct_age(const struct bh_ct *ct, __u32 now)
{
	__u32 age = now - ct->last;

	return age > 0xffff0000u ? 0 : age;
}

BH_CT_INLINE int bh_ct_expired(const struct bh_ct *ct, __u8 proto, __u32 now, __u32 scale)
{
	return bh_ct_age(ct, now) > bh_ct_timeout(ct, proto, scale);
}

/* ---- states ---- */
enum bh_ct_side { BH_CT_INITIATOR = 0, BH_CT_RESPONDER = 1, BH_CT_SIDE_MAX };

/* What a packet means to its connection. */
enum bh_ct_event {
	BH_CT_EV_PLAIN = 0, /* TCP without payload; every packet of another protocol */
	BH_CT_EV_DATA, /* TCP with payload */
	BH_CT_EV_SYN,
	BH_CT_EV_SYNACK,
	BH_CT_EV_FIN,
	BH_CT_EV_RST,
	BH_CT_EV_MAX,
};

#define BH_TCP_FIN 0x01
#define BH_TCP_SYN 0x02
#define BH_TCP_RST 0x04
#define BH_TCP_ACK 0x10

BH_CT_INLINE enum bh_ct_event bh_ct_event(__u8 tcp_flags, int payload)
{
	if (tcp_flags & BH_TCP_RST)
		return BH_CT_EV_RST;
	if (tcp_flags & BH_TCP_SYN)
		return tcp_flags & BH_TCP_ACK ? BH_CT_EV_SYNACK : BH_CT_EV_SYN;
	if (tcp_flags & BH_TCP_FIN)
		return BH_CT_EV_FIN;
	return payload ? BH_CT_EV_DATA : BH_CT_EV_PLAIN;
}

/* Moves that need more than the table: what the sides were seen to do. */
#define BH_CT_CLOSE BH_CT_STATE_MAX /* a FIN: half or wholly closed */
#define BH_CT_RESET (BH_CT_STATE_MAX + 1) /* closed, unless both sides go on talking */
#define BH_CT_DATA                                                                                 \
	(BH_CT_STATE_MAX + 2) /* a side that had closed sends data: that FIN was not its own */
#define BH_CT_LIFE                                                                                 \
	(BH_CT_STATE_MAX + 3) /* a segment after a reset: from both sides, it was not theirs */

/* TCP: [state][side][event]. A SYN of the initiator in CLOSED never comes here: bh_ct_reopens(). */
#define N BH_CT_NEW
#define R BH_CT_REPLY
#define E BH_CT_ESTABLISHED
#define F BH_CT_FIN
#define C BH_CT_CLOSED
#define FIN BH_CT_CLOSE
#define RST BH_CT_RESET
#define DATA BH_CT_DATA
#define LIFE BH_CT_LIFE
/* clang-format off */
static const __u8 bh_ct_tcp[8][BH_CT_SIDE_MAX][8] = {
	/*	PLAIN DATA  SYN SYNACK FIN RST: of the initiator, of the responder */
	[N] = { { N, N, N, N, FIN, RST }, { N, N, N, R, N, RST } }, /* only its answer moves a SYN on */
	[R] = { { E, E, R, R, FIN, RST }, { R, R, R, R, FIN, RST } }, /* the third step */
	[E] = { { E, E, E, E, FIN, RST }, { E, E, E, E, FIN, RST } },
	[F] = { { F, DATA, F, F, FIN, RST }, { F, DATA, F, F, FIN, RST } },
	[C] = { { LIFE, LIFE, C, C, C, RST }, { LIFE, LIFE, C, C, C, RST } },
};
/* clang-format on */
#undef N
#undef R
#undef E
#undef F
#undef C
#undef FIN
#undef RST
#undef DATA
#undef LIFE

/* A new connection on the ports of one that ended: judged as new, replaces it. */
BH_CT_INLINE int bh_ct_reopens(__u8 state, int opener)
{
	return opener && state == BH_CT_CLOSED;
}

/* What a side's segment does to a TCP entry; its own and the other's tcp_seen. */
BH_CT_INLINE __u8 bh_ct_tcp_step(__u8 state, enum bh_ct_side side, enum bh_ct_event event,
				 __u8 *mine, __u8 *other)
{
	__u8 move = bh_ct_tcp[state & 7][side & 1][event & 7];

	switch (move) {
	case BH_CT_CLOSE:
		*mine |= BH_CT_SEEN_FIN;
		return *other & BH_CT_SEEN_FIN ? BH_CT_CLOSED : BH_CT_FIN;
	case BH_CT_RESET:
		*mine &= ~BH_CT_SEEN_ALIVE;
		*mine |= BH_CT_SEEN_RST;
		*other &= ~BH_CT_SEEN_ALIVE;
		return BH_CT_CLOSED;
	case BH_CT_DATA:
		*mine &= ~BH_CT_SEEN_FIN;
		return *other & BH_CT_SEEN_FIN ? BH_CT_FIN : BH_CT_ESTABLISHED;
	case BH_CT_LIFE:
		*mine |= BH_CT_SEEN_ALIVE;
		if (!(*other & BH_CT_SEEN_ALIVE) || (*mine & *other & BH_CT_SEEN_FIN))
			return BH_CT_CLOSED;
		*mine &= ~BH_CT_SEEN_RST;
		*other &= ~BH_CT_SEEN_RST;
		return (*mine | *other) & BH_CT_SEEN_FIN ? BH_CT_FIN : BH_CT_ESTABLISHED;
	default:
		return move;
	}
}

/* The {state, flags, tcp_seen} word of an entry after a packet. Equal to ct->word: nothing to write. */
BH_CT_INLINE __u32 bh_ct_step(const struct bh_ct *ct, __u8 proto, enum bh_ct_side side,
			      enum bh_ct_event event)
{
	struct bh_ct next = { .word = ct->word };
	__u8 mine, other;

	if (proto != BH_PROTO_TCP) {
		if (side == BH_CT_RESPONDER)
			next.state = BH_CT_REPLY;
		return next.word;
	}
	mine = side == BH_CT_INITIATOR ? next.tcp_seen[0] : next.tcp_seen[1];
	other = side == BH_CT_INITIATOR ? next.tcp_seen[1] : next.tcp_seen[0];
	next.state = bh_ct_tcp_step(next.state, side, event, &mine, &other);
	next.tcp_seen[0] = side == BH_CT_INITIATOR ? mine : other;
	next.tcp_seen[1] = side == BH_CT_INITIATOR ? other : mine;
	return next.word;
}
