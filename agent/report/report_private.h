// SPDX-License-Identifier: Apache-2.0
// report_private.h - the parts of a report, each with one errand. Private to this room.
//
// World: host, one thread. Pure: no. Owns: see report.h.
#pragma once

#include "agent/report/errand.h"
#include "agent/report/lease.h"
#include "agent/report/notice.h"
#include "agent/report/report.h"

#define REPORT_SETTLE_MS 500 // after a change, as more will come
#define REPORT_PAUSE_MS 30000 // after a failure; as much again at random

struct elect {
	struct errand errand;
	struct lease lease;
	int64_t sent_ms;
	bool leads; // as was last told
	bool leaving, left;
};

struct pending {
	char *path;
	struct json_object *body;
};

struct conditions {
	struct errand errand;
	bool dirty;
	int64_t listed_ms; // the last round's start; 0: none since we lead
	char *page; // `continue` of a list that goes on
	VEC(struct pending) pending; // to be written
	uint64_t rounds, writes, failures;
	uint64_t refusals; // a hash of what the compiler refuses
};

struct notify {
	struct errand errand;
	bool dirty;
	struct notices notices;
	struct notice *asked; // of the call in flight: the table stays while there is one
	bool again; // it changes an Event that is there
	uint64_t failures;
};

enum taint_state { TAINT_OFF, TAINT_WAITS, TAINT_GONE };

struct taint {
	struct errand errand;
	enum taint_state state;
	char uid[64]; // of the Node that has it no more
	uint64_t removed;
};

struct report {
	struct event_base *base;
	struct http *http;
	const struct store *store;
	struct report_config config;
	struct report_hooks hooks;
	struct elect elect;
	struct conditions conditions;
	struct notify notify;
	struct taint taint;
};

void report_problem(struct report *report, const char *where, const char *text);
size_t report_nodes(const struct report *report); // of the cluster, at least 1
unsigned report_pause_ms(long retry_after_sec); // after a failure, or what the server asked for

// elect.c
int elect_init(struct report *report);
void elect_fini(struct report *report);
bool elect_leads(const struct report *report); // now
void elect_leave(struct report *report);

// conditions.c
int conditions_init(struct report *report);
void conditions_fini(struct report *report);
void conditions_changed(struct report *report);
void conditions_leads(struct report *report, bool leads);
void conditions_renewed(
	struct report *report); // goes on, if it stopped while the Lease was in doubt

// notify.c
int notify_init(struct report *report);
void notify_fini(struct report *report);
void notify_changed(struct report *report);

// taint.c
int taint_init(struct report *report);
void taint_fini(struct report *report);
void taint_node_changed(struct report *report);
