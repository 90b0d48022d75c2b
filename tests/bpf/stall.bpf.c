/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * stall.bpf.c - the judges once more, with a place before each load of a judgement where a test holds them.
 *
 * World: BPF, tests. Owns: the variable `stall`, which the test maps. A held reader spins within its
 * read-side critical section until it is let go; it gives up after some seconds and says so.
 */
#define STALL() stall_here()

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "tests/bpf/stall.h"

volatile struct stall stall;

/* It takes its time, so that a loop of such looks lasts for seconds: a loop of loops is one call frame too many. */
static long look(__u32 i, void *ctx)
{
	for (int n = 0; n < 16; n++)
		bpf_ktime_get_ns();
	return stall.go != 0;
}

__attribute__((noinline)) int stall_here(void)
{
	if (!stall.armed || stall.loads++ != stall.at)
		return 0;
	stall.here = 1;
	for (int i = 0; i < 4; i++)
		bpf_loop(1 << 23, look, 0, 0);
	stall.lost = !stall.go;
	stall.left = 1;
	return 0;
}

#include "datapath/pod.bpf.c"
