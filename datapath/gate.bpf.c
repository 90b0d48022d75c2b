// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * gate.bpf.c - a pod's own two programs: bh_from_pod at the host veth's ingress (the pod's egress), bh_to_pod
 * at its egress (the pod's ingress). A gate knows whose it is and which judge the pod needs, and jumps there;
 * the judges (pod.bpf.c) are shared by all pods. A gate is a few instructions, so a pod's start does not wait
 * for the verifier to read the judges once more, and all pods run the same lines of cache.
 *
 * World: BPF. With a constant index the jump is a direct one, patched when a judge is replaced.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "datapath/gate.bpf.h"

/* Whose gate: BH_IDENT(slot, incarnation). 0 is nobody: every packet drops (stale-program). */
const volatile __u32 ident = 0;

/* enum bh_feature. */
const volatile __u32 features = BH_FEATURE_TRACK;

static __always_inline int enter(struct __sk_buff *skb, enum bh_dir dir)
{
	__u32 key = BH_STAT_NO_JUDGE;
	__u64 *count;

	skb->cb[BH_CB_IDENT] = ident;
	bpf_tail_call(skb, &bh_judge, BH_JUDGE(features, dir));
	count = bpf_map_lookup_elem(&bh_stat, &key); /* nobody is there: nothing passes */
	if (count)
		*count += 1;
	return TC_ACT_SHOT;
}

SEC("tc")
int bh_from_pod(struct __sk_buff *skb)
{
	return enter(skb, BH_EGRESS);
}

SEC("tc")
int bh_to_pod(struct __sk_buff *skb)
{
	return enter(skb, BH_INGRESS);
}

char _license[] SEC("license") = "GPL";
