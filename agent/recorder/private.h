// SPDX-License-Identifier: Apache-2.0
// private.h - the recorder's parts. Private to this room.
//
// World: host. Pure: no. Owns: see each. Threads: the recorder's own, but for what `lock` is of.
#pragma once

#include <event2/event.h>
#include <pthread.h>

#include "agent/base/hash.h"
#include "agent/base/vec.h"
#include "agent/bpf/nl.h"
#include "agent/flow/book.h"
#include "agent/recorder/aged.h"
#include "agent/recorder/history.h"
#include "agent/recorder/recorder.h"
#include "agent/recorder/when.h"

#define NAMES_MAX 16384 // rules whose names are kept at hand; then all are asked for anew
#define OWN_MAX 8192 // pods of this node, gone ones too, whose name is kept at hand; as many of before those
#define VIAS_MAX 16384 // flows to Services whose backend is remembered for their end; then all are asked for anew
#define NS_PER_UNIT (1ll << BH_TIME_SHIFT)

// A flow that left the tables.
struct gone {
	struct ct_entry entry;
	enum ct_over why;
};

// Both clocks at one moment, so that a flow's times are the same in all its records.
struct moment {
	int64_t mono_ns, real_ns;
	int64_t now; // bh_now() that does not wrap
};

struct recorder {
	struct recorder_config config;
	char *node;
	uint64_t ring_lost_before; // its time
	uint64_t boot; // of this boot of the node: part of a flow's id
	struct book *book;
	struct history *history;
	struct sinks *sinks;

	pthread_t thread, loop; // loop: of the agent, which waits for nobody
	bool started;
	int stop_fd; // readable: end
	int full_fd; // readable: the queue is full
	struct event_base *base;
	struct event *stop, *full, *tick, *ending;
	struct tables_ring *ring; // flows that the datapath ends

	pthread_mutex_t lock; // of all to the next blank line
	VEC(struct gone) queue;
	VEC(struct denied_entry) denied_gone;
	VEC(struct own *) left; // pods that left the tables
	bool begun, awaited;
	int wake_fd;
	pthread_cond_t room; // in the queue
	bool congested; // nobody made any in time: who comes next does not wait
	struct recorder_stats stats;

	// tick.c
	struct moment moment; // of this reading
	struct when when;
	struct aged aged; // flows that last longer than a time stamp
	struct hash begun_now; // ids that this reading told the start of: what came while it read may be met twice
	uint64_t flows; // met in this reading
	bool whole; // the last reading met all

	// name.c
	struct hash own, own_before; // struct own *, by ident
	struct hash names; // struct flow_policy *, by id

	// via.c
	struct hash vias; // struct via *, by the flow's id
	struct nl nl; // to conntrack

	// deny.c
	struct hash denied; // struct deny *, by key
	VEC(struct bh_denied_key) denied_touched; // by this reading: the next agent has to know
	bool denied_unkept; // bh_denied_told lacks some of it: all is to be written
	uint32_t round;
};

void recorder_tick(struct recorder *recorder); // tick.c
void recorder_tick_keep(struct recorder *recorder); // sinks have its records: not to be told again, by nobody
void recorder_tick_fini(struct recorder *recorder);

void recorder_count(struct recorder *recorder, uint64_t *stat); // one more, of `stats`

void recorder_add(struct json_object *object, const char *key, uint64_t number);

// record.seq is set; to the history and the sinks; the record is let go of. The recorder's thread.
void recorder_tell(struct recorder *recorder, struct flow_record *record);

// name.c. Pods that left are known by what they were.
void recorder_names_settle(struct recorder *recorder);

// The pod of this node that an ident was given to, and its address of a family.
struct flow_end recorder_own(struct recorder *recorder, uint32_t ident, bool v6, int64_t when_ns);
struct flow_end recorder_peer(struct recorder *recorder, const struct bh_addr *addr, uint16_t port, int64_t when_ns);
const struct flow_policy *recorder_policy(struct recorder *recorder, uint32_t rule); // a new reference, or NULL
void recorder_names_fini(struct recorder *recorder);

// urls.c. fn for each URL of a list (NULL: none), a copy that lasts for the call, until it fails.
typedef int (*recorder_url_fn)(void *arg, const char *url, struct err *reterr);
int recorder_each_url(const char *urls, recorder_url_fn fn, void *arg, struct err *reterr);

// sinks.c. Opened before the thread begins, closed when it has ended.
int recorder_sinks_open(struct recorder *recorder, struct err *reterr);
void recorder_sinks_put(struct recorder *recorder, const struct flow_record *record);
void recorder_sinks_flush(struct recorder *recorder); // a reading has ended
void recorder_sinks_free(struct recorder *recorder);
struct json_object *recorder_sinks_json(struct recorder *recorder); // the loop's thread

// via.c. Fills record->backend of a flow to a Service, if it is known; record->type is set.
void recorder_via(struct recorder *recorder, const struct ct_entry *entry, int64_t when_ns, struct flow_record *record);
void recorder_via_fini(struct recorder *recorder);

// deny.c. Tells what was denied since the last time.
void recorder_denies(struct recorder *recorder);
void recorder_denies_keep(struct recorder *recorder); // as recorder_tick_keep()
void recorder_denies_fini(struct recorder *recorder);

int64_t recorder_mono(const struct recorder *recorder, uint32_t t); // CLOCK_MONOTONIC of a bh_now(), in ns
int64_t recorder_real(const struct recorder *recorder, uint32_t t); // since 1970
