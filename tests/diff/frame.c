// SPDX-License-Identifier: Apache-2.0
// frame.c - questions: rolled, built, written down.
#include "tests/diff/frame.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>

const uint8_t frame_pod_mac[6] = { 2, 0, 0, 0, 1, 5 };
static const uint8_t host_mac[6] = { 2, 0, 0, 0, 1, 1 };

struct bh_addr frame_gateway(int family)
{
	struct bh_addr addr = { 0 };

	addr_parse(family ? "fe80::1" : "10.1.0.1", &addr);
	return addr;
}

bool question_as_node(const struct question *question)
{
	int family = !bh_addr_is4(&question->remote);
	struct bh_addr node = world_node_addr(0, family), gateway = frame_gateway(family);

	if (question->dir == BH_INGRESS && !question->from_host)
		return false;
	return bh_addr_equal(&question->remote, &node) ||
	       bh_addr_equal(&question->remote, &gateway);
}

static bool is_echo(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

void frame_build(struct packet *frame, const struct question *question)
{
	bool out = question->dir == BH_EGRESS, v6 = !bh_addr_is4(&question->remote);
	struct bh_addr own = world_pod_addr(question->slot, 0, v6);
	char own_text[64], remote_text[64];
	const char *src, *dst;

	addr_format(&own, own_text, sizeof(own_text));
	addr_format(&question->remote, remote_text, sizeof(remote_text));
	src = out ? own_text : remote_text;
	dst = out ? remote_text : own_text;
	packet_eth(frame, out ? frame_pod_mac : host_mac, out ? host_mac : frame_pod_mac, 0);
	packet_ip(frame, src, dst, question->proto);
	if (question->proto == IPPROTO_TCP)
		packet_tcp(frame, question->other_port, question->port, P_SYN);
	else if (question->proto == IPPROTO_UDP)
		packet_udp(frame, question->other_port, question->port);
	else if (question->proto == IPPROTO_SCTP)
		packet_sctp(frame, question->other_port, question->port, /* INIT */ 1);
	else if (is_echo(question->proto))
		packet_icmp(frame, v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO, 0, question->other_port);
	packet_data(frame, 24);
	packet_end(frame);
}

const char *question_text(const struct question *question, char *buf, size_t bytes)
{
	char remote[64], name[16];

	addr_format(&question->remote, remote, sizeof(remote));
	snprintf(buf, bytes, "%s/%s %s %s %u/%s%s", world_pod_ns(question->slot),
		 world_pod_name(question->slot, name),
		 question->dir == BH_INGRESS ? "ingress from" : "egress to", remote, question->port,
		 protocol_name(question->proto), question->from_host ? " made by the host" : "");
	return buf;
}

// ---- rolling ----------------------------------------------------------------------------------------------------

// Addresses that a packet may not have, or that are judged statelessly.
static bool is_odd(const struct bh_addr *addr)
{
	uint32_t first = be32toh(addr->w[bh_addr_is4(addr) ? 3 : 0]) >> 24;

	return first == 0 || first == 127 || (bh_addr_is4(addr) ? first >= 224 : first >= 0xfe);
}

static bool is_own(const struct question *question)
{
	for (int family = 0; family < 2; family++) {
		struct bh_addr own = world_pod_addr(question->slot, 0, family);

		if (bh_addr_equal(&question->remote, &own))
			return true;
	}
	return false;
}

static struct bh_addr roll_remote(struct rng *rng, const struct question *question, int family)
{
	struct question rolled = *question;

	if (question->dir == BH_EGRESS && rng_chance(rng, 2))
		return frame_gateway(family);
	do {
		rolled.remote = world_some_addr(rng, family);
	} while (is_odd(&rolled.remote) || is_own(&rolled));
	return rolled.remote;
}

struct question question_roll(struct rng *rng, uint32_t slot, int family, uint16_t other_port)
{
	static const uint8_t others[] = { 33, 47, 89, 103, 112, 115, 136, 137 };
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct question question = { .slot = slot, .other_port = other_port };
	size_t kind = rng_below(rng, 20);

	question.dir = rng_chance(rng, 50) ? BH_INGRESS : BH_EGRESS;
	question.remote = roll_remote(rng, &question, family);
	question.proto = rng_pick(rng, protos);
	if (kind == 0)
		question.proto = family ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	else if (kind == 1)
		question.proto = rng_pick(rng, others);
	if (has_ports(question.proto))
		question.port = rng_chance(rng, question_as_node(&question) ? 50 : 2) ?
					world_node_port(rng) :
					world_some_port(rng);
	question.from_host = question.dir == BH_INGRESS && rng_chance(rng, 50);
	return question;
}
