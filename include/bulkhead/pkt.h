/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * pkt.h - what a frame is, once parsed, and the judgements on addresses and ports that both parsers share.
 *
 * World: shared. Pure: yes. Owns: nothing.
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/abi.h>
#include <bulkhead/addr.h>
#include <bulkhead/conntrack.h>
#include <bulkhead/reason.h>
#include <bulkhead/wire.h>

enum bh_pkt_flag {
	BH_PKT_V4 = 1 << 0,
	BH_PKT_OPENER =
		1 << 1, /* only who begins a flow sends it: bare SYN, echo request, SCTP INIT */
	BH_PKT_ANSWER = 1 << 2, /* never begins a flow: other TCP segments, echo replies */
	BH_PKT_DATA = 1 << 3, /* TCP with payload */
	BH_PKT_GSO = 1 << 4, /* set by the caller: gso_size > 0 */
	BH_PKT_ERROR =
		1 << 5, /* ICMP error: proto and ports are the embedded packet's, turned round */
	BH_PKT_ERROR_ODD = 1 << 6, /* an ICMP error whose embedded packet tells nothing */
	BH_PKT_FIRST = 1 << 7, /* first fragment */
	BH_PKT_LATER = 1 << 8, /* later fragment: ports unknown */
	BH_PKT_GROUP = 1 << 9, /* multicast or broadcast destination */
	BH_PKT_LINK_GROUP =
		1 << 10, /* group MAC address: a unicast destination may be a subnet broadcast */
	BH_PKT_ARP = 1 << 11, /* src: sender's claim, 0: a probe */
	BH_PKT_ND =
		1
		<< 12, /* neighbour discovery of a kind that this side may send; type in icmp_type */
	/* with ND: inner is an address that the sender claims; with ARP: for another MAC than its own */
	BH_PKT_CLAIM = 1 << 13,
	BH_PKT_MLD = 1 << 14,
	BH_PKT_DHCP = 1 << 15, /* client to server from the pod, server to client to it */
};
/* Needs more than a compare of the pod's own address. */
#define BH_PKT_SPECIAL 0xffe0

struct bh_pkt {
	struct bh_addr src, dst;
	union {
		struct {
			__be16 sport,
				dport; /* ICMP: the id is the requester's port, the other one is 0 */
		};
		__u32 ports;
	};
	__u16 flags; /* enum bh_pkt_flag */
	__u8 proto; /* past extension headers */
	__u8 tcp; /* TCP flags; of SCTP what is like them: INIT SYN, INIT ACK SYN and ACK, ABORT RST */
	__u32 bytes; /* L3 length; set by the caller to the frame's length behind its link header */
	__u16 smac[3];
	__u16 fragment; /* FIRST: end of the headers, LATER: offset; bytes of the fragmentable part */
	/* from here on the fast parser sets nothing */
	struct bh_addr inner; /* ERROR: the embedded packet's destination; CLAIM: the address */
	__u32 fragment_id;
	__u8 icmp_type;
	__u8 pad[3];
};

#define BH_L2_BYTES ((__u32)sizeof(struct bh_eth))
#define BH_PARSE_INLINE static inline __attribute__((always_inline))

/* Is the address one that ordinary unicast packets may carry? First byte of each family. */
BH_PARSE_INLINE int bh_addr4_plain(__u32 addr)
{
	__u32 first = BH_HOST32(addr) >> 24;

	return first - 1 < 223 && first != 127; /* not 0/8, 127/8, 224/3 */
}

BH_PARSE_INLINE int bh_addr6_plain(const struct bh_addr *addr)
{
	__u32 first = BH_HOST32(addr->w[0]) >> 24;

	return (first & 0xe0) == 0x20 || (first & 0xfe) == 0xfc; /* global unicast, unique local */
}

BH_PARSE_INLINE int bh_addr6_linklocal(const struct bh_addr *addr)
{
	return BH_HOST32(addr->w[0]) >> 22 == 0xfe80 >> 6;
}

BH_PARSE_INLINE int bh_addr_zero(const struct bh_addr *addr)
{
	return !(addr->w[0] | addr->w[1] | addr->w[2] | addr->w[3]);
}

/* ICMP of the packet's own family; the other one's is any protocol. */
BH_PARSE_INLINE int bh_pkt_is_icmp(const struct bh_pkt *pkt)
{
	return pkt->proto == (pkt->flags & BH_PKT_V4 ? BH_PROTO_ICMP : BH_PROTO_ICMP6);
}

BH_PARSE_INLINE void bh_parse_tcp(const struct bh_tcp *tcp, __u32 bytes, struct bh_pkt *pkt)
{
	__u8 opening = tcp->flags & (BH_TCP_SYN | BH_TCP_ACK | BH_TCP_RST); /* some hosts take SYN with FIN */

	pkt->ports = tcp->ports;
	pkt->tcp = tcp->flags;
	pkt->flags |= opening == BH_TCP_SYN ? BH_PKT_OPENER : BH_PKT_ANSWER;
	if (bytes > (__u32)(tcp->offset >> 4) * 4)
		pkt->flags |= BH_PKT_DATA;
}

/* Port pairs of DHCP, both families. */
BH_PARSE_INLINE int bh_ports_dhcp(__u32 ports)
{
	return ports == BH_PORTS(68, 67) || ports == BH_PORTS(67, 68) ||
	       ports == BH_PORTS(546, 547) || ports == BH_PORTS(547, 546);
}
