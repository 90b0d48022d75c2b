// SPDX-License-Identifier: Apache-2.0
// forbidden.h - datagrams that are never allowed, sent all the time from keeper c: to a, which a rule of the cluster
// protects, and to d, which only a NetworkPolicy does.
//
// World: host, tests. Pure: no. Owns: a thread and its sockets.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "tests/conformance/rig.h"
#include "tests/soak/cast.h"

#define FORBIDDEN_PAIRS 2

struct forbidden_pair {
	const char *to_name; // ns/name
	int from[2], to[2]; // by family
	struct bh_addr addrs[2];
	atomic_ullong sent, arrived;
};

struct forbidden {
	pthread_t thread;
	bool running;
	struct forbidden_pair pairs[FORBIDDEN_PAIRS];
	atomic_bool ending;
};

int forbidden_open(struct forbidden *forbidden, struct rig *rig, const struct state *state,
		   struct err *reterr);
void forbidden_close(struct forbidden *forbidden);
