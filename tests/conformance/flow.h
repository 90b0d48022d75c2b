// SPDX-License-Identifier: Apache-2.0
// flow.h - the first packet of a new connection, and what a received packet says about one.
//
// World: host, tests. Pure: yes. Owns: nothing.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bulkhead/addr.h>

#define FLOW_BYTES 128

// A flow as its first packet has it; host order ports.
struct flow {
	struct bh_addr src, dst;
	uint16_t source_port, port;
	uint8_t proto;
};

bool flow_equal(const struct flow *a, const struct flow *b);

// Writes the packet, from its IP header on, that opens the flow: a TCP SYN, a UDP datagram, an SCTP
// INIT. Its length.
size_t flow_build(uint8_t buf[static FLOW_BYTES], const struct flow *flow);

// What a packet is: a flow's own packet, or the ICMP error that quotes it (then *reterror, and src and
// dst of *retouter are the error's own). False: neither, or cut off.
bool flow_parse(const uint8_t *data, size_t bytes, struct flow *ret, bool *reterror,
		struct flow *retouter);

// crc32c, as SCTP has it.
uint32_t flow_crc32c(const uint8_t *data, size_t bytes);
