// SPDX-License-Identifier: Apache-2.0
// own.c - how long the programs themselves run under traffic, as the kernel counts it.
#include "tests/bench/traffic/traffic.h"

#include <bpf/bpf.h>

struct count {
	uint64_t ns, runs;
};

void own_count(void)
{
	if (bpf_enable_stats(BPF_STATS_RUN_TIME) < 0) // for as long as the process lives
		traffic_die("the kernel's run statistics");
}

static struct count count(const struct bed *bed)
{
	struct count sum = { 0 };

	for (int i = 0; i < 2 * BED_ENDS && bed->programs[i]; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t len = sizeof(info);

		if (bpf_obj_get_info_by_fd(bed->programs[i], &info, &len))
			traffic_die("a program's counters");
		sum.ns += info.run_time_ns;
		sum.runs += info.run_cnt;
	}
	return sum;
}

double own_slice(const struct load *load, const struct bed *bed, double ms)
{
	struct count before = count(bed), after;

	load_slice(load, bed, ms);
	after = count(bed);
	return (double)(after.ns - before.ns) / (double)(after.runs - before.runs);
}
