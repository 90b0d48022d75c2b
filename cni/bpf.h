// SPDX-License-Identifier: Apache-2.0
// bpf.h - the few bpf(2) calls that shutting a device needs, raw: no library, no pins, any kernel from 5.15.
//
// World: host. Pure: no. Owns: nothing. Every call returns -errno.
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#define BPF_NAME_BYTES 16
#define BPF_HOOK_PROGRAMS 64 // BPF_MPROG_MAX

// A tc program that drops every packet. An fd.
int bpf_load_drop(const char *name);

// tcx programs of one side of a device, first to last. *retn 0: none, or a kernel without tcx.
int bpf_tcx_list(int ifindex, bool egress, uint32_t ret[static BPF_HOOK_PROGRAMS], uint32_t *retn);

// At the head, without a link: it lives with the device.
int bpf_tcx_attach(int program, int ifindex, bool egress);

int bpf_program_name(uint32_t id, char ret[static BPF_NAME_BYTES]);
