// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * rotate.bpf.c - gives each packet of a run its own source port, then runs the program under test.
 *
 * World: BPF, benchmark. The walk is a full cycle over a power of two, so a run of that many packets meets
 * each flow once.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

const volatile __u32 flows = 8192;
const volatile __u32 offset = 34; /* of the source port */
__u32 walk = 0;

SEC("tc")
int rotate(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u16 *port = data + offset;

	if ((void *)(port + 1) > end)
		return TC_ACT_SHOT;
	walk = (walk * 5 + 12345) & (flows - 1);
	*port = bpf_htons(20000 + walk);
	bpf_tail_call(skb, &target, 0);
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
