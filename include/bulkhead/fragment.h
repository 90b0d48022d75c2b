/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * fragment.h - what is remembered of a fragmented datagram's first fragment, for the later ones: bh_frag.
 *
 * World: shared. Pure: yes. Owns: nothing.
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/abi.h>
#include <bulkhead/addr.h>

#define BH_FRAG_SEC 30 /* what hosts wait for the rest of a datagram, at least */

/* Which datagram, at which hook of which pod. */
struct bh_datagram {
	__u32 ident;
	__u32 id; /* as in the packet */
	struct bh_addr src, dst;
	__u8 proto; /* IPv4 only: an IPv6 datagram is known without it */
	__u8 dir;
	__u16 pad;
};
_Static_assert(sizeof(struct bh_datagram) == 44, "bh_datagram has no holes");

/*
 * A pod has so many places as its share of the table, and each datagram one of them: who sends or gets more
 * at once than that overwrites its own, never another pod's. Ids of one sender in a row have different ones.
 */
struct bh_frag_key {
	__u32 ident;
	__u32 place;
};

struct bh_frag {
	__u32 check; /* bh_frag_check() of whose; first, so that a reused element shows it first */
	__u32 ports; /* as struct bh_pkt has them */
	__u32 created; /* bh_now() */
	__u16 flags; /* enum bh_pkt_flag of the first fragment that the later ones share */
	__u16 end; /* of the headers: a later fragment that begins before it overlaps them */
	__u8 proto;
	__u8 tcp;
	__u16 pad;
	struct bh_datagram whose;
};
_Static_assert(sizeof(struct bh_frag) == 64, "bh_frag has no holes");

#define BH_FRAG_SHARE(size) ((size) < 8 ? 1 : (size) / 8) /* places of a pod in a table of this size */

static inline __attribute__((always_inline)) __u32 bh_frag_check(const struct bh_datagram *of)
{
	return bh_addr_check(&of->src) ^ (bh_addr_check(&of->dst) * 0x27d4eb2fu) ^ of->ident ^
	       (of->id * 0x9e3779b1u) ^ ((__u32)of->proto << 8) ^ of->dir;
}

static inline __attribute__((always_inline)) void
bh_frag_key_of(const struct bh_datagram *of, __u32 share, struct bh_frag_key *key)
{
	key->ident = of->ident;
	key->place = bh_frag_check(of) % share;
}

/* The check word last: it is what a writer changes first. */
static inline __attribute__((always_inline)) int bh_frag_is(const struct bh_frag *frag,
							    const struct bh_datagram *of)
{
	return frag->whose.ident == of->ident && frag->whose.id == of->id &&
	       bh_addr_equal(&frag->whose.src, &of->src) &&
	       bh_addr_equal(&frag->whose.dst, &of->dst) && frag->whose.proto == of->proto &&
	       frag->whose.dir == of->dir &&
	       *(const volatile __u32 *)&frag->check == bh_frag_check(of);
}
