/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * parse_any.h - the parser for every frame: options, extension headers, fragments, link control.
 *
 * World: shared. Pure: yes. Owns: nothing. A part of parse.h.
 * In a program the functions marked BH_SUBPROG are global ones, so their pointers may be NULL to the
 * verifier. All return a reason: BH_REASON_NONE to go on, or why the frame is dropped.
 */
#pragma once

#include <bulkhead/parse_icmp.h>
#include <bulkhead/pkt.h>

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
	if (l4->bytes <= BH_SCTP_HEADER || BH_LOAD(frame, l4->offset + BH_SCTP_HEADER, &chunk))
		return BH_REASON_NONE;
	if (chunk == BH_SCTP_INIT)
		pkt->flags |= BH_PKT_OPENER;
	if (chunk == BH_SCTP_INIT || chunk == BH_SCTP_INIT_ACK)
		pkt->tcp = chunk == BH_SCTP_INIT ? BH_TCP_SYN : BH_TCP_SYN | BH_TCP_ACK;
	else if (chunk == BH_SCTP_ABORT)
		pkt->tcp = BH_TCP_RST;
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
		if (!bh_pkt_is_icmp(pkt))
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

/* IPv4 options, `bytes` of them: none may say that the destination is not the last one. */
BH_SUBPROG int bh_check_options(struct bh_frame *frame, __u32 bytes)
{
	__u32 at = 0;
	__u8 kind, head[2];

	BH_NO_UNROLL
	for (int i = 0; i < BH_IP4_OPTIONS_MAX && at < bytes; i++) {
		if (BH_LOAD(frame, BH_L2_BYTES + sizeof(struct bh_ip4) + at, &kind))
			return BH_REASON_SHORT;
		if (kind == BH_IP4_OPTION_END)
			return BH_REASON_NONE;
		if (kind == BH_IP4_OPTION_NOP) {
			at++;
			continue;
		}
		if (BH_LOAD(frame, BH_L2_BYTES + sizeof(struct bh_ip4) + at, &head))
			return BH_REASON_SHORT;
		if (head[1] < sizeof(head) || head[1] > bytes - at)
			return BH_REASON_BAD_HEADER;
		if (kind == BH_IP4_OPTION_LSRR || kind == BH_IP4_OPTION_SSRR)
			return BH_REASON_SOURCE_ROUTE;
		at += head[1];
	}
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
	if (!reason && header > sizeof(ip))
		reason = bh_check_options(frame, header - sizeof(ip));
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
BH_SUBPROG int bh_parse_arp(struct bh_frame *frame, struct bh_pkt *pkt)
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
	if (mac[0] != pkt->smac[0] || mac[1] != pkt->smac[1] || mac[2] != pkt->smac[2])
		pkt->flags |= BH_PKT_CLAIM;
	return BH_REASON_NONE;
}

/* Nobody's address, 0.0.0.0 or ::, is a source for ND and MLD, and for a DHCP client's own packets. */
BH_PARSE_INLINE enum bh_reason bh_check_nobody(const struct bh_pkt *pkt, enum bh_dir dir)
{
	__u32 may = BH_PKT_ND | BH_PKT_MLD | (dir == BH_EGRESS ? BH_PKT_DHCP : 0);

	if (pkt->src.w[3] || (pkt->flags & may))
		return BH_REASON_NONE;
	return (pkt->flags & BH_PKT_V4) || bh_addr_zero(&pkt->src) ? BH_REASON_BAD_ADDR :
								     BH_REASON_NONE;
}

/*
 * Any frame. *pkt is zeroed by the caller but for bytes and flags (see bh_parse_fast()). Of a LATER
 * fragment proto (IPv6) and ports are unknown; the caller finds them under its fragment id.
 */
BH_PARSE_INLINE enum bh_reason bh_parse_any(struct bh_frame *frame, enum bh_dir dir,
					    struct bh_pkt *pkt)
{
	enum bh_reason reason;
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
		reason = bh_parse_ip4(frame, pkt, dir);
		return reason ? reason : bh_check_nobody(pkt, dir);
	case BH_ETH_IP6:
		reason = bh_parse_ip6(frame, pkt, dir);
		return reason ? reason : bh_check_nobody(pkt, dir);
	case BH_ETH_ARP:
		return bh_parse_arp(frame, pkt);
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
