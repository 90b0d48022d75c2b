// SPDX-License-Identifier: Apache-2.0
// gone.c - flows that are over: those that the host takes out are told by who does it, those that the datapath ends
// come through the ring.
#include "agent/bpf/state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/libbpf.h>

// ---- why --------------------------------------------------------------------------------------------

static bool is_over_time(const struct tables *tables, const struct ct_entry *entry, uint32_t now)
{
	const struct bh_ct *ct = &entry->value;

	if (entry->half)
		return bh_half_expired(ct->last, entry->proto, ct->state == BH_CT_REPLY, now, tables->ct_scale);
	return bh_ct_expired(ct, entry->proto, now, tables->ct_scale);
}

// What the flow was last says more than who took it out.
static enum ct_over over_of(const struct tables *tables, const struct ct_entry *entry, uint32_t now,
			    enum ct_over fallback)
{
	const struct bh_ct *ct = &entry->value;
	uint8_t either = ct->tcp_seen[0] | ct->tcp_seen[1], both = ct->tcp_seen[0] & ct->tcp_seen[1];

	if (ct->flags & BH_CT_CUT)
		return CT_OVER_CUT;
	if (entry->half && ct->gen && !(ct->flags & BH_CT_NODE) &&
	    (BH_CELL_VERDICT(ct->rule) == BH_VERDICT_DENY || BH_CELL_VERDICT(ct->rule) == BH_VERDICT_DENY_CLUSTER))
		return CT_OVER_CUT;
	if (ct->state == BH_CT_CLOSED && (both & BH_CT_SEEN_FIN))
		return CT_OVER_CLOSED;
	if ((ct->state == BH_CT_CLOSED || entry->half) && (either & BH_CT_SEEN_RST))
		return CT_OVER_RESET;
	return is_over_time(tables, entry, now) ? CT_OVER_IDLE : fallback;
}

// ---- by the host ------------------------------------------------------------------------------------

void tables_on_gone(struct tables *tables, tables_gone_fn fn, void *arg)
{
	tables->gone.fn = fn;
	tables->gone.arg = arg;
}

void gone_tell(const struct tables *tables, const struct ct_entry *entry, enum ct_over fallback)
{
	if (tables->gone.fn)
		tables->gone.fn(tables->gone.arg, entry, over_of(tables, entry, tables_now(), fallback));
}

// ---- by the datapath --------------------------------------------------------------------------------

struct tables_ring {
	struct tables *tables;
	struct ring_buffer *ring;
	tables_gone_fn fn;
	void *arg;
};

static int read_one(void *arg, void *data, size_t bytes)
{
	const struct tables_ring *ring = arg;
	const struct bh_gone *gone = data;
	struct ct_entry entry;

	if (bytes < sizeof(*gone))
		return 0;
	entry = (struct ct_entry){
		.ident = gone->key.ident,
		.remote_port = ntohs(gone->key.remote_port),
		.local_port = ntohs(gone->key.local_port),
		.local = gone->key.local,
		.proto = gone->key.proto,
		.half = gone->why == BH_GONE_EVICTED,
		.value = gone->flow,
	};
	memcpy(&entry.remote, gone->key.remote, sizeof(entry.remote));
	entry.v6 = !bh_addr_is4(&entry.remote);
	ring->fn(ring->arg, &entry,
		 over_of(ring->tables, &entry, gone->now,
			 entry.half ? CT_OVER_EVICTED : CT_OVER_REPLACED));
	return 0;
}

int tables_ring_open(struct tables *tables, tables_gone_fn fn, void *arg, struct tables_ring **ret)
{
	_cleanup_free_ struct tables_ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	*ring = (struct tables_ring){ .tables = tables, .fn = fn, .arg = arg };
	ring->ring = ring_buffer__new(tables->maps[TABLE_GONE].fd, read_one, ring, NULL);
	if (!ring->ring)
		return -errno;
	tables_node_flag(tables, BH_NODE_RECORD, true);
	*ret = TAKE_PTR(ring);
	return 0;
}

int tables_ring_fd(const struct tables_ring *ring)
{
	return ring_buffer__epoll_fd(ring->ring);
}

int tables_ring_read(struct tables_ring *ring)
{
	return ring_buffer__consume(ring->ring);
}

void tables_ring_close(struct tables_ring *ring)
{
	if (!ring)
		return;
	ring_buffer__free(ring->ring);
	free(ring);
}

void tables_ring_off(struct tables *tables)
{
	tables_node_flag(tables, BH_NODE_RECORD, false);
}
