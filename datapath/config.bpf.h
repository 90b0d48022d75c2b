/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * config.bpf.h - every read-only knob of the judges, with its default. Written before loading; the
 * verifier then removes what cannot run.
 *
 * World: BPF; the agent and tests set these through the skeleton's rodata.
 */
#pragma once

#include <linux/types.h>

#include <bulkhead/abi.h>
#include <bulkhead/fragment.h>

/* enum bh_feature. */
const volatile __u32 features = BH_FEATURE_TRACK;

/* Time-outs are halved this many times (tests; 0 in production). */
const volatile __u32 ct_scale = 0;

/* An entry's age is looked at, and its last-seen stored, at most once in so many ticks (0.1 to 1.3 s). */
const volatile __u32 ct_fresh = 128;

/* Entries one endpoint may have in bh_ct and bh_ct6 together. */
const volatile __u32 ct_quota = BH_LIMIT_CT / 8;

/* Buckets of bh_half; an answered flow is a connection when it is BH_HALF_SETTLE_SEC >> half_scale old. */
const volatile __u32 half_buckets = BH_LIMIT_HALF / 4;
const volatile __u32 half_scale = 0;

/* Elements of bh_denied one endpoint may have. */
const volatile __u32 denied_quota = BH_LIMIT_DENIED / 8;

/* Datagrams in pieces one endpoint may have remembered. */
const volatile __u32 frag_share = BH_FRAG_SHARE(BH_LIMIT_FRAGS);

#define HAS(feature) (features & BH_FEATURE_##feature)
