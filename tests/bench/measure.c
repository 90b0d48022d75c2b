// SPDX-License-Identifier: Apache-2.0
// measure.c - medians and places.
#include "tests/bench/measure.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

// The ranks around the median between which it lies are those of a fair coin: n/2 -+ 0.98 sqrt(n).
struct measure measure_of(double *values, int n)
{
	int off = (int)ceil(0.98 * sqrt(n)), low = n / 2 - off, high = n / 2 + off;

	qsort(values, n, sizeof(*values), by_value);
	low = low < 0 ? 0 : low;
	high = high >= n ? n - 1 : high;
	return (struct measure){
		.median = values[n / 2],
		.quarter = values[n / 4],
		.spread = (values[n * 3 / 4] - values[n / 4]) / 2,
		.sure = (values[high] - values[low]) / 2,
	};
}

bool measure_stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) == 0;
}
