/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * key.h - from a parsed packet to the keys it is known by: its connection's and its datagram's.
 *
 * World: shared. Pure: yes. Owns: nothing.
 * dir: enum bh_dir of the hook. local: number of the pod's address (struct bh_ct_key).
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/conntrack.h>
#include <bulkhead/fragment.h>
#include <bulkhead/pkt.h>

/* The other end, seen from the pod. An ICMP error may come from a router: its flow's end is inside. */
BH_PARSE_INLINE const struct bh_addr *bh_pkt_remote(const struct bh_pkt *pkt, __u32 dir)
{
	if (dir == BH_EGRESS)
		return &pkt->dst;
	return pkt->flags & BH_PKT_ERROR ? &pkt->inner : &pkt->src;
}

BH_PARSE_INLINE __be16 bh_pkt_remote_port(const struct bh_pkt *pkt, __u32 dir)
{
	return dir == BH_EGRESS ? pkt->dport : pkt->sport;
}

BH_PARSE_INLINE __be16 bh_pkt_local_port(const struct bh_pkt *pkt, __u32 dir)
{
	return dir == BH_EGRESS ? pkt->sport : pkt->dport;
}

BH_PARSE_INLINE void bh_ct_key_of(const struct bh_pkt *pkt, __u32 dir, __u32 ident, __u16 local,
				  struct bh_ct_key *key)
{
	*key = (struct bh_ct_key){
		.ident = ident,
		.remote = bh_pkt_remote(pkt, dir)->w[3],
		.remote_port = bh_pkt_remote_port(pkt, dir),
		.local_port = bh_pkt_local_port(pkt, dir),
		.local = local,
		.proto = pkt->proto,
	};
}

BH_PARSE_INLINE void bh_ct6_key_of(const struct bh_pkt *pkt, __u32 dir, __u32 ident, __u16 local,
				   struct bh_ct6_key *key)
{
	*key = (struct bh_ct6_key){
		.ident = ident,
		.remote_port = bh_pkt_remote_port(pkt, dir),
		.local_port = bh_pkt_local_port(pkt, dir),
		.local = local,
		.proto = pkt->proto,
	};
	__builtin_memcpy(key->remote, bh_pkt_remote(pkt, dir), sizeof(key->remote));
}

BH_PARSE_INLINE void bh_datagram_of(const struct bh_pkt *pkt, __u32 dir, __u32 ident,
				    struct bh_datagram *datagram)
{
	*datagram = (struct bh_datagram){
		.ident = ident,
		.id = pkt->fragment_id,
		.src = pkt->src,
		.dst = pkt->dst,
		.proto = pkt->flags & BH_PKT_V4 ? pkt->proto : 0,
		.dir = dir,
	};
}

/* What a first fragment leaves for the later ones. */
BH_PARSE_INLINE void bh_frag_of(const struct bh_pkt *pkt, const struct bh_datagram *whose, __u32 now,
				struct bh_frag *frag)
{
	frag->check = bh_frag_check(whose);
	frag->whose = *whose;
	frag->ports = pkt->ports;
	frag->created = now;
	frag->flags = pkt->flags & (BH_PKT_OPENER | BH_PKT_ANSWER);
	frag->end = pkt->fragment;
	frag->proto = pkt->proto;
	frag->tcp = pkt->tcp;
}
