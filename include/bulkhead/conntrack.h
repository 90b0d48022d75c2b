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

/* ICMP echo and timestamp: the id is the requester's port, the other port is 0. Protocols without ports: 0. */
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
	BH_CT_CUT = 1 << 3, /* denied by a re-judgement: judged in the initiator's direction until idle */
	BH_CT_REPLIED = 1 << 4, /* a packet of the other side was seen: out of ct_unreplied */
};

/* Connection states; what moves between them and the time-outs stand in the table below. */
enum bh_ct_state {
	BH_CT_NEW = 0, /* other protocols: first packet; TCP: SYN */
	BH_CT_REPLY, /* other protocols: both sides seen; TCP: SYN|ACK seen */
	BH_CT_ESTABLISHED, /* TCP: data both ways possible */
	BH_CT_FIN, /* TCP: one side closed */
	BH_CT_CLOSED, /* TCP: both sides closed, or RST */
	BH_CT_STATE_MAX,
};

/* The value: one cache line. Counters are written by the recording variant only. */
struct bh_ct {
	__u32 gen; /* of the matrix that judged; 0: judge at the next packet */
	__u32 rule; /* BH_CELL_WORD of that judgement */
	__u32 shadow; /* BH_CELL_WORD */
	__u32 last; /* bh_now() of the last packet, stored when stale by a fraction of the time-out */
	__u32 check; /* bh_ct_check() of the key: see bulkhead/addr.h, bh_addr_check() */
	__u32 created; /* bh_now() */
	__u8 state; /* enum bh_ct_state */
	__u8 flags; /* enum bh_ct_flag */
	__u8 tcp_seen[BH_DIR_MAX]; /* TCP flags seen from the initiator [0] and the responder [1] */
	__u32 pad;
	__u64 bytes[BH_DIR_MAX]; /* by direction seen from the pod */
	__u64 packets[BH_DIR_MAX];
};
_Static_assert(sizeof(struct bh_ct) == 64, "bh_ct is one cache line");
