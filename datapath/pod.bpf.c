// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * pod.bpf.c - a pod's two programs: bh_from_pod at the host veth's ingress (the pod's egress), bh_to_pod
 * at its egress (the pod's ingress). A table of contents; every line of logic is in a header.
 *
 * World: BPF. Passing is "next program" (TC_ACT_UNSPEC), never "accepted": foreign programs stay.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "datapath/config.bpf.h" /* what the agent sets per pod */
#include "datapath/maps.bpf.h" /* tables */
#include "datapath/work.bpf.h" /* one packet on its way */
#include "datapath/account.bpf.h" /* counting */
#include "datapath/policy.bpf.h" /* endpoint -> verdict */
#include "datapath/fragment.bpf.h" /* later fragments */
#include "datapath/source.bpf.h" /* source checks, link control */
#include "datapath/node.bpf.h" /* own node, hairpin */
#include "datapath/conntrack.bpf.h" /* connections */
#include "datapath/flow.bpf.h" /* known, again, new */
#include "datapath/packet.bpf.h" /* read, admit, judge, count */

SEC("tc")
int bh_from_pod(struct __sk_buff *skb)
{
	return packet(skb, BH_EGRESS);
}

SEC("tc")
int bh_to_pod(struct __sk_buff *skb)
{
	return packet(skb, BH_INGRESS);
}

char _license[] SEC("license") = "GPL";
