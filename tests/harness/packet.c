// SPDX-License-Identifier: Apache-2.0
// packet.c - see packet.h.
#include "tests/harness/packet.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bulkhead/wire.h>

static uint8_t *append(struct packet *p, uint32_t n)
{
	uint8_t *at = p->data + p->len;

	assert(p->len + n <= sizeof(p->data));
	memset(at, 0, n);
	p->len += n;
	return at;
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

struct bh_addr packet_addr(const char *text)
{
	struct bh_addr addr;
	uint32_t v4;

	if (inet_pton(AF_INET, text, &v4) == 1)
		return bh_addr_from4(v4);
	if (inet_pton(AF_INET6, text, &addr) != 1) {
		fprintf(stderr, "'%s' is no address\n", text);
		abort();
	}
	return addr;
}

void packet_eth(struct packet *p, const uint8_t src[static 6], const uint8_t dst[static 6],
		uint16_t type)
{
	uint8_t *at;

	memset(p, 0, sizeof(*p));
	at = append(p, sizeof(struct bh_eth));
	memcpy(at, dst, 6);
	memcpy(at + 6, src, 6);
	put16(at + 12, type);
}

void packet_ip(struct packet *p, const char *src, const char *dst, uint8_t proto)
{
	struct bh_addr from = packet_addr(src), to = packet_addr(dst);
	uint8_t *at;

	p->v6 = strchr(src, ':') != NULL;
	p->l3 = p->len;
	put16(p->data + 12, p->v6 ? BH_ETH_IP6 : BH_ETH_IP4);
	if (p->v6) {
		at = append(p, sizeof(struct bh_ip6));
		at[0] = 0x60;
		at[6] = proto;
		at[7] = 64;
		memcpy(at + 8, &from, 16);
		memcpy(at + 24, &to, 16);
		p->next = p->l3 + 6;
	} else {
		at = append(p, sizeof(struct bh_ip4));
		at[0] = 0x45;
		at[8] = 64;
		at[9] = proto;
		memcpy(at + 12, &from.w[3], 4);
		memcpy(at + 16, &to.w[3], 4);
		p->next = p->l3 + 9;
	}
	p->l4 = p->len;
}

void packet_options(struct packet *p, uint32_t words)
{
	memset(append(p, words * 4), 1, words * 4); // no-operation
	p->data[p->l3] += words;
	p->l4 = p->len;
}

void packet_fragment4(struct packet *p, uint16_t id, uint32_t offset, bool more)
{
	put16(p->data + p->l3 + 4, id);
	put16(p->data + p->l3 + 6, offset / 8 | (more ? BH_IP4_MF : 0));
}

void packet_ext(struct packet *p, uint8_t type, uint8_t units)
{
	uint32_t at = p->len;

	append(p, 8 * (units + 1));
	p->data[at] = p->data[p->next];
	p->data[at + 1] = type == BH_NEXT_AH ? units * 2 : units;
	p->data[p->next] = type;
	p->next = at;
	p->l4 = p->len;
}

void packet_fragment6(struct packet *p, uint32_t id, uint32_t offset, bool more)
{
	uint32_t at = p->len, wire = htonl(id);

	packet_ext(p, BH_NEXT_FRAGMENT, 0);
	p->data[at + 1] = 0;
	put16(p->data + at + 2, offset | more);
	memcpy(p->data + at + 4, &wire, 4);
}

void packet_tcp(struct packet *p, uint16_t sport, uint16_t dport, uint8_t flags)
{
	uint8_t *at = append(p, sizeof(struct bh_tcp));

	put16(at, sport);
	put16(at + 2, dport);
	at[12] = 5 << 4;
	at[13] = flags;
}

void packet_udp(struct packet *p, uint16_t sport, uint16_t dport)
{
	uint8_t *at = append(p, sizeof(struct bh_udp));

	put16(at, sport);
	put16(at + 2, dport);
}

void packet_sctp(struct packet *p, uint16_t sport, uint16_t dport, uint8_t chunk)
{
	uint8_t *at = append(p, BH_SCTP_HEADER + 4);

	put16(at, sport);
	put16(at + 2, dport);
	at[BH_SCTP_HEADER] = chunk;
	put16(at + BH_SCTP_HEADER + 2, 4);
}

void packet_icmp(struct packet *p, uint8_t type, uint8_t code, uint16_t id)
{
	uint8_t *at = append(p, sizeof(struct bh_icmp));

	at[0] = type;
	at[1] = code;
	put16(at + 4, id);
}

void packet_data(struct packet *p, uint32_t n)
{
	memset(append(p, n), 0x5a, n);
}

void packet_bytes(struct packet *p, const void *bytes, uint32_t n)
{
	memcpy(append(p, n), bytes, n);
}

void packet_embed(struct packet *p, const struct packet *inner)
{
	packet_bytes(p, inner->data + inner->l3, inner->len - inner->l3);
}

static uint32_t sum16(uint32_t sum, const uint8_t *data, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		sum += i & 1 ? data[i] : (uint32_t)data[i] << 8;
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

void packet_end(struct packet *p)
{
	uint8_t *ip = p->data + p->l3;
	uint8_t proto = p->data[p->next];
	bool later = p->v6 ? false : ((ip[6] & 0x1f) | ip[7]);

	if (p->v6) {
		put16(ip + 4, p->len - p->l3 - sizeof(struct bh_ip6));
	} else {
		put16(ip + 2, p->len - p->l3);
		put16(ip + 10, 0);
		put16(ip + 10, sum_fold(sum16(0, ip, (ip[0] & 15) * 4)));
	}
	if (proto == IPPROTO_UDP && !later && p->len >= p->l4 + 8)
		put16(p->data + p->l4 + 4, p->len - p->l4);
}

void packet_sum(struct packet *p)
{
	uint8_t *ip = p->data + p->l3, *l4 = p->data + p->l4, proto = p->data[p->next];
	uint32_t at = proto == IPPROTO_TCP ? 16 : proto == IPPROTO_UDP ? 6 : 2;
	uint32_t len = p->len - p->l4, pseudo = len + proto;

	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_ICMP &&
	    proto != IPPROTO_ICMPV6)
		return;
	pseudo = p->v6 ? sum16(pseudo, ip + 8, 32) : sum16(pseudo, ip + 12, 8);
	put16(l4 + at, 0);
	put16(l4 + at, sum_fold(sum16(proto == IPPROTO_ICMP ? 0 : pseudo, l4, len)));
}

void packet_arp(struct packet *p, const uint8_t mac[static 6], uint16_t op, const char *sender,
		const char *target)
{
	static const uint8_t everyone[6] = { 255, 255, 255, 255, 255, 255 };
	struct bh_addr from = packet_addr(sender), to = packet_addr(target);
	struct bh_arp arp = {
		.hardware = BH_BE16(1),
		.protocol = BH_BE16(BH_ETH_IP4),
		.hardware_bytes = 6,
		.protocol_bytes = 4,
		.operation = htons(op),
	};

	memcpy(arp.sender_mac, mac, 6);
	memcpy(arp.sender, &from.w[3], 4);
	memcpy(arp.target, &to.w[3], 4);
	packet_eth(p, mac, everyone, BH_ETH_ARP);
	packet_bytes(p, &arp, sizeof(arp));
}
