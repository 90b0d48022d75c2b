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

// -ENOENT: where nothing translates, or nobody here does, there is nothing to learn.
static int tracked(struct recorder *recorder, const struct flow_record *record, struct via *ret)
{
	struct nfct_side reply, orig = { .src = record->src.addr, .dst = record->dst.addr,
					 .sport = htons(record->src.port), .dport = htons(record->dst.port),
					 .proto = record->proto };
	bool has_ports = record->proto != BH_PROTO_ICMP && record->proto != BH_PROTO_ICMP6;
	int r = !has_ports ? -ENOENT : recorder->nl.sock ? 0 : nl_open(&recorder->nl, NETLINK_NETFILTER, 0);

	if (r == 0)
		r = nfct_find(&recorder->nl, &orig, &reply);
	if (r < 0)
		return r == -EPROTONOSUPPORT || r == -EINVAL ? -ENOENT : r; // no netfilter, or none of its tracking
	if (reply.sport == orig.dport && bh_addr_equal(&reply.src, &orig.dst))
		return -ENOENT;
	ret->addr = reply.src;
	ret->port = ntohs(reply.sport);
	return 0;
}

static void count_lost(struct recorder *recorder, uint64_t n)
{
	pthread_mutex_lock(&recorder->lock);
	recorder->stats.lost_backends += n;
	pthread_mutex_unlock(&recorder->lock);
}

static void forget_all(struct recorder *recorder)
{
	struct via *via;

	for (size_t at = 0; (via = hash_next(&recorder->vias, &at));)
		free(via);
	hash_fini(&recorder->vias);
	memset(&recorder->vias, 0, sizeof(recorder->vias));
}

// Of flows whose end was lost the backend stays here: when there is no room all go, and conntrack is asked again for those
// that live.
static void keep(struct recorder *recorder, const struct via *via)
{
	struct via *kept;

	if (recorder->vias.n >= VIAS_MAX) {
		count_lost(recorder, recorder->vias.n);
		forget_all(recorder);
	}
	kept = malloc(sizeof(*kept));
	if (kept)
		*kept = *via;
	if (kept && hash_add(&recorder->vias, via->id, kept) == 0)
		return;
	free(kept);
	count_lost(recorder, 1);
}

static void drop(struct recorder *recorder, struct via *via)
{
	hash_remove(&recorder->vias, via->id, via);
	free(via);
}

// As known(), as it was once, as tracked().
static int learn(struct recorder *recorder, const struct ct_entry *entry, const struct flow_record *record,
		 const struct via *kept, struct via *ret)
{
	if (known(recorder, entry, ret))
		return 0;
	if (!kept)
		return tracked(recorder, record, ret);
	*ret = *kept;
	return 0;
}

void recorder_via(struct recorder *recorder, const struct ct_entry *entry, int64_t when_ns, struct flow_record *record)
{
	struct via via = { .id = record->id }, *kept = hash_find(&recorder->vias, record->id, via_is, &record->id);
	int r = learn(recorder, entry, record, kept, &via);

	if (r < 0) {
		count_lost(recorder, r != -ENOENT);
		return;
	}
	if (kept && record->type == FLOW_END)
		drop(recorder, kept);
	else if (!kept && record->type != FLOW_END)
		keep(recorder, &via);
	record->backend = recorder_peer(recorder, &via.addr, via.port, when_ns);
}

void recorder_via_fini(struct recorder *recorder)
{
	forget_all(recorder);
	nl_close(&recorder->nl);
}
