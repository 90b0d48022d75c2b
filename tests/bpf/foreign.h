// SPDX-License-Identifier: Apache-2.0
// foreign.h - somebody else's program on the pod's device.
//
// World: host, tests; root. Owns: nothing; foreign_end() takes what foreign_*() made.
#pragma once

#include "tests/bpf/pod.h"

#include "agent/bpf/sys.h"
#include "tests/harness/foreign.skel.h"

struct foreign {
	struct foreign_bpf *skel;
	int link; // tcx, -1: none
	uint64_t seen;
};

static inline struct foreign foreign_new(void)
{
	struct foreign foreign = { .skel = foreign_bpf__open_and_load(), .link = -1 };

	assert_non_null(foreign.skel);
	return foreign;
}

static inline struct foreign foreign_tcx(enum sys_tcx hook)
{
	struct sys_tcx_order any = { 0 };
	struct foreign foreign = foreign_new();

	foreign.link = sys_tcx_attach(bpf_program__fd(foreign.skel->progs.foreign),
				      net_ifindex(DEVICE), hook, &any);
	assert_ok(foreign.link);
	return foreign;
}

static inline void foreign_end(struct foreign *foreign)
{
	closep(&foreign->link);
	foreign_bpf__destroy(foreign->skel);
}
