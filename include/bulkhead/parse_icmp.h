/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * parse_icmp.h - IPv6 extension chains, and ICMP with what is inside: embedded packets, neighbour discovery.
 *
 * World: shared. Pure: yes. Owns: nothing. A part of parse.h.
 */
#pragma once

#include <bulkhead/pkt.h>

#define BH_LOAD(frame, offset, to) (bh_frame_load(frame, offset, to, sizeof(*(to))) < 0)

/* A walk along extension headers. */
struct bh_walk {
	__u32 offset; /* in the frame */
	__u32 base; /* offset of the fragmentable part */
	__u32 fragment_id;
	__u16 fragment; /* offset of this fragment, in bytes */
	__u8 next; /* the header at offset */
	__u8 flags; /* enum bh_walk_flag */
};
enum bh_walk_flag {
	BH_WALK_DONE = 1 << 0, /* next is no extension header */
	BH_WALK_FIRST = 1 << 1,
	BH_WALK_LATER = 1 << 2,
	BH_WALK_FRAGMENT = 1 << 3, /* a fragment header was seen, atomic ones too */
};

BH_PARSE_INLINE enum bh_reason bh_walk_fragment(struct bh_walk *walk, const __u8 *header)
{
	__u32 bits = ((__u32)header[2] << 8) | header[3];

	if (walk->flags & BH_WALK_FRAGMENT)
		return BH_REASON_EXT_CHAIN;
	walk->flags |= BH_WALK_FRAGMENT;
	walk->fragment = bits & 0xfff8;
	__builtin_memcpy(&walk->fragment_id, header + 4, 4);
	walk->next = header[0];
	walk->offset += 8;
	walk->base = walk->offset;
	if (walk->fragment)
		walk->flags |= BH_WALK_LATER | BH_WALK_DONE;
	else if (bits & 1)
		walk->flags |= BH_WALK_FIRST;
	return BH_REASON_NONE;
}

/* One header further, or DONE. */
BH_SUBPROG int bh_walk_step(struct bh_frame *frame, struct bh_walk *walk)
{
	__u8 header[8];

	if (!walk)
		return BH_REASON_INTERNAL;
	switch (walk->next) {
	case BH_NEXT_HOP:
	case BH_NEXT_ROUTING:
	case BH_NEXT_FRAGMENT:
	case BH_NEXT_AH:
	case BH_NEXT_DEST:
		break;
	default:
		walk->flags |= BH_WALK_DONE;
		return BH_REASON_NONE;
	}
	if (BH_LOAD(frame, walk->offset, &header))
		return BH_REASON_SHORT;
	if (walk->next == BH_NEXT_FRAGMENT)
		return bh_walk_fragment(walk, header);
	if (walk->next == BH_NEXT_ROUTING && header[3])
		return BH_REASON_SOURCE_ROUTE; /* segments left */
	walk->offset += walk->next == BH_NEXT_AH ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
	walk->next = header[0];
	/* Hop-by-hop options come first or not at all. */
	return walk->next == BH_NEXT_HOP ? BH_REASON_EXT_CHAIN : BH_REASON_NONE;
}

BH_SUBPROG int bh_walk(struct bh_frame *frame, struct bh_walk *walk)
{
	int r;

	if (!walk)
		return BH_REASON_INTERNAL;
	BH_NO_UNROLL
	for (int i = 0; i <= BH_EXT_MAX; i++) {
		r = bh_walk_step(frame, walk);
		if (r)
			return r;
		if (walk->flags & BH_WALK_DONE)
			return BH_REASON_NONE;
	}
	return BH_REASON_EXT_CHAIN;
}

/* ---- ICMP ---- */
enum bh_icmp_kind { BH_ICMP_OTHER = 0, BH_ICMP_REQUEST, BH_ICMP_REPLY, BH_ICMP_ERROR };

BH_PARSE_INLINE enum bh_icmp_kind bh_icmp_kind(__u8 proto, __u8 type)
{
	if (proto == BH_PROTO_ICMP6)
		return type == 128 || type == 160 ? BH_ICMP_REQUEST : /* echo, extended echo */
		       type == 129 || type == 161 ? BH_ICMP_REPLY :
		       type < 128		  ? BH_ICMP_ERROR :
						    BH_ICMP_OTHER;
	switch (type) {
	case 8: /* echo */
	case 42: /* extended echo */
	case 13: /* timestamp */
	case 15: /* information */
	case 17: /* address mask */
		return BH_ICMP_REQUEST;
	case 0:
	case 43:
	case 14:
	case 16:
	case 18:
		return BH_ICMP_REPLY;
	case 3: /* unreachable */
	case 4: /* source quench */
	case 5: /* redirect */
	case 11: /* time exceeded */
	case 12: /* parameter problem */
		return BH_ICMP_ERROR;
	default:
		return BH_ICMP_OTHER;
	}
}

/* Ports of the packet inside an ICMP error, turned round: as if the error were the flow's answer. */
BH_PARSE_INLINE int bh_inner_ports(struct bh_frame *frame, __u32 offset, struct bh_pkt *pkt)
{
	struct {
		__be16 a, b, c, d;
	} l4 = { 0 };
	__u8 type;

	if (BH_LOAD(frame, offset, &l4))
		return -1; /* an error quotes at least these 8 bytes */
	switch (pkt->proto) {
	case BH_PROTO_TCP:
	case BH_PROTO_UDP:
	case BH_PROTO_SCTP:
		pkt->sport = l4.b;
		pkt->dport = l4.a;
		return 0;
	case BH_PROTO_ICMP:
	case BH_PROTO_ICMP6:
		if (!bh_pkt_is_icmp(pkt))
			return 0;
		type = BH_HOST16(l4.a) >> 8;
		switch (bh_icmp_kind(pkt->proto, type)) {
		case BH_ICMP_REQUEST:
			pkt->dport = l4.c;
			return 0;
		case BH_ICMP_REPLY:
			pkt->sport = l4.c;
			return 0;
		case BH_ICMP_ERROR:
			return -1; /* no error about an error */
		default:
			return 0;
		}
	default:
		return 0;
	}
}

/* The embedded IP header: where its L4 begins, or 0. */
BH_PARSE_INLINE __u32 bh_inner4(struct bh_frame *frame, __u32 offset, struct bh_pkt *pkt)
{
	struct bh_ip4 ip;

	if (BH_LOAD(frame, offset, &ip) || ip.version_ihl >> 4 != 4 || (ip.version_ihl & 15) < 5)
		return 0;
	if ((ip.frag & BH_BE16(BH_IP4_OFFSET)) || ip.src != pkt->dst.w[3])
		return 0;
	pkt->inner = bh_addr_from4(ip.dst);
	pkt->proto = ip.proto;
	return offset + (ip.version_ihl & 15) * 4;
}

BH_PARSE_INLINE __u32 bh_inner6(struct bh_frame *frame, __u32 offset, struct bh_pkt *pkt)
{
	struct bh_walk walk = { .offset = offset + sizeof(struct bh_ip6) };
	struct bh_addr src;
	struct bh_ip6 ip;

	if (BH_LOAD(frame, offset, &ip) || ip.version_class >> 4 != 6)
		return 0;
	src = ip.src;
	if (!bh_addr_equal(&src, &pkt->dst))
		return 0;
	pkt->inner = ip.dst;
	walk.next = ip.next;
	if (bh_walk(frame, &walk) || (walk.flags & BH_WALK_LATER))
		return 0;
	pkt->proto = walk.next;
	return walk.offset;
}

BH_SUBPROG int bh_parse_inner(struct bh_frame *frame, struct bh_pkt *pkt, __u32 offset)
{
	if (!pkt)
		return BH_REASON_INTERNAL;
	pkt->flags |= BH_PKT_ERROR;
	offset = pkt->flags & BH_PKT_V4 ? bh_inner4(frame, offset, pkt) :
					  bh_inner6(frame, offset, pkt);
	if (!offset || bh_inner_ports(frame, offset, pkt))
		pkt->flags |= BH_PKT_ERROR_ODD;
	return BH_REASON_NONE;
}

/* Neighbour discovery and MLD: hop limit, who may send what, what is claimed. */
BH_SUBPROG int bh_parse_nd(struct bh_frame *frame, struct bh_pkt *pkt, __u32 offset,
			   __u32 hop_limit, int dir)
{
	struct bh_addr target;

	if (!pkt)
		return BH_REASON_INTERNAL;
	if (pkt->icmp_type < BH_ND_RS || pkt->icmp_type > BH_ND_REDIRECT) {
		if (dir == BH_EGRESS && pkt->icmp_type == BH_MLD_QUERY)
			return BH_REASON_LINK_CONTROL;
		if (pkt->flags & BH_PKT_GROUP) /* to one address it is ICMP like any other */
			pkt->flags |= BH_PKT_MLD;
		return hop_limit == 1 ? BH_REASON_NONE : BH_REASON_BAD_HEADER;
	}
	if (hop_limit != 255 || (pkt->flags & BH_PKT_FIRST))
		return BH_REASON_BAD_HEADER;
	if (dir == BH_EGRESS && (pkt->icmp_type == BH_ND_RA || pkt->icmp_type == BH_ND_REDIRECT))
		return BH_REASON_LINK_CONTROL;
	pkt->flags |= BH_PKT_ND;
	if (pkt->icmp_type != BH_ND_NA && !(pkt->icmp_type == BH_ND_NS && bh_addr_zero(&pkt->src)))
		return BH_REASON_NONE;
	if (BH_LOAD(frame, offset + 8, &target))
		return BH_REASON_SHORT;
	pkt->inner = target;
	pkt->flags |= BH_PKT_CLAIM;
	return BH_REASON_NONE;
}

BH_PARSE_INLINE int bh_icmp6_link(__u8 type)
{
	return (type >= BH_ND_RS && type <= BH_ND_REDIRECT) ||
	       (type >= BH_MLD_QUERY && type <= BH_MLD_DONE) || type == BH_MLD2_REPORT;
}
