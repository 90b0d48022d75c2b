// SPDX-License-Identifier: Apache-2.0
// pace.h - how often files of others are changed: some times at once, then once a while. Two programs that undo each
// other's changes are a loop otherwise.
//
// World: host. Pure: yes; the clock is a parameter. Owns: nothing.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define PACE_AT_ONCE 5
#define PACE_MS 60000 // until there is one more

struct pace {
	unsigned used;
	int64_t since_ms; // when the first of `used` was, or began to be given back
};

// Whether there may be one now; it counts as made then. *retwait_ms: until there may be one, if not.
static inline bool pace_take(struct pace *pace, int64_t now_ms, int64_t *retwait_ms)
{
	while (pace->used && now_ms - pace->since_ms >= PACE_MS) {
		pace->used--;
		pace->since_ms += PACE_MS;
	}
	if (pace->used >= PACE_AT_ONCE) {
		*retwait_ms = PACE_MS - (now_ms - pace->since_ms);
		return false;
	}
	if (!pace->used)
		pace->since_ms = now_ms;
	pace->used++;
	return true;
}
