// SPDX-License-Identifier: Apache-2.0
// histogram.c - from a tenth of a millisecond, a small compile, to what a person gives up waiting for.
#include "agent/metrics/histogram.h"

#define SEC 1000000000.0

const double histogram_bounds[HISTOGRAM_BUCKETS] = { 0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
						     0.1,    0.25,   0.5,   1,	    2.5,   5,	 10,	30 };

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	unsigned i = 0;

	while (i < HISTOGRAM_BUCKETS && (double)ns / SEC > histogram_bounds[i])
		i++;
	histogram->counts[i]++;
	histogram->sum_ns += ns;
}

uint64_t histogram_count(const struct histogram *histogram)
{
	uint64_t n = 0;

	for (unsigned i = 0; i <= HISTOGRAM_BUCKETS; i++)
		n += histogram->counts[i];
	return n;
}
