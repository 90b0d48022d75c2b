// SPDX-License-Identifier: Apache-2.0
// sys.h - bpf(2) calls that are younger than this libbpf: tcx links and their order on a device, netfilter links; and the
// few others that the CNI plugin needs as well, which has no library.
//
// World: host. Pure: no. Owns: nothing. Every call returns -errno, or an fd or 0.
#pragma once

#include <linux/bpf.h>
#include <stddef.h>
#include <stdint.h>

// A tc program that only returns this.
int sys_program_load(const char *name, int verdict);
int sys_program_id(int program, uint32_t *ret);
int sys_program_name(uint32_t id, char ret[static BPF_OBJ_NAME_LEN]);

enum sys_tcx {
	SYS_TCX_INGRESS = 46, // BPF_TCX_INGRESS
	SYS_TCX_EGRESS = 47, // BPF_TCX_EGRESS
};

// What runs at a hook, first to last. link 0: attached without a link.
#define SYS_TCX_MAX 64 // BPF_MPROG_MAX
struct sys_tcx_order {
	uint32_t n;
	uint32_t program[SYS_TCX_MAX];
	uint32_t link[SYS_TCX_MAX];
	uint64_t revision;
};

int sys_tcx_order(int ifindex, enum sys_tcx hook, struct sys_tcx_order *ret);

// A link at the head of the hook, if nothing changed there since the order was asked (else
// -ESTALE).
int sys_tcx_attach(int program, int ifindex, enum sys_tcx hook, const struct sys_tcx_order *order);

// Without a link, at the head: it lives with the device. And off again; -ENOENT: it is not there.
int sys_tcx_put(int program, int ifindex, enum sys_tcx hook);
int sys_tcx_detach(int program, int ifindex, enum sys_tcx hook);

// Puts another program into a link, in its place.
int sys_link_update(int link, int program);

struct sys_link {
	uint32_t id, program;
	uint32_t ifindex; // 0: the device is gone
};
int sys_link_info(int link, struct sys_link *ret);

#define SYS_PROG_NETFILTER 32 // BPF_PROG_TYPE_NETFILTER
#define SYS_NETFILTER 45 // BPF_NETFILTER

// Where a netfilter program stands: NFPROTO_*, NF_INET_*; among others by priority, lowest first.
struct sys_netfilter {
	uint32_t family, hook;
	int32_t priority;
};
// A link in this network namespace. -EBUSY: that priority is somebody's.
int sys_netfilter_attach(int program, const struct sys_netfilter *where);
int sys_netfilter_info(int link, struct sys_netfilter *ret); // -EINVAL: no such link

// membarrier(MEMBARRIER_CMD_GLOBAL): returns after an RCU grace period.
int sys_membarrier(void);

uint64_t sys_now_ns(void); // CLOCK_MONOTONIC
