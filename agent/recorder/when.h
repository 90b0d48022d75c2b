// SPDX-License-Identifier: Apache-2.0
// when.h - which flows a reading tells, by time stamps alone.
//
// World: host. Pure: yes. Owns: nothing. Times are bh_now() units, which wrap: all is said by ages, seen from now.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/conntrack.h>

// A flow's time stamp is older than its place in the tables by so much at most: a reading leaves younger ones to
// the next, which then finds all of them there.
#define WHEN_SETTLED (BH_TIME_HZ / 5)

struct when {
	uint32_t now;
	uint32_t from, to; // told are flows that began after `from`, and until `to`
	bool ever; // else there is no `from`: all until `to`
};

static inline uint32_t when_age(uint32_t t, uint32_t now)
{
	uint32_t age = now - t;

	return age > 0xffff0000u ? 0 : age; // another CPU's clock may be a tick ahead
}

// Of a flow that is there: its start is this reading's to tell.
static inline bool when_begins(const struct when *when, uint32_t created)
{
	uint32_t age = when_age(created, when->now);

	return age >= when_age(when->to, when->now) && (!when->ever || age < when_age(when->from, when->now));
}

// An earlier reading told it: those until `from`.
static inline bool when_told(const struct when *when, uint32_t created)
{
	return when->ever && when_age(created, when->now) >= when_age(when->from, when->now);
}

// Of a flow that was told: `period` has passed anew since it began, and it was used in it.
static inline bool when_due(const struct when *when, uint32_t created, uint32_t last, uint32_t period)
{
	uint32_t age = when_age(created, when->to), before = when_age(created, when->from);

	return when_told(when, created) && age / period > before / period && when_age(last, when->now) <= period;
}
