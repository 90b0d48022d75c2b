// SPDX-License-Identifier: Apache-2.0
// shut.h - closes a pod's device before anything else is asked: two instructions that drop every packet, both ways.
//
// World: host. Pure: no. Owns: nothing; what is attached lives with the device until the agent replaces it.
#pragma once

#include "agent/base/err.h"

#define SHUT_PROGRAM "bh_shut" // the agent knows it by this name (agent/bpf)

// As filters of clsact where the agent puts its own; at the head of tcx where a foreign program or an ingress qdisc
// stands. Programs of the agent that are there already may be replaced: it puts them again. -CNI_OPEN: neither way.
int shut_device(int ifindex, const char *name, struct err *reterr);

enum shut_state {
	SHUT_OPEN, // neither program of ours on some side
	SHUT_SHUT, // closed by the plugin
	SHUT_GATED, // the agent's programs on both
};
int shut_look(int ifindex, enum shut_state *ret, struct err *reterr);
