// SPDX-License-Identifier: Apache-2.0
// nfct.h - the host's connection tracking, as netlink tells it.
//
// World: host. Pure: reads and writes messages; nfct_find() asks by a socket that is given. Owns: nothing.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <linux/types.h>

#include <bulkhead/addr.h>

#include "agent/bpf/nl.h"

// One direction of a flow: the original's as its first packet had it, the reply's as its answers have it.
struct nfct_side {
	struct bh_addr src, dst;
	__be16 sport, dport;
	uint8_t proto;
};

// Of CTA_TUPLE_ORIG or CTA_TUPLE_REPLY; false: absent, or of a protocol without ports.
bool nfct_side(const struct nlattr *attr, struct nfct_side *ret);

// Asks for all flows of a family.
struct nlmsghdr *nfct_request(char buf[static NL_REQUEST_BYTES], uint8_t family);

// Narrows such a request: the kernel tells flows only whose original direction, or reply, has these parts. Parts of IPv6 addresses
// cannot be asked for: as of 6.18 Linux compares them the wrong way round, and would tell of all flows but those.
enum nfct_part { // as nf_internals.h of Linux 5.8 numbers them
	NFCT_IPV4_SRC = 1 << 0,
	NFCT_IPV4_DST = 1 << 1,
	NFCT_PROTO = 1 << 3,
	NFCT_DPORT = 1 << 5,
};
void nfct_only(struct nlmsghdr *nlh, bool reply, const struct nfct_side *side, uint32_t parts);

// Asks for one flow, by its original direction; the answer comes as one of a dump would.
struct nlmsghdr *nfct_request_one(char buf[static NL_REQUEST_BYTES], const struct nfct_side *orig);

// Where a flow really goes: the reply direction of what has this original one. -ENOENT: no such flow is tracked.
int nfct_find(struct nl *nl, const struct nfct_side *orig, struct nfct_side *retreply);
