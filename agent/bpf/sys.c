// SPDX-License-Identifier: Apache-2.0
// sys.c - raw bpf(2), with attributes of its own: the installed headers may be older than the kernel. No library, since the
// CNI plugin is linked with it.
#include "agent/bpf/sys.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/cleanup.h"

#define FLAG_BEFORE (1u << 3) // BPF_F_BEFORE
#define LOAD_TRIES 5 // a signal interrupts the verifier

// The parts of union bpf_attr that tcx uses, as Linux 6.6 laid them out.
struct attr_link_create {
	uint32_t program, ifindex, hook, flags;
	uint32_t relative, pad;
	uint64_t revision;
};
_Static_assert(sizeof(struct attr_link_create) == 32, "union bpf_attr, link_create.tcx");

struct attr_attach {
	uint32_t ifindex, program, hook, flags;
	uint32_t replaced, relative;
	uint64_t revision;
};
_Static_assert(sizeof(struct attr_attach) == 32, "union bpf_attr, attach");

struct attr_netfilter {
	uint32_t program, target, type, flags;
	struct sys_netfilter where;
	uint32_t netfilter_flags;
};
_Static_assert(sizeof(struct attr_netfilter) == 32, "union bpf_attr, link_create.netfilter");

struct attr_query {
	uint32_t ifindex, hook, query_flags, attach_flags;
	uint64_t programs;
	uint32_t count, pad;
	uint64_t program_flags, links, link_flags, revision;
};
_Static_assert(sizeof(struct attr_query) == 64, "union bpf_attr, query");

// struct bpf_link_info up to the parts of its union that are of interest here.
#define LINK_NETFILTER 10 // BPF_LINK_TYPE_NETFILTER
struct info_link {
	uint32_t type, id, program, pad;
	union {
		struct {
			uint32_t ifindex, hook;
		};
		struct sys_netfilter netfilter;
	};
};

static int sys_bpf(int command, void *attr, size_t bytes)
{
	long r = syscall(__NR_bpf, command, attr, bytes);

	return r < 0 ? -errno : (int)r;
}

static int info_of(int fd, void *ret, uint32_t bytes)
{
	struct {
		uint32_t fd, bytes;
		uint64_t info;
	} attr = { (uint32_t)fd, bytes, (uint64_t)(uintptr_t)ret };

	return sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
}

// ---- programs ---------------------------------------------------------------------------------------

int sys_program_load(const char *name, int verdict)
{
	const struct bpf_insn returns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;
	int r = -EAGAIN;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insn_cnt = ARRAY_SIZE(returns);
	attr.insns = (uint64_t)(uintptr_t)returns;
	attr.license = (uint64_t)(uintptr_t) "Apache-2.0";
	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);
	for (int i = 0; i < LOAD_TRIES && r == -EAGAIN; i++)
		r = sys_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	return r;
}

int sys_program_id(int program, uint32_t *ret)
{
	struct bpf_prog_info info = { 0 };
	int r = info_of(program, &info, sizeof(info));

	if (r < 0)
		return r;
	*ret = info.id;
	return 0;
}

int sys_program_name(uint32_t id, char ret[static BPF_OBJ_NAME_LEN])
{
	union bpf_attr attr = { .prog_id = id };
	_cleanup_close_ int program = sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
	struct bpf_prog_info info = { 0 };
	int r = program < 0 ? program : info_of(program, &info, sizeof(info));

	if (r < 0)
		return r;
	memcpy(ret, info.name, BPF_OBJ_NAME_LEN);
	return 0;
}

// ---- tcx --------------------------------------------------------------------------------------------

int sys_tcx_order(int ifindex, enum sys_tcx hook, struct sys_tcx_order *ret)
{
	struct attr_query attr = {
		.ifindex = (uint32_t)ifindex,
		.hook = hook,
		.programs = (uint64_t)(uintptr_t)ret->program,
		.links = (uint64_t)(uintptr_t)ret->link,
		.count = SYS_TCX_MAX,
	};
	int r;

	memset(ret, 0, sizeof(*ret));
	r = sys_bpf(BPF_PROG_QUERY, &attr, sizeof(attr));
	if (r == -ENOENT) // nothing was ever attached there
		return 0;
	if (r < 0)
		return r;
	ret->n = attr.count;
	ret->revision = attr.revision;
	return 0;
}

int sys_tcx_attach(int program, int ifindex, enum sys_tcx hook, const struct sys_tcx_order *order)
{
	struct attr_link_create attr = {
		.program = (uint32_t)program,
		.ifindex = (uint32_t)ifindex,
		.hook = hook,
		.flags = FLAG_BEFORE, // before nothing in particular: the head
		.revision = order->revision,
	};

	return sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
}

int sys_tcx_put(int program, int ifindex, enum sys_tcx hook)
{
	struct attr_attach attr = {
		.ifindex = (uint32_t)ifindex,
		.program = (uint32_t)program,
		.hook = hook,
		.flags = FLAG_BEFORE,
	};

	return sys_bpf(BPF_PROG_ATTACH, &attr, sizeof(attr));
}

int sys_tcx_detach(int program, int ifindex, enum sys_tcx hook)
{
	struct attr_attach attr = {
		.ifindex = (uint32_t)ifindex,
		.program = (uint32_t)program,
		.hook = hook,
	};

	return sys_bpf(BPF_PROG_DETACH, &attr, sizeof(attr));
}

// ---- links ------------------------------------------------------------------------------------------

int sys_link_update(int link, int program)
{
	struct {
		uint32_t link, program, flags, before;
	} attr = { (uint32_t)link, (uint32_t)program, 0, 0 };

	return sys_bpf(BPF_LINK_UPDATE, &attr, sizeof(attr));
}

int sys_netfilter_attach(int program, const struct sys_netfilter *where)
{
	struct attr_netfilter attr = {
		.program = (uint32_t)program,
		.type = SYS_NETFILTER,
		.where = *where,
	};

	return sys_bpf(BPF_LINK_CREATE, &attr, sizeof(attr));
}

int sys_netfilter_info(int link, struct sys_netfilter *ret)
{
	struct info_link info = { 0 };
	int r = info_of(link, &info, sizeof(info));

	if (r < 0)
		return r;
	if (info.type != LINK_NETFILTER)
		return -EINVAL;
	*ret = info.netfilter;
	return 0;
}

int sys_link_info(int link, struct sys_link *ret)
{
	struct info_link info = { 0 };
	int r = info_of(link, &info, sizeof(info));

	if (r < 0)
		return r;
	*ret = (struct sys_link){ info.id, info.program, info.ifindex };
	return 0;
}

// ---- the rest ---------------------------------------------------------------------------------------

int sys_membarrier(void)
{
	return syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0 ? -errno : 0;
}

uint64_t sys_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}
