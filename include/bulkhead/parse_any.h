/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * parse_any.h - the parser for every frame: options, extension headers, fragments, ICMP, link control.
 *
 * World: shared. Pure: yes. Owns: nothing. Part of parse.h; include that.
 * In a program the functions marked BH_SUBPROG are global ones, so their pointers may be NULL to the
 * verifier. All return a reason: BH_REASON_NONE to go on, or why the frame is dropped.
 */
#pragma once

#include <bulkhead/parse.h>

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
	/* With segments left the destination is not the last one: nothing here could judge it. */
	if (walk->next == BH_NEXT_ROUTING && header[3])
		return BH_REASON_EXT_CHAIN;
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
		return type == 128 ? BH_ICMP_REQUEST :
		       type == 129 ? BH_ICMP_REPLY :
		       type < 128  ? BH_ICMP_ERROR :
				     BH_ICMP_OTHER;
	switch (type) {
	case 8: /* echo */
	case 13: /* timestamp */
	case 15: /* information */
	case 17: /* address mask */
		return BH_ICMP_REQUEST;
	case 0:
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
	offset = pkt->flags & BH_PKT_V4 ? bh_inner4(frame, offset, pkt) : bh_inner6(frame, offset, pkt);
	if (!offset || bh_inner_ports(frame, offset, pkt))
		pkt->flags |= BH_PKT_ERROR_ODD;
	return BH_REASON_NONE;
}

/* Neighbour discovery and MLD: hop limit, who may send what, what is claimed. */
BH_SUBPROG int bh_parse_nd(struct bh_frame *frame, struct bh_pkt *pkt, __u32 offset, __u32 hop_limit,
			   int dir)
{
	struct bh_addr target;

	if (!pkt)
		return BH_REASON_INTERNAL;
	if (pkt->icmp_type < BH_ND_RS || pkt->icmp_type > BH_ND_REDIRECT) {
		if (dir == BH_EGRESS && pkt->icmp_type == BH_MLD_QUERY)
			return BH_REASON_LINK_CONTROL;
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

/* ---- L4 ---- */
/* Where L4 begins, how much of it the IP header promises, and what else L4 needs to know. */
struct bh_l4 {
	__u32 offset;
	__u32 bytes;
	__u32 hop_limit;
	__u32 dir;
};

BH_PARSE_INLINE enum bh_reason bh_parse_icmp(struct bh_frame *frame, struct bh_pkt *pkt,
					     const struct bh_l4 *l4)
{
	struct bh_icmp icmp;

	if (l4->bytes < sizeof(icmp) || BH_LOAD(frame, l4->offset, &icmp))
		return BH_REASON_SHORT;
	pkt->icmp_type = icmp.type;
	switch (bh_icmp_kind(pkt->proto, icmp.type)) {
	case BH_ICMP_REQUEST:
		pkt->sport = icmp.id;
		pkt->flags |= BH_PKT_OPENER;
		return BH_REASON_NONE;
	case BH_ICMP_REPLY:
		pkt->dport = icmp.id;
		pkt->flags |= BH_PKT_ANSWER;
		return BH_REASON_NONE;
	case BH_ICMP_ERROR:
		if (pkt->proto == BH_PROTO_ICMP && icmp.type == 5 && l4->dir == BH_EGRESS)
			return BH_REASON_LINK_CONTROL;
		return bh_parse_inner(frame, pkt, l4->offset + sizeof(icmp));
	default:
		break;
	}
	if (pkt->proto == BH_PROTO_ICMP) /* router advertisement */
		return icmp.type == 9 && l4->dir == BH_EGRESS ? BH_REASON_LINK_CONTROL :
								BH_REASON_NONE;
	if (!bh_icmp6_link(icmp.type))
		return BH_REASON_NONE;
	return bh_parse_nd(frame, pkt, l4->offset, l4->hop_limit, l4->dir);
}

BH_PARSE_INLINE enum bh_reason bh_parse_udp(struct bh_frame *frame, struct bh_pkt *pkt,
					    const struct bh_l4 *l4)
{
	struct bh_udp udp;

	if (l4->bytes < sizeof(udp) || BH_LOAD(frame, l4->offset, &udp))
		return BH_REASON_SHORT;
	if (BH_HOST16(udp.bytes) < sizeof(udp)) {
		if (udp.bytes || !(pkt->flags & BH_PKT_GSO))
			return BH_REASON_BAD_LENGTH;
	} else if (BH_HOST16(udp.bytes) > l4->bytes && !(pkt->flags & BH_PKT_FIRST)) {
		return BH_REASON_BAD_LENGTH;
	}
	pkt->ports = udp.ports;
	if (!bh_ports_dhcp(udp.ports))
		return BH_REASON_NONE;
	if (udp.ports == BH_PORTS(68, 67) || udp.ports == BH_PORTS(546, 547)) {
		if (l4->dir == BH_EGRESS)
			pkt->flags |= BH_PKT_DHCP;
		return BH_REASON_NONE;
	}
	if (l4->dir == BH_EGRESS)
		return BH_REASON_LINK_CONTROL;
	pkt->flags |= BH_PKT_DHCP;
	return BH_REASON_NONE;
}

BH_PARSE_INLINE enum bh_reason bh_parse_sctp(struct bh_frame *frame, struct bh_pkt *pkt,
					     const struct bh_l4 *l4)
{
	__u8 chunk;

	if (l4->bytes < BH_SCTP_HEADER || bh_frame_load(frame, l4->offset, &pkt->ports, 4) < 0)
		return BH_REASON_SHORT;
	if (l4->bytes > BH_SCTP_HEADER &&
	    !BH_LOAD(frame, l4->offset + BH_SCTP_HEADER, &chunk) && chunk == BH_SCTP_INIT)
		pkt->flags |= BH_PKT_OPENER;
	return BH_REASON_NONE;
}

/* Also says where the headers end, for fragments. */
BH_SUBPROG int bh_parse_l4(struct bh_frame *frame, struct bh_pkt *pkt, const struct bh_l4 *l4)
{
	struct bh_tcp tcp;

	if (!pkt || !l4)
		return BH_REASON_INTERNAL;
	switch (pkt->proto) {
	case BH_PROTO_TCP:
		if (l4->bytes < sizeof(tcp) || BH_LOAD(frame, l4->offset, &tcp))
			return BH_REASON_SHORT;
		if (tcp.offset >> 4 < 5 || (__u32)(tcp.offset >> 4) * 4 > l4->bytes)
			return BH_REASON_BAD_HEADER;
		pkt->fragment += sizeof(tcp);
		bh_parse_tcp(&tcp, l4->bytes, pkt);
		return BH_REASON_NONE;
	case BH_PROTO_UDP:
		pkt->fragment += sizeof(struct bh_udp);
		return bh_parse_udp(frame, pkt, l4);
	case BH_PROTO_SCTP:
		pkt->fragment += BH_SCTP_HEADER;
		return bh_parse_sctp(frame, pkt, l4);
	case BH_PROTO_ICMP:
	case BH_PROTO_ICMP6:
		/* the other family's ICMP is any protocol */
		if ((pkt->proto == BH_PROTO_ICMP) != !!(pkt->flags & BH_PKT_V4))
			return BH_REASON_NONE;
		pkt->fragment += sizeof(struct bh_icmp);
		return bh_parse_icmp(frame, pkt, l4);
	default:
		return BH_REASON_NONE;
	}
}

/* ---- L3 ---- */
BH_PARSE_INLINE enum bh_reason bh_check_addr4(struct bh_pkt *pkt)
{
	__u32 src = BH_HOST32(pkt->src.w[3]), dst = BH_HOST32(pkt->dst.w[3]);

	if (src >> 24 == 127 || src >> 29 == 7 || (src && !(src >> 24)))
		return BH_REASON_BAD_ADDR;
	if (dst >> 28 == 14 || dst == 0xffffffffu) {
		pkt->flags |= BH_PKT_GROUP;
		return BH_REASON_NONE;
	}
	return dst >> 24 == 0 || dst >> 24 == 127 || dst >> 28 == 15 ? BH_REASON_BAD_ADDR :
								       BH_REASON_NONE;
}

/* ::/96 and the v4-mapped range stand on no wire; :: only as the source of ND and MLD. */
BH_PARSE_INLINE int bh_addr6_bad(const struct bh_addr *addr)
{
	return !addr->w[0] && !addr->w[1] && (!addr->w[2] || addr->w[2] == BH_ADDR_V4_WORD);
}

BH_PARSE_INLINE enum bh_reason bh_check_addr6(struct bh_pkt *pkt)
{
	__u32 first = BH_HOST32(pkt->dst.w[0]) >> 24;

	if (BH_HOST32(pkt->src.w[0]) >> 24 == 0xff ||
	    (bh_addr6_bad(&pkt->src) && !bh_addr_zero(&pkt->src)) || bh_addr6_bad(&pkt->dst))
		return BH_REASON_BAD_ADDR;
	if (first == 0xff)
		pkt->flags |= BH_PKT_GROUP;
	return BH_REASON_NONE;
}

BH_SUBPROG int bh_parse_ip4(struct bh_frame *frame, struct bh_pkt *pkt, int dir)
{
	struct bh_l4 l4 = { .dir = dir };
	struct bh_ip4 ip;
	__u32 header, bytes, at;
	enum bh_reason reason;

	if (!pkt)
		return BH_REASON_INTERNAL;
	if (BH_LOAD(frame, BH_L2_BYTES, &ip))
		return BH_REASON_SHORT;
	header = (ip.version_ihl & 15) * 4;
	if (ip.version_ihl >> 4 != 4 || header < sizeof(ip))
		return BH_REASON_BAD_HEADER;
	bytes = BH_HOST16(ip.bytes);
	if (!bytes && (pkt->flags & BH_PKT_GSO))
		bytes = pkt->bytes; /* BIG TCP */
	if (bytes > pkt->bytes)
		return BH_REASON_BAD_LENGTH;
	if (bytes < header)
		return BH_REASON_BAD_HEADER;
	pkt->bytes = bytes;
	pkt->flags |= BH_PKT_V4;
	pkt->src = bh_addr_from4(ip.src);
	pkt->dst = bh_addr_from4(ip.dst);
	pkt->proto = ip.proto;
	reason = bh_check_addr4(pkt);
	if (reason)
		return reason;
	at = (BH_HOST16(ip.frag) & BH_IP4_OFFSET) * 8;
	pkt->fragment_id = ip.id;
	if (at) {
		pkt->flags |= BH_PKT_LATER;
		pkt->fragment = at;
		return at + bytes - header > 65535 ? BH_REASON_BAD_LENGTH : BH_REASON_NONE;
	}
	if (ip.frag & BH_BE16(BH_IP4_MF))
		pkt->flags |= BH_PKT_FIRST;
	l4.offset = BH_L2_BYTES + header;
	l4.bytes = bytes - header;
	return bh_parse_l4(frame, pkt, &l4);
}

BH_SUBPROG int bh_parse_ip6(struct bh_frame *frame, struct bh_pkt *pkt, int dir)
{
	struct bh_walk walk = { .offset = BH_L2_BYTES + sizeof(struct bh_ip6) };
	struct bh_l4 l4 = { .dir = dir };
	struct bh_ip6 ip;
	enum bh_reason reason;
	__u32 bytes;

	if (!pkt)
		return BH_REASON_INTERNAL;
	if (BH_LOAD(frame, BH_L2_BYTES, &ip))
		return BH_REASON_SHORT;
	if (ip.version_class >> 4 != 6)
		return BH_REASON_BAD_HEADER;
	bytes = BH_HOST16(ip.payload) + sizeof(ip);
	if (!ip.payload && (pkt->flags & BH_PKT_GSO))
		bytes = pkt->bytes; /* BIG TCP */
	if (bytes > pkt->bytes)
		return BH_REASON_BAD_LENGTH;
	pkt->bytes = bytes;
	pkt->src = ip.src;
	pkt->dst = ip.dst;
	reason = bh_check_addr6(pkt);
	if (reason)
		return reason;
	walk.next = ip.next;
	walk.base = walk.offset;
	reason = bh_walk(frame, &walk);
	if (reason)
		return reason;
	if (walk.offset > BH_L2_BYTES + bytes)
		return BH_REASON_SHORT;
	pkt->proto = walk.next;
	pkt->fragment_id = walk.fragment_id;
	l4.bytes = BH_L2_BYTES + bytes - walk.offset;
	if (walk.flags & BH_WALK_LATER) {
		pkt->flags |= BH_PKT_LATER;
		pkt->fragment = walk.fragment;
		return walk.fragment + l4.bytes > 65535 ? BH_REASON_BAD_LENGTH : BH_REASON_NONE;
	}
	if (walk.flags & BH_WALK_FIRST)
		pkt->flags |= BH_PKT_FIRST;
	pkt->fragment = walk.offset - walk.base;
	l4.offset = walk.offset;
	l4.hop_limit = ip.hop_limit;
	return bh_parse_l4(frame, pkt, &l4);
}

/* ---- the link ---- */
BH_SUBPROG int bh_parse_arp(struct bh_frame *frame, struct bh_pkt *pkt, int dir)
{
	struct bh_arp arp;
	__u32 sender;
	__u16 mac[3];

	if (!pkt)
		return BH_REASON_INTERNAL;
	if (BH_LOAD(frame, BH_L2_BYTES, &arp))
		return BH_REASON_SHORT;
	if (arp.hardware != BH_BE16(1) || arp.protocol != BH_BE16(BH_ETH_IP4) ||
	    arp.hardware_bytes != 6 || arp.protocol_bytes != 4)
		return BH_REASON_BAD_HEADER;
	__builtin_memcpy(&sender, arp.sender, 4);
	pkt->src = bh_addr_from4(sender);
	pkt->flags |= BH_PKT_V4 | BH_PKT_ARP;
	__builtin_memcpy(mac, arp.sender_mac, sizeof(mac));
	if (dir == BH_EGRESS &&
	    (mac[0] != pkt->smac[0] || mac[1] != pkt->smac[1] || mac[2] != pkt->smac[2]))
		return BH_REASON_SPOOFED_ARP;
	return BH_REASON_NONE;
}

/*
 * Any frame. *pkt is zeroed by the caller but for bytes and flags (see bh_parse_fast()). For a LATER fragment proto and
 * ports are unknown (proto is known for IPv4); the caller finds them under its fragment id.
 */
BH_PARSE_INLINE enum bh_reason bh_parse_any(struct bh_frame *frame, enum bh_dir dir, struct bh_pkt *pkt)
{
	struct bh_eth eth;
	__u16 type;

	if (BH_LOAD(frame, 0, &eth))
		return BH_REASON_SHORT;
	__builtin_memcpy(pkt->smac, eth.src, sizeof(pkt->smac));
	if (eth.dst[0] & 1)
		pkt->flags |= BH_PKT_LINK_GROUP;
	type = BH_HOST16(eth.type);
	switch (type) {
	case BH_ETH_IP4:
		return bh_parse_ip4(frame, pkt, dir);
	case BH_ETH_IP6:
		return bh_parse_ip6(frame, pkt, dir);
	case BH_ETH_ARP:
		return bh_parse_arp(frame, pkt, dir);
	case BH_ETH_8021Q:
	case BH_ETH_8021AD:
	case BH_ETH_QINQ:
		return BH_REASON_VLAN;
	case BH_ETH_LLDP:
	case BH_ETH_SLOW:
	case BH_ETH_EAPOL:
	case BH_ETH_CFM:
	case BH_ETH_PAUSE:
		return BH_REASON_LINK_CONTROL;
	default:
		return type < BH_ETH_802_3_MAX ? BH_REASON_LINK_CONTROL : BH_REASON_ETHERTYPE;
	}
}
