// SPDX-License-Identifier: Apache-2.0
// attach_tcx.c - programs as tcx links: updated in place, and in front of everything else.
//
// A link is found by its pin, or where pins are gone (another bpffs was mounted over them) by its program's name.
#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "agent/base/cleanup.h"
#include "agent/bpf/attach.h"
#include "agent/bpf/ours.h"
#include "agent/bpf/pin.h"
#include "agent/bpf/sys.h"

const char *attach_device(int ifindex, char buf[static ATTACH_DEVICE_BYTES])
{
	char name[IF_NAMESIZE];

	if (if_indextoname((unsigned int)ifindex, name))
		snprintf(buf, ATTACH_DEVICE_BYTES, "device '%s'", name);
	else
		snprintf(buf, ATTACH_DEVICE_BYTES, "device %d", ifindex);
	return buf;
}

static enum sys_tcx hook_of(const struct hook *hook)
{
	return hook->egress ? SYS_TCX_EGRESS : SYS_TCX_INGRESS;
}

static void link_path(const struct hook *hook, char ret[static PATH_MAX])
{
	snprintf(ret, PATH_MAX, "%s/%s", hook->folder, attach_tcx.pins[hook->egress]);
}

// The pinned link, if it is still on the device.
static int link_open(const struct hook *hook, struct sys_link *ret)
{
	char path[PATH_MAX];
	int link, r;

	link_path(hook, path);
	link = bpf_obj_get(path);
	if (link < 0)
		return link;
	r = sys_link_info(link, ret);
	if (r == 0 && ret->ifindex != (uint32_t)hook->ifindex)
		r = -ENOENT;
	if (r == 0)
		return link;
	close(link);
	return r;
}

// What runs there as ours though no pin leads to it.
static int link_unpinned(const struct sys_tcx_order *order, struct sys_link *ret)
{
	for (uint32_t i = 0; i < order->n; i++) {
		_cleanup_close_ int link = -1;

		if (!order->link[i] || ours_program(order->program[i]) != OURS_GATE)
			continue;
		link = bpf_link_get_fd_by_id(order->link[i]);
		if (link >= 0 && sys_link_info(link, ret) == 0)
			return TAKE_FD(link);
	}
	return -ENOENT;
}

static int keep(const struct hook *hook, int link)
{
	char path[PATH_MAX];

	link_path(hook, path);
	return pin_replace(link, path);
}

static int put_new(const struct hook *hook, int program)
{
	struct sys_tcx_order any = { 0 };
	_cleanup_close_ int link = sys_tcx_attach(program, hook->ifindex, hook_of(hook), &any);

	return link < 0 ? link : keep(hook, link);
}

static int refused(const struct hook *hook, int r, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];

	return err_set(reterr, r, "%s: cannot attach to its %s: %s",
		       attach_device(hook->ifindex, device), hook->egress ? "egress" : "ingress",
		       strerror(-r));
}

static int tcx_place(const struct hook *hook, struct err *reterr)
{
	struct sys_link info;
	_cleanup_close_ int link = link_open(hook, &info), program = -1;
	int r;

	if (link >= 0)
		return 0;
	program = sys_program_load("bh_pass", -1); // TCX_NEXT
	r = program < 0 ? program : put_new(hook, program);
	return r < 0 ? refused(hook, r, reterr) : 0;
}

// A link cannot move: to get back to the head a new one is made there, and only then the old one goes. For
// a moment both judge a packet, none goes unjudged.
static int tcx_put(const struct hook *hook, int program, struct err *reterr)
{
	struct sys_tcx_order order;
	struct sys_link info;
	_cleanup_close_ int link = link_open(hook, &info);
	int r = sys_tcx_order(hook->ifindex, hook_of(hook), &order);
	bool pinned = link >= 0;

	if (r == 0 && !pinned)
		link = link_unpinned(&order, &info);
	if (r == 0 && link >= 0 && order.n && order.link[0] == info.id) {
		r = sys_link_update(link, program);
		if (r == 0 && !pinned)
			r = keep(hook, link);
	} else if (r == 0) {
		r = put_new(hook, program);
		if (r == 0 && link >= 0)
			r = bpf_link_detach(link);
	}
	return r < 0 ? refused(hook, r, reterr) : 0;
}

static int tcx_check(const struct hook *hook, struct err *reterr)
{
	const char *side = hook->egress ? "egress" : "ingress";
	char device[ATTACH_DEVICE_BYTES];
	struct sys_tcx_order order = { 0 };
	struct sys_link info;
	_cleanup_close_ int link = link_open(hook, &info);

	attach_device(hook->ifindex, device);
	if (link < 0 || sys_tcx_order(hook->ifindex, hook_of(hook), &order) < 0)
		return err_set(reterr, -ENOENT, "%s: our program is not on its %s", device, side);
	if (order.n && order.link[0] == info.id)
		return 0;
	for (uint32_t i = 0; i < order.n; i++)
		if (order.link[i] == info.id)
			return err_set(
				reterr, -EXDEV,
				"%s: program %u of someone else is in front of ours on its %s",
				device, order.program[0], side);
	return err_set(reterr, -ENOENT, "%s: our link is not on its %s", device, side);
}

// Detached by the link itself, not by its last reference: that one goes later, on a kernel worker.
static int tcx_take(const struct hook *hook, struct err *reterr)
{
	char path[PATH_MAX];
	_cleanup_close_ int link = -1;
	int r = 0;

	link_path(hook, path);
	link = bpf_obj_get(path);
	if (link >= 0)
		r = bpf_link_detach(link);
	if (r == 0 || r == -ENOLINK || r == -ENODEV || r == -ENOENT)
		r = pin_remove(path);
	if (r < 0)
		return err_set(reterr, r, "%s: cannot detach: %s", path, strerror(-r));
	return 0;
}

// ---- the quarantine of a pod's start -------------------------------------------------------------------

// Attached without a link, so that it lives with the device. Its place; order->n: it is not there.
static uint32_t shut_at(const struct sys_tcx_order *order)
{
	uint32_t i = 0;

	while (i < order->n && (order->link[i] || ours_program(order->program[i]) != OURS_SHUT))
		i++;
	return i;
}

static enum shut tcx_shut(const struct hook *hook)
{
	struct sys_tcx_order order;
	uint32_t at;

	if (sys_tcx_order(hook->ifindex, hook_of(hook), &order) < 0)
		return SHUT_NOT;
	at = shut_at(&order);
	if (at == order.n)
		return SHUT_NOT;
	while (at > 0)
		if (!ours_program(order.program[--at]))
			return SHUT_BEHIND;
	return SHUT_FIRST;
}

static int tcx_unshut(const struct hook *hook, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];
	struct sys_tcx_order order;
	int r;

	while ((r = sys_tcx_order(hook->ifindex, hook_of(hook), &order)) == 0 && shut_at(&order) < order.n) {
		_cleanup_close_ int program = bpf_prog_get_fd_by_id(order.program[shut_at(&order)]);

		r = program < 0 ? program : sys_tcx_detach(program, hook->ifindex, hook_of(hook));
		if (r < 0)
			break;
	}
	if (r == 0 || r == -ENOENT || r == -ENODEV)
		return 0;
	return err_set(reterr, r, "%s: cannot take the quarantine of its start off: %s",
		       attach_device(hook->ifindex, device), strerror(-r));
}

static int tcx_reshut(const struct hook *hook, int program)
{
	return sys_tcx_put(program, hook->ifindex, hook_of(hook));
}

static bool tcx_gated(const struct hook *hook)
{
	struct sys_tcx_order order;

	if (sys_tcx_order(hook->ifindex, hook_of(hook), &order) < 0)
		return false;
	for (uint32_t i = 0; i < order.n; i++)
		if (ours_program(order.program[i]) == OURS_GATE)
			return true;
	return false;
}

const struct attach attach_tcx = {
	.place = tcx_place,
	.put = tcx_put,
	.check = tcx_check,
	.take = tcx_take,
	.shut = tcx_shut,
	.unshut = tcx_unshut,
	.reshut = tcx_reshut,
	.gated = tcx_gated,
	.pins = { "from_link", "to_link" },
};
