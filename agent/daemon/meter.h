// SPDX-License-Identifier: Apache-2.0
// meter.h - what the agent notes of its own work, for /metrics. Private to this room.
//
// World: host, the loop's thread; meter_forget() runs on the helper thread. Pure: no (reads tables). Owns: its sums.
#pragma once

#include "agent/base/vec.h"
#include "agent/bpf/tables.h"
#include "agent/endpoint/endpoint.h"
#include "agent/metrics/histogram.h"
#include "agent/metrics/verdicts.h"

#define METER_EVENTS 4096 // timed at once until they are in force; of more, none

struct daemon;

enum meter_add { METER_ADD_ENFORCED, METER_ADD_QUARANTINE, METER_ADD_FAILED, METER_ADD_MAX };

// A change of an object that is not in force yet.
struct meter_event {
	uint64_t generation; // of the store, with it
	int64_t ns; // when
	enum kind kind;
};

struct meter {
	struct verdicts *verdicts;
	uint64_t stats[BH_STAT_MAX], half_evicted; // as they were when the agent started
	int64_t read_ns, reading_ns; // when the programs' counters were read last, and for how long
	uint64_t totals; // entries of bh_total, then

	VEC(struct meter_event) events; // oldest first
	uint64_t events_untimed;
	struct histogram delays[KIND_MAX]; // from the change of an object until it is in force
	struct histogram compile, work, grace; // of each plan
	struct histogram adds[METER_ADD_MAX]; // of pods that the CNI plugin waited with
	struct histogram pages; // of /metrics itself
	uint64_t plans_stopped, sweeps, swept_expired, swept_orphans, denied_forgotten;
	int64_t started_sec; // since 1970
};

int meter_open(struct meter *meter, struct tables *tables, uint32_t policies);
void meter_close(struct meter *meter);

int64_t meter_now_ns(void); // CLOCK_MONOTONIC

void meter_changed(struct meter *meter, uint64_t generation, enum kind kind);
void meter_in_force(struct meter *meter, uint64_t generation);
void meter_since(struct histogram *histogram, int64_t start_ns);

// Takes the counters of an endpoint that is gone out of the tables; its sums stay. Helper thread.
void meter_forget(struct meter *meter, struct tables *tables, const struct endpoint_leaving *leaving);

// Brings the sums up to date, unless that was done so shortly before that it would take more than one part in
// METER_READ_SHARE of the loop's time.
#define METER_READ_SHARE 20
void meter_read(struct meter *meter, struct daemon *daemon);
