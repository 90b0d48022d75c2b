/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * gate.bpf.h - what a gate needs of the tables: where the judges are, and a counter for when there is none.
 *
 * World: BPF.
 */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <bulkhead/abi.h>

/* The judges, by BH_JUDGE(). Replaced in place, for all pods of a kind at once. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, BH_JUDGE_MAX);
	__type(key, __u32);
	__type(value, __u32);
} bh_judge SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, BH_STAT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} bh_stat SEC(".maps");
