// SPDX-License-Identifier: Apache-2.0
// recorder.h - the thread that reads what the datapath counted, names it and tells it: to the history and to sinks.
//
// World: host; its own thread and loop. Pure: no. Owns: the history, the sinks, what it remembers of denies.
// Threads: calls come from the agent's loop unless said otherwise; names are handed over under a lock that is held
// for moments only.
//
//   bh_ct, bh_half, bh_denied, ring ──► read ──► named by the book ──► history ──► observers
//                                                                 └──► sinks
//
// Names are those of the time of the flow: the book (book.h) remembers who had an address from when until when, for
// as long as a flow of that time may be told.
#pragma once

#include <json-c/json.h>

#include "agent/bpf/tables.h"
#include "agent/flow/record.h"
#include "agent/store/store.h"

#define RECORDER_HISTORY 16384 // records kept: default of --flow-history
#define RECORDER_TICK_MS 1000 // between two readings
#define RECORDER_UPDATE_SEC 60 // a flow that lasts is told again so often, if it was used: default of --flow-update

struct recorder;

struct recorder_config {
	struct tables *tables; // borrowed; read only
	const char *node;
	const char *sinks; // URLs separated by spaces
	uint32_t history, update_sec;
	// What a rule's number stands for, one new reference, NULL: unknown. Called on the recorder's thread.
	struct flow_policy *(*policy)(void *arg, uint32_t rule);
	void *arg;
};

int recorder_new(const struct recorder_config *config, struct recorder **ret, struct err *reterr);
void recorder_free(struct recorder *recorder); // tells what there is, once more
DEFINE_CLEANUP(struct recorder *, recorder_free)

// The store's changes (pods, Services, nodes): who has an address from now on.
void recorder_changed(struct recorder *recorder, const struct object *before, const struct object *after);

// Entries that leave the tables by the host's hand, on the helper thread: told as ended with these numbers.
void recorder_gone(void *recorder, const struct ct_entry *entry, enum flow_over why);

// Records behind `after` (a seq; 0: the oldest kept) that the filter lets through, oldest first, as JSON: what the
// control operation `flows` answers. *retnext: the seq to go on behind; *retlost: that were overwritten unseen.
int recorder_read(struct recorder *recorder, const char *filter, uint64_t after, uint32_t max, struct json_object **ret,
		  uint64_t *retnext, uint64_t *retlost, struct err *reterr);
// Calls fn once on the agent's loop when there are records behind `after`.
void recorder_wait(struct recorder *recorder, uint64_t after, void (*fn)(void *arg), void *arg);

struct recorder_stats {
	uint64_t told[FLOW_TYPE_MAX];
	uint64_t lost_ring; // flows that ended in the datapath and found no room in the ring
	uint64_t lost_names; // told with a name that was forgotten
	uint64_t denied_overflow; // denied packets without detail
	uint64_t flows; // known now
	uint32_t tick_ms; // the last reading took so long
};
void recorder_stats(struct recorder *recorder, struct recorder_stats *ret);
struct json_object *recorder_status(struct recorder *recorder); // for status: numbers, sinks with theirs
