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

struct bh_frag_key {
	__u32 ident;
	__u32 id; /* as in the packet */
	struct bh_addr src, dst;
	__u8 proto; /* IPv4 only: an IPv6 datagram is known without it */
	__u8 dir;
	__u16 pad;
};
_Static_assert(sizeof(struct bh_frag_key) == 44, "bh_frag_key has no holes");

struct bh_frag {
	__u32 check; /* bh_frag_check() of the key */
	__u32 ports; /* as struct bh_pkt has them */
	__u32 created; /* bh_now() */
	__u16 flags; /* enum bh_pkt_flag of the first fragment that the later ones share */
	__u16 end; /* of the headers: a later fragment that begins before it overlaps them */
	__u8 proto;
	__u8 tcp;
	__u16 pad;
};
_Static_assert(sizeof(struct bh_frag) == 20, "bh_frag has no holes");

static inline __attribute__((always_inline)) __u32 bh_frag_check(const struct bh_frag_key *key)
{
	return bh_addr_check(&key->src) ^ (bh_addr_check(&key->dst) * 0x27d4eb2fu) ^ key->ident ^
	       (key->id * 0x9e3779b1u) ^ ((__u32)key->proto << 8) ^ key->dir;
}
