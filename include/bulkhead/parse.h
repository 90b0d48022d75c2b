/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * parse.h - what a frame is: addresses, ports, kind. Two parsers that must agree.
 *
 * World: shared. Pure: yes; it knows no endpoint. Owns: nothing.
 * bh_parse_fast() takes the ordinary packet (unfragmented TCP or UDP between ordinary unicast addresses,
 * no options, headers linear) by direct access; for all else it says so and bh_parse_any() reads the frame
 * by copies. Whatever the fast one accepts, the other one reads the same way (tests/unit checks it).
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/parse_any.h>
#include <bulkhead/pkt.h>

/* L4 of the ordinary packet. bytes: of L4 by the IP header, already known to be in the frame. */
BH_PARSE_INLINE int bh_parse_fast_ports(const void *l4, const void *end, __u32 bytes,
					struct bh_pkt *pkt)
{
	const struct bh_tcp *tcp = l4;
	const struct bh_udp *udp = l4;
	__u32 header;

	if (pkt->proto == BH_PROTO_TCP) {
		if ((const void *)(tcp + 1) > end)
			return 0;
		header = (__u32)(tcp->offset >> 4) * 4;
		if (header < sizeof(*tcp) || header > bytes)
			return 0;
		bh_parse_tcp(tcp, bytes, pkt);
		return 1;
	}
	if (pkt->proto != BH_PROTO_UDP || (const void *)(udp + 1) > end)
		return 0;
	if (BH_HOST16(udp->bytes) < sizeof(*udp) || BH_HOST16(udp->bytes) > bytes)
		return 0;
	pkt->ports = udp->ports;
	pkt->tcp = 0;
	return !bh_ports_dhcp(pkt->ports);
}

BH_PARSE_INLINE int bh_parse_fast4(const struct bh_ip4 *ip, const void *end, struct bh_pkt *pkt)
{
	__u32 bytes;

	if ((const void *)(ip + 1) > end || ip->version_ihl != 0x45 ||
	    (ip->frag & BH_BE16(BH_IP4_MF | BH_IP4_OFFSET)))
		return 0;
	bytes = BH_HOST16(ip->bytes);
	if (bytes > pkt->bytes || bytes < sizeof(*ip))
		return 0;
	if (!bh_addr4_plain(ip->src) || !bh_addr4_plain(ip->dst))
		return 0;
	pkt->src = bh_addr_from4(ip->src);
	pkt->dst = bh_addr_from4(ip->dst);
	pkt->bytes = bytes;
	pkt->proto = ip->proto;
	pkt->flags |= BH_PKT_V4;
	return bh_parse_fast_ports(ip + 1, end, bytes - sizeof(*ip), pkt);
}

BH_PARSE_INLINE int bh_parse_fast6(const struct bh_ip6 *ip, const void *end, struct bh_pkt *pkt)
{
	__u32 bytes;

	if ((const void *)(ip + 1) > end || (ip->version_class & 0xf0) != 0x60)
		return 0;
	bytes = BH_HOST16(ip->payload);
	if (!bytes || bytes + sizeof(*ip) > pkt->bytes)
		return 0;
	pkt->src = ip->src;
	pkt->dst = ip->dst;
	if (!bh_addr6_plain(&pkt->src) || !bh_addr6_plain(&pkt->dst))
		return 0;
	pkt->bytes = bytes + sizeof(*ip);
	pkt->proto = ip->next;
	return bh_parse_fast_ports(ip + 1, end, bytes, pkt);
}

/*
 * 1: *pkt is complete up to `fragment`; 0: not an ordinary packet, ask bh_parse_any() with a fresh *pkt.
 * pkt->bytes and pkt->flags (GSO or 0) are set by the caller.
 */
BH_PARSE_INLINE int bh_parse_fast(const void *data, const void *end, struct bh_pkt *pkt)
{
	const struct bh_eth *eth = data;

	if ((const void *)(eth + 1) > end || (eth->dst[0] & 1))
		return 0;
	__builtin_memcpy(pkt->smac, eth->src, sizeof(pkt->smac));
	if (eth->type == BH_BE16(BH_ETH_IP4))
		return bh_parse_fast4((const void *)(eth + 1), end, pkt);
	if (eth->type == BH_BE16(BH_ETH_IP6))
		return bh_parse_fast6((const void *)(eth + 1), end, pkt);
	return 0;
}
