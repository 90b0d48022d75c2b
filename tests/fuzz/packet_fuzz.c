// SPDX-License-Identifier: Apache-2.0
// packet_fuzz.c - any frame through the parsers of the programs, built for the host: nothing is read beyond the
// frame, the two parsers agree, and a packet's answer and an error about it find the packet's connection.
//
// Input: a byte (1: from the pod, 2: segmentation offload), then the frame. tests/packets runs the same files
// through the kernel.
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <bulkhead/key.h>
#include <bulkhead/parse.h>

#define IDENT BH_IDENT(3, 7)
#define QUOTE_MAX 1200 // bytes of a packet that an error carries

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum bh_reason parse(const uint8_t *data, uint32_t bytes, enum bh_dir dir, uint16_t flags,
			    struct bh_pkt *pkt)
{
	struct bh_frame frame = { .data = data, .bytes = bytes };

	*pkt = (struct bh_pkt){ .bytes = bytes - BH_L2_BYTES, .flags = flags };
	return bh_parse_any(&frame, dir, pkt);
}

static void check_fast(const uint8_t *data, uint32_t bytes, uint16_t flags, enum bh_reason reason,
		       const struct bh_pkt *any)
{
	struct bh_pkt fast = { .bytes = bytes - BH_L2_BYTES, .flags = flags };

	if (bytes < BH_L2_BYTES || !bh_parse_fast(data, data + bytes, &fast))
		return;
	assert(!reason);
	assert(bh_addr_equal(&fast.src, &any->src) && bh_addr_equal(&fast.dst, &any->dst));
	assert(!memcmp(fast.smac, any->smac, sizeof(fast.smac)));
	assert(fast.ports == any->ports && fast.flags == any->flags && fast.proto == any->proto);
	assert(fast.tcp == any->tcp && fast.bytes == any->bytes);
}

static struct bh_ct6_key key_of(const struct bh_pkt *pkt, enum bh_dir dir)
{
	struct bh_ct6_key key;

	bh_ct6_key_of(pkt, dir, IDENT, 0, &key);
	return key;
}

static void assert_key(const struct bh_pkt *pkt, enum bh_dir dir, const struct bh_ct6_key *want)
{
	struct bh_ct6_key key = key_of(pkt, dir);

	assert(!memcmp(&key, want, sizeof(key)));
}

static bool has_ports(uint8_t proto)
{
	return proto == BH_PROTO_TCP || proto == BH_PROTO_UDP || proto == BH_PROTO_SCTP;
}

// Whatever was accepted is one thing only, within its packet.
static void check_sense(const struct bh_pkt *pkt, uint32_t bytes)
{
	uint16_t kind = pkt->flags & (BH_PKT_ARP | BH_PKT_ND | BH_PKT_MLD | BH_PKT_DHCP | BH_PKT_ERROR);

	assert(!(kind & (kind - 1)));
	assert((pkt->flags & (BH_PKT_OPENER | BH_PKT_ANSWER)) != (BH_PKT_OPENER | BH_PKT_ANSWER));
	assert((pkt->flags & (BH_PKT_FIRST | BH_PKT_LATER)) != (BH_PKT_FIRST | BH_PKT_LATER));
	assert(pkt->bytes <= bytes - BH_L2_BYTES);
	if (!(pkt->flags & BH_PKT_LATER) && !has_ports(pkt->proto) && !(pkt->flags & BH_PKT_ERROR))
		assert(!pkt->sport || !pkt->dport); // an ICMP id is the requester's port
	if ((pkt->flags & BH_PKT_LATER) && !kind)
		assert(!pkt->ports);
}

// The packet with its ends exchanged belongs to the same connection.
static void check_answer(const struct bh_pkt *pkt, enum bh_dir dir)
{
	struct bh_ct6_key want = key_of(pkt, dir);
	struct bh_pkt answer = *pkt;

	answer.src = pkt->dst;
	answer.dst = pkt->src;
	answer.sport = pkt->dport;
	answer.dport = pkt->sport;
	assert_key(&answer, !dir, &want);
}

// An error, sent back to the packet's source by somebody on its way, finds the packet's connection.
static void check_error(const uint8_t *data, const struct bh_pkt *pkt, enum bh_dir dir)
{
	bool v4 = pkt->flags & BH_PKT_V4;
	uint32_t header = v4 ? sizeof(struct bh_ip4) : sizeof(struct bh_ip6);
	uint32_t quote = pkt->bytes < QUOTE_MAX ? pkt->bytes : QUOTE_MAX;
	// past a short packet's end there may be padding: an error quotes at least 8 bytes of L4
	uint32_t bytes = BH_L2_BYTES + header + sizeof(struct bh_icmp) + quote + 8;
	struct bh_ct6_key want = key_of(pkt, dir);
	uint8_t *frame = calloc(1, bytes), *ip = frame + BH_L2_BYTES;
	struct bh_pkt error;

	memcpy(frame, data, BH_L2_BYTES);
	frame[0] &= 0xfe;
	if (v4) {
		struct bh_ip4 ip4 = { .version_ihl = 0x45,
				      .bytes = BH_BE16(bytes - BH_L2_BYTES),
				      .proto = BH_PROTO_ICMP,
				      .src = pkt->dst.w[3],
				      .dst = pkt->src.w[3] };
		memcpy(ip, &ip4, sizeof(ip4));
	} else {
		struct bh_ip6 ip6 = { .version_class = 0x60,
				      .payload = BH_BE16(bytes - BH_L2_BYTES - header),
				      .next = BH_PROTO_ICMP6,
				      .src = pkt->dst,
				      .dst = pkt->src };
		memcpy(ip, &ip6, sizeof(ip6));
	}
	ip[header] = v4 ? 3 : 1;
	memcpy(ip + header + sizeof(struct bh_icmp), data + BH_L2_BYTES, quote);
	if (!parse(frame, bytes, !dir, 0, &error)) {
		assert(error.flags & BH_PKT_ERROR);
		assert(!(error.flags & BH_PKT_ERROR_ODD));
		assert_key(&error, !dir, &want);
	}
	free(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint16_t alone = BH_PKT_ARP | BH_PKT_ND | BH_PKT_MLD | BH_PKT_ERROR | BH_PKT_LATER |
			       BH_PKT_GROUP;
	enum bh_dir dir;
	enum bh_reason reason;
	struct bh_pkt pkt;
	uint16_t flags;
	uint8_t *frame;
	uint32_t bytes;

	if (size < 1 + BH_L2_BYTES) // the kernel has no such frame
		return 0;
	dir = data[0] & 1 ? BH_EGRESS : BH_INGRESS;
	flags = data[0] & 2 ? BH_PKT_GSO : 0;
	bytes = (uint32_t)size - 1;
	frame = malloc(bytes); // without slack, so that a byte read too far is seen
	memcpy(frame, data + 1, bytes);
	reason = parse(frame, bytes, dir, flags, &pkt);
	check_fast(frame, bytes, flags, reason, &pkt);
	assert(!reason || (reason >= BH_REASON_DROP && reason < BH_REASON_MAX));
	if (!reason) {
		check_sense(&pkt, bytes);
		if (!(pkt.flags & alone)) {
			check_answer(&pkt, dir);
			check_error(frame, &pkt, dir);
		}
	}
	free(frame);
	return 0;
}
