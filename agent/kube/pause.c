// SPDX-License-Identifier: Apache-2.0
// pause.c - doubling, chance, and what servers ask for.
#include "agent/kube/pause.h"

#include <stdlib.h>

uint64_t pause_half_random(uint64_t ms)
{
	return ms / 2 + arc4random_uniform((uint32_t)(ms / 2 + 1));
}

uint64_t pause_after(unsigned failures, uint64_t min_ms, uint64_t max_ms)
{
	uint64_t ms = min_ms;

	for (unsigned i = 1; i < failures && ms < max_ms; i++)
		ms *= 2;
	return pause_half_random(ms < max_ms ? ms : max_ms);
}

uint64_t pause_asked(long retry_after_sec)
{
	if (retry_after_sec <= 0)
		return 0;
	if (retry_after_sec > PAUSE_ASKED_MAX_SEC)
		retry_after_sec = PAUSE_ASKED_MAX_SEC;
	return (uint64_t)retry_after_sec * 1000 + arc4random_uniform(1000);
}
