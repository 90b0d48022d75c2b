// SPDX-License-Identifier: Apache-2.0
// parse_test.c - the two parsers on memory: they agree, and neither reads past the frame.
#include "tests/harness/test.h"

#include <netinet/in.h>

#include <bulkhead/parse.h>

#include "tests/harness/packet.h"

static const uint8_t mac_a[6] = { 2, 0, 0, 0, 0, 1 }, mac_b[6] = { 2, 0, 0, 0, 0, 2 };

// A copy without slack behind it, so that a sanitizer sees every byte read too far.
static enum bh_reason parse_any(const struct packet *p, enum bh_dir dir, struct bh_pkt *pkt)
{
	_cleanup_free_ uint8_t *copy = malloc(p->len ? p->len : 1);
	struct bh_frame frame = { .data = copy, .bytes = p->len };

	assert_non_null(copy);
	memcpy(copy, p->data, p->len);
	*pkt = (struct bh_pkt){ .bytes = p->len - BH_L2_BYTES };
	return bh_parse_any(&frame, dir, pkt);
}

static bool parse_fast(const struct packet *p, struct bh_pkt *pkt)
{
	_cleanup_free_ uint8_t *copy = malloc(p->len ? p->len : 1);

	assert_non_null(copy);
	memcpy(copy, p->data, p->len);
	*pkt = (struct bh_pkt){ .bytes = p->len - BH_L2_BYTES };
	return bh_parse_fast(copy, copy + p->len, pkt);
}

static void build(struct packet *p, bool v6, uint8_t proto)
{
	packet_eth(p, mac_a, mac_b, 0);
	packet_ip(p, v6 ? "fd00::1" : "10.0.0.1", v6 ? "fd00::2" : "10.0.0.2", proto);
	if (proto == IPPROTO_TCP)
		packet_tcp(p, 1000, 80, P_SYN);
	else if (proto == IPPROTO_UDP)
		packet_udp(p, 1000, 53);
	else if (proto == IPPROTO_SCTP)
		packet_sctp(p, 1000, 7, 1);
	else
		packet_icmp(p, v6 ? 128 : 8, 0, 77);
	packet_data(p, 24);
	packet_end(p);
}

// What the fast parser accepts, field by field.
static void assert_same(const struct bh_pkt *fast, const struct bh_pkt *any)
{
	assert_memory_equal(&fast->src, &any->src, sizeof(fast->src));
	assert_memory_equal(&fast->dst, &any->dst, sizeof(fast->dst));
	assert_memory_equal(fast->smac, any->smac, sizeof(fast->smac));
	assert_int_equal(fast->ports, any->ports);
	assert_int_equal(fast->flags, any->flags);
	assert_int_equal(fast->proto, any->proto);
	assert_int_equal(fast->tcp, any->tcp);
	assert_int_equal(fast->bytes, any->bytes);
}

static void ordinary_packets_are_read(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct bh_pkt fast, any;
	struct packet p;

	for (int i = 0; i < 4; i++) {
		build(&p, i & 1, protos[i >> 1]);
		assert_true(parse_fast(&p, &fast));
		assert_int_equal(parse_any(&p, BH_INGRESS, &any), BH_REASON_NONE);
		assert_same(&fast, &any);
		assert_int_equal(BH_HOST16(any.sport), 1000);
		assert_int_equal(any.flags & BH_PKT_V4, !(i & 1));
	}
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

// Bytes that make structure: lengths, offsets, protocols, flags.
static void mutate(struct packet *p, uint64_t *seed)
{
	static const uint8_t interesting[] = { 0,  1,  4,  6,   17,  41,  43,  44,  50,  51,  58,
					       59, 60, 64, 127, 128, 132, 135, 136, 224, 254, 255 };
	uint32_t n = random_next(seed) % 4;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = random_next(seed) % (p->len < 80 ? p->len : 80);

		p->data[at] = random_next(seed) & 1 ?
				      interesting[random_next(seed) % sizeof(interesting)] :
				      random_next(seed);
	}
	if (!(random_next(seed) % 4))
		p->len = random_next(seed) % (p->len + 1);
}

static void the_parsers_agree_on_mutated_packets(void **state)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_ICMP,
					  IPPROTO_ICMPV6 };
	uint64_t seed = 0x9e3779b97f4a7c15ull;
	struct bh_pkt fast, any;
	uint32_t accepted = 0;
	enum bh_reason reason;
	struct packet p;

	for (int i = 0; i < 300000; i++) {
		build(&p, i & 1, protos[(i >> 1) % 5]);
		mutate(&p, &seed);
		if (p.len < BH_L2_BYTES)
			continue;
		reason = parse_any(&p, i % 3 & 1, &any);
		assert_true(reason == BH_REASON_NONE || reason >= BH_REASON_DROP);
		assert_true(reason < BH_REASON_MAX);
		if (!parse_fast(&p, &fast))
			continue;
		accepted++;
		assert_int_equal(reason, BH_REASON_NONE);
		assert_same(&fast, &any);
	}
	assert_true(accepted > 30000);
}

static void r24_header_ends_of_fragments_are_told(void **state)
{
	struct bh_pkt pkt;
	struct packet p;

	build(&p, false, IPPROTO_TCP);
	packet_fragment4(&p, 0x1234, 0, true);
	assert_int_equal(parse_any(&p, BH_INGRESS, &pkt), BH_REASON_NONE);
	assert_int_equal(pkt.fragment, 20);
	assert_true(pkt.flags & BH_PKT_FIRST);
	packet_eth(&p, mac_a, mac_b, 0);
	packet_ip(&p, "fd00::1", "fd00::2", IPPROTO_UDP);
	packet_ext(&p, BH_NEXT_HOP, 0);
	packet_fragment6(&p, 0x12345678, 0, true);
	packet_ext(&p, BH_NEXT_DEST, 1);
	packet_udp(&p, 1, 2);
	packet_end(&p);
	assert_int_equal(parse_any(&p, BH_INGRESS, &pkt), BH_REASON_NONE);
	assert_int_equal(pkt.fragment, 16 + 8);
	assert_int_equal(BH_HOST32(pkt.fragment_id), 0x12345678);
	assert_int_equal(pkt.proto, IPPROTO_UDP);
}

static void segments_with_payload_are_told(void **state)
{
	struct bh_pkt fast;
	struct packet p;

	build(&p, false, IPPROTO_TCP);
	assert_true(parse_fast(&p, &fast));
	assert_true(fast.flags & BH_PKT_DATA);
	p.len -= 24;
	packet_end(&p);
	assert_true(parse_fast(&p, &fast));
	assert_false(fast.flags & BH_PKT_DATA);
	p.len += 6; // padding of a short frame is no payload
	assert_true(parse_fast(&p, &fast));
	assert_false(fast.flags & BH_PKT_DATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_packets_are_read),
		cmocka_unit_test(the_parsers_agree_on_mutated_packets),
		cmocka_unit_test(r24_header_ends_of_fragments_are_told),
		cmocka_unit_test(segments_with_payload_are_told),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
