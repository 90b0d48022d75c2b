// SPDX-License-Identifier: Apache-2.0
// attach_tcx.c - programs as tcx links: updated in place, and in front of everything else.
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "agent/base/cleanup.h"
#include "agent/bpf/attach.h"
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

static int put_new(const struct hook *hook, int program)
{
	struct sys_tcx_order any = { 0 };
	_cleanup_close_ int link = -1;
	char path[PATH_MAX];

	link = sys_tcx_attach(program, hook->ifindex, hook_of(hook), &any);
	if (link < 0)
		return link;
	link_path(hook, path);
	return pin_replace(link, path);
}

// A link cannot move: to get back to the head a new one is made there, and only then the old one goes. For
// a moment both judge a packet, none goes unjudged.
static int tcx_put(const struct hook *hook, int program, struct err *reterr)
{
	char device[ATTACH_DEVICE_BYTES];
	struct sys_tcx_order order;
	struct sys_link info;
	_cleanup_close_ int link = link_open(hook, &info);
	int r;

	r = sys_tcx_order(hook->ifindex, hook_of(hook), &order);
	if (r == 0 && link >= 0 && order.n && order.link[0] == info.id)
		r = sys_link_update(link, program);
	else if (r == 0)
		r = put_new(hook, program);
	if (r == 0 && link >= 0 && order.link[0] != info.id)
		r = bpf_link_detach(link);
	if (r < 0)
		return err_set(reterr, r, "%s: cannot attach to its %s: %s",
			       attach_device(hook->ifindex, device),
			       hook->egress ? "egress" : "ingress", strerror(-r));
	return 0;
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

const struct attach attach_tcx = {
	.put = tcx_put,
	.check = tcx_check,
	.take = tcx_take,
	.pins = { "from_link", "to_link" },
};
