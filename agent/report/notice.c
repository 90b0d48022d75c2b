// SPDX-License-Identifier: Apache-2.0
// notice.c - the table of what is wrong, its clock, and Events (core v1: every consumer knows them, back to the oldest
// server and edge proxy; the newer API's series would say what count and lastTimestamp say).
#include "agent/report/notice.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/report/stamp.h"

static void entry_fini(struct notice *notice)
{
	free(notice->ns);
	free(notice->name);
	free(notice->uid);
	free(notice->text);
}

void notices_init(struct notices *notices, int64_t repeat_ms, int64_t now_ms)
{
	*notices = (struct notices){ .repeat_ms = repeat_ms,
				     .tokens = NOTICE_BURST,
				     .filled_ms = now_ms };
}

void notices_fini(struct notices *notices)
{
	vec_each(struct notice, notice, &notices->v)
		entry_fini(notice);
	vec_fini(&notices->v);
}

// ---- what is wrong -------------------------------------------------------------------------------------------------

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static struct notice *find(struct notices *notices, const struct notice *what)
{
	vec_each(struct notice, one, &notices->v) {
		if (one->kind == what->kind && one->local == what->local &&
		    same(one->ns, what->ns) && same(one->name, what->name))
			return one;
	}
	return NULL;
}

void notices_begin(struct notices *notices)
{
	vec_each(struct notice, one, &notices->v)
		one->seen = false;
}

void notices_end(struct notices *notices)
{
	for (size_t i = 0; i < notices->v.n; i++) {
		if (notices->v.v[i].seen)
			continue;
		entry_fini(&notices->v.v[i]);
		vec_drop(&notices->v, i--);
	}
}

static void add(struct notices *notices, const struct notice *what, int64_t due_ms)
{
	struct notice copy = {
		.kind = what->kind,
		.local = what->local,
		.ns = what->ns ? strdup(what->ns) : NULL,
		.name = strdup(what->name),
		.uid = strdup(what->uid ? what->uid : ""),
		.text = strdup(what->text),
		.seen = true,
		.due_ms = due_ms,
	};

	if ((what->ns && !copy.ns) || !copy.name || !copy.uid || !copy.text ||
	    notices->v.n >= NOTICES_MAX || vec_push(&notices->v, copy) < 0) {
		notices->dropped++;
		entry_fini(&copy);
	}
}

// Another sentence, or another object of the same name: said anew, but not before the gap.
static void change(struct notice *known, const struct notice *what, int64_t due_ms)
{
	char *uid = strdup(what->uid ? what->uid : ""), *text = strdup(what->text);
	int64_t earliest = known->said_ms ? known->said_ms + NOTICE_GAP_MS : known->due_ms;

	if (!uid || !text) {
		free(uid);
		free(text);
		return;
	}
	free(known->uid);
	free(known->text);
	known->uid = uid;
	known->text = text;
	known->count = 0;
	known->due_ms = earliest > due_ms ? earliest : due_ms;
}

void notices_mark(struct notices *notices, const struct notice *what, int64_t now_ms,
		  int64_t spread_ms)
{
	struct notice *known = find(notices, what);

	if (!known) {
		add(notices, what, now_ms + spread_ms);
		return;
	}
	// Two sentences about one object: the first of a walk is said.
	if (!known->seen && (strcmp(known->text, what->text) != 0 || !same(known->uid, what->uid)))
		change(known, what, now_ms + spread_ms);
	known->seen = true;
}

// ---- when it is said -----------------------------------------------------------------------------------------------

static void refill(struct notices *notices, int64_t now_ms)
{
	notices->tokens += (double)(now_ms - notices->filled_ms) / NOTICE_REFILL_MS;
	if (notices->tokens > NOTICE_BURST)
		notices->tokens = NOTICE_BURST;
	notices->filled_ms = now_ms;
}

struct notice *notices_due(struct notices *notices, int64_t now_ms, int64_t *retwait_ms)
{
	struct notice *first = NULL;

	vec_each(struct notice, one, &notices->v) {
		if (!first || one->due_ms < first->due_ms)
			first = one;
	}
	*retwait_ms = -1;
	if (!first)
		return NULL;
	refill(notices, now_ms);
	if (first->due_ms > now_ms) {
		*retwait_ms = first->due_ms - now_ms;
		return NULL;
	}
	if (notices->tokens < 1) {
		*retwait_ms = (int64_t)((1 - notices->tokens) * NOTICE_REFILL_MS) + 1;
		return NULL;
	}
	notices->tokens -= 1;
	return first;
}

void notice_said(struct notices *notices, struct notice *notice, int64_t now_ms, int64_t wall_us)
{
	notices->sent++;
	if (notice->count++ == 0)
		notice->first_us = wall_us;
	notice->said_ms = now_ms;
	notice->due_ms = now_ms + notices->repeat_ms;
}

void notice_said_elsewhere(const struct notices *notices, struct notice *notice, int64_t now_ms)
{
	notice->said_ms = now_ms;
	notice->due_ms = now_ms + notices->repeat_ms;
}

void notice_put_off(struct notice *notice, int64_t now_ms)
{
	notice->due_ms = now_ms + NOTICE_GAP_MS;
}

// ---- Events --------------------------------------------------------------------------------------------------------

// FNV-1a: the same on every node, unlike the hashes of our tables. Nothing rests on it but an Event's name.
static uint64_t mix(uint64_t hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
	return (hash ^ 0xff) * 0x100000001b3ull;
}

void notice_event_name(const struct notice *notice, char ret[static 254])
{
	uint64_t hash = mix(mix(0xcbf29ce484222325ull, notice->uid), notice->text);
	int n = (int)strnlen(notice->name, 220);

	while (n > 1 && !isalnum((unsigned char)notice->name[n - 1]))
		n--;
	snprintf(ret, 254, "%.*s.bulkhead.%016llx", n, notice->name, (unsigned long long)hash);
}

const char *notice_event_namespace(const struct notice *notice)
{
	return notice->ns ? notice->ns :
			    "default"; // where the API wants those of cluster-wide objects
}

static void put(struct json_object *json, const char *key, const char *text)
{
	json_object_object_add(json, key, json_object_new_string(text));
}

static void put_time(struct json_object *json, const char *key, int64_t wall_us)
{
	char text[STAMP_BYTES];

	stamp_second(wall_us, text);
	put(json, key, text);
}

static struct json_object *involved(const struct notice *notice)
{
	const struct kind_ops *kind = object_kind(notice->kind);
	struct json_object *json = json_object_new_object();

	put(json, "apiVersion", kind->api_version);
	put(json, "kind", kind->name);
	if (notice->ns)
		put(json, "namespace", notice->ns);
	put(json, "name", notice->name);
	if (*notice->uid)
		put(json, "uid", notice->uid);
	return json;
}

struct json_object *notice_again(const struct notice *notice, int64_t wall_us)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "count", json_object_new_int64((int64_t)notice->count + 1));
	put_time(json, "lastTimestamp", wall_us);
	return json;
}

struct json_object *notice_event(const struct notice *notice, const char *node, int64_t wall_us)
{
	struct json_object *json = notice_again(notice, wall_us), *meta = json_object_new_object(),
			   *from = json_object_new_object();
	char name[254];

	notice_event_name(notice, name);
	put(json, "apiVersion", "v1");
	put(json, "kind", "Event");
	put(meta, "name", name);
	put(meta, "namespace", notice_event_namespace(notice));
	json_object_object_add(json, "metadata", meta);
	json_object_object_add(json, "involvedObject", involved(notice));
	put(json, "type", "Warning");
	put(json, "reason", NOTICE_REASON);
	put(json, "message", notice->text);
	put(from, "component", "bulkhead");
	put(from, "host", node);
	json_object_object_add(json, "source", from);
	put_time(json, "firstTimestamp", notice->count ? notice->first_us : wall_us);
	return json;
}
