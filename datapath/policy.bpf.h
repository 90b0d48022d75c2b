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

/* The class of the work's remote, as an address. 0, -1 torn. */
INLINE int remote_class(struct work *work)
{
	const struct bh_addr *addr = work_remote(work);
	struct bh_cidr key = { .prefixlen = 128 };
	const __u32 *cls;
	int r = peer_class(addr, &work->cls);

	if (r)
		return r < 0 ? r : 0;
	key.addr = *addr;
	STALL();
	cls = bpf_map_lookup_elem(&bh_cidr, &key);
	STALL();
	work->cls = cls ? READ_ONCE(*cls) : BH_CLASS_NONE;
	return 0;
}

/* enum bh_host_flag of an address. */
INLINE int host_read(const struct bh_addr *addr)
{
	union {
		struct bh_host host;
		__u64 word;
	} value;
	const struct bh_host *host = bpf_map_lookup_elem(&bh_host, addr);

	if (!host)
		return 0;
	value.word = *(const volatile __u64 *)host;
	return value.host.check == bh_addr_check(addr) ? value.host.flags : 0;
}

BH_SUBPROG int host_flags(const struct bh_addr *addr)
{
	return addr ? host_read(addr) : 0;
}

/* bh_service.cls of exactly this key; 0: no such Service. -1 torn, as above. */
INLINE int service_at(const struct bh_service_key *key, __u32 *ret)
{
	union {
		struct bh_service service;
		__u64 word;
	} value;
	const struct bh_service *service;

	BH_NO_UNROLL
	for (int i = 0; i < 2; i++) {
		STALL();
		service = bpf_map_lookup_elem(&bh_service, key);
		if (!service)
			return 0;
		STALL();
		value.word = *(const volatile __u64 *)service;
		if (likely(value.service.check == bh_service_check(key))) {
			*ret = value.service.cls;
			return 1;
		}
		stat_add(BH_STAT_CLASS_RETRY, 1);
	}
	return -1;
}

/*
 * The Service that the flow's other end is, if it is one: its own key, or that of every address where the remote is
 * this host's (NodePorts); a port outside of what such keys have costs nothing. Its bh_service.cls goes to
 * work->service. 0, -1 torn.
 */
INLINE int service_find(struct work *work, __u32 any_ports)
{
	const struct bh_addr *remote = work_remote(work);
	struct bh_service_key key = { .port = work_remote_port(work), .proto = work->pkt.proto };
	int r;

	__builtin_memcpy(key.addr, remote, sizeof(key.addr));
	r = service_at(&key, &work->service);
	if (r || !bh_any_ports_has(any_ports, BH_HOST16(key.port)))
		return r < 0 ? r : 0;
	if (!(host_read(remote) & BH_HOST_LOCAL))
		return 0;
	__builtin_memset(key.addr, 0, sizeof(key.addr));
	r = service_at(&key, &work->service);
	if (r > 0 && !bh_service_has(work->service, work->pkt.flags & BH_PKT_V4))
		work->service = 0;
	return r < 0 ? r : 0;
}

INLINE int service_of_remote(struct work *work)
{
	const struct bh_node *node;
	__u32 zero = 0;

	node = bpf_map_lookup_elem(&bh_node, &zero);
	if (!node || !(READ_ONCE(node->flags) & BH_NODE_SERVICES) || !proto_has_ports(work->pkt.proto))
		return 0;
	return service_find(work, READ_ONCE(node->any_ports));
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
 * Classes of the flow's other end: the Service that it is, unless the flow is judged on its backend, else the
 * address. 0, -1 torn.
 */
INLINE int judge_classes(struct work *work, __u32 dir, int behind)
{
	__be16 port = dir == BH_EGRESS ? work_remote_port(work) : work_local_port(work);

	if (dir == BH_EGRESS && !behind && service_of_remote(work))
		return -1;
	if (!behind && work->service) {
		work->cls = BH_SERVICE_CLASS(work->service);
		work->pcls = BH_PORT_CLASS_NONE;
		return 0;
	}
	if (remote_class(work))
		return -1;
	work->pcls = port_class(work->pkt.proto, port);
	return 0;
}

/* A policy without a matrix. What it denies may be the pod itself, by way of a Service: that is looked at later. */
INLINE enum bh_reason judge_fixed(struct work *work, __u32 policy, int to_service)
{
	enum bh_verdict verdict = policy == BH_POLICY_ALLOW ? BH_VERDICT_ALLOW : BH_VERDICT_DENY;

	work->judged.gen = BH_GEN_OF(policy);
	work->judged.verdict = work->judged.shadow = BH_CELL_WORD(verdict, BH_RULE_NONE);
	if (verdict == BH_VERDICT_ALLOW)
		return BH_REASON_ALLOWED;
	return to_service && service_of_remote(work) ? BH_REASON_CLASS_UNKNOWN :
						       BH_REASON_POLICY_DENIED;
}

/*
 * Would a flow between the endpoint and the work's remote, begun in direction `dir`, be allowed? Fills
 * work->judged and work->service. behind: the remote is the backend of a Service, so none itself.
 * ALLOWED, POLICY_DENIED or why nothing could be read (which denies).
 */
INLINE enum bh_reason judge(struct work *work, struct bh_endpoint *ep, __u32 dir, int behind)
{
	const union bh_unit *unit;
	struct bh_matrix_head head;
	__u32 policy;
	void *matrix;

	work->judged = (struct bh_judgement){};
	if (!behind)
		work->service = 0;
	STALL();
	policy = READ_ONCE(ep->policy[dir & 1]);
	if (policy < BH_POLICY_FIRST)
		return judge_fixed(work, policy, dir == BH_EGRESS && !behind);
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
	if (judge_classes(work, dir, behind))
		return BH_REASON_CLASS_UNKNOWN;
	return matrix_read(matrix, &head, policy, READ_ONCE(work->cls), READ_ONCE(work->pcls),
			   &work->judged);
}

/* The same for a flow that is known already: it happens seldom, once is enough in each program. */
BH_SUBPROG int judge_once(struct work *work, struct bh_endpoint *ep, __u32 dir, int behind)
{
	return work && ep ? judge(work, ep, dir, behind) : BH_REASON_INTERNAL;
}
