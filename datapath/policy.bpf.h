/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * policy.bpf.h - the lookups between an endpoint and a verdict, in the order that publishing relies on:
 * endpoint -> matrix -> head -> classes -> cell (agent/policy/plan.h proves why never classes first).
 *
 * World: BPF.
 */
#pragma once

#include "datapath/account.bpf.h"

/* Before each load of a judgement: where tests/bpf/stall.bpf.c holds a reader. Nothing anywhere else. */
#ifndef STALL
#define STALL()
#endif

INLINE const union bh_unit *unit_get(void *matrix, __u32 index)
{
	STALL();
	return bpf_map_lookup_elem(matrix, &index);
}

INLINE const struct bh_cell *cell_get(void *matrix, const struct bh_cell_key *key)
{
	STALL();
	return bpf_map_lookup_elem(&bh_cell, key);
}

BH_DEFINE_MATRIX_READ(matrix_read, void *, unit_get, cell_get)

/*
 * The class of an exact address, if it has one. An element that was freed and taken by another address
 * under us shows in its check: once more, then fail closed. 1 found, 0 none, -1 torn.
 */
INLINE int peer_class(const struct bh_addr *addr, __u32 *ret)
{
	union {
		struct bh_peer peer;
		__u64 word;
	} value;
	const struct bh_peer *peer;

	BH_NO_UNROLL
	for (int i = 0; i < 2; i++) {
		STALL();
		peer = bpf_map_lookup_elem(&bh_peer, addr);
		if (!peer)
			return 0;
		STALL();
		value.word = *(const volatile __u64 *)peer;
		if (likely(value.peer.check == bh_addr_check(addr))) {
			*ret = value.peer.cls;
			return 1;
		}
		stat_add(BH_STAT_CLASS_RETRY, 1);
	}
	return -1;
}

INLINE int remote_class(const struct bh_addr *addr, __u32 *ret)
{
	struct bh_cidr key = { .prefixlen = 128, .addr = *addr };
	const __u32 *cls;
	int r;

	r = peer_class(addr, ret);
	if (r)
		return r;
	STALL();
	cls = bpf_map_lookup_elem(&bh_cidr, &key);
	STALL();
	*ret = cls ? READ_ONCE(*cls) : BH_CLASS_NONE;
	return 0;
}

INLINE __u32 port_class(__u8 proto, __be16 port)
{
	__u32 index = BH_HOST16(port), lane;
	const struct bh_port *element;

	switch (proto) {
	case BH_PROTO_TCP:
		lane = BH_PORT_TCP;
		break;
	case BH_PROTO_UDP:
		lane = BH_PORT_UDP;
		break;
	case BH_PROTO_SCTP:
		lane = BH_PORT_SCTP;
		break;
	default:
		return BH_PORT_CLASS_NONE;
	}
	STALL();
	element = bpf_map_lookup_elem(&bh_port, &index);
	return element ? READ_ONCE(element->cls[lane]) : BH_PORT_CLASS_NONE;
}

/*
 * Would a flow between the endpoint and the work's remote, begun in direction `dir`, be allowed? Fills
 * work->judged. ALLOWED, POLICY_DENIED or why nothing could be read (which denies).
 */
INLINE int judge(struct work *work, struct bh_endpoint *ep, __u32 dir)
{
	const union bh_unit *unit;
	struct bh_matrix_head head;
	__u32 policy;
	void *matrix;
	__be16 port;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	work->judged = (struct bh_judgement){};
	STALL();
	policy = READ_ONCE(ep->policy[dir & 1]);
	if (policy < BH_POLICY_FIRST) {
		enum bh_verdict verdict =
			policy == BH_POLICY_ALLOW ? BH_VERDICT_ALLOW : BH_VERDICT_DENY;

		work->judged.gen = BH_GEN_OF(policy);
		work->judged.verdict = work->judged.shadow = BH_CELL_WORD(verdict, BH_RULE_NONE);
		return verdict == BH_VERDICT_ALLOW ? BH_REASON_ALLOWED : BH_REASON_POLICY_DENIED;
	}
	STALL();
	matrix = bpf_map_lookup_elem(&bh_policy, &policy);
	if (!matrix)
		return BH_REASON_NO_POLICY;
	unit = unit_get(matrix, 0);
	if (!unit)
		return BH_REASON_NO_POLICY;
	head.gen = READ_ONCE(unit->head.gen);
	head.columns = READ_ONCE(unit->head.columns);
	head.col_off = READ_ONCE(unit->head.col_off);
	head.cell_off = READ_ONCE(unit->head.cell_off);
	work->judged.gen = head.gen;
	port = dir == BH_EGRESS ? work_remote_port(work) : work_local_port(work);
	if (remote_class(work_remote(work), &work->cls) < 0)
		return BH_REASON_CLASS_UNKNOWN;
	work->pcls = port_class(work->pkt.proto, port);
	return matrix_read(matrix, &head, policy, READ_ONCE(work->cls), READ_ONCE(work->pcls),
			   &work->judged);
}

/* The same for a flow that is known already: it happens seldom, once is enough in each program. */
BH_SUBPROG int judge_known(struct work *work, struct bh_endpoint *ep, __u32 dir)
{
	return judge(work, ep, dir);
}
