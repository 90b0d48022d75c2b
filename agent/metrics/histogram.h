// SPDX-License-Identifier: Apache-2.0
// histogram.h - how long things took, in buckets that are the same for all.
//
// World: host, one thread. Pure: yes. Owns: nothing.
#pragma once

#include <stdint.h>

#define HISTOGRAM_BUCKETS 16

extern const double histogram_bounds[HISTOGRAM_BUCKETS]; // seconds, rising; what is longer counts as +Inf

struct histogram { // all zero: empty
	uint64_t counts[HISTOGRAM_BUCKETS + 1]; // of each bucket alone
	uint64_t sum_ns;
};

void histogram_add(struct histogram *histogram, uint64_t ns);
uint64_t histogram_count(const struct histogram *histogram);
