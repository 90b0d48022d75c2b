// SPDX-License-Identifier: Apache-2.0
// flow.c - IPv4 and IPv6 with TCP, UDP and SCTP, just as much as probes need.
#include "tests/conformance/flow.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#define UDP_PAYLOAD 8

struct sctp_init {
	__be16 source, dest;
	__be32 vtag, checksum;
	uint8_t type, flags;
	__be16 length;
	__be32 tag, window;
	__be16 out_streams, in_streams;
	__be32 tsn;
};

bool flow_equal(const struct flow *a, const struct flow *b)
{
	return a->source_port == b->source_port && a->port == b->port && a->proto == b->proto &&
	       bh_addr_equal(&a->src, &b->src) && bh_addr_equal(&a->dst, &b->dst);
}

static uint32_t sum16(uint32_t sum, const void *data, size_t bytes)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < bytes; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (bytes & 1)
		sum += (uint32_t)p[bytes - 1] << 8;
	return sum;
}

static uint16_t fold16(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static uint16_t checksum(const struct flow *flow, const void *data, size_t bytes)
{
	bool v4 = bh_addr_is4(&flow->src);
	size_t skip = v4 ? 3 : 0, len = v4 ? 4 : 16;
	uint32_t sum = sum16(flow->proto + (uint32_t)bytes, flow->src.w + skip, len);

	return fold16(sum16(sum16(sum, flow->dst.w + skip, len), data, bytes));
}

uint32_t flow_crc32c(const uint8_t *data, size_t bytes)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < bytes; i++) {
		crc ^= data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static size_t build_tcp(uint8_t *buf, const struct flow *flow)
{
	struct tcphdr tcp = {
		.source = htons(flow->source_port),
		.dest = htons(flow->port),
		.seq = htonl(0x62680000u + flow->source_port),
		.doff = sizeof(tcp) / 4,
		.syn = 1,
		.window = htons(64240),
	};

	tcp.check = checksum(flow, &tcp, sizeof(tcp));
	memcpy(buf, &tcp, sizeof(tcp));
	return sizeof(tcp);
}

static size_t build_udp(uint8_t *buf, const struct flow *flow)
{
	struct udphdr udp = {
		.source = htons(flow->source_port),
		.dest = htons(flow->port),
		.len = htons(sizeof(udp) + UDP_PAYLOAD),
	};

	memcpy(buf, &udp, sizeof(udp));
	memcpy(buf + sizeof(udp), "bulkhead", UDP_PAYLOAD);
	udp.check = checksum(flow, buf, sizeof(udp) + UDP_PAYLOAD);
	if (!udp.check)
		udp.check = 0xffff;
	memcpy(buf, &udp, sizeof(udp));
	return sizeof(udp) + UDP_PAYLOAD;
}

static size_t build_sctp(uint8_t *buf, const struct flow *flow)
{
	struct sctp_init init = {
		.source = htons(flow->source_port),
		.dest = htons(flow->port),
		.type = 1,
		.length = htons(sizeof(init) - 12),
		.tag = htonl(0x62680000u + flow->source_port),
		.window = htonl(65536),
		.out_streams = htons(1),
		.in_streams = htons(1),
		.tsn = htonl(1),
	};

	init.checksum = htole32(flow_crc32c((const uint8_t *)&init, sizeof(init)));
	memcpy(buf, &init, sizeof(init));
	return sizeof(init);
}

static size_t build_transport(uint8_t *buf, const struct flow *flow)
{
	if (flow->proto == IPPROTO_TCP)
		return build_tcp(buf, flow);
	return flow->proto == IPPROTO_UDP ? build_udp(buf, flow) : build_sctp(buf, flow);
}

static size_t build_v4(uint8_t *buf, const struct flow *flow)
{
	size_t bytes = sizeof(struct iphdr) + build_transport(buf + sizeof(struct iphdr), flow);
	struct iphdr ip = {
		.version = 4,
		.ihl = sizeof(ip) / 4,
		.tot_len = htons((uint16_t)bytes),
		.id = htons(flow->source_port),
		.frag_off = htons(IP_DF),
		.ttl = 64,
		.protocol = flow->proto,
		.saddr = flow->src.w[3],
		.daddr = flow->dst.w[3],
	};

	ip.check = fold16(sum16(0, &ip, sizeof(ip)));
	memcpy(buf, &ip, sizeof(ip));
	return bytes;
}

static size_t build_v6(uint8_t *buf, const struct flow *flow)
{
	size_t bytes = build_transport(buf + sizeof(struct ip6_hdr), flow);
	struct ip6_hdr ip = { 0 };

	ip.ip6_flow = htonl(6u << 28);
	ip.ip6_plen = htons((uint16_t)bytes);
	ip.ip6_nxt = flow->proto;
	ip.ip6_hlim = 64;
	memcpy(&ip.ip6_src, flow->src.w, 16);
	memcpy(&ip.ip6_dst, flow->dst.w, 16);
	memcpy(buf, &ip, sizeof(ip));
	return sizeof(ip) + bytes;
}

size_t flow_build(uint8_t buf[static FLOW_BYTES], const struct flow *flow)
{
	return bh_addr_is4(&flow->src) ? build_v4(buf, flow) : build_v6(buf, flow);
}

// Addresses and protocol; where the payload begins, 0: cut off or no first fragment.
static size_t parse_network(const uint8_t *data, size_t bytes, struct flow *ret)
{
	struct ip6_hdr ip6;
	struct iphdr ip4;

	if (bytes >= sizeof(ip4) && data[0] >> 4 == 4) {
		memcpy(&ip4, data, sizeof(ip4));
		ret->src = bh_addr_from4(ip4.saddr);
		ret->dst = bh_addr_from4(ip4.daddr);
		ret->proto = ip4.protocol;
		return ntohs(ip4.frag_off) & IP_OFFMASK ? 0 : ip4.ihl * 4u;
	}
	if (bytes < sizeof(ip6) || data[0] >> 4 != 6)
		return 0;
	memcpy(&ip6, data, sizeof(ip6));
	memcpy(ret->src.w, &ip6.ip6_src, 16);
	memcpy(ret->dst.w, &ip6.ip6_dst, 16);
	ret->proto = ip6.ip6_nxt;
	return sizeof(ip6);
}

static bool is_error(uint8_t proto, uint8_t type)
{
	if (proto == IPPROTO_ICMPV6)
		return type < ICMP6_INFOMSG_MASK;
	return proto == IPPROTO_ICMP &&
	       (type == ICMP_DEST_UNREACH || type == ICMP_TIME_EXCEEDED ||
		type == ICMP_PARAMETERPROB || type == ICMP_SOURCE_QUENCH || type == ICMP_REDIRECT);
}

bool flow_parse(const uint8_t *data, size_t bytes, struct flow *ret, bool *reterror,
		struct flow *retouter)
{
	size_t at = parse_network(data, bytes, ret);

	*reterror = false;
	if (at && bytes >= at + 8 && is_error(ret->proto, data[at])) {
		*reterror = true;
		*retouter = *ret;
		data += at + 8;
		bytes -= at + 8;
		at = parse_network(data, bytes, ret);
	}
	if (!at || bytes < at + 4 ||
	    (ret->proto != IPPROTO_TCP && ret->proto != IPPROTO_UDP && ret->proto != IPPROTO_SCTP))
		return false;
	ret->source_port = (uint16_t)(data[at] << 8 | data[at + 1]);
	ret->port = (uint16_t)(data[at + 2] << 8 | data[at + 3]);
	return true;
}
