// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * linear.bpf.c - how much of a packet lies in its linear part, for linear_test.c.
 *
 * World: BPF.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

__u32 linear_least = ~0u; /* of any packet so far */

SEC("tc")
int linear_look(struct __sk_buff *skb)
{
	__u32 bytes = skb->data_end - skb->data;

	if (bytes < linear_least)
		linear_least = bytes;
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "GPL";
