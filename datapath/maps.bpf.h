/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * maps.bpf.h - every table. Keys and values are described where their structs are: bulkhead/abi.h,
 * policy.h, conntrack.h, fragment.h, service.h.
 *
 * World: BPF. The agent creates or adopts the tables, sets their sizes and hands them to the loader; sizes
 * here are the defaults. No pinning attributes.
 */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <bulkhead/abi.h>
#include <bulkhead/addr.h>
#include <bulkhead/conntrack.h>
#include <bulkhead/fragment.h>
#include <bulkhead/half.h>
#include <bulkhead/policy.h>
#include <bulkhead/service.h>

#include "datapath/gate.bpf.h" /* bh_judge, bh_stat */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bh_node);
} bh_node SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BH_LIMIT_ENDPOINTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bh_endpoint);
} bh_endpoint SEC(".maps");

/* A matrix; its inner maps have as many units as they need. */
struct bh_matrix {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(union bh_unit));
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, BH_LIMIT_POLICIES);
	__type(key, __u32);
	__array(values, struct bh_matrix);
} bh_policy SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_PEERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_addr);
	__type(value, struct bh_peer);
} bh_peer SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, BH_LIMIT_CIDRS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_cidr);
	__type(value, __u32); /* the class */
} bh_cidr SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bh_port);
} bh_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_SPARSE_CELLS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_cell_key);
	__type(value, struct bh_cell);
} bh_cell SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_CT);
	__type(key, struct bh_ct_key);
	__type(value, struct bh_ct);
} bh_ct SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_CT);
	__type(key, struct bh_ct6_key);
	__type(value, struct bh_ct);
} bh_ct6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BH_LIMIT_HALF / BH_HALF_WAYS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bh_half_bucket);
} bh_half SEC(".maps");

/* Beside bh_half, bucket by bucket. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, BH_LIMIT_HALF / BH_HALF_WAYS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct bh_half_counts);
} bh_half_count SEC(".maps");

/* Flows that the datapath itself ended: struct bh_gone. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, BH_LIMIT_GONE);
} bh_gone SEC(".maps");

/* LRU: datagrams forget themselves, nobody sweeps. No pod has more than its share of it (bh_frag_key). */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BH_LIMIT_FRAGS);
	__type(key, struct bh_frag_key);
	__type(value, struct bh_frag);
} bh_frag SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_extra_key);
	__type(value, struct bh_extra);
} bh_extra SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_addr);
	__type(value, struct bh_host);
} bh_host SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_SERVICES);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_service_key);
	__type(value, struct bh_service);
} bh_service SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_SELF);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_self_key);
	__type(value, struct bh_self);
} bh_self SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_ENDPOINTS * 2);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_addr);
	__type(value, struct bh_local);
} bh_local SEC(".maps");

/* LRU: who is evicted is learned again from its next packet. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, BH_LIMIT_BACKENDS);
	__type(key, struct bh_ct6_key);
	__type(value, struct bh_backend);
} bh_backend SEC(".maps");

/* The agent's own; no program reads it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_ENDPOINTS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct bh_identity);
} bh_identity SEC(".maps");

/* The agent's own: what of each sum of bh_denied was told. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_DENIED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_denied_key);
	__type(value, struct bh_denied);
} bh_denied_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, BH_LIMIT_TOTALS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_total_key);
	__type(value, struct bh_count);
} bh_total SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BH_LIMIT_DENIED);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct bh_denied_key);
	__type(value, struct bh_denied);
} bh_denied SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, BH_LIMIT_ENDPOINTS *BH_DIR_MAX);
	__type(key, __u32);
	__type(value, struct bh_count);
} bh_count SEC(".maps");
