// SPDX-License-Identifier: Apache-2.0
// stamp.h - times as the API writes them, and the clocks of this room.
//
// World: host. Pure: yes but for the clocks. Owns: nothing.
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define STAMP_BYTES 40

// "2026-01-01T00:00:00Z" and "2026-01-01T00:00:00.000000Z"; wall: microseconds since 1970.
static inline void stamp_second(int64_t wall_us, char ret[static STAMP_BYTES])
{
	time_t sec = (time_t)(wall_us / 1000000);
	struct tm tm;

	gmtime_r(&sec, &tm);
	strftime(ret, STAMP_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static inline void stamp_micro(int64_t wall_us, char ret[static STAMP_BYTES])
{
	char second[STAMP_BYTES];

	stamp_second(wall_us, second);
	snprintf(ret, STAMP_BYTES, "%.19s.%06dZ", second, (int)(wall_us % 1000000));
}

static inline int64_t stamp_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

// Goes on while the machine sleeps: a holder that slept must know.
static inline int64_t stamp_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
