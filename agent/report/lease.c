// SPDX-License-Identifier: Apache-2.0
// lease.c - one Lease: read, judged by our own clock, written.
#include "agent/report/lease.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "agent/report/stamp.h"

#define FAILED_MS 1000 // a holder that could not write

void lease_fini(struct lease *lease)
{
	json_object_put(lease->object);
	lease->object = NULL;
	lease->known = false;
	lease->renewed_ms = 0;
}

// ---- what the record says ------------------------------------------------------------------------------------------

static struct json_object *spec_of(const struct lease *lease)
{
	struct json_object *spec = NULL;

	if (lease->object)
		json_object_object_get_ex(lease->object, "spec", &spec);
	return json_object_is_type(spec, json_type_object) ? spec : NULL;
}

static struct json_object *spec_get(const struct lease *lease, const char *key)
{
	struct json_object *spec = spec_of(lease), *value = NULL;

	if (spec)
		json_object_object_get_ex(spec, key, &value);
	return value;
}

const char *lease_holder(const struct lease *lease)
{
	struct json_object *holder = spec_get(lease, "holderIdentity");

	return json_object_is_type(holder, json_type_string) ? json_object_get_string(holder) : "";
}

static bool is_ours(const struct lease *lease)
{
	return strcmp(lease_holder(lease), lease->identity) == 0;
}

// What its holder has granted itself.
static int64_t granted_ms(const struct lease *lease)
{
	struct json_object *value = spec_get(lease, "leaseDurationSeconds");
	int64_t sec = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;

	if (sec < 1)
		sec = lease->duration_sec;
	return (sec > LEASE_SEC_MAX ? LEASE_SEC_MAX : sec) * 1000;
}

static int64_t own_ms(const struct lease *lease)
{
	return (int64_t)lease->duration_sec * 1000;
}

bool lease_held(const struct lease *lease, int64_t now_ms)
{
	return lease->renewed_ms && now_ms - lease->renewed_ms < own_ms(lease) * 2 / 3;
}

enum lease_step lease_step(const struct lease *lease, int64_t now_ms)
{
	if (now_ms < lease->next_ms)
		return LEASE_WAIT;
	if (!lease->known)
		return LEASE_LOOK;
	if (!lease->object)
		return LEASE_CREATE;
	if (is_ours(lease) || !*lease_holder(lease) ||
	    now_ms - lease->since_ms >= granted_ms(lease))
		return LEASE_WRITE;
	return LEASE_LOOK;
}

// ---- what was answered ---------------------------------------------------------------------------------------------

void lease_seen(struct lease *lease, struct json_object *object, int64_t now_ms)
{
	struct json_object *before = json_object_get(spec_of(lease));

	json_object_put(lease->object);
	lease->object = json_object_get(object);
	lease->known = true;
	if (!before || !spec_of(lease) || !json_object_equal(before, spec_of(lease)))
		lease->since_ms = now_ms;
	if (!is_ours(lease))
		lease->renewed_ms = 0;
	json_object_put(before);
}

void lease_written(struct lease *lease, struct json_object *object, int64_t sent_ms)
{
	lease_seen(lease, object, sent_ms);
	lease->renewed_ms = is_ours(lease) ? sent_ms : 0;
}

// What was seen last stays for comparing: a record that nobody renews does not become young by a conflict.
void lease_conflicted(struct lease *lease, int64_t now_ms)
{
	lease->known = false;
	lease->next_ms = now_ms;
}

// ---- when ----------------------------------------------------------------------------------------------------------

static int64_t share_ms(size_t nodes)
{
	return (int64_t)nodes * 1000 / LEASE_LOOKS_PER_SEC;
}

void lease_begin(struct lease *lease, size_t nodes, unsigned chance, int64_t now_ms)
{
	lease->next_ms = now_ms + share_ms(nodes) * chance / 1000;
}

static int64_t look_ms(const struct lease *lease, size_t nodes)
{
	int64_t often = own_ms(lease) / 4;

	return share_ms(nodes) > often ? share_ms(nodes) : often;
}

// A record that has not changed since the last look is looked at again when it ends, if that is sooner.
void lease_plan(struct lease *lease, size_t nodes, unsigned chance, bool failed, int64_t now_ms)
{
	int64_t wait = look_ms(lease, nodes), left;

	if (lease->known && lease->object && is_ours(lease)) {
		wait = failed ? FAILED_MS : own_ms(lease) / 3;
	} else if (lease->known && lease->object && !failed && lease->since_ms < now_ms) {
		left = lease->since_ms + granted_ms(lease) - now_ms;
		if (left > 0 && left < wait)
			wait = left;
	}
	lease->next_ms = now_ms + wait + wait * chance / 5000; // a fifth at random, never earlier
}

// ---- what is written -----------------------------------------------------------------------------------------------

static void add(struct json_object *json, const char *key, const char *text)
{
	json_object_object_add(json, key, json_object_new_string(text));
}

// As it was read, so that nothing of others is lost; or a new one.
static struct json_object *body_base(const struct lease *lease)
{
	struct json_object *body = NULL, *meta;

	if (lease->object)
		return json_object_deep_copy(lease->object, &body, NULL) < 0 ? NULL : body;
	body = json_object_new_object();
	meta = json_object_new_object();
	add(body, "apiVersion", "coordination.k8s.io/v1");
	add(body, "kind", "Lease");
	add(meta, "name", LEASE_NAME);
	add(meta, "namespace", lease->namespace);
	json_object_object_add(body, "metadata", meta);
	return body;
}

static struct json_object *body_spec(struct json_object *body)
{
	struct json_object *spec = NULL;

	json_object_object_get_ex(body, "spec", &spec);
	if (json_object_is_type(spec, json_type_object))
		return spec;
	spec = json_object_new_object();
	json_object_object_add(body, "spec", spec);
	return spec;
}

struct json_object *lease_body(const struct lease *lease, int64_t wall_us)
{
	struct json_object *body = body_base(lease), *spec;
	char now[STAMP_BYTES];

	if (!body)
		return NULL;
	spec = body_spec(body);
	stamp_micro(wall_us, now);
	if (!is_ours(lease)) {
		struct json_object *count = spec_get(lease, "leaseTransitions");

		add(spec, "acquireTime", now);
		json_object_object_add(
			spec, "leaseTransitions",
			json_object_new_int64(lease->object ? json_object_get_int64(count) + 1 :
							      0));
	}
	add(spec, "holderIdentity", lease->identity);
	json_object_object_add(spec, "leaseDurationSeconds",
			       json_object_new_int64(lease->duration_sec));
	add(spec, "renewTime", now);
	return body;
}

struct json_object *lease_farewell(const struct lease *lease, int64_t wall_us)
{
	struct json_object *body = lease_body(lease, wall_us), *spec;

	if (!body)
		return NULL;
	spec = body_spec(body);
	add(spec, "holderIdentity", "");
	json_object_object_add(spec, "leaseDurationSeconds", json_object_new_int64(1));
	return body;
}
