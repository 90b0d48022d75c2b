/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * service.bpf.h - flows to Services: what the row does not decide, and flows that are known judged on their
 * backend (bulkhead/service.h).
 *
 * World: BPF. What passes as MIXED has been judged by nobody yet: its word stays MIXED in bh_half or bh_ct, so every
 * further packet comes here until its backend is known.
 */
#pragma once

#include "datapath/node.bpf.h"

INLINE int hook_in_force(void)
{
	__u32 zero = 0;
	const struct bh_node *node = bpf_map_lookup_elem(&bh_node, &zero);

	return node && (READ_ONCE(node->flags) & BH_NODE_HOOK);
}

/* The ident of the endpoint whose own address it is; 0: of none here. */
INLINE __u32 local_ident(const struct bh_addr *addr)
{
	union {
		struct bh_local local;
		__u64 word;
	} value;
	const struct bh_local *local = bpf_map_lookup_elem(&bh_local, addr);

	if (!local)
		return 0;
	value.word = *(const volatile __u64 *)local;
	return value.local.check == bh_addr_check(addr) ? value.local.ident : 0;
}

/*
 * Will the netfilter program judge this packet? One of the pod's, from the address that the program knows it by.
 * The answer of a flow has met it already: who then knows no backend has none that is allowed.
 */
INLINE enum bh_reason hook_judges(const struct work *work, const struct bh_endpoint *ep)
{
	if (!hook_in_force() || work->local)
		return BH_REASON_SERVICE_MIXED;
	if (work->dir != BH_EGRESS)
		return BH_REASON_BACKEND_UNKNOWN;
	return local_ident(&work->pkt.src) == ep->ident ? BH_REASON_SERVICE :
							  BH_REASON_SERVICE_MIXED;
}

/* enum bh_self_how of the pod and the Service that is the work's remote: by its own key, or by that of every address. */
BH_SUBPROG int self_how(const struct work *work)
{
	struct bh_self_key key = {};
	union {
		struct bh_self self;
		__u64 word;
	} value;
	const struct bh_self *self;

	if (!work)
		return BH_SELF_NOT;
	key.slot = BH_SLOT(work->ident);
	key.service.port = work_remote_port(work);
	key.service.proto = work->pkt.proto;
	__builtin_memcpy(key.service.addr, work_remote(work), sizeof(key.service.addr));
	self = bpf_map_lookup_elem(&bh_self, &key);
	if (!self) {
		__builtin_memset(key.service.addr, 0, sizeof(key.service.addr));
		self = bpf_map_lookup_elem(&bh_self, &key);
	}
	if (!self)
		return BH_SELF_NOT;
	value.word = *(const volatile __u64 *)self;
	return value.self.check == bh_self_check(&key) ? value.self.how : BH_SELF_NOT;
}

/* What exempts from NetworkPolicies exempts from those in audit mode, too. */
INLINE void judged_set(struct work *work, enum bh_verdict verdict, __u32 rule)
{
	work->judged.verdict = BH_CELL_WORD(verdict, rule);
	if (BH_CELL_VERDICT(work->judged.shadow) == BH_VERDICT_DENY)
		work->judged.shadow = work->judged.verdict;
}

/*
 * By the Service's row, which work->judged holds. ALLOWED; SERVICE: unjudged, to be judged behind the translation;
 * or why not.
 */
INLINE enum bh_reason service_row(struct work *work, const struct bh_endpoint *ep,
				  enum bh_reason reason)
{
	__u32 how = BH_SELF_ONE, rule = BH_CELL_RULE(work->judged.verdict);

	if (reason != BH_REASON_POLICY_DENIED ||
	    BH_CELL_VERDICT(work->judged.verdict) == BH_VERDICT_DENY_CLUSTER)
		return reason;
	if (BH_CELL_VERDICT(work->judged.verdict) == BH_VERDICT_DENY)
		how = self_how(work);
	if (how == BH_SELF_ONLY) {
		judged_set(work, BH_VERDICT_ALLOW, BH_RULE_NONE);
		return BH_REASON_ALLOWED;
	}
	if (how != BH_SELF_ONE)
		return work->service & BH_SERVICE_EMPTY ? BH_REASON_SERVICE_EMPTY : reason;
	judged_set(work, BH_VERDICT_MIXED, rule);
	return hook_judges(work, ep);
}

/* A flow that begins. ALLOWED, SERVICE or why not. */
BH_SUBPROG int service_begins(struct work *work, struct bh_endpoint *ep, __u32 reason)
{
	if (!work || !ep)
		return BH_REASON_INTERNAL;
	return ep->state == BH_STATE_ACTIVE ? service_row(work, ep, reason) : BH_REASON_QUARANTINE;
}

/*
 * Does it come from a ClusterIP's port, to a pod whose egress is judged? That begins no flow: it would be judged as
 * a stranger's, whatever the backend is that sends it.
 */
BH_SUBPROG int service_unasked(struct work *work, struct bh_endpoint *ep)
{
	struct bh_service_key key = {};
	const struct bh_node *node;
	__u32 zero = 0, cls = 0;

	if (!work || !ep || READ_ONCE(ep->policy[BH_EGRESS]) == BH_POLICY_ALLOW)
		return 0;
	node = bpf_map_lookup_elem(&bh_node, &zero);
	if (!node || !(READ_ONCE(node->flags) & BH_NODE_SERVICES) || !proto_has_ports(work->pkt.proto))
		return 0;
	key.port = work_remote_port(work);
	key.proto = work->pkt.proto;
	__builtin_memcpy(key.addr, work_remote(work), sizeof(key.addr));
	return service_at(&key, &cls) < 0 || (cls & BH_SERVICE_CLUSTER_IP);
}

/* ---- known flows --------------------------------------------------------------------------------------------------- */

/*
 * The packet's other end becomes the backend that its flow has, if that is known: 1. work->key6 keeps what it was.
 * Flows of the pod's further addresses have none.
 */
BH_SUBPROG int backend_enter(struct work *work)
{
	const struct bh_backend *backend;
	struct bh_backend known;

	if (!work || work->local)
		return 0;
	bh_ct6_key_of(&work->pkt, work->dir, work->ident, 0, &work->key6);
	backend = bpf_map_lookup_elem(&bh_backend, &work->key6);
	if (!backend)
		return 0;
	known = *(const volatile struct bh_backend *)backend;
	if (known.check != bh_backend_check(&work->key6, &known))
		return 0;
	work_set_remote(work, known.addr, known.port);
	return 1;
}

BH_SUBPROG int backend_leave(struct work *work)
{
	if (!work)
		return -1;
	work_set_remote(work, work->key6.remote, work->key6.remote_port);
	return 0;
}

/*
 * On the backend that the packet's other end is: 1 allowed, 0 denied. The pod itself and its own node pass the
 * NetworkPolicy tier as they do when they are spoken to by their own address.
 */
INLINE int backend_passes(struct work *work, struct bh_endpoint *ep)
{
	const struct bh_addr *addr = work_remote(work);
	int v4 = work->pkt.flags & BH_PKT_V4;
	enum bh_reason reason = judge_once(work, ep, BH_EGRESS, 1);

	work->service |= SERVICE_BEHIND;
	if (reason == BH_REASON_ALLOWED)
		return 1;
	if (!node_passes(reason, &work->judged) || !(is_own(ep, addr, v4) || node_is(ep, addr, v4)))
		return 0;
	judged_set(work, BH_VERDICT_ALLOW, BH_RULE_NONE);
	return 1;
}

/*
 * A flow judged by its row so far, on its backend instead, if that is known and can be relied on: 1 allowed, 0
 * denied, -1: by the row. A connection has one for life; what else there is may get another one, which the netfilter
 * program sees: so what the pod sends to a forbidden one is that program's to stop.
 */
BH_SUBPROG int service_behind(struct work *work, struct bh_endpoint *ep)
{
	int tcp, pass;

	if (!work || !ep)
		return 0;
	tcp = work->pkt.proto == BH_PROTO_TCP;
	if ((!tcp && !hook_in_force()) || !backend_enter(work))
		return -1;
	pass = backend_passes(work, ep);
	backend_leave(work);
	if (pass || tcp || work->dir != BH_EGRESS)
		return pass;
	judge_once(work, ep, BH_EGRESS, 0);
	return -1;
}

/*
 * Would a flow that is known already be allowed? work->judged: as it was judged before; flags: enum bh_ct_flag.
 * Fills work->judged and work->service. ALLOWED (judged MIXED: it passes unjudged), or why not.
 */
BH_SUBPROG int judge_known(struct work *work, struct bh_endpoint *ep, __u32 dir, __u32 flags)
{
	enum bh_reason reason;
	int was_allowed, behind;

	if (!work || !ep)
		return BH_REASON_INTERNAL;
	was_allowed = BH_CELL_VERDICT(work->judged.verdict) == BH_VERDICT_ALLOW &&
		      !(flags & BH_CT_CUT);
	reason = judge_once(work, ep, dir, 0);
	if (dir != BH_EGRESS || !(work->service || (flags & BH_CT_SERVICE)))
		return reason;
	behind = service_behind(work, ep);
	if (behind >= 0)
		return behind ? BH_REASON_ALLOWED : BH_REASON_POLICY_DENIED;
	if (!work->service) /* the Service is gone: an address like any other */
		return reason;
	reason = service_row(work, ep, reason);
	if (reason == BH_REASON_SERVICE)
		return BH_REASON_ALLOWED;
	if (reason != BH_REASON_SERVICE_EMPTY || !was_allowed)
		return reason;
	judged_set(work, BH_VERDICT_ALLOW, BH_RULE_NONE); /* who has no endpoints any more loses no flow by that */
	return BH_REASON_ALLOWED;
}

/* What a judgement that lets a known flow go on is counted as. */
INLINE enum bh_reason judged_reason(const struct work *work)
{
	return BH_CELL_VERDICT(work->judged.verdict) == BH_VERDICT_MIXED ? BH_REASON_SERVICE :
									   BH_REASON_ALLOWED;
}
