// SPDX-License-Identifier: Apache-2.0
// packet.h - builds frames byte by byte: ordinary ones in three calls, broken ones by writing over them.
//
// World: host, tests. Pure: yes. Owns: nothing; a packet is a value.
// Order of calls: packet_eth(), packet_ip(), extension headers, one of L4, packet_data(), packet_end().
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/addr.h>

#define PACKET_MAX 4096

// TCP flags
#define P_FIN 0x01
#define P_SYN 0x02
#define P_RST 0x04
#define P_PSH 0x08
#define P_ACK 0x10

struct packet {
	uint8_t data[PACKET_MAX];
	uint32_t len;
	uint32_t l3; // offset of the IP header, 0: none
	uint32_t l4;
	uint32_t next; // offset of the byte that says what follows (IPv6 chains)
	bool v6;
};

// "10.0.0.1" or "fd00::1" as the tables hold it; aborts on anything else.
struct bh_addr packet_addr(const char *text);

// Starts a frame. type: host order ethertype.
void packet_eth(struct packet *p, const uint8_t src[static 6], const uint8_t dst[static 6],
		uint16_t type);

// Appends an IP header of the addresses' family and sets the frame's ethertype.
void packet_ip(struct packet *p, const char *src, const char *dst, uint8_t proto);

// IPv4 options: words of 4 bytes, behind packet_ip().
void packet_options(struct packet *p, uint32_t words);
// IPv4: the fragment fields of the header. offset in bytes.
void packet_fragment4(struct packet *p, uint16_t id, uint32_t offset, bool more);

// An IPv6 extension header of 8 * (units + 1) bytes (AH too); what follows stays what it was.
void packet_ext(struct packet *p, uint8_t type, uint8_t units);
void packet_fragment6(struct packet *p, uint32_t id, uint32_t offset, bool more);

void packet_tcp(struct packet *p, uint16_t sport, uint16_t dport, uint8_t flags);
void packet_udp(struct packet *p, uint16_t sport, uint16_t dport);
void packet_sctp(struct packet *p, uint16_t sport, uint16_t dport, uint8_t chunk);
// ICMP or ICMPv6: the 8 byte header.
void packet_icmp(struct packet *p, uint8_t type, uint8_t code, uint16_t id);

// n bytes of filler, or given ones.
void packet_data(struct packet *p, uint32_t n);
void packet_bytes(struct packet *p, const void *bytes, uint32_t n);
// The L3 part of another packet: what an ICMP error carries.
void packet_embed(struct packet *p, const struct packet *inner);

// Lengths and the IPv4 header checksum.
void packet_end(struct packet *p);
// The checksum of an unfragmented TCP, UDP or ICMP packet, behind packet_end(): for kernels that receive it.
void packet_sum(struct packet *p);

// A whole ARP frame: Ethernet source and sender MAC are `mac`.
void packet_arp(struct packet *p, const uint8_t mac[static 6], uint16_t op, const char *sender,
		const char *target);
