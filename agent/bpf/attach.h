// SPDX-License-Identifier: Apache-2.0
// attach.h - one program at the head of one hook of one device, in one of two ways.
//
// World: host. Pure: no. Owns: nothing between calls; what is attached is recorded by pins in the
// endpoint's folder: a link (tcx) or the program (clsact, whose filter lives with the device).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"

struct hook {
	const char *folder; // <pin_dir>/ep/<slot>
	int ifindex;
	bool egress; // of the device: what goes to the pod
};

enum shut {
	SHUT_NOT,
	SHUT_BEHIND, // something foreign is in front
	SHUT_FIRST,
};

// All are alike in both ways.
// place: a place at the head whose program passes on, so that put() only has to fill it; NULL: put() is as quick.
// put: attaches, or replaces in place; brought back to the head if something is in front. A filter takes the place
// of the quarantine of a pod's start (OURS_SHUT), if that is one.
// check: 0, -ENOENT missing, -EXDEV something foreign is in front.
// take: detaches; a device or attachment that is gone is fine.
// leave: at the end, what put() made for both hooks goes, unless others use it; NULL: nothing. A qdisc that is added to or
// taken from a device that is up stops its queue for a moment and loses packets, and whoever shuts the device meanwhile
// loses that, too: so it stays as long as the device, or until all of Bulkhead goes.
// leave_all: that of every device with a record under pin_dir; not of those that spared() is true of.
// shut, unshut: whether the quarantine of a pod's start is there by this way; takes it off.
// reshut: puts that (program) there again, where the CNI plugin would. gated: a gate is there.
struct attach {
	int (*place)(const struct hook *hook, struct err *reterr);
	int (*put)(const struct hook *hook, int program, struct err *reterr);
	int (*check)(const struct hook *hook, struct err *reterr);
	int (*take)(const struct hook *hook, struct err *reterr);
	int (*leave)(const struct hook *hook, struct err *reterr);
	int (*leave_all)(const char *pin_dir, bool (*spared)(int ifindex), struct err *reterr);
	enum shut (*shut)(const struct hook *hook);
	int (*unshut)(const struct hook *hook, struct err *reterr);
	int (*reshut)(const struct hook *hook, int program);
	bool (*gated)(const struct hook *hook);
	const char *pins[2]; // names of the records in the folder: ingress, egress
};

extern const struct attach attach_tcx, attach_clsact;

// Filters cannot be there, or not in front: a foreign tcx program is, an `ingress` qdisc, or at our priority a filter of
// another kind; or the CNI plugin found it so, as its quarantine stands at tcx.
bool attach_needs_tcx(int ifindex);

// Where filters of ours stand, by tcm_info and tcm_handle.
bool attach_is_our_place(uint32_t info, uint32_t handle);

// "device 'veth0'" or "device 7" when it is gone; buf is returned.
#define ATTACH_DEVICE_BYTES 40
const char *attach_device(int ifindex, char buf[static ATTACH_DEVICE_BYTES]);
