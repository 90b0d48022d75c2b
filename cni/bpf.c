// SPDX-License-Identifier: Apache-2.0
// bpf.c - bpf(2) by hand; what is younger than the installed headers has its layout here.
#include "cni/bpf.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/base/cleanup.h"

#define TCX_INGRESS 46u // BPF_TCX_INGRESS; egress is the next
#define FLAG_BEFORE (1u << 3) // BPF_F_BEFORE

// The parts of union bpf_attr that tcx uses, as Linux 6.6 laid them out.
struct attr_attach {
	uint32_t ifindex, program, type, flags;
	uint32_t replace, relative;
	uint64_t revision;
};
_Static_assert(sizeof(struct attr_attach) == 32, "union bpf_attr, prog_attach");

struct attr_query {
	uint32_t ifindex, type, query_flags, attach_flags;
	uint64_t programs;
	uint32_t count, pad;
	uint64_t program_flags, links, link_flags, revision;
};
_Static_assert(sizeof(struct attr_query) == 64, "union bpf_attr, query");

static int sys_bpf(int command, void *attr, size_t bytes)
{
	long r = syscall(__NR_bpf, command, attr, bytes);

	return r < 0 ? -errno : (int)r;
}

int bpf_load_drop(const char *name)
{
	static const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_SHOT },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insn_cnt = ARRAY_SIZE(program);
	attr.insns = (uint64_t)(uintptr_t)program;
	attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);
	return sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
}

int bpf_tcx_list(int ifindex, bool egress, uint32_t ret[static BPF_HOOK_PROGRAMS], uint32_t *retn)
{
	struct attr_query attr = {
		.ifindex = (uint32_t)ifindex,
		.type = TCX_INGRESS + egress,
		.programs = (uint64_t)(uintptr_t)ret,
		.count = BPF_HOOK_PROGRAMS,
	};
	int r = sys_bpf(BPF_PROG_QUERY, &attr, sizeof(attr));

	*retn = r < 0 ? 0 : attr.count;
	return r == -ENOENT || r == -EINVAL ? 0 : r; // nothing was ever there; no tcx
}

int bpf_tcx_attach(int program, int ifindex, bool egress)
{
	struct attr_attach attr = {
		.ifindex = (uint32_t)ifindex,
		.program = (uint32_t)program,
		.type = TCX_INGRESS + egress,
		.flags = FLAG_BEFORE, // before nothing in particular: the head
	};

	return sys_bpf(BPF_PROG_ATTACH, &attr, sizeof(attr));
}

int bpf_program_name(uint32_t id, char ret[static BPF_NAME_BYTES])
{
	union bpf_attr attr = { .prog_id = id };
	_cleanup_close_ int program = sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
	struct bpf_prog_info info = { 0 };
	int r;

	if (program < 0)
		return program;
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)program;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uint64_t)(uintptr_t)&info;
	r = sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
	if (r < 0)
		return r;
	memcpy(ret, info.name, BPF_NAME_BYTES);
	return 0;
}
