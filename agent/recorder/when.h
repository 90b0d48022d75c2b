// SPDX-License-Identifier: Apache-2.0
// when.h - which flows a reading tells, by time stamps alone.
//
// World: host. Pure: yes. Owns: nothing. Moments are bh_now() units since the boot in 64 bits, which do not wrap; a time
// stamp is their low half, and says a moment only together with a later one that is less than 52 days away.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/conntrack.h>

// A flow's time stamp is older than its place in the tables by so much at most: a reading leaves younger ones to
// the next, which then finds all of them there.
#define WHEN_SETTLED (BH_TIME_HZ / 5)
#define WHEN_AGE_MAX 0xffff0000u // of a stamp; what seems older is another CPU's clock that is a tick ahead

struct when {
	int64_t now; // 0: there was no reading
	int64_t from, to; // told are flows that began after `from`, and until `to`
	bool ever; // else there is no `from`: all until `to`
};

static inline uint32_t when_age(uint32_t t, uint32_t now)
{
	uint32_t age = now - t;

	return age > WHEN_AGE_MAX ? 0 : age;
}

// The moment that a stamp says.
static inline int64_t when_of(uint32_t t, int64_t now)
{
	return now - when_age(t, (uint32_t)now);
}

// Of a flow that is there: its start is this reading's to tell.
static inline bool when_begins(const struct when *when, int64_t created)
{
	return created <= when->to && (!when->ever || created > when->from);
}

// An earlier reading told it: those until `from`.
static inline bool when_told(const struct when *when, int64_t created)
{
	return when->ever && created <= when->from;
}

// Of a flow that was told: `period` has passed anew since it began, and it was used in it.
static inline bool when_due(const struct when *when, int64_t created, int64_t last, uint32_t period)
{
	return when_told(when, created) && (when->to - created) / period > (when->from - created) / period &&
	       when->now - last <= period;
}
