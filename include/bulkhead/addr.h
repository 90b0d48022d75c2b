/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * addr.h - addresses and prefixes of both families in one form.
 *
 * World: shared. Pure: yes. Owns: nothing.
 * An IPv4 address is held v4-mapped (::ffff:a.b.c.d), so one table and one code path serve both. The
 * mapped range never appears in an IPv6 header on the wire: the parser drops it (bad-address).
 * All words are network order.
 */
#pragma once

#include <linux/types.h>

struct bh_addr {
	__u32 w[4];
};

/* 0.0.0.0/0 is ::ffff:0:0/96 in this form: ::/0 and 0.0.0.0/0 are two roots, kept apart by the agent. */
struct bh_cidr {
	__u32 prefixlen; /* 0..128 over the mapped form; first, as LPM tries want it */
	struct bh_addr addr; /* host bits are 0 */
};

#define BH_V4_PREFIX 96

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BH_ADDR_V4_WORD 0xffff0000u
#else
#define BH_ADDR_V4_WORD 0x0000ffffu
#endif

static inline __attribute__((always_inline)) struct bh_addr bh_addr_from4(__be32 addr4)
{
	struct bh_addr addr = { { 0, 0, BH_ADDR_V4_WORD, (__u32)addr4 } };

	return addr;
}

static inline __attribute__((always_inline)) int bh_addr_is4(const struct bh_addr *addr)
{
	return !addr->w[0] && !addr->w[1] && addr->w[2] == BH_ADDR_V4_WORD;
}

static inline __attribute__((always_inline)) int bh_addr_equal(const struct bh_addr *a,
							       const struct bh_addr *b)
{
	return !((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->w[2] ^ b->w[2]) |
		 (a->w[3] ^ b->w[3]));
}

/*
 * A reader that holds an element of a hash while it is deleted may see the element's next tenant; the
 * value repeats this mix of its key so that the reader notices.
 */
static inline __attribute__((always_inline)) __u32 bh_addr_check(const struct bh_addr *addr)
{
	__u32 x = addr->w[0] ^ (addr->w[1] * 0x9e3779b1u) ^ (addr->w[2] * 0xc2b2ae35u) ^
		  (addr->w[3] * 0x85ebca6bu);

	return x ^ (x >> 15);
}
