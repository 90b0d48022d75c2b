// SPDX-License-Identifier: Apache-2.0
// recorder.h - the thread that reads what the datapath counted, names it and tells it: to the history and to sinks.
//
// World: host; its own thread and loop. Pure: no. Owns: the book, the history, the sinks, what it remembers of denies.
// Threads: calls come from the agent's loop unless said otherwise. No call waits for the recorder's work: locks are held
// for moments.
//
//   bh_half, bh_ct, bh_denied ──► tick ──► named by the book ──► history ──► observers
//   what left the tables      ──►                           └──► sinks
//
// Nothing is kept of a flow that lasts. A flow has begun for this reader when its first packet is older than one tick
// and younger than the tick before (when.h), so each is told once, and one time stamp beside the tables is all that an
// agent's successor needs in order not to tell anew what was told. A flow that is over is handed over by who takes
// it out of the tables; if it lived between two ticks, its start is told then.
//
// Names are those of the time of the flow: see book.h.
#pragma once

#include <json-c/json.h>

#include "agent/bpf/tables.h"
#include "agent/flow/record.h"
#include "agent/store/store.h"

#define RECORDER_HISTORY 16384 // records kept: default of --flow-history
#define RECORDER_TICK_MS 1000 // between two readings; longer where reading takes more than a twentieth of a processor
#define RECORDER_UPDATE_SEC 60 // a flow that lasts is told again so often, if it was used: default of --flow-update
#define RECORDER_PAGE_BYTES (8u << 20) // of JSON: what recorder_read() gives at once ends behind the record that goes beyond
#define RECORDER_GONE 8192 // flows that left the tables and wait for the next reading
#define RECORDER_ENDED 32768 // the same, of flows that ended in the datapath
#define RECORDER_ROOM_MS 1000 // a sweep waits so long for room among them, and no longer until there was some

struct recorder;

struct recorder_config {
	struct tables *tables; // borrowed; read only, but for what was told
	const char *node;
	const char *sinks; // URLs separated by spaces; NULL: none
	uint32_t history, update_sec, labels; // 0: the defaults above; labels: BOOK_LABELS
	const bool *hurry; // set: a pod's start waits for the helper thread; NULL: never
	// What a rule's number stands for, one new reference, NULL: unknown. Called on the recorder's thread.
	struct flow_policy *(*policy)(void *arg, uint32_t rule);
	void *arg;
};

// The same checks of `sinks` only, before anything is opened.
int recorder_check_sinks(const char *urls, struct err *reterr);

// It waits for recorder_begin() before it reads anything.
int recorder_new(const struct recorder_config *config, struct recorder **ret, struct err *reterr);
void recorder_free(struct recorder *recorder); // tells what there is, once more
DEFINE_CLEANUP(struct recorder *, recorder_free)

// Names are known: the store holds what the cluster has, and what rules' numbers stand for is compiled. Idempotent.
void recorder_begin(struct recorder *recorder);

// Who has an address from now on: the store's changes (pods, Services, nodes), addresses of this host.
void recorder_changed(struct recorder *recorder, const struct object *before, const struct object *after);
void recorder_host(struct recorder *recorder, const struct bh_addr *addr, bool present);

// Flows that left the tables, a tables_gone_fn: told as ended with these numbers. Any thread. Never waits; what finds no
// room is counted.
void recorder_gone(void *recorder, const struct ct_entry *entry, enum ct_over why);
// The same of what was denied: sums that are cleared. Returns 0.
int recorder_denied_gone(void *recorder, const struct denied_entry *entry);
// Pods that leave the tables, a tables_left_fn: their flows are told later. Any thread.
void recorder_left(void *recorder, const struct bh_identity *identity, const struct bh_addr addr[2]);

// ---- the history ---------------------------------------------------------------------------------------------------

// Records behind `after` (a seq; 0: the oldest kept) that the filter lets through, oldest first.
struct recorder_page {
	struct json_object *records; // an array, the caller's
	uint32_t n; // of them
	uint64_t next; // the seq to go on behind
	uint64_t lost; // overwritten behind `after`, so that nobody can read them any more
	uint64_t oldest, newest; // seqs kept now; 0: none
	bool anew; // `after` is of an earlier agent: this is its successor's history from the beginning
};
int recorder_read(struct recorder *recorder, const char *filter, uint64_t after, uint32_t max,
		  struct recorder_page *ret, struct err *reterr);

// Readable when there are records behind those that were the newest at recorder_await(); recorder_woken() takes
// it back. Borrowed.
int recorder_fd(const struct recorder *recorder);
void recorder_await(struct recorder *recorder);
void recorder_woken(struct recorder *recorder);

struct recorder_stats {
	uint64_t told[FLOW_TYPE_MAX];
	uint64_t lost_gone; // flows that ended while RECORDER_GONE others waited, or the ring was full: no end is told of them
	uint64_t lost_denies; // kinds of denies that were cleared while RECORDER_GONE others waited
	uint64_t lost_names; // told without a name that was known once
	uint64_t lost_backends; // records without the backend of a Service, as asking conntrack failed, and backends that were forgotten to make room
	uint64_t lost_memory; // records that memory did not suffice for
	uint64_t flows; // known now
	uint32_t tick_ms; // processor time of the last reading
};
void recorder_stats(struct recorder *recorder, struct recorder_stats *ret);
struct json_object *recorder_status(struct recorder *recorder); // for status: numbers, sinks with theirs
