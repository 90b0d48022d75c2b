/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * slow.bpf.c - a program that stays in the kernel for some milliseconds: the stalled reader of a plan.
 *
 * World: BPF, tests. Owns: the map `steps`: how far it is.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} steps SEC(".maps");

static long idle(__u32 i, void *ctx)
{
	return 0;
}

SEC("tc")
int slow(struct __sk_buff *skb)
{
	__u32 begin = 0, end = 1;
	__u64 one = 1;

	bpf_map_update_elem(&steps, &begin, &one, BPF_ANY);
	for (int i = 0; i < 4; i++)
		bpf_loop(1 << 23, idle, 0, 0);
	bpf_map_update_elem(&steps, &end, &one, BPF_ANY);
	return 0;
}

char _license[] SEC("license") = "GPL";
