// SPDX-License-Identifier: Apache-2.0
// device.h - the host's side of a pod's veth, found from the host's side: no namespace is entered.
//
// World: host. Pure: no (netlink, an open namespace). Owns: nothing between calls.
#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "cni/prev.h"

struct device {
	int ifindex; // ours
	char name[IFNAMSIZ]; // ours
	uint8_t mac[6]; // the pod's
	bool guessed; // by prevResult: the pod has no interface of the name that we were told
};

// A network namespace by its path. An fd; -CNI_NETNS: there is none, or it is our own.
int netns_open(const char *path, struct err *reterr);
// -CNI_NETNS if it is our own; one that is gone is not.
int netns_not_own(const char *path, struct err *reterr);

// The other side of the veth `ifname` of that namespace. If there is no such interface, the only veth among
// prev->host that leads there. -CNI_NO_VETH: it is something else, or its other side is not here; -CNI_MANY_VETHS: several do;
// -CNI_IO: the kernel does not say.
int device_find(int netns, const char *ifname, const struct prev *prev, struct device *ret,
		struct err *reterr);
