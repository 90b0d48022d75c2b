// SPDX-License-Identifier: Apache-2.0
// notice.h - what Events are to be sent, and when: a bounded table of what is wrong now, and how often that may be said.
//
// World: host. Pure: yes; the clock is a parameter. Owns: its entries.
//
// What is wrong is a state, not a message: notices_mark() is told the whole of it again and again. Each entry is said
// once, again when its sentence changes, and then every repeat_ms while it lasts, as the server forgets
// Events after an hour. The Event of a sentence has the same name on every node, so that a cluster where thousands of
// nodes see the same has one Event and not thousands.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/base/vec.h"
#include "agent/object/object.h"

#define NOTICES_MAX 256 // at once; more are counted as dropped
#define NOTICE_GAP_MS (60 * 1000) // between two sentences about one object
#define NOTICE_BURST 10 // Events that may be sent at once
#define NOTICE_REFILL_MS 6000 // until one more may
#define NOTICE_REASON "NotEnforcedAsWritten"

struct notice {
	enum kind kind;
	bool local; // seen by this node: a limit; else every node sees the same
	char *ns, *name, *uid, *text; // ns NULL: not namespaced; uid "": not known
	bool seen; // in the walk that goes on now
	uint32_t count; // how often it was said, with this sentence
	int64_t first_us; // wall clock of the first time
	int64_t due_ms;
	int64_t said_ms; // 0: never
};

struct notices {
	int64_t repeat_ms;
	VEC(struct notice) v;
	uint64_t sent, dropped;
	double tokens;
	int64_t filled_ms;
};

void notices_init(struct notices *notices, int64_t repeat_ms, int64_t now_ms);
void notices_fini(struct notices *notices);

// Once around: begin, mark each thing that is wrong, end: what was not marked is forgotten. spread_ms: a new one is
// due that much later.
void notices_begin(struct notices *notices);
void notices_mark(struct notices *notices, const struct notice *what, int64_t now_ms,
		  int64_t spread_ms);
void notices_end(struct notices *notices);

// The one to say now, and takes a token for it; NULL: none. *retwait_ms: until there may be one, -1: nothing to say.
struct notice *notices_due(struct notices *notices, int64_t now_ms, int64_t *retwait_ms);
// It was said: by us, or by another node in our place; or it could not be and is due later.
void notice_said(struct notices *notices, struct notice *notice, int64_t now_ms, int64_t wall_us);
void notice_said_elsewhere(const struct notices *notices, struct notice *notice, int64_t now_ms);
void notice_put_off(struct notice *notice, int64_t now_ms);

// "NAME.bulkhead.0123456789abcdef": of the object and the sentence.
void notice_event_name(const struct notice *notice, char ret[static 254]);
const char *notice_event_namespace(const struct notice *notice);
// The Event to create, or the part of it that changes when it is said again.
struct json_object *notice_event(const struct notice *notice, const char *node, int64_t wall_us);
struct json_object *notice_again(const struct notice *notice, int64_t wall_us);
