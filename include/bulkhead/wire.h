/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * wire.h - headers as they stand in a packet, the numbers in them, and how a parser reads a frame.
 *
 * World: shared. Pure: yes. Owns: nothing.
 * A frame is a struct __sk_buff in a program and plain memory on the host; bh_frame_load() copies bytes
 * from either, wherever they lie (non-linear data included), and never changes the packet.
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/addr.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BH_BE16(x) ((__be16)(__u16)((((x)&0xff) << 8) | (((x) >> 8) & 0xff)))
#define BH_HOST16(x) __builtin_bswap16((__u16)(x))
#define BH_HOST32(x) __builtin_bswap32((__u32)(x))
#define BH_BE32(x) __builtin_bswap32((__u32)(x))
/* sport and dport as the one word they are in a packet */
#define BH_PORTS(s, d) (((__u32)BH_BE16(d) << 16) | BH_BE16(s))
#else
#define BH_BE16(x) ((__be16)(x))
#define BH_HOST16(x) ((__u16)(x))
#define BH_HOST32(x) ((__u32)(x))
#define BH_BE32(x) ((__u32)(x))
#define BH_PORTS(s, d) (((__u32)(s) << 16) | (d))
#endif

#ifdef __bpf__
/* The kernel lets programs read unaligned words; packed would make the compiler read bytes. */
#define BH_WIRE
/* A global function: the verifier looks at it once, not once per caller. */
#define BH_SUBPROG __attribute__((noinline))
/* A loop stays a loop: unrolled, the verifier would read it that many times over. */
#define BH_NO_UNROLL _Pragma("clang loop unroll(disable)")
#ifndef BH_FRAME_OWN /* else whoever includes this has defined both */
#define bh_frame __sk_buff
struct __sk_buff;
static long (*bh_frame_load)(const struct bh_frame *frame, __u32 offset, void *to,
			     __u32 bytes) = (void *)26; /* bpf_skb_load_bytes */
#endif
#else
#define BH_WIRE __attribute__((packed))
#define BH_SUBPROG static inline __attribute__((unused))
#define BH_NO_UNROLL
struct bh_frame {
	const __u8 *data;
	__u32 bytes;
};
static inline __attribute__((unused)) long bh_frame_load(const struct bh_frame *frame, __u32 offset,
							 void *to, __u32 bytes)
{
	if (offset > frame->bytes || bytes > frame->bytes - offset)
		return -1;
	__builtin_memcpy(to, frame->data + offset, bytes);
	return 0;
}
#endif

struct bh_eth {
	__u8 dst[6];
	__u8 src[6];
	__be16 type;
} BH_WIRE;

struct bh_ip4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 bytes;
	__be16 id;
	__be16 frag;
	__u8 ttl;
	__u8 proto;
	__be16 checksum;
	__u32 src;
	__u32 dst;
} BH_WIRE;

struct bh_ip6 {
	__u8 version_class;
	__u8 class_flow[3];
	__be16 payload;
	__u8 next;
	__u8 hop_limit;
	struct bh_addr src;
	struct bh_addr dst;
} BH_WIRE;

struct bh_tcp {
	__u32 ports;
	__u32 seq;
	__u32 ack;
	__u8 offset;
	__u8 flags;
	__be16 window;
	__be16 checksum;
	__be16 urgent;
} BH_WIRE;

struct bh_udp {
	__u32 ports;
	__be16 bytes;
	__be16 checksum;
} BH_WIRE;

struct bh_icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be16 id;
	__be16 seq;
} BH_WIRE;

struct bh_arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_bytes;
	__u8 protocol_bytes;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
} BH_WIRE;
_Static_assert(sizeof(struct bh_eth) == 14 && sizeof(struct bh_ip4) == 20 &&
		       sizeof(struct bh_ip6) == 40 && sizeof(struct bh_arp) == 28,
	       "headers have no holes");

#define BH_ETH_IP4 0x0800
#define BH_ETH_ARP 0x0806
#define BH_ETH_IP6 0x86dd
#define BH_ETH_8021Q 0x8100
#define BH_ETH_8021AD 0x88a8
#define BH_ETH_QINQ 0x9100
#define BH_ETH_PAUSE 0x8808
#define BH_ETH_SLOW 0x8809 /* LACP, OAM */
#define BH_ETH_EAPOL 0x888e
#define BH_ETH_LLDP 0x88cc
#define BH_ETH_CFM 0x8902
#define BH_ETH_802_3_MAX 0x0600 /* below: a length; STP */

#define BH_IP4_DF 0x4000
#define BH_IP4_MF 0x2000
#define BH_IP4_OFFSET 0x1fff

#define BH_IP4_OPTIONS_MAX 40 /* bytes */
#define BH_IP4_OPTION_END 0
#define BH_IP4_OPTION_NOP 1
#define BH_IP4_OPTION_LSRR 131 /* loose and strict source route */
#define BH_IP4_OPTION_SSRR 137

#define BH_NEXT_HOP 0
#define BH_NEXT_ROUTING 43
#define BH_NEXT_FRAGMENT 44
#define BH_NEXT_AH 51
#define BH_NEXT_DEST 60
#define BH_EXT_MAX 8 /* extension headers in one chain */

#define BH_SCTP_HEADER 12
#define BH_SCTP_INIT 1
#define BH_SCTP_INIT_ACK 2
#define BH_SCTP_ABORT 6

#define BH_ND_RS 133
#define BH_ND_RA 134
#define BH_ND_NS 135
#define BH_ND_NA 136
#define BH_ND_REDIRECT 137
#define BH_MLD_QUERY 130
#define BH_MLD_REPORT 131
#define BH_MLD_DONE 132
#define BH_MLD2_REPORT 143
