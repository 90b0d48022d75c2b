// SPDX-License-Identifier: Apache-2.0
// via.c - which backend a flow to a Service has: as the tables know it, or as the host's connection tracking does.
//
// Conntrack forgets a flow before the tables do, so what it said is kept until the flow's end is told.
#include "agent/recorder/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "agent/bpf/nfct.h"

struct via {
	uint64_t id;
	struct bh_addr addr;
	uint16_t port; // host order
};

static bool via_is(const void *item, const void *key)
{
	return ((const struct via *)item)->id == *(const uint64_t *)key;
}

static bool known(const struct recorder *recorder, const struct ct_entry *entry, struct via *ret)
{
	struct bh_backend backend;

	if (tables_backend(recorder->config.tables, entry, &backend) < 0)
		return false;
	memcpy(&ret->addr, backend.addr, sizeof(ret->addr));
	ret->port = ntohs(backend.port);
	return true;
}

// Where nothing translates, or nobody here does, there is nothing to learn.
static bool tracked(struct recorder *recorder, const struct flow_record *record, struct via *ret)
{
	struct nfct_side reply, orig = { .src = record->src.addr, .dst = record->dst.addr,
					 .sport = htons(record->src.port), .dport = htons(record->dst.port),
					 .proto = record->proto };

	if (!recorder->nl.sock && nl_open(&recorder->nl, NETLINK_NETFILTER, 0) < 0)
		return false;
	if (nfct_find(&recorder->nl, &orig, &reply) < 0 ||
	    (reply.sport == orig.dport && bh_addr_equal(&reply.src, &orig.dst)))
		return false;
	ret->addr = reply.src;
	ret->port = ntohs(reply.sport);
	return true;
}

static void keep(struct recorder *recorder, const struct via *via)
{
	struct via *kept = recorder->vias.n < VIAS_MAX ? malloc(sizeof(*kept)) : NULL;

	if (!kept)
		return;
	*kept = *via;
	if (hash_add(&recorder->vias, via->id, kept) < 0)
		free(kept);
}

static void drop(struct recorder *recorder, struct via *via)
{
	hash_remove(&recorder->vias, via->id, via);
	free(via);
}

void recorder_via(struct recorder *recorder, const struct ct_entry *entry, int64_t when_ns, struct flow_record *record)
{
	struct via via = { .id = record->id }, *kept = hash_find(&recorder->vias, record->id, via_is, &record->id);
	bool is_known = known(recorder, entry, &via);

	if (!is_known && kept)
		via = *kept;
	else if (!is_known && !tracked(recorder, record, &via))
		return;
	if (kept && record->type == FLOW_END)
		drop(recorder, kept);
	else if (!kept && record->type != FLOW_END)
		keep(recorder, &via);
	record->backend = recorder_peer(recorder, &via.addr, via.port, when_ns);
}

void recorder_via_fini(struct recorder *recorder)
{
	struct via *via;

	for (size_t at = 0; (via = hash_next(&recorder->vias, &at));)
		free(via);
	hash_fini(&recorder->vias);
	nl_close(&recorder->nl);
}
