// SPDX-License-Identifier: Apache-2.0
// tracked.c - flows that are older than enforcement, as the host's connection tracking knows them: also those that no
// socket of the pod shows, as what it forwards.
//
// A pod's programs stand outside of all translation, so they see what the pod sees. Of a flow that it began that is the
// original direction, towards the address that it chose. Of one that came to it, it is the reply direction read
// backwards: from whom it answers to, whatever either end was translated from. A flow between two pods is both.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_sctp.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <libmnl/libmnl.h>

#include "agent/base/log.h"
#include "agent/base/vec.h"
#include "agent/bpf/nfct.h"
#include "agent/bpf/state.h"

LOG_ROOM("bpf");

#define DUMP_TRIES 3
#define NO_STATE 0xff
// So many IPv4 addresses are asked for one by one, each twice: the kernel walks its table for that, but tells no others' flows.
// Of more, all flows are told once.
#define FILTERED_MAX 2

// An address of a pod whose flows are wanted.
struct wanted {
	struct bh_addr addr;
	uint32_t ident;
};

struct tracked {
	struct tables *tables;
	const uint32_t *idents;
	uint32_t n;
	VEC(struct wanted) wanted; // sorted by address
};

static uint8_t number_in(const struct nlattr *info, uint16_t kind, uint16_t what)
{
	const struct nlattr *kinds[CTA_PROTOINFO_MAX + 1], *parts[CTA_PROTOINFO_TCP_MAX + 1];

	if (!info)
		return 0;
	nl_nested(info, kinds, CTA_PROTOINFO_MAX);
	if (!kinds[kind])
		return 0;
	nl_nested(kinds[kind], parts, CTA_PROTOINFO_TCP_MAX);
	return parts[what] ? mnl_attr_get_u8(parts[what]) : 0;
}

static uint8_t tcp_state(uint8_t state)
{
	switch (state) {
	case TCP_CONNTRACK_ESTABLISHED:
		return BH_CT_ESTABLISHED;
	case TCP_CONNTRACK_FIN_WAIT:
	case TCP_CONNTRACK_CLOSE_WAIT:
	case TCP_CONNTRACK_LAST_ACK:
		return BH_CT_FIN;
	default:
		return NO_STATE; // it begins, and its first segment comes again; or it is over
	}
}

static uint8_t state_of(uint8_t proto, const struct nlattr *const *attrs)
{
	const struct nlattr *info = attrs[CTA_PROTOINFO];
	bool replied = attrs[CTA_STATUS] && ntohl(mnl_attr_get_u32(attrs[CTA_STATUS])) & IPS_SEEN_REPLY;

	switch (proto) {
	case BH_PROTO_TCP:
		return tcp_state(number_in(info, CTA_PROTOINFO_TCP, CTA_PROTOINFO_TCP_STATE));
	case BH_PROTO_UDP:
		return replied ? BH_CT_REPLY : BH_CT_NEW;
	case BH_PROTO_SCTP:
		return number_in(info, CTA_PROTOINFO_SCTP, CTA_PROTOINFO_SCTP_STATE) == SCTP_CONNTRACK_ESTABLISHED ?
			       BH_CT_REPLY :
			       NO_STATE;
	default:
		return NO_STATE;
	}
}

// ---- whose flows are wanted ---------------------------------------------------------------------------

static int collect(void *arg, const void *key, const void *value)
{
	struct wanted wanted = { .ident = ((const struct bh_local *)value)->ident };
	struct tracked *tracked = arg;

	memcpy(&wanted.addr, key, sizeof(wanted.addr));
	for (uint32_t i = 0; i < tracked->n; i++)
		if (tracked->idents[i] == wanted.ident)
			return vec_push(&tracked->wanted, wanted);
	return 0;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct bh_addr)); // what a struct wanted begins with
}

static const struct wanted *find(const struct tracked *tracked, const struct bh_addr *addr)
{
	return bsearch(addr, tracked->wanted.v, tracked->wanted.n, sizeof(struct wanted), compare);
}

// ---- what conntrack tells of them -----------------------------------------------------------------------

// As the pod at the source of this direction sees it.
static int seed(const struct tracked *tracked, const struct nfct_side *side, uint8_t state, uint8_t flags)
{
	const struct wanted *wanted = find(tracked, &side->src);
	struct ct_entry entry = {
		.remote = side->dst,
		.remote_port = ntohs(side->dport),
		.local_port = ntohs(side->sport),
		.proto = side->proto,
		.v6 = !bh_addr_is4(&side->dst),
		.value = { .state = state, .flags = BH_CT_SEEDED | flags },
	};
	int r;

	if (!wanted)
		return 0;
	entry.ident = wanted->ident;
	entry.value.created = entry.value.last = tables_now();
	r = tables_ct_seed(tracked->tables, &entry);
	return r == -EEXIST || r == -ENOSPC ? 0 : r;
}

static int told(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[CTA_MAX + 1];
	const struct tracked *tracked = arg;
	struct nfct_side flow, reply;
	uint8_t state;
	int r;

	nl_attrs(nlh, sizeof(struct nfgenmsg), attrs, CTA_MAX);
	if (attrs[CTA_ZONE] || !nfct_side(attrs[CTA_TUPLE_ORIG], &flow) || !nfct_side(attrs[CTA_TUPLE_REPLY], &reply))
		return 0; // in a zone of its own an address may be anybody's
	state = state_of(flow.proto, attrs);
	if (state == NO_STATE)
		return 0;
	r = seed(tracked, &flow, state, BH_CT_EGRESS);
	return r < 0 ? r : seed(tracked, &reply, state, 0);
}

// only: flows from this address alone, in the direction that is said; NULL: all.
static int ask(struct tracked *tracked, struct nl *nl, uint8_t family, const struct bh_addr *only, bool reply)
{
	char buf[NL_REQUEST_BYTES];
	int r = -EAGAIN;

	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) { // what is told twice does no harm
		struct nlmsghdr *nlh = nfct_request(buf, family);

		if (only)
			nfct_only(nlh, reply, &(struct nfct_side){ .src = *only }, NFCT_IPV4_SRC);
		r = nl_talk(nl, nlh, told, tracked);
	}
	return r == -EAGAIN ? 0 : r;
}

static int ask_each(struct tracked *tracked, struct nl *nl)
{
	int r = 0;

	for (size_t i = 0; i < tracked->wanted.n && r == 0; i++) {
		const struct bh_addr *addr = &tracked->wanted.v[i].addr;

		if (!bh_addr_is4(addr))
			continue;
		r = ask(tracked, nl, AF_INET, addr, false);
		if (r == 0)
			r = ask(tracked, nl, AF_INET, addr, true);
	}
	return r;
}

// Of a family in which none of the pods has an address nothing is asked.
static int ask_all(struct tracked *tracked, struct nl *nl)
{
	size_t n4 = 0, n6;
	int r;

	for (size_t i = 0; i < tracked->wanted.n; i++)
		n4 += bh_addr_is4(&tracked->wanted.v[i].addr);
	n6 = tracked->wanted.n - n4;
	r = n4 <= FILTERED_MAX ? ask_each(tracked, nl) : ask(tracked, nl, AF_INET, NULL, false);
	return r == 0 && n6 ? ask(tracked, nl, AF_INET6, NULL, false) : r;
}

int tables_seed_tracked(struct tables *tables, const uint32_t *idents, uint32_t n)
{
	struct tracked tracked = { .tables = tables, .idents = idents, .n = n };
	_cleanup_nl_ struct nl nl = { 0 };
	int r = n ? map_each(&tables->maps[TABLE_LOCAL], collect, &tracked) : 0;

	if (r == 0 && tracked.wanted.n) {
		qsort(tracked.wanted.v, tracked.wanted.n, sizeof(*tracked.wanted.v), compare);
		r = nl_open(&nl, NETLINK_NETFILTER, 0);
		if (r == 0)
			r = ask_all(&tracked, &nl);
	}
	vec_fini(&tracked.wanted);
	if (r == -EPROTONOSUPPORT) // no netfilter: nobody tracks
		return 0;
	if (r < 0)
		log_warn("conntrack does not tell which flows there are: %s: those that no socket shows are judged as new",
			 strerror(-r));
	return r;
}
