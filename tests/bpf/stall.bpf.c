/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * stall.bpf.c - the judges once more, with places where a test holds them: before each load
 * of a judgement, and between the two tables of flows.
 *
 * World: BPF, tests. Owns: the variable `stall`, which the test maps. A held reader spins within its
 * read-side critical section until it is let go; it gives up after some seconds and says so.
 */
#define STALL() stall_here()
#define STALL_BETWEEN() stall_between()

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

static void hold(void)
{
	stall.here = 1;
	for (int i = 0; i < 4; i++)
		bpf_loop(1 << 23, look, 0, 0);
	stall.lost = !stall.go;
	stall.left = 1;
}

__attribute__((noinline)) int stall_here(void)
{
	if (stall.armed && stall.loads++ == stall.at)
		hold();
	return 0;
}

__attribute__((noinline)) int stall_between(void)
{
	if (__sync_val_compare_and_swap(&stall.between, 1, 0))
		hold();
	return 0;
}

#include "datapath/pod.bpf.c"
