// SPDX-License-Identifier: Apache-2.0
// forbidden.h - datagrams that are never allowed, sent all the time from keeper c to keeper a.
//
// World: host, tests. Pure: no. Owns: a thread and four sockets.
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "tests/conformance/rig.h"
#include "tests/soak/cast.h"

struct forbidden {
	pthread_t thread;
	bool running;
	int from[2], to[2];
	struct bh_addr addrs[2];
	atomic_bool ending;
	atomic_ullong sent, arrived;
};

int forbidden_open(struct forbidden *forbidden, struct rig *rig, const struct state *state,
		   struct err *reterr);
void forbidden_close(struct forbidden *forbidden);
