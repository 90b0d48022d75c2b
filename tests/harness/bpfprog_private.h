// SPDX-License-Identifier: Apache-2.0
// bpfprog_private.h - what the two files of bpfprog share.
//
// World: host, tests.
#pragma once

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/gate.skel.h"
#include "bpf/pod.skel.h"
#include "tests/harness/bpfprog.h"

struct bpfprog {
	struct gate_bpf *gate;
	struct pod_bpf *skel; // maps and judges
	bool shares; // another one owns `skel`
	uint32_t ident;
	struct bh_endpoint *endpoints;
	struct bh_port *ports;
};

__attribute__((noreturn, format(printf, 1, 2))) void bpfprog_die(const char *format, ...);
struct bh_count bpfprog_total_of(const struct bpfprog *prog, const struct bh_total_key *key);
