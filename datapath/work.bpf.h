/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * work.bpf.h - one packet on its way through a program, and what every step of it shares.
 *
 * World: BPF.
 * Steps are global functions where the ordinary packet does not pass (BH_SUBPROG: the verifier reads them
 * once); a step takes the context, the work and the endpoint that judges. They check pointers for NULL
 * because the verifier wants that of global functions. What several paths arrive at is kept in the work
 * rather than in a variable: through memory the verifier sees one path from there, not one per value.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include <bulkhead/conntrack.h>
#include <bulkhead/key.h>
#include <bulkhead/parse.h>
#include <bulkhead/policy.h>

#include "datapath/config.bpf.h"
#include "datapath/maps.bpf.h"

#define INLINE static __always_inline
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))

struct work {
	struct bh_pkt pkt;
	__u32 dir; /* enum bh_dir: of the hook */
	__u32 ident; /* of the gate that the packet came through */
	__u32 now; /* bh_now() */
	__u32 local; /* number of the pod's address: bh_extra */
	union { /* which of them was looked up last; a stack is small */
		struct bh_ct_key key4;
		struct bh_ct6_key key6; /* in bh_half and bh_backend of both families */
	};
	__u32 check; /* of the key in bh_ct or bh_ct6 */
	__u32 place; /* in bh_half */
	__u32 tag;
	struct bh_judgement judged; /* rule 0 where nothing was judged */
	__u32 packets; /* segments; set for the flow's record only, as are the next two */
	__u16 counted; /* the packet is in its flow's entry */
	__u16 way; /* the flow's place in its bucket of bh_half */
	__u32 born; /* when the half-open flow began; 0: there is none */
	__u32 cls; /* peer class and port class of a judgement */
	__u32 pcls;
	__u32 service; /* bh_service.cls where a Service's row judged, SERVICE_BEHIND where its backend did; else 0 */
	__u32 side; /* enum bh_ct_side, enum bh_ct_event of a move */
	__u32 event;
	__u32 initiator; /* enum bh_dir: of the flow that this packet belongs to */
};

#define SERVICE_BEHIND (1u << 30) /* beside what bulkhead/service.h puts there */

INLINE __u32 now_coarse(void)
{
	return bpf_ktime_get_coarse_ns() >> BH_TIME_SHIFT;
}

INLINE struct bh_endpoint *endpoint_get(__u32 ident)
{
	__u32 slot = BH_SLOT(ident);

	return bpf_map_lookup_elem(&bh_endpoint, &slot);
}

INLINE const struct bh_addr *work_remote(const struct work *work)
{
	return bh_pkt_remote(&work->pkt, work->dir);
}

INLINE __be16 work_remote_port(const struct work *work)
{
	return bh_pkt_remote_port(&work->pkt, work->dir);
}

/* Somebody else is the packet's other end. */
INLINE void work_set_remote(struct work *work, const __u32 addr[4], __be16 port)
{
	__builtin_memcpy((void *)work_remote(work), addr, sizeof(struct bh_addr));
	if (work->dir == BH_EGRESS)
		work->pkt.dport = port;
	else
		work->pkt.sport = port;
}

INLINE __be16 work_local_port(const struct work *work)
{
	return bh_pkt_local_port(&work->pkt, work->dir);
}

INLINE __u32 skb_packets(const struct __sk_buff *skb)
{
	__u32 segments = skb->gso_segs;

	return segments ? segments : 1;
}
