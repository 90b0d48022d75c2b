/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * foreign.bpf.c - stands for some other product's program on a pod's veth: counts packets, lets them on.
 *
 * World: BPF, tests. Owns: the map `seen`, one counter.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

SEC("tc")
int foreign(struct __sk_buff *skb)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&seen, &key);

	if (count)
		__sync_fetch_and_add(count, 1);
	return -1; /* next program */
}

char _license[] SEC("license") = "GPL";
