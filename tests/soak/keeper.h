// SPDX-License-Identifier: Apache-2.0
// keeper.h - flows that live through everything: one over TCP and IPv4, one over UDP and IPv6, numbered both ways.
//
// World: host, tests. Pure: no. Owns: the processes of the traffic tool.
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "agent/base/err.h"
#include "tests/conformance/rig.h"
#include "tests/soak/cast.h"

#define KEEPER_FLOWS 2

struct tool {
	pid_t pid;
	FILE *in, *out;
};

struct keeper {
	struct tool server, flows[KEEPER_FLOWS];
};

// From keeper b to keeper a; returns when the first messages came back.
int keeper_open(struct keeper *keeper, struct rig *rig, const struct state *state,
		const char *traffic, struct err *reterr);
// Waits until every message that was sent has come back. 0; -EPIPE with a sentence if one is missing.
int keeper_check(struct keeper *keeper, struct err *reterr);
void keeper_close(struct keeper *keeper);
