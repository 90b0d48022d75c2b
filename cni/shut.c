// SPDX-License-Identifier: Apache-2.0
// shut.c - where the drop program goes.
#include "cni/shut.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/bpf/ours.h"
#include "agent/bpf/sys.h"
#include "cni/nl.h"
#include "cni/result.h"

// Where agent/bpf/attach_clsact.c puts the agent's programs.
#define PRIORITY 1u
#define HANDLE_A 0x62680001u
#define HANDLE_B 0x62680002u

// ---- looking ----------------------------------------------------------------------------------------

static struct tcmsg *begin(struct nl_request *request, uint16_t type, uint16_t flags, int ifindex)
{
	struct tcmsg *tc = nl_begin(request, type, flags, sizeof(*tc));

	tc->tcm_ifindex = ifindex;
	return tc;
}

static uint32_t filters_of(bool egress)
{
	return TC_H_MAKE(TC_H_CLSACT, egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
}

static void take_program(void *arg, const struct nlmsghdr *answer)
{
	const struct rtattr *options = nl_find(answer, sizeof(struct tcmsg), TCA_OPTIONS);

	snprintf(arg, BPF_OBJ_NAME_LEN, "%s", nl_text(nl_find_in(options, TCA_BPF_NAME)));
}

// The program of the filter with this handle; "": none.
static int ask_filter(int fd, int ifindex, bool egress, uint32_t handle,
		      char ret[static BPF_OBJ_NAME_LEN])
{
	struct nl_request request;
	struct tcmsg *tc = begin(&request, RTM_GETTFILTER, 0, ifindex);
	int r;

	ret[0] = '\0';
	tc->tcm_parent = filters_of(egress);
	tc->tcm_handle = handle;
	tc->tcm_info = TC_H_MAKE(PRIORITY << 16, htons(ETH_P_ALL));
	nl_put_text(&request, TCA_KIND, "bpf");
	r = nl_ask(fd, &request, take_program, ret);
	return r == -ENOENT || r == -EINVAL ? 0 : r;
}

struct side {
	bool foreign; // a tcx program of somebody else
	bool gate, shut;
};

static void note(struct side *side, enum ours ours)
{
	side->gate |= ours == OURS_GATE;
	side->shut |= ours == OURS_SHUT;
}

// A kernel without tcx has nothing there.
static int tcx_order(int ifindex, bool egress, struct sys_tcx_order *ret)
{
	int r = sys_tcx_order(ifindex, egress ? SYS_TCX_EGRESS : SYS_TCX_INGRESS, ret);

	return r == -EINVAL ? 0 : r;
}

static int look_tcx(int ifindex, bool egress, struct side *side)
{
	struct sys_tcx_order order;
	int r = tcx_order(ifindex, egress, &order);

	for (uint32_t i = 0; r == 0 && i < order.n; i++) {
		enum ours ours = ours_program(order.program[i]);

		note(side, ours);
		side->foreign |= ours == OURS_NOT;
	}
	return r;
}

static int look_filters(int fd, int ifindex, bool egress, struct side *side)
{
	static const uint32_t handles[] = { HANDLE_A, HANDLE_B };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(handles) && r == 0; i++) {
		char name[BPF_OBJ_NAME_LEN];

		r = ask_filter(fd, ifindex, egress, handles[i], name);
		note(side, ours_named(name));
	}
	return r;
}

// ---- attaching --------------------------------------------------------------------------------------

// Without NLM_F_EXCL a clsact that is there is left as it is, and an ingress qdisc refused: that has one place for
// filters, so that what is meant for egress would stand on ingress.
static int make_qdisc(int fd, int ifindex)
{
	struct nl_request request;
	struct tcmsg *tc = begin(&request, RTM_NEWQDISC, NLM_F_CREATE, ifindex);
	int r;

	tc->tcm_parent = TC_H_CLSACT;
	tc->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	nl_put_text(&request, TCA_KIND, "clsact");
	r = nl_ask(fd, &request, NULL, NULL);
	return r == -EINVAL ? -EXDEV : r;
}

static int put_filter(int fd, int ifindex, bool egress, int program)
{
	struct nl_request request;
	struct tcmsg *tc = begin(&request, RTM_NEWTFILTER, NLM_F_CREATE, ifindex);
	struct rtattr *options;

	tc->tcm_parent = filters_of(egress);
	tc->tcm_handle = HANDLE_A;
	tc->tcm_info = TC_H_MAKE(PRIORITY << 16, htons(ETH_P_ALL));
	nl_put_text(&request, TCA_KIND, "bpf");
	options = nl_nest(&request, TCA_OPTIONS);
	nl_put_u32(&request, TCA_BPF_FD, (uint32_t)program);
	nl_put_text(&request, TCA_BPF_NAME, SHUT_PROGRAM);
	nl_put_u32(&request, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	nl_nest_end(&request, options);
	return nl_ask(fd, &request, NULL, NULL);
}

static int shut_by_filters(int fd, int ifindex, int program)
{
	int r = make_qdisc(fd, ifindex);

	for (int egress = 0; egress < 2 && r == 0; egress++)
		r = put_filter(fd, ifindex, egress, program);
	return r;
}

// An ADD that failed may have left one at the head.
static bool tcx_is_shut(int ifindex, bool egress)
{
	struct sys_tcx_order order;

	return tcx_order(ifindex, egress, &order) == 0 && order.n && ours_program(order.program[0]) == OURS_SHUT;
}

static int shut_by_tcx(int ifindex, int program)
{
	int r = 0;

	for (int egress = 0; egress < 2 && r == 0; egress++)
		if (!tcx_is_shut(ifindex, egress))
			r = sys_tcx_put(program, ifindex, egress ? SYS_TCX_EGRESS : SYS_TCX_INGRESS);
	return r;
}

static int attach(int fd, int ifindex, int program)
{
	struct side side = { 0 };
	int r = 0, tcx;

	for (int egress = 0; egress < 2 && r == 0; egress++)
		r = look_tcx(ifindex, egress, &side);
	if (r == 0 && !side.foreign)
		r = shut_by_filters(fd, ifindex, program);
	else if (r == 0)
		r = -EXDEV;
	if (r == 0)
		return 0;
	tcx = shut_by_tcx(ifindex, program);
	return tcx == -EINVAL ? r : tcx; // a kernel without tcx: why filters did not do
}

int shut_device(int ifindex, const char *name, struct err *reterr)
{
	_cleanup_close_ int program = sys_program_load(SHUT_PROGRAM, TC_ACT_SHOT);
	_cleanup_close_ int fd = -1;
	int r = program;

	if (r < 0)
		return err_set(reterr, -CNI_OPEN, "cannot load the program that shuts '%s': %s",
			       name, strerror(-r));
	fd = nl_open();
	r = fd < 0 ? fd : attach(fd, ifindex, program);
	if (r == -EXDEV)
		return err_set(
			reterr, -CNI_OPEN,
			"cannot shut '%s': an ingress qdisc of others is there, and this kernel has no tcx",
			name);
	if (r < 0)
		return err_set(reterr, -CNI_OPEN, "cannot shut '%s': %s", name, strerror(-r));
	return 0;
}

int shut_look(int ifindex, enum shut_state *ret, struct err *reterr)
{
	_cleanup_close_ int fd = nl_open();
	struct side sides[2] = { 0 };
	int r = fd < 0 ? fd : 0;

	for (int egress = 0; egress < 2 && r == 0; egress++) {
		r = look_tcx(ifindex, egress, &sides[egress]);
		if (r == 0)
			r = look_filters(fd, ifindex, egress, &sides[egress]);
	}
	if (r < 0)
		return err_set(reterr, -CNI_IO, "cannot list the programs of device %d: %s",
			       ifindex, strerror(-r));
	if (sides[0].shut || sides[1].shut)
		*ret = SHUT_SHUT;
	else
		*ret = sides[0].gate && sides[1].gate ? SHUT_GATED : SHUT_OPEN;
	return 0;
}
