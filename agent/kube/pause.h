// SPDX-License-Identifier: Apache-2.0
// pause.h - how long nothing is asked of a server that failed.
//
// World: host. Pure: but for chance. Owns: nothing.
#pragma once

#include <stdint.h>

#define PAUSE_ASKED_MAX_SEC 300 // a server that asks for more is asked after that

// From the half of it to all of it, so that a cluster's agents do not come back in step.
uint64_t pause_half_random(uint64_t ms);

// After so many failures in a row (1: the first): from min_ms on it doubles up to max_ms, and half of that is random.
uint64_t pause_after(unsigned failures, uint64_t min_ms, uint64_t max_ms);

// What Retry-After asks for, and up to a second more; 0: it asks for nothing.
uint64_t pause_asked(long retry_after_sec);
