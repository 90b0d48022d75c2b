// SPDX-License-Identifier: Apache-2.0
// roll.c - see roll.h.
#include "tests/packets/roll.h"

#include <string.h>

#include <bulkhead/wire.h>

#include "tests/harness/bpfprog.h"

#define ROOM 1800 // a frame grows no longer by rolling

static const uint8_t odd_mac[][6] = {
	{ 255, 255, 255, 255, 255, 255 }, { 1, 0, 0x5e, 0, 0, 1 },  { 0x33, 0x33, 0, 0, 0, 1 },
	{ 1, 0x80, 0xc2, 0, 0, 0 },	  { 2, 0, 0, 0, 9, 9 },
};
static const char *const odd4[] = { "0.0.0.0",	 "255.255.255.255", "224.0.0.1", "239.1.2.3",
				    "127.0.0.1", "240.0.0.1",	    "0.1.2.3",	 "10.1.0.255",
				    "10.1.0.6",	 GATEWAY4,	    POD4 };
static const char *const odd6[] = { "::",	"::1",	 "ff02::1",	     "ff02::1:2", "ff05::7",
				    "fe80::5",	"fe80::1", "::ffff:10.2.0.9", "::10.2.0.9", "fd00:1::6",
				    GATEWAY6,	POD6 };

static const char *pod_addr(struct rng *rng, bool v6)
{
	if (!rng_chance(rng, 8))
		return v6 ? POD6 : POD4;
	return v6 ? rng_pick(rng, odd6) : rng_pick(rng, odd4);
}

static const char *remote_addr(struct rng *rng, bool v6)
{
	if (!rng_chance(rng, 12))
		return v6 ? PEER6 : PEER4;
	return v6 ? rng_pick(rng, odd6) : rng_pick(rng, odd4);
}

static void roll_eth(struct rng *rng, struct packet *p, enum bh_dir dir)
{
	const uint8_t *src = dir == BH_EGRESS ? pod_mac : peer_mac;
	const uint8_t *dst = dir == BH_EGRESS ? peer_mac : pod_mac;

	if (rng_chance(rng, 4))
		src = rng_pick(rng, odd_mac);
	if (rng_chance(rng, 12))
		dst = rng_pick(rng, odd_mac);
	packet_eth(p, src, dst, 0);
}

static uint16_t roll_port(struct rng *rng)
{
	static const uint16_t ports[] = { 0, 1, 53, 67, 68, 80, 443, 546, 547, 40000, 65535 };

	return rng_chance(rng, 70) ? rng_pick(rng, ports) : (uint16_t)rng_next(rng);
}

static void roll_l4(struct rng *rng, struct packet *p, uint8_t proto)
{
	static const uint8_t tcp[] = { P_SYN,	      P_ACK,	     P_SYN | P_ACK, P_FIN | P_ACK, P_RST,
				       P_SYN | P_FIN, P_PSH | P_ACK, 0,		    0xff,	   P_SYN | 0xc0 };
	static const uint8_t icmp[] = { 0,  1,	3,  4,	5,  8,	9,   10,  11,  12,  13,	 14,
					15, 17, 30, 40, 42, 43, 128, 129, 138, 139, 160, 255 };
	uint8_t flags = rng_chance(rng, 90) ? rng_pick(rng, tcp) : (uint8_t)rng_next(rng);

	switch (proto) {
	case BH_PROTO_TCP:
		packet_tcp(p, roll_port(rng), roll_port(rng), flags);
		break;
	case BH_PROTO_UDP:
		packet_udp(p, roll_port(rng), roll_port(rng));
		break;
	case BH_PROTO_SCTP:
		packet_sctp(p, roll_port(rng), roll_port(rng), (uint8_t)rng_below(rng, 16));
		break;
	case BH_PROTO_ICMP:
	case BH_PROTO_ICMP6:
		packet_icmp(p, rng_pick(rng, icmp), (uint8_t)rng_below(rng, 4),
			    roll_port(rng));
		break;
	default:
		packet_data(p, (uint32_t)rng_below(rng, 24));
	}
	packet_data(p, (uint32_t)(rng_chance(rng, 5) ? rng_below(rng, 900) : rng_below(rng, 48)));
}

static uint8_t roll_proto(struct rng *rng, bool v6)
{
	static const uint8_t others[] = { 0, 1, 2, 4, 41, 47, 50, 51, 58, 59, 33, 136, 139, 255 };
	static const uint8_t known[] = { BH_PROTO_TCP, BH_PROTO_UDP, BH_PROTO_SCTP };

	if (rng_chance(rng, 12))
		return rng_pick(rng, others);
	if (rng_chance(rng, 25))
		return v6 ? BH_PROTO_ICMP6 : BH_PROTO_ICMP;
	return rng_pick(rng, known);
}

static void roll_chain(struct rng *rng, struct packet *p, unsigned percent)
{
	static const uint8_t kinds[] = { BH_NEXT_HOP, BH_NEXT_DEST, BH_NEXT_DEST, BH_NEXT_ROUTING, BH_NEXT_AH };

	for (int n = 0; n < 10 && rng_chance(rng, percent); n++)
		packet_ext(p, n || rng_chance(rng, 60) ? kinds[1 + rng_below(rng, 4)] : BH_NEXT_HOP,
			   (uint8_t)rng_below(rng, 3));
}

static void roll_fragment(struct rng *rng, struct packet *p)
{
	bool more = rng_chance(rng, 50);
	uint32_t offset = 0;

	if (rng_chance(rng, 50))
		offset = 8 * (uint32_t)(rng_chance(rng, 60) ? rng_below(rng, 6) : rng_below(rng, 8192));
	if (p->v6)
		packet_fragment6(p, (uint32_t)rng_below(rng, 3), offset, more);
	else
		packet_fragment4(p, (uint16_t)rng_below(rng, 3), offset, more);
}

// IPv4 options: padding, and kinds with a length that is right or wrong.
static void roll_options(struct rng *rng, struct packet *p)
{
	static const uint8_t kinds[] = { 0, 1, 7, 68, 131, 137, 148, 255 };
	uint32_t words = 1 + (uint32_t)rng_below(rng, 10), at = p->len;

	packet_options(p, words);
	for (uint32_t i = 0; i + 2 < words * 4 && rng_chance(rng, 70); i += p->data[at + i + 1]) {
		p->data[at + i] = rng_pick(rng, kinds);
		p->data[at + i + 1] = (uint8_t)(rng_chance(rng, 90) ? 3 + rng_below(rng, 8) : 1 + rng_below(rng, 50));
		p->data[at + i + 2] = (uint8_t)(4 * rng_below(rng, 4));
	}
}

static void roll_ip(struct rng *rng, struct packet *p, enum bh_dir dir, uint8_t proto)
{
	bool v6 = p->v6;
	const char *pod = pod_addr(rng, v6), *remote = remote_addr(rng, v6);

	packet_ip(p, dir == BH_EGRESS ? pod : remote, dir == BH_EGRESS ? remote : pod, proto);
	if (v6) {
		roll_chain(rng, p, rng_chance(rng, 8) ? 95 : 25);
		if (rng_chance(rng, 15)) {
			roll_fragment(rng, p);
			roll_chain(rng, p, 25);
		}
	} else {
		if (rng_chance(rng, 20))
			roll_options(rng, p);
		if (rng_chance(rng, 15))
			roll_fragment(rng, p);
	}
}

static void roll_ordinary(struct rng *rng, struct packet *p, enum bh_dir dir)
{
	uint8_t proto;

	roll_eth(rng, p, dir);
	p->v6 = rng_chance(rng, 50);
	proto = roll_proto(rng, p->v6);
	roll_ip(rng, p, dir, proto);
	roll_l4(rng, p, proto);
	packet_end(p);
}

// An ICMP error about a packet that went the other way, or about anything.
static void roll_error(struct rng *rng, struct packet *p, enum bh_dir dir)
{
	static const uint8_t types4[] = { 3, 4, 5, 11, 12 }, types6[] = { 1, 2, 3, 4, 100, 127 };
	static struct packet inner;

	roll_ordinary(rng, &inner, rng_chance(rng, 90) ? !dir : dir);
	roll_eth(rng, p, dir);
	p->v6 = rng_chance(rng, 95) ? inner.v6 : !inner.v6;
	roll_ip(rng, p, dir, p->v6 ? BH_PROTO_ICMP6 : BH_PROTO_ICMP);
	packet_icmp(p, p->v6 ? rng_pick(rng, types6) : rng_pick(rng, types4), 0, 0);
	if (inner.len - inner.l3 > 200)
		inner.len = inner.l3 + 200;
	packet_embed(p, &inner);
	packet_end(p);
}

// Neighbour discovery and MLD, mostly as they should be.
static void roll_link6(struct rng *rng, struct packet *p, enum bh_dir dir)
{
	static const uint8_t types[] = { 130, 131, 132, 133, 134, 135, 136, 137, 143 };
	uint8_t type = rng_pick(rng, types);
	bool mld = type < 133 || type == 143;
	struct bh_addr target;

	roll_eth(rng, p, dir);
	packet_ip(p, rng_chance(rng, 50) && dir == BH_EGRESS ? POD6 : rng_pick(rng, odd6),
		  rng_chance(rng, 50) && dir == BH_INGRESS ? POD6 : rng_pick(rng, odd6),
		  BH_PROTO_ICMP6);
	roll_chain(rng, p, mld ? 60 : 5);
	packet_icmp(p, type, 0, 0);
	target = packet_addr(rng_chance(rng, 40) ? POD6 : rng_pick(rng, odd6));
	packet_bytes(p, &target, sizeof(target));
	packet_data(p, (uint32_t)rng_below(rng, 3) * 8);
	packet_end(p);
	p->data[p->l3 + 7] = rng_chance(rng, 80) ? (mld ? 1 : 255) : (uint8_t)rng_next(rng);
}

static void roll_dhcp(struct rng *rng, struct packet *p, enum bh_dir dir)
{
	static const uint16_t ports[][2] = { { 68, 67 }, { 67, 68 }, { 546, 547 }, { 547, 546 } };
	const uint16_t *pair = rng_pick(rng, ports);

	roll_eth(rng, p, dir);
	p->v6 = pair[0] > 68;
	if (rng_chance(rng, 50))
		roll_ip(rng, p, dir, BH_PROTO_UDP);
	else if (p->v6)
		packet_ip(p, rng_pick(rng, odd6), rng_pick(rng, odd6), BH_PROTO_UDP);
	else
		packet_ip(p, rng_pick(rng, odd4), rng_pick(rng, odd4), BH_PROTO_UDP);
	packet_udp(p, pair[0], pair[1]);
	packet_data(p, 60);
	packet_end(p);
}

static void roll_arp(struct rng *rng, struct packet *p, enum bh_dir dir)
{
	const uint8_t *mac = dir == BH_EGRESS ? pod_mac : peer_mac;

	packet_arp(p, rng_chance(rng, 90) ? mac : rng_pick(rng, odd_mac), (uint16_t)rng_below(rng, 4),
		   rng_chance(rng, 60) ? POD4 : rng_pick(rng, odd4), rng_pick(rng, odd4));
	if (rng_chance(rng, 10))
		p->data[22 + rng_below(rng, 6)] ^= 1; // the sender's MAC inside
}

static void roll_link(struct rng *rng, struct packet *p, enum bh_dir dir)
{
	static const uint16_t types[] = { BH_ETH_8021Q, BH_ETH_8021AD, BH_ETH_QINQ, BH_ETH_LLDP,
					  BH_ETH_SLOW,	BH_ETH_EAPOL,  BH_ETH_CFM,  BH_ETH_PAUSE,
					  38,		0x5ff,	       0x600,	    0x8847,
					  0x8863,	0x6558,	       0xffff };
	uint16_t type = rng_pick(rng, types);

	roll_ordinary(rng, p, dir); // an ordinary packet behind the tag, were it one
	memmove(p->data + 18, p->data + 14, p->len - 14);
	p->len += 4;
	p->data[16] = p->data[12];
	p->data[17] = p->data[13];
	p->data[12] = (uint8_t)(type >> 8);
	p->data[13] = (uint8_t)type;
	p->data[14] = 0;
	p->data[15] = (uint8_t)rng_next(rng);
}

// Bytes that make structure: lengths, offsets, protocols, flags.
static void flip(struct rng *rng, struct packet *p)
{
	static const uint8_t telling[] = { 0,  1,  4,  6,   17,  41,  43,  44,	50,  51,  58,
					   59, 60, 64, 127, 128, 132, 135, 136, 224, 254, 255 };
	uint32_t at = (uint32_t)rng_below(rng, p->len < 110 ? p->len : 110);

	if (rng_chance(rng, 40))
		p->data[at] = rng_pick(rng, telling);
	else if (rng_chance(rng, 60))
		p->data[at] ^= (uint8_t)(1 << rng_below(rng, 8));
	else
		p->data[at] = (uint8_t)rng_next(rng);
}

static void lie(struct rng *rng, struct rolled *r)
{
	struct packet *p = &r->frame;
	uint32_t at = p->l3 + (p->v6 ? 4 : 2), off = (uint32_t)rng_below(rng, 9);

	switch (rng_below(rng, 5)) {
	case 0: // the IP length, by a little
		p->data[at + 1] = (uint8_t)(p->data[at + 1] + off - 4);
		return;
	case 1: // BIG TCP, and what only looks like it
		p->data[at] = p->data[at + 1] = 0;
		r->gso = rng_chance(rng, 70);
		return;
	case 2: // the L4 length or data offset
		if (p->l4 && p->l4 + 13 < p->len)
			p->data[p->l4 + (rng_chance(rng, 50) ? 5 : 12)] = (uint8_t)rng_next(rng);
		return;
	case 3: // padding behind the packet
		packet_data(p, off);
		return;
	default:
		p->len = (uint32_t)rng_below(rng, p->len + 1);
	}
}

void roll(struct rng *rng, struct rolled *ret)
{
	static void (*const kinds[])(struct rng *, struct packet *, enum bh_dir) = {
		roll_ordinary, roll_ordinary, roll_ordinary, roll_ordinary, roll_error, roll_error,
		roll_link6,    roll_dhcp,     roll_arp,	     roll_link,
	};
	uint32_t flips = rng_chance(rng, 50) ? (uint32_t)rng_below(rng, 4) : 0;

	ret->dir = rng_chance(rng, 50) ? BH_EGRESS : BH_INGRESS;
	ret->gso = rng_chance(rng, 5);
	rng_pick(rng, kinds)(rng, &ret->frame, ret->dir);
	if (rng_chance(rng, 25))
		lie(rng, ret);
	for (uint32_t i = 0; i < flips && ret->frame.len; i++)
		flip(rng, &ret->frame);
	if (ret->frame.len > ROOM)
		ret->frame.len = ROOM;
}
