/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * record.bpf.h - what passed of a flow, counted with the flow; and flows that the datapath itself ends, told.
 *
 * World: BPF. The recording variant's alone: callers ask HAS(RECORD). It changes no verdict and no place of a flow.
 * Counters are added to atomically, by every CPU. What is under way on another CPU at the moment in which a flow's
 * place is given to another flow may be missing in what is told of it.
 */
#pragma once

#include "datapath/account.bpf.h"

INLINE void flow_count(const struct work *work, struct bh_ct *ct)
{
	__sync_fetch_and_add(&ct->packets[work->dir & 1], work->packets);
	__sync_fetch_and_add(&ct->bytes[work->dir & 1], work->pkt.bytes);
}

INLINE int gone_is_read(void)
{
	__u32 zero = 0;
	const struct bh_node *node = bpf_map_lookup_elem(&bh_node, &zero);

	return node && (READ_ONCE(node->flags) & BH_NODE_RECORD);
}

/* Room to tell of one. NULL: nobody wants to know, or there is none, which is counted. */
INLINE struct bh_gone *gone_reserve(const struct work *work, enum bh_gone_why why)
{
	struct bh_gone *gone;

	if (!gone_is_read())
		return NULL;
	gone = bpf_ringbuf_reserve(&bh_gone, sizeof(*gone), 0);
	if (!gone) {
		stat_add(BH_STAT_FLOW_LOST, 1);
		return NULL;
	}
	gone->now = work->now;
	gone->why = why;
	return gone;
}

/* Who reads comes by itself from time to time, and is woken only when half of the ring is full. */
INLINE void gone_send(struct bh_gone *gone)
{
	__u64 used = bpf_ringbuf_query(&bh_gone, BPF_RB_AVAIL_DATA);
	__u64 size = bpf_ringbuf_query(&bh_gone, BPF_RB_RING_SIZE);

	bpf_ringbuf_submit(gone, used < size / 2 ? BPF_RB_NO_WAKEUP : BPF_RB_FORCE_WAKEUP);
}

/*
 * An entry in whose place the work's flow has just put its own: its last value. Nobody reuses it before this
 * program ends, as it is this CPU's spare element now; one that was deleted before may be another flow's.
 */
BH_SUBPROG int entry_replaced(struct work *work, const struct bh_ct *old)
{
	struct bh_gone *gone;

	if (!work || !old || READ_ONCE(old->check) != work->check)
		return 0;
	gone = gone_reserve(work, BH_GONE_REPLACED);
	if (!gone)
		return 0;
	bh_ct6_key_of(&work->pkt, work->dir, work->ident, work->local, &gone->key);
	gone->flow = *old;
	gone_send(gone);
	return 0;
}
