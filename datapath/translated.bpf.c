// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * translated.bpf.c - the netfilter program: judges what this node's pods send to Services behind the translation,
 * on the backend that was chosen, and keeps it for the pods' own programs (bulkhead/service.h).
 *
 * World: BPF, Linux 6.4 and later, attached while some Service's backends differ in verdict, and for a while
 * when Services change, as who translates may be behind. An object of its own, as its types are the kernel's own:
 * what is read of them is relocated when it is loaded, from the kernel or the module that has them.
 *
 * At POST_ROUTING and LOCAL_IN, in both directions: a flow is what its conntrack entry says that it is, whatever
 * the packet's addresses are by now, so it matters little what runs before. Whose flow it is tells the source
 * of its first packet, which the pod's own program has checked.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>

/* A frame as such a program sees it: what is linear of the packet, from its network header on. */
#define BH_FRAME_OWN
struct bh_frame {
	__u64 at;
	__u32 bytes;
	__u32 pad;
};

static __always_inline long bh_frame_load(const struct bh_frame *frame, __u32 offset, void *to,
					  __u32 bytes)
{
	if (!frame || offset > frame->bytes || bytes > frame->bytes - offset)
		return -1;
	return bpf_probe_read_kernel(to, bytes, (const void *)(frame->at + offset));
}

#include "datapath/config.bpf.h" /* what the agent sets */
#include "datapath/service.bpf.h" /* the judgement on a backend */

#define DROP 0 /* NF_DROP */
#define ACCEPT 1 /* NF_ACCEPT */
#define LOCAL_IN 1 /* NF_INET_LOCAL_IN */
#define FAMILY_4 2 /* AF_INET */
#define CT_INFO 7ul /* what a packet is to its conntrack entry: low bits of the pointer */
#define CT_IS_REPLY 3 /* IP_CT_IS_REPLY: from here on */
#define CT_UNTRACKED 7
#define CT_CONFIRMED (1 << 3) /* IPS_CONFIRMED */

/* ---- what is read of the kernel's own; the layout of a tuple is checked when the program is loaded ------------------ */
#define KERNEL_TYPE __attribute__((preserve_access_index))

union nf_inet_addr {
	__u32 all[4];
} KERNEL_TYPE;

struct nf_conntrack_man {
	union nf_inet_addr u3;
	__be16 u;
	__u16 l3num;
} KERNEL_TYPE;

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		__be16 u;
		__u8 protonum;
		__u8 dir;
	} dst;
} KERNEL_TYPE;

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
} KERNEL_TYPE;

struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
} KERNEL_TYPE;

struct skb_shared_info {
	unsigned short gso_segs;
} KERNEL_TYPE;

struct sk_buff {
	unsigned long _nfct;
	unsigned int len, data_len;
	unsigned char *head;
	unsigned int end;
	__u16 network_header;
	__u8 ipvs_property : 1;
} KERNEL_TYPE;

struct nf_hook_state {
	__u8 hook;
	__u8 pf;
} KERNEL_TYPE;

struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

struct tuple {
	__u32 src[4];
	__be16 sport;
	__u16 family;
	__u32 dst[4];
	__be16 dport;
	__u8 proto;
	__u8 dir;
};

/* Both tuples of an entry, as one read finds them. */
struct tuples {
	struct tuple original;
	__u64 between[2];
	struct tuple reply;
};

/* A kernel with another layout takes no such program: it is refused rather than misread. */
INLINE void layout_check(void)
{
	if (bpf_core_type_size(struct nf_conntrack_tuple) == sizeof(struct tuple) &&
	    bpf_core_type_size(struct nf_conntrack_tuple_hash) ==
		    sizeof(struct tuple) + sizeof(__u64[2]) &&
	    bpf_core_field_offset(struct nf_conntrack_tuple, src.l3num) ==
		    offsetof(struct tuple, family) &&
	    bpf_core_field_offset(struct nf_conntrack_tuple, dst.u3) ==
		    offsetof(struct tuple, dst) &&
	    bpf_core_field_offset(struct nf_conntrack_tuple, dst.protonum) ==
		    offsetof(struct tuple, proto))
		return;
	asm volatile("r1 = 0; r1 = *(u64 *)(r1 + 0)" ::: "r1");
}

/* ---- one packet's flow, as its pod sees it ------------------------------------------------------------------------- */
struct flow {
	struct work work; /* its other end is where it was sent to, or its backend */
	struct bh_addr backend; /* where answers come from */
	__be16 port;
	__u16 reason; /* enum bh_reason: of a drop */
};

INLINE struct bh_addr addr_of(const __u32 from[4], int v4)
{
	struct bh_addr addr;

	if (v4)
		return bh_addr_from4(from[0]);
	__builtin_memcpy(&addr, from, sizeof(addr));
	return addr;
}

INLINE void work_of(struct work *work, const struct tuple *tuple)
{
	int v4 = tuple->family == FAMILY_4;

	work->dir = work->initiator = BH_EGRESS;
	work->pkt.flags = v4 ? BH_PKT_V4 : 0;
	work->pkt.proto = tuple->proto;
	work->pkt.sport = tuple->sport;
	work->pkt.dport = tuple->dport;
	work->pkt.src = addr_of(tuple->src, v4);
	work->pkt.dst = addr_of(tuple->dst, v4);
}

/* By the conntrack entry at this address. -1: it cannot be read. */
BH_SUBPROG int flow_tracked(struct flow *flow, __u64 at)
{
	const struct nf_conn *ct = (const void *)at;
	struct tuples tuples;

	if (!flow || bpf_core_read(&tuples, sizeof(tuples), &ct->tuplehash[0].tuple))
		return -1;
	work_of(&flow->work, &tuples.original);
	flow->backend = addr_of(tuples.reply.src, flow->work.pkt.flags & BH_PKT_V4);
	flow->port = tuples.reply.sport;
	return 0;
}

/* By the headers as they are now. LATER: a piece without ports. NONE, or why no more than the addresses can be read. */
BH_SUBPROG int flow_header4(const struct bh_frame *frame, struct flow *flow, struct bh_walk *walk)
{
	struct tuple tuple = { .family = FAMILY_4 };
	struct bh_ip4 ip;

	if (!flow || !walk || BH_LOAD(frame, 0, &ip))
		return BH_REASON_SHORT;
	tuple.src[0] = ip.src;
	tuple.dst[0] = ip.dst;
	tuple.proto = ip.proto;
	work_of(&flow->work, &tuple);
	walk->offset = (ip.version_ihl & 0xf) * 4;
	if (ip.frag & BH_BE16(BH_IP4_OFFSET))
		walk->flags = BH_WALK_LATER;
	return BH_REASON_NONE;
}

BH_SUBPROG int flow_header6(struct bh_frame *frame, struct flow *flow, struct bh_walk *walk)
{
	struct tuple tuple = {};
	struct bh_ip6 ip;
	int reason;

	if (!flow || !walk || BH_LOAD(frame, 0, &ip))
		return BH_REASON_SHORT;
	__builtin_memcpy(tuple.src, &ip.src, sizeof(tuple.src));
	__builtin_memcpy(tuple.dst, &ip.dst, sizeof(tuple.dst));
	work_of(&flow->work, &tuple);
	walk->next = ip.next;
	walk->offset = sizeof(ip);
	reason = bh_walk(frame, walk);
	flow->work.pkt.proto = walk->next;
	return reason;
}

BH_SUBPROG int flow_untracked(struct bh_frame *frame, struct flow *flow, struct bh_walk *walk, int v4)
{
	int reason;

	if (!flow || !walk)
		return BH_REASON_INTERNAL;
	reason = v4 ? flow_header4(frame, flow, walk) : flow_header6(frame, flow, walk);
	if (reason || (walk->flags & BH_WALK_LATER) || !proto_has_ports(flow->work.pkt.proto))
		return reason;
	return bh_frame_load(frame, walk->offset, &flow->work.pkt.ports, 4) ? BH_REASON_SHORT :
									      BH_REASON_NONE;
}

/* The endpoint whose flow it is. NULL: of none here, or of one that has just gone (work->ident is set then). */
INLINE struct bh_endpoint *work_endpoint(struct work *work)
{
	struct bh_endpoint *ep;

	work->ident = local_ident(&work->pkt.src);
	if (!work->ident)
		return NULL;
	ep = endpoint_get(work->ident);
	return ep && ep->ident == work->ident && ep->state != BH_STATE_NONE ? ep : NULL;
}

INLINE int drop_by(struct flow *flow, enum bh_reason reason)
{
	flow->reason = reason;
	return DROP;
}

/* Is it to a Service? 1, 0, -1: that cannot be told. */
BH_SUBPROG int to_service(struct work *work)
{
	if (!work || service_of_remote(work) < 0)
		return -1;
	return work->service != 0;
}

/*
 * Nobody has translated it. It goes to the Service's address itself, if that may be spoken to: what its backends
 * may have says nothing of who is there.
 */
BH_SUBPROG int untranslated(struct flow *flow)
{
	struct bh_endpoint *ep;
	enum bh_reason reason;
	struct work *work;
	int service;

	if (!flow)
		return DROP;
	work = &flow->work;
	service = to_service(work);
	if (service <= 0)
		return service ? DROP : ACCEPT;
	ep = work_endpoint(work);
	if (!ep)
		return work->ident ? DROP : ACCEPT;
	reason = judge_once(work, ep, BH_EGRESS, 0);
	if (!work->service || (service_begins(work, ep, reason) != BH_REASON_SERVICE &&
			       backend_passes(work, ep)))
		return ACCEPT;
	return drop_by(flow, BH_REASON_BACKEND_UNKNOWN);
}

/* ---- translated flows ---------------------------------------------------------------------------------------------- */
/* Is its backend known and allowed, under this generation? */
BH_SUBPROG int backend_is_known(struct flow *flow, __u32 gen)
{
	const struct bh_backend *known;
	struct bh_backend seen;

	if (!flow)
		return 0;
	bh_ct6_key_of(&flow->work.pkt, BH_EGRESS, flow->work.ident, 0, &flow->work.key6);
	known = bpf_map_lookup_elem(&bh_backend, &flow->work.key6);
	if (!known)
		return 0;
	seen = *(const volatile struct bh_backend *)known;
	return seen.gen == gen && BH_CELL_VERDICT(seen.verdict) == BH_VERDICT_ALLOW &&
	       seen.port == flow->port &&
	       bh_addr_equal((const struct bh_addr *)seen.addr, &flow->backend) &&
	       seen.check == bh_backend_check(&flow->work.key6, &seen);
}

BH_SUBPROG int backend_keep(const struct flow *flow)
{
	struct bh_backend backend = {};

	if (!flow)
		return -1;
	backend.gen = flow->work.judged.gen;
	backend.verdict = flow->work.judged.verdict;
	backend.shadow = flow->work.judged.shadow;
	backend.port = flow->port;
	__builtin_memcpy(backend.addr, &flow->backend, sizeof(backend.addr));
	backend.check = bh_backend_check(&flow->work.key6, &backend);
	return bpf_map_update_elem(&bh_backend, &flow->work.key6, &backend, BPF_ANY);
}

/*
 * A flow that is not known to be allowed, judged on its backend if a Service was translated. What is dropped at its
 * first packet leaves nothing: the next one may get another backend.
 */
BH_SUBPROG int judge_translated(struct flow *flow, struct bh_endpoint *ep, int confirmed)
{
	struct work *work;
	int service, pass;

	if (!flow || !ep)
		return DROP;
	work = &flow->work;
	service = to_service(work);
	if (service <= 0)
		return service ? DROP : ACCEPT;
	work_set_remote(work, flow->backend.w, flow->port);
	pass = backend_passes(work, ep);
	stat_add(BH_STAT_TRANSLATED, 1);
	if (pass || confirmed)
		backend_keep(flow);
	else
		bpf_map_delete_elem(&bh_backend, &work->key6);
	return pass ? ACCEPT : drop_by(flow, BH_REASON_POLICY_DENIED);
}

INLINE int translated(struct flow *flow, const struct nf_conn *ct)
{
	struct bh_endpoint *ep = work_endpoint(&flow->work);

	if (!ep)
		return flow->work.ident ? DROP : ACCEPT;
	if (READ_ONCE(ep->policy[BH_EGRESS]) == BH_POLICY_ALLOW ||
	    backend_is_known(flow, READ_ONCE(ep->gen[BH_EGRESS])))
		return ACCEPT;
	return judge_translated(flow, ep, (BPF_CORE_READ(ct, status) & CT_CONFIRMED) != 0);
}

/* ---- packets without a conntrack entry ------------------------------------------------------------------------------ */

/* IPVS without conntrack has sent it on: nobody remembers where it was sent to first. Judged on where it goes. */
INLINE int by_ipvs(const struct sk_buff *skb)
{
	return bpf_core_field_exists(skb->ipvs_property) && BPF_CORE_READ_BITFIELD(skb, ipvs_property);
}

BH_SUBPROG int judge_forgotten(struct flow *flow)
{
	struct bh_endpoint *ep;

	if (!flow)
		return DROP;
	ep = work_endpoint(&flow->work);
	if (!ep)
		return flow->work.ident ? DROP : ACCEPT;
	return backend_passes(&flow->work, ep) ? ACCEPT : drop_by(flow, BH_REASON_POLICY_DENIED);
}

/* Nobody can tell where it goes: what a judged pod sends goes no further. */
BH_SUBPROG int unreadable(struct flow *flow, __u32 reason)
{
	struct bh_endpoint *ep;

	if (!flow)
		return DROP;
	ep = work_endpoint(&flow->work);
	if (!ep)
		return flow->work.ident ? DROP : ACCEPT;
	return READ_ONCE(ep->policy[BH_EGRESS]) == BH_POLICY_ALLOW ? ACCEPT : drop_by(flow, reason);
}

INLINE int untracked(const struct bpf_nf_ctx *ctx, struct flow *flow)
{
	const struct sk_buff *skb = ctx->skb;
	struct bh_frame frame = {
		.at = (__u64)BPF_CORE_READ(skb, head) + skb->network_header,
		.bytes = skb->len - BPF_CORE_READ(skb, data_len),
	};
	struct bh_walk walk = {};
	int reason = flow_untracked(&frame, flow, &walk, ctx->state->pf == FAMILY_4);

	if (reason)
		return ctx->state->hook == LOCAL_IN ? ACCEPT : unreadable(flow, reason);
	if ((walk.flags & BH_WALK_LATER) || !proto_has_ports(flow->work.pkt.proto))
		return ACCEPT;
	if (by_ipvs(skb))
		return judge_forgotten(flow);
	return ctx->state->hook == LOCAL_IN ? ACCEPT : untranslated(flow);
}

/* ---- the program ----------------------------------------------------------------------------------------------------- */
INLINE int judge_packet(const struct bpf_nf_ctx *ctx, struct flow *flow)
{
	const struct nf_conn *ct = (const void *)(ctx->skb->_nfct & ~CT_INFO);
	__u32 info = ctx->skb->_nfct & CT_INFO;

	if (!ct || info == CT_UNTRACKED || flow_tracked(flow, (__u64)ct) || !flow->work.pkt.proto)
		return untracked(ctx, flow);
	if (!proto_has_ports(flow->work.pkt.proto))
		return ACCEPT;
	if (flow->port != flow->work.pkt.dport || !bh_addr_equal(&flow->backend, &flow->work.pkt.dst))
		return translated(flow, ct);
	/* A proxy of the host may still translate it: what it sends on comes by again. */
	return info >= CT_IS_REPLY || ctx->state->hook == LOCAL_IN ? ACCEPT : untranslated(flow);
}

/* Counts what goes no further. */
BH_SUBPROG int dropped(struct flow *flow, __u32 packets, __u32 bytes)
{
	struct bh_total_key key;
	struct bh_endpoint *ep;

	if (!flow || !flow->reason)
		return DROP;
	ep = endpoint_get(flow->work.ident);
	if (!ep)
		return DROP;
	flow->work.now = bpf_ktime_get_ns() >> BH_TIME_SHIFT; /* this kind of program has no coarse clock */
	flow->work.pkt.bytes = bytes;
	key = total_key(&flow->work, flow->reason);
	total_count(&key, packets, bytes);
	denied_add(&flow->work, ep, flow->reason, packets);
	return DROP;
}

SEC("netfilter")
int bh_translated(struct bpf_nf_ctx *ctx)
{
	const struct sk_buff *skb = ctx->skb;
	const struct skb_shared_info *shared;
	struct flow flow = {};

	layout_check();
	if (judge_packet(ctx, &flow) == ACCEPT)
		return ACCEPT;
	shared = (const void *)((__u64)BPF_CORE_READ(skb, head) + skb->end);
	dropped(&flow, BPF_CORE_READ(shared, gso_segs) ?: 1, skb->len);
	return DROP;
}

char _license[] SEC("license") = "GPL";
