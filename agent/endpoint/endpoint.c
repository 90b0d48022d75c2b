// SPDX-License-Identifier: Apache-2.0
// endpoint.c - the registry: records, slots, what objects do to them.
#include "agent/endpoint/endpoint.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/base/log.h"
#include "agent/endpoint/extra.h"
#include "agent/endpoint/private.h"
#include "agent/endpoint/slot.h"

LOG_ROOM("endpoint");

const char *endpoint_phase_name(enum endpoint_phase phase)
{
	static const char *const names[ENDPOINT_PHASE_MAX] = {
		[ENDPOINT_WAITING] = "waiting", [ENDPOINT_FOUND] = "found",
		[ENDPOINT_ATTACHED] = "attached", [ENDPOINT_FAILED] = "failed",
		[ENDPOINT_ORPHAN] = "quarantine",
	};

	return phase < ENDPOINT_PHASE_MAX ? names[phase] : "unknown";
}

int endpoints_new(struct tables *tables, struct store *store,
		  const struct endpoint_config *config, const struct endpoint_events *events,
		  struct endpoints **ret)
{
	struct endpoints *endpoints;

	assert(tables && store && config && events && ret);

	endpoints = calloc(1, sizeof(*endpoints));
	if (!endpoints)
		return -ENOMEM;
	endpoints->node = intern(config->node);
	if (!endpoints->node) {
		free(endpoints);
		return -ENOMEM;
	}
	endpoints->tables = tables;
	endpoints->store = store;
	endpoints->attach = config->attach;
	endpoints->flags = config->flags;
	endpoints->events = *events;
	while (tables_endpoint(tables, endpoints->nslots))
		endpoints->nslots++;
	*ret = endpoints;
	return 0;
}

static void record_free(struct endpoint *endpoint)
{
	intern_put(endpoint->ns);
	intern_put(endpoint->name);
	intern_put(endpoint->uid);
	free(endpoint);
}

void endpoints_free(struct endpoints *endpoints)
{
	if (!endpoints)
		return;
	vec_each(struct endpoint *, e, &endpoints->all)
		record_free(*e);
	vec_fini(&endpoints->all);
	vec_fini(&endpoints->leaving);
	vec_fini(&endpoints->attachments);
	complaints_fini(&endpoints->scan);
	complaints_fini(&endpoints->waits);
	intern_put(endpoints->node);
	free(endpoints);
}

// ---- records --------------------------------------------------------------------------------------------

static int name_order(const struct endpoint *e, const char *ns, const char *name)
{
	int r = strcmp(e->ns, ns);

	return r ? r : strcmp(e->name, name);
}

// Where (ns, name) stands or would stand.
static size_t position(const struct endpoints *endpoints, const char *ns, const char *name)
{
	size_t lo = 0, hi = endpoints->all.n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (name_order(endpoints->all.v[mid], ns, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct endpoint *endpoints_at(const struct endpoints *endpoints, size_t index)
{
	return index < endpoints->all.n ? endpoints->all.v[index] : NULL;
}

struct endpoint *endpoints_find(const struct endpoints *endpoints, const char *ns, const char *name)
{
	struct endpoint *e, *orphan = NULL;

	for (size_t i = position(endpoints, ns, name);
	     (e = endpoints_at(endpoints, i)) && name_order(e, ns, name) == 0; i++) {
		if (e->phase != ENDPOINT_ORPHAN)
			return e;
		orphan = orphan ?: e;
	}
	return orphan;
}

struct endpoint *endpoints_by_slot(const struct endpoints *endpoints, uint32_t slot)
{
	return slot < BH_MAX_ENDPOINTS ? endpoints->slots[slot] : NULL;
}

struct endpoint *endpoints_by_ident(const struct endpoints *endpoints, uint32_t ident)
{
	struct endpoint *e = endpoints_by_slot(endpoints, BH_SLOT(ident));

	return e && e->ident == ident ? e : NULL;
}

struct endpoint *endpoints_by_device(const struct endpoints *endpoints, int ifindex)
{
	for (uint32_t slot = 0; slot < endpoints->nslots; slot++) {
		if (endpoints->slots[slot] && endpoints->slots[slot]->ifindex == ifindex)
			return endpoints->slots[slot];
	}
	return NULL;
}

// Objects of files may have none. bh_identity keeps so many bytes of it.
static bool same_uid(const char *a, const char *b)
{
	return strncmp(a ? a : "", b ? b : "", sizeof(((struct bh_identity *)0)->uid) - 1) == 0;
}

static struct endpoint *find_uid(const struct endpoints *endpoints, const struct object *pod, bool orphan)
{
	struct endpoint *e;

	for (size_t i = position(endpoints, pod->ns, pod->name); (e = endpoints_at(endpoints, i)); i++) {
		if (name_order(e, pod->ns, pod->name) != 0)
			return NULL;
		if (!e->contested && (e->phase == ENDPOINT_ORPHAN && !e->inherited) == orphan &&
		    same_uid(e->uid, pod->uid))
			return e;
	}
	return NULL;
}

struct endpoint *record_of(const struct endpoints *endpoints, const struct pod *pod)
{
	return find_uid(endpoints, &pod->object, false);
}

struct endpoint *record_add(struct endpoints *endpoints, const char *ns, const char *name, const char *uid)
{
	size_t at = position(endpoints, ns, name);
	struct endpoint *e;

	e = calloc(1, sizeof(*e));
	if (!e || vec_reserve(&endpoints->all, 1) < 0) {
		free(e);
		return NULL;
	}
	e->ns = intern(ns);
	e->name = intern(name);
	e->uid = uid ? intern(uid) : NULL;
	if (!e->ns || !e->name || (uid && !e->uid)) {
		record_free(e);
		return NULL;
	}
	memmove(endpoints->all.v + at + 1, endpoints->all.v + at,
		(endpoints->all.n - at) * sizeof(*endpoints->all.v));
	endpoints->all.v[at] = e;
	endpoints->all.n++;
	return e;
}

void record_remove(struct endpoints *endpoints, struct endpoint *e)
{
	size_t at = position(endpoints, e->ns, e->name);

	while (endpoints->all.v[at] != e)
		at++;
	vec_cut(&endpoints->all, at);
	record_free(e);
}

static void leave(struct endpoints *endpoints, struct endpoint *e)
{
	if (e->enrolled)
		endpoints->events.left(endpoints->events.arg, e);
	e->enrolled = false;
}

// why NULL: what was told of attaching its programs is no longer so.
static void failure_tell(struct endpoints *endpoints, struct endpoint *e, const char *why)
{
	char where[400];

	snprintf(where, sizeof(where), "endpoint %s/%s", e->ns, e->name);
	if (why || e->troubled)
		endpoints->events.problem(endpoints->events.arg, where, why);
	e->troubled = why;
}

// ---- slots ----------------------------------------------------------------------------------------------

// The pod waits for its next device, if it is still there.
void device_given(struct endpoints *endpoints, struct endpoint *e)
{
	bool stays = !e->contested && (e->phase != ENDPOINT_ORPHAN || e->inherited) &&
		     record_pod(endpoints, e);

	leave(endpoints, e);
	failure_tell(endpoints, e, NULL);
	if (!stays) {
		record_remove(endpoints, e);
		return;
	}
	e->phase = ENDPOINT_WAITING;
	e->waits_since_ms = 0;
	e->ifindex = 0;
	e->inherited = e->attached = e->extra = e->refresh = e->missing = e->early = e->stays = e->added = false;
}

void endpoints_put_leaving(struct endpoints *endpoints, const struct endpoint_leaving *leaving)
{
	if (vec_push(&endpoints->leaving, *leaving) < 0)
		log_error("out of memory: slot %u stays in use until the next start", leaving->slot);
}

void slot_give_back(struct endpoints *endpoints, struct endpoint *e)
{
	struct endpoint_leaving leaving = { e->slot, e->ident, e->ifindex, e->attach, false };

	slot_close(endpoints->tables, e->slot);
	endpoints->slots[e->slot] = NULL;
	endpoints_put_leaving(endpoints, &leaving);
}

void device_lost(struct endpoints *endpoints, struct endpoint *e)
{
	log_info("'%s/%s': its device is gone, slot %u is free", e->ns, e->name, e->slot);
	slot_give_back(endpoints, e);
	endpoints->want_scan = true;
	device_given(endpoints, e);
}

void endpoints_device_gone(struct endpoints *endpoints, int ifindex)
{
	struct endpoint *e = endpoints_by_device(endpoints, ifindex);

	if (e)
		device_lost(endpoints, e);
	attachments_device_gone(endpoints, ifindex);
}

bool endpoints_take_leaving(struct endpoints *endpoints, struct endpoint_leaving *ret)
{
	if (!endpoints->leaving.n)
		return false;
	*ret = endpoints->leaving.v[--endpoints->leaving.n];
	return true;
}

void endpoints_released(struct endpoints *endpoints, uint32_t slot)
{
	bitset_clear(endpoints->used, slot);
}

// ---- objects --------------------------------------------------------------------------------------------

bool pod_is_here(const struct endpoints *endpoints, const struct pod *pod)
{
	return pod->node == endpoints->node && !pod->host_network && !pod->finished;
}

bool pod_is_ours(const struct endpoints *endpoints, const struct pod *pod)
{
	return pod && pod_is_here(endpoints, pod) && pod->naddrs > 0;
}

static const struct pod *pod_of(const struct object *object)
{
	return object && object->kind == KIND_POD ? (const struct pod *)object : NULL;
}

const struct pod *record_pod(const struct endpoints *endpoints, const struct endpoint *e)
{
	const struct pod *pod = pod_of(store_find(endpoints->store, KIND_POD, e->ns, e->name));

	return pod_is_ours(endpoints, pod) && same_uid(e->uid, pod->object.uid) ? pod : NULL;
}

void shut_in(struct endpoints *endpoints, struct endpoint *e)
{
	e->inherited = false;
	if (e->phase == ENDPOINT_WAITING) {
		record_remove(endpoints, e);
		endpoints->want_scan = true; // what was said of it
		return;
	}
	if (e->phase == ENDPOINT_ORPHAN)
		return;
	leave(endpoints, e);
	failure_tell(endpoints, e, NULL);
	slot_quarantine(endpoints->tables, e->slot);
	e->phase = ENDPOINT_ORPHAN;
	log_info("'%s/%s' is no longer a running pod of this node: quarantined until its device goes",
		 e->ns, e->name);
}

void take_part(struct endpoints *endpoints, struct endpoint *e, const struct pod *pod)
{
	if (e->phase != ENDPOINT_ATTACHED)
		e->phase = ENDPOINT_FOUND;
	e->inherited = e->contested = false;
	e->flags = endpoints->flags;
	slot_refresh(endpoints->tables, e, pod);
	extra_update(endpoints->tables, endpoints->store, &endpoints->events, e);
	if (!e->enrolled)
		endpoints->events.joined(endpoints->events.arg, e);
	e->enrolled = true;
}

static void pod_begins(struct endpoints *endpoints, const struct pod *pod)
{
	struct endpoint *e = find_uid(endpoints, &pod->object, true);

	if (e) {
		take_part(endpoints, e, pod);
		return;
	}
	if (!record_add(endpoints, pod->object.ns, pod->object.name, pod->object.uid))
		log_error("out of memory: pod '%s/%s' is not protected", pod->object.ns, pod->object.name);
	endpoints->want_scan |= !attachment_look(endpoints, pod);
}

static bool same_addrs(const struct pod *a, const struct pod *b)
{
	return a && b && a->naddrs == b->naddrs &&
	       (!a->naddrs || !memcmp(a->addrs, b->addrs, a->naddrs * sizeof(a->addrs[0])));
}

// A pod of the same name with another UID is another pod.
static void pod_changed(struct endpoints *endpoints, const struct pod *before, const struct pod *after)
{
	struct endpoint *old = before ? record_of(endpoints, before) : NULL;
	struct endpoint *e = after ? record_of(endpoints, after) : NULL;

	if (after)
		attachments_bind(endpoints, after);
	if (old && (old != e || !pod_is_ours(endpoints, after)))
		shut_in(endpoints, old);
	if (!pod_is_ours(endpoints, after))
		return;
	if (!e) {
		pod_begins(endpoints, after);
	} else if (e->phase == ENDPOINT_WAITING || e->inherited) {
		endpoints->want_scan |= !attachment_look(endpoints, after);
	} else {
		slot_refresh(endpoints->tables, e, after);
		endpoints->want_scan |= !same_addrs(before, after); // they may stand on another device
	}
}

static void namespace_changed(struct endpoints *endpoints, const struct object *object)
{
	vec_each(struct endpoint *, e, &endpoints->all) {
		if (strcmp((*e)->ns, object->name) == 0 && (*e)->phase != ENDPOINT_WAITING)
			extra_update(endpoints->tables, endpoints->store, &endpoints->events, *e);
	}
}

void endpoints_changed(struct endpoints *endpoints, const struct object *before,
		       const struct object *after)
{
	const struct object *any = after ? after : before;

	if (any->kind == KIND_POD)
		pod_changed(endpoints, pod_of(before), pod_of(after));
	else if (any->kind == KIND_NAMESPACE)
		namespace_changed(endpoints, any);
}

// ---- what the daemon asks and tells ---------------------------------------------------------------------

bool endpoints_want_scan(const struct endpoints *endpoints)
{
	return endpoints->want_scan;
}

void endpoints_devices_changed(struct endpoints *endpoints)
{
	if (endpoints->all.n)
		endpoints->want_scan = true;
}

size_t endpoints_waiting(const struct endpoints *endpoints)
{
	size_t n = 0;

	vec_each(struct endpoint *, e, &endpoints->all)
		n += (*e)->phase == ENDPOINT_WAITING;
	return n;
}

bool endpoints_overdue(const struct endpoints *endpoints)
{
	return endpoints->overdue > 0;
}

static void check_waiting(struct endpoints *endpoints, struct endpoint *e, int64_t now_ms)
{
	char where[400];

	if (!e->waits_since_ms)
		e->waits_since_ms = now_ms;
	if (now_ms - e->waits_since_ms < ENDPOINT_WAIT_MS)
		return;
	endpoints->overdue++;
	snprintf(where, sizeof(where), "pod %s/%s waiting", e->ns, e->name);
	complaints_say(&endpoints->waits, &endpoints->events, where,
		       "no veth of this node was found to be its for more than %d s: nothing is enforced on it",
		       ENDPOINT_WAIT_MS / 1000);
}

// Shut by the plugin, and nothing opens it before its pod is known.
static void check_attachment(struct endpoints *endpoints, struct attachment *a, int64_t now_ms)
{
	const struct pod *pod = endpoints_attachment_pod(endpoints, a);
	char where[400];

	if (pod && record_of(endpoints, pod)) {
		a->waits_since_ms = 0;
		return;
	}
	if (!a->waits_since_ms)
		a->waits_since_ms = now_ms;
	if (now_ms - a->waits_since_ms < ENDPOINT_WAIT_MS)
		return;
	snprintf(where, sizeof(where), "container %.64s %s", a->container, a->ifname);
	complaints_say(&endpoints->waits, &endpoints->events, where,
		       "no pod %s/%s of this node is known for more than %d s: its device stays shut", a->ns,
		       a->name, ENDPOINT_WAIT_MS / 1000);
}

void endpoints_check(struct endpoints *endpoints, int64_t now_ms)
{
	endpoints->overdue = 0;
	complaints_begin(&endpoints->waits);
	vec_each(struct endpoint *, at, &endpoints->all) {
		struct endpoint *e = *at;

		if (e->phase == ENDPOINT_WAITING) {
			check_waiting(endpoints, e, now_ms);
			continue;
		}
		e->waits_since_ms = e->unowned ? e->waits_since_ms : 0;
		slot_adopt_expire(endpoints->tables, e->slot);
	}
	vec_each(struct attachment, a, &endpoints->attachments)
		check_attachment(endpoints, a, now_ms);
	complaints_end(&endpoints->waits, &endpoints->events);
}

void endpoints_attached(struct endpoints *endpoints, uint32_t ident, enum program_variant variant,
			enum bh_attach attach, int r, const char *why)
{
	struct endpoint *e = endpoints_by_ident(endpoints, ident);

	if (!e)
		return;
	if (r < 0) {
		e->refresh = true;
		if (e->phase == ENDPOINT_FOUND)
			e->phase = ENDPOINT_FAILED;
		if (r != -ENODEV) // a device that goes while it is attended to is no failure
			failure_tell(endpoints, e, why);
		return;
	}
	failure_tell(endpoints, e, NULL);
	e->attached = true;
	e->early = e->missing = false;
	e->variant = variant;
	e->attach = attach;
	// not active: its pod went, and maybe came back, while this was on its way
	if (e->phase != ENDPOINT_ORPHAN &&
	    tables_endpoint(endpoints->tables, e->slot)->state == BH_STATE_ACTIVE)
		e->phase = ENDPOINT_ATTACHED;
	slot_identify(endpoints->tables, e);
}

void endpoints_moved(struct endpoints *endpoints, struct endpoint *e, enum bh_attach attach)
{
	e->attach = attach;
	slot_identify(endpoints->tables, e);
}

// ---- a previous agent's ----------------------------------------------------------------------------------

// A slot that its agent gave up but had no time to clean.
static int inherit_leaving(struct endpoints *endpoints, uint32_t slot,
			   const struct bh_identity *identity)
{
	struct endpoint_leaving leaving = { slot, identity->ident, (int)identity->ifindex,
					    (enum bh_attach)identity->attach, false };

	bitset_set(endpoints->used, slot);
	return vec_push(&endpoints->leaving, leaving);
}

// What counts for an ident that no slot bears: it changed hands, and its agent ended before it had cleaned up.
static int inherit_ident(void *arg, const struct total_entry *entry)
{
	struct endpoint_leaving leaving = { BH_SLOT(entry->key.ident), entry->key.ident, 0, BH_ATTACH_NONE, true };
	struct endpoints *endpoints = arg;

	if (endpoints_by_ident(endpoints, leaving.ident))
		return 0;
	vec_each(const struct endpoint_leaving, known, &endpoints->leaving)
		if (known->ident == leaving.ident)
			return 0;
	return vec_push(&endpoints->leaving, leaving);
}

int endpoints_inherit(struct endpoints *endpoints)
{
	for (uint32_t slot = 0; slot < endpoints->nslots; slot++) {
		struct bh_identity identity;
		struct endpoint *e;

		if (tables_identity_get(endpoints->tables, slot, &identity) < 0)
			continue;
		if (!slot_is_open(endpoints->tables, slot)) {
			if (inherit_leaving(endpoints, slot, &identity) < 0)
				return -ENOMEM;
			continue;
		}
		e = record_add(endpoints, identity.ns, identity.name,
			       identity.uid[0] ? identity.uid : NULL);
		if (!e)
			return -ENOMEM;
		slot_inherit(endpoints->tables, slot, &identity, e);
		e->unowned = e->contested = strcmp(e->ns, ENDPOINT_DEVICES) == 0;
		e->inherited = !e->unowned; // there is nobody to confirm it
		bitset_set(endpoints->used, slot);
		endpoints->slots[slot] = e;
		endpoints->want_scan = true;
	}
	if (tables_local_prune(endpoints->tables) < 0)
		return -ENOMEM;
	return tables_total_each(endpoints->tables, inherit_ident, endpoints);
}
