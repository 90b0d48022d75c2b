// SPDX-License-Identifier: Apache-2.0
// attach.h - one program at the head of one hook of one device, in one of two ways.
//
// World: host. Pure: no. Owns: nothing between calls; what is attached is recorded by pins in the
// endpoint's folder: a link (tcx) or the program (clsact, whose filter lives with the device).
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"

struct hook {
	const char *folder; // <pin_dir>/ep/<slot>
	int ifindex;
	bool egress; // of the device: what goes to the pod
};

// The three are alike in both ways.
// put: attaches, or replaces in place; brought back to the head if something is in front.
// check: 0, -ENOENT missing, -EXDEV something foreign is in front.
// take: detaches; a device or attachment that is gone is fine.
struct attach {
	int (*put)(const struct hook *hook, int program, struct err *reterr);
	int (*check)(const struct hook *hook, struct err *reterr);
	int (*take)(const struct hook *hook, struct err *reterr);
	const char *pins[2]; // names of the records in the folder: ingress, egress
};

extern const struct attach attach_tcx, attach_clsact;

// "device 'veth0'" or "device 7" when it is gone; buf is returned.
#define ATTACH_DEVICE_BYTES 40
const char *attach_device(int ifindex, char buf[static ATTACH_DEVICE_BYTES]);
