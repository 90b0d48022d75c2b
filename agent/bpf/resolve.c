// SPDX-License-Identifier: Apache-2.0
// resolve.c - which backend the flows of this node's pods to some Services have, as conntrack tells it.
//
// What was known of these Services before goes first: a flow that conntrack does not tell of is then judged by
// the Service's row, never by a backend that its ports had once.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>
#include <libmnl/libmnl.h>

#include <bulkhead/service.h>

#include "agent/base/log.h"
#include "agent/bpf/nfct.h"
#include "agent/bpf/state.h"

LOG_ROOM("bpf");

// Few Services are asked for one by one, and the kernel tells no other flows; of many, all flows are told once.
#define FILTERED_MAX 4

struct resolving {
	struct tables *tables;
	struct bh_service_key *keys; // sorted
	uint32_t n;
};

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct bh_service_key));
}

static bool is_host(const struct tables *tables, const struct bh_addr *addr)
{
	struct bh_host host;

	return bpf_map_lookup_elem(tables->maps[TABLE_HOST].fd, addr, &host) == 0 &&
	       (host.flags & BH_HOST_LOCAL);
}

static bool wanted(const struct resolving *resolving, const __u32 addr[4], __be16 port, uint8_t proto)
{
	struct bh_service_key key = { .port = port, .proto = proto };
	struct bh_addr whole;

	memcpy(key.addr, addr, sizeof(key.addr));
	if (bsearch(&key, resolving->keys, resolving->n, sizeof(key), compare))
		return true;
	memset(key.addr, 0, sizeof(key.addr));
	memcpy(&whole, addr, sizeof(whole));
	return bsearch(&key, resolving->keys, resolving->n, sizeof(key), compare) &&
	       is_host(resolving->tables, &whole);
}

// ---- what is known so far goes ------------------------------------------------------------------------

static int forget_one(void *arg, const void *key, const void *value)
{
	struct resolving *resolving = arg;
	const struct bh_ct6_key *flow = key;
	int r;

	if (!wanted(resolving, flow->remote, flow->remote_port, flow->proto))
		return 0;
	r = bpf_map_delete_elem(resolving->tables->maps[TABLE_BACKEND].fd, key);
	return r == -ENOENT ? 0 : r;
}

// ---- what conntrack tells -----------------------------------------------------------------------------

// Judged by nobody yet: programs judge it where they need it.
static int keep(struct tables *tables, uint32_t ident, const struct nfct_side *flow, const struct nfct_side *reply)
{
	struct bh_ct6_key key = {
		.ident = ident,
		.remote_port = flow->dport,
		.local_port = flow->sport,
		.proto = flow->proto,
	};
	struct bh_backend backend = { .port = reply->sport };

	memcpy(key.remote, &flow->dst, sizeof(key.remote));
	memcpy(backend.addr, &reply->src, sizeof(backend.addr));
	backend.check = bh_backend_check(&key, &backend);
	return bpf_map_update_elem(tables->maps[TABLE_BACKEND].fd, &key, &backend, BPF_ANY);
}

static int told(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[CTA_MAX + 1];
	struct resolving *resolving = arg;
	struct nfct_side flow, reply;
	struct bh_local local;

	nl_attrs(nlh, sizeof(struct nfgenmsg), attrs, CTA_MAX);
	if (!nfct_side(attrs[CTA_TUPLE_ORIG], &flow) || !nfct_side(attrs[CTA_TUPLE_REPLY], &reply) ||
	    !wanted(resolving, flow.dst.w, flow.dport, flow.proto) ||
	    (flow.dport == reply.sport && bh_addr_equal(&flow.dst, &reply.src)))
		return 0;
	if (bpf_map_lookup_elem(resolving->tables->maps[TABLE_LOCAL].fd, &flow.src, &local) < 0)
		return 0; // nobody's here
	return keep(resolving->tables, local.ident, &flow, &reply);
}

static void put_filter(struct nlmsghdr *nlh, const struct bh_service_key *key)
{
	struct nfct_side side = { .dport = key->port, .proto = key->proto };

	memcpy(&side.dst, key->addr, sizeof(side.dst));
	nfct_only(nlh, false, &side, NFCT_PROTO | NFCT_DPORT | (bh_addr_is4(&side.dst) ? NFCT_IPV4_DST : 0));
}

static int ask(struct resolving *resolving, struct nl *nl, uint8_t family,
	       const struct bh_service_key *key)
{
	char buf[NL_REQUEST_BYTES];
	struct nlmsghdr *nlh = nfct_request(buf, family);
	int r;

	if (key)
		put_filter(nlh, key);
	r = nl_talk(nl, nlh, told, resolving);
	return r == -EAGAIN ? 0 : r; // what changed meanwhile is young: judged by what is in force
}

static int ask_all(struct resolving *resolving, struct nl *nl)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++)
		r = ask(resolving, nl, families[i], NULL);
	return r;
}

static int ask_each(struct resolving *resolving, struct nl *nl)
{
	int r = 0;

	for (uint32_t i = 0; i < resolving->n && r == 0; i++) {
		const struct bh_service_key *key = &resolving->keys[i];
		struct bh_addr addr;

		memcpy(&addr, key->addr, sizeof(addr));
		r = ask(resolving, nl, bh_addr_is4(&addr) ? AF_INET : AF_INET6, key);
	}
	return r;
}

// A key of every address sorts first.
static bool is_any(const struct bh_service_key *key)
{
	return !(key->addr[0] | key->addr[1] | key->addr[2] | key->addr[3]);
}

static int ask_conntrack(struct resolving *resolving)
{
	_cleanup_nl_ struct nl nl = { 0 };
	int r = nl_open(&nl, NETLINK_NETFILTER, 0);

	if (r < 0)
		return r == -EPROTONOSUPPORT ? 0 : r; // no netfilter, no translation
	return resolving->n <= FILTERED_MAX && !is_any(&resolving->keys[0]) ? ask_each(resolving, &nl) :
									  ask_all(resolving, &nl);
}

int tables_resolve(struct tables *tables, const struct bh_service_key *keys, uint32_t n)
{
	_cleanup_free_ struct bh_service_key *sorted = calloc(n ? n : 1, sizeof(*sorted));
	struct resolving resolving = { tables, sorted, n };
	int r;

	if (!sorted)
		return -ENOMEM;
	if (!n)
		return 0;
	memcpy(sorted, keys, sizeof(*sorted) * n);
	qsort(sorted, n, sizeof(*sorted), compare);
	r = map_each(&tables->maps[TABLE_BACKEND], forget_one, &resolving);
	if (r < 0)
		return r;
	r = ask_conntrack(&resolving);
	if (r < 0)
		log_warn("conntrack does not tell which backends flows have: %s: those to Services that allow less "
			 "now are judged by the Service", strerror(-r));
	return 0;
}

int tables_backend(const struct tables *tables, const struct ct_entry *entry, struct bh_backend *ret)
{
	struct bh_ct6_key key = {
		.ident = entry->ident,
		.remote_port = htons(entry->remote_port),
		.local_port = htons(entry->local_port),
		.proto = entry->proto,
	};

	if (entry->local)
		return -ENOENT;
	memcpy(key.remote, &entry->remote, sizeof(key.remote));
	return bpf_map_lookup_elem(tables->maps[TABLE_BACKEND].fd, &key, ret);
}
