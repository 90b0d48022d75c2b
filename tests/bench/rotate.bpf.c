// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * rotate.bpf.c - gives each packet of a run its own source port, and if told to a peer and a destination port
 * in turn, then runs the program under test.
 *
 * World: BPF, benchmark. The walk is a full cycle over a power of two, so a run of that many packets meets
 * each flow once. Cases of one mode differ in these constants only, so the empty program pays for them too.
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
const volatile __u32 peers = 1, peer_step = 1, first_peer = 0; /* IPv4 source addresses; 0: as they are */
const volatile __u32 ports = 1, first_port = 0; /* destination ports; 0: as they are */
__u32 walk = 0;

SEC("tc")
int rotate(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u16 *port = data + offset;
	__u32 *source = data + 26;

	if ((void *)(port + 2) > end || (void *)(source + 1) > end)
		return TC_ACT_SHOT;
	walk = (walk * 5 + 12345) & (flows - 1);
	port[0] = bpf_htons(20000 + walk);
	if (first_port)
		port[1] = bpf_htons(first_port + walk % ports);
	if (first_peer)
		*source = bpf_htonl(first_peer + walk % peers * peer_step);
	bpf_tail_call(skb, &target, 0);
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "GPL";
