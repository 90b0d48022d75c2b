// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * pod.bpf.c - the two judges that a pod's gates (gate.bpf.c) jump to: of what it sends, of what comes to it.
 * Loaded once for every set of features that pods need. A table of contents; every line of logic is in a
 * header.
 *
 * World: BPF. Passing is "next program" (TC_ACT_UNSPEC), never "accepted": foreign programs stay.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "datapath/config.bpf.h" /* what the agent sets */
#include "datapath/maps.bpf.h" /* tables */
#include "datapath/work.bpf.h" /* one packet on its way */
#include "datapath/account.bpf.h" /* counting */
#include "datapath/policy.bpf.h" /* endpoint -> verdict */
#include "datapath/fragment.bpf.h" /* later fragments */
#include "datapath/source.bpf.h" /* source checks, link control */
#include "datapath/node.bpf.h" /* own node, hairpin */
#include "datapath/service.bpf.h" /* flows to Services */
#include "datapath/conntrack.bpf.h" /* connections */
#include "datapath/half.bpf.h" /* flows that are half open */
#include "datapath/flow.bpf.h" /* known, again, new */
#include "datapath/packet.bpf.h" /* read, admit, judge, count */

SEC("tc")
int bh_judge_from(struct __sk_buff *skb)
{
	return packet(skb, BH_EGRESS);
}

SEC("tc")
int bh_judge_to(struct __sk_buff *skb)
{
	return packet(skb, BH_INGRESS);
}

char _license[] SEC("license") = "GPL";
