// SPDX-License-Identifier: Apache-2.0
// measure.h - what the benchmarks share: medians that say how sure they are, and where a thread runs.
//
// World: host, benchmark. Owns: nothing.
#pragma once

#include <stdbool.h>

struct measure {
	double median;
	double quarter; // what a quarter of them are below
	double spread; // half of what the middle half spans
	double sure; // half of what holds the median in 95 of 100 cases
};

// Sorts the values.
struct measure measure_of(double *values, int n);

bool measure_stay_on(int cpu); // the calling thread; false: there is no such CPU
