// SPDX-License-Identifier: Apache-2.0
// endpoint.c - the registry: records, slots, what objects and scans do to them.
#include "agent/endpoint/endpoint.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/bitset.h"
#include "agent/base/intern.h"
#include "agent/base/log.h"
#include "agent/endpoint/extra.h"
#include "agent/endpoint/slot.h"

LOG_ROOM("endpoint");

struct endpoints {
	struct tables *tables;
	const struct store *store;
	const char *node; // interned
	enum bh_attach attach;
	uint8_t flags;
	struct endpoint_events events;
	VEC(struct endpoint *) all; // sorted by name where `sorted`
	struct endpoint *slots[BH_MAX_ENDPOINTS];
	uint64_t used[BITSET_WORDS(BH_MAX_ENDPOINTS)]; // also slots that are being cleaned up
	uint32_t nslots; // of the table
	bool hold; // new ones are denied everything
	VEC(struct endpoint_leaving) leaving;
	bool want_scan;
	bool full; // a pod found no free slot in the last scan
};

const char *endpoint_phase_name(enum endpoint_phase phase)
{
	static const char *const names[ENDPOINT_PHASE_MAX] = {
		[ENDPOINT_WAITING] = "waiting", [ENDPOINT_FOUND] = "found",
		[ENDPOINT_ATTACHED] = "attached", [ENDPOINT_FAILED] = "failed",
		[ENDPOINT_ORPHAN] = "quarantine",
	};

	return phase < ENDPOINT_PHASE_MAX ? names[phase] : "unknown";
}

int endpoints_new(struct tables *tables, const struct store *store,
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
	intern_put(endpoints->node);
	free(endpoints);
}

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

struct endpoint *endpoints_find(const struct endpoints *endpoints, const char *ns, const char *name)
{
	size_t at = position(endpoints, ns, name);

	if (at == endpoints->all.n || name_order(endpoints->all.v[at], ns, name) != 0)
		return NULL;
	return endpoints->all.v[at];
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

struct endpoint *endpoints_at(const struct endpoints *endpoints, size_t index)
{
	return index < endpoints->all.n ? endpoints->all.v[index] : NULL;
}

static struct endpoint *record_add(struct endpoints *endpoints, const char *ns, const char *name,
				   const char *uid)
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
	if (!e->ns || !e->name) {
		record_free(e);
		return NULL;
	}
	memmove(endpoints->all.v + at + 1, endpoints->all.v + at,
		(endpoints->all.n - at) * sizeof(*endpoints->all.v));
	endpoints->all.v[at] = e;
	endpoints->all.n++;
	return e;
}

// why NULL: what was told of this is no longer so.
static void tell(struct endpoints *endpoints, struct endpoint *e, enum endpoint_trouble trouble,
		 const char *why)
{
	static const char *const names[ENDPOINT_TROUBLE_MAX] = {
		[ENDPOINT_TROUBLE_ATTACH] = "",
		[ENDPOINT_TROUBLE_DEVICE] = " device",
		[ENDPOINT_TROUBLE_MAC] = " MAC address",
	};
	char where[600];

	snprintf(where, sizeof(where), "endpoint %s/%s%s", e->ns, e->name, names[trouble]);
	if (why || e->troubles >> trouble & 1)
		endpoints->events.problem(endpoints->events.arg, where, why);
	e->troubles = (uint8_t)((e->troubles & ~(1u << trouble)) | (unsigned)!!why << trouble);
}

static void tell_no_more(struct endpoints *endpoints, struct endpoint *e)
{
	for (int trouble = 0; trouble < ENDPOINT_TROUBLE_MAX; trouble++)
		tell(endpoints, e, (enum endpoint_trouble)trouble, NULL);
}

static void record_remove(struct endpoints *endpoints, struct endpoint *e)
{
	tell_no_more(endpoints, e);
	vec_cut(&endpoints->all, position(endpoints, e->ns, e->name));
	record_free(e);
}

static void leave(struct endpoints *endpoints, struct endpoint *e)
{
	if (e->enrolled)
		endpoints->events.left(endpoints->events.arg, e);
	e->enrolled = false;
}

static void join(struct endpoints *endpoints, struct endpoint *e)
{
	if (!e->enrolled)
		endpoints->events.joined(endpoints->events.arg, e);
	e->enrolled = true;
}

// The record loses its slot; what hangs on the slot is cleaned up by the helper thread.
static void slot_drop(struct endpoints *endpoints, struct endpoint *e)
{
	struct endpoint_leaving leaving = { e->slot, e->ident, e->link.ifindex, e->attach };

	leave(endpoints, e);
	tell_no_more(endpoints, e);
	slot_close(endpoints->tables, e->slot);
	endpoints->slots[e->slot] = NULL;
	endpoints_put_leaving(endpoints, &leaving);
	e->phase = ENDPOINT_WAITING;
	e->inherited = false;
}

bool endpoints_take_leaving(struct endpoints *endpoints, struct endpoint_leaving *ret)
{
	if (!endpoints->leaving.n)
		return false;
	*ret = endpoints->leaving.v[--endpoints->leaving.n];
	return true;
}

void endpoints_put_leaving(struct endpoints *endpoints, const struct endpoint_leaving *leaving)
{
	if (vec_push(&endpoints->leaving, *leaving) < 0)
		log_error("out of memory: slot %u stays in use until the next start", leaving->slot);
}

void endpoints_released(struct endpoints *endpoints, uint32_t slot)
{
	bitset_clear(endpoints->used, slot);
}

// ---- objects --------------------------------------------------------------------------------------------

static bool pod_is_ours(const struct endpoints *endpoints, const struct pod *pod)
{
	return pod && pod->node == endpoints->node && !pod->host_network && !pod->finished &&
	       pod->naddrs > 0;
}

static const struct pod *pod_of(const struct object *object)
{
	return object && object->kind == KIND_POD ? (const struct pod *)object : NULL;
}

// The object is gone, or no longer one of ours: what may still run there is shut in.
static void pod_gone(struct endpoints *endpoints, struct endpoint *e)
{
	if (e->phase == ENDPOINT_WAITING) {
		record_remove(endpoints, e);
		return;
	}
	if (e->phase == ENDPOINT_ORPHAN)
		return;
	leave(endpoints, e);
	tell_no_more(endpoints, e);
	slot_quarantine(endpoints->tables, e->slot);
	e->phase = ENDPOINT_ORPHAN;
	endpoints->want_scan = true;
	log_info("'%s/%s' is no longer a running pod of this node: quarantined until its device goes",
		 e->ns, e->name);
}

static bool same_addrs(const struct pod *a, const struct pod *b)
{
	return a && b && a->naddrs == b->naddrs &&
	       (!a->naddrs || !memcmp(a->addrs, b->addrs, a->naddrs * sizeof(a->addrs[0])));
}

static void pod_changed(struct endpoints *endpoints, const struct pod *before,
			const struct pod *after)
{
	const struct object *any = after ? &after->object : &before->object;
	struct endpoint *e = endpoints_find(endpoints, any->ns, any->name);

	if (!pod_is_ours(endpoints, after)) {
		if (e)
			pod_gone(endpoints, e);
		return;
	}
	if (!e) {
		e = record_add(endpoints, any->ns, any->name, any->uid);
		if (!e)
			log_error("out of memory: pod '%s/%s' is not protected", any->ns, any->name);
		endpoints->want_scan = true;
	} else if (!same_addrs(before, after) || e->phase == ENDPOINT_ORPHAN || e->inherited) {
		endpoints->want_scan = true;
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

// ---- scans ----------------------------------------------------------------------------------------------

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

static bool link_has(const struct link_pod *link, const struct bh_addr *addr)
{
	for (uint32_t i = 0; i < link->naddrs; i++) {
		if (bh_addr_equal(&link->addrs[i], addr))
			return true;
	}
	return false;
}

static bool link_carries(const struct link_pod *link, const struct pod *pod)
{
	for (uint32_t i = 0; i < pod->naddrs; i++) {
		if (link_has(link, &pod->addrs[i]))
			return true;
	}
	return false;
}

static bool same_device(const struct endpoint *e, const struct link_pod *link)
{
	return e->link.ifindex == link->ifindex && e->link.netns == link->netns &&
	       e->link.peer_ifindex == link->peer_ifindex;
}

static struct endpoint *holder_of(const struct endpoints *endpoints, const struct link_pod *link)
{
	for (uint32_t slot = 0; slot < BH_MAX_ENDPOINTS; slot++) {
		struct endpoint *e = endpoints->slots[slot];

		if (e && same_device(e, link))
			return e;
	}
	return NULL;
}

static const struct pod *own_pod(const struct endpoints *endpoints, const struct endpoint *e)
{
	const struct pod *pod = pod_of(store_find(endpoints->store, KIND_POD, e->ns, e->name));

	return pod_is_ours(endpoints, pod) ? pod : NULL;
}

static bool share_address(const struct pod *a, const struct pod *b)
{
	for (uint32_t i = 0; i < a->naddrs; i++) {
		for (uint32_t k = 0; k < b->naddrs; k++) {
			if (bh_addr_equal(&a->addrs[i], &b->addrs[k]))
				return true;
		}
	}
	return false;
}

// Another running pod has the device, and the API does not say that its address is this pod's by now.
static bool is_taken(const struct endpoints *endpoints, const struct endpoint *e,
		     const struct pod *pod, const struct link_pod *link)
{
	const struct endpoint *holder = holder_of(endpoints, link);
	const struct pod *held = holder && holder != e ? own_pod(endpoints, holder) : NULL;

	return held && (!share_address(held, pod) || pod_outranks(held, pod));
}

static const struct link_pod *own_device(const struct endpoint *e, const struct link_pod *pods,
					 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (same_device(e, &pods[i]))
			return &pods[i];
	}
	return NULL;
}

// The one device that may become the pod's, rather one that nobody has; NULL: none, or who knows which.
static const struct link_pod *free_device(struct endpoints *endpoints, struct endpoint *e,
					  const struct pod *pod, const struct link_pod *pods,
					  size_t n)
{
	const struct link_pod *device[2] = { NULL, NULL };
	size_t devices[2] = { 0, 0 };
	bool held;

	for (size_t i = 0; i < n; i++) {
		if (!link_carries(&pods[i], pod) || is_taken(endpoints, e, pod, &pods[i]))
			continue;
		held = holder_of(endpoints, &pods[i]);
		device[held] = &pods[i];
		devices[held]++;
	}
	held = !devices[false];
	tell(endpoints, e, ENDPOINT_TROUBLE_DEVICE,
	     devices[held] > 1 ? "more than one carries its address: not protected" : NULL);
	return devices[held] == 1 ? device[held] : NULL;
}

// The address was taken over: whose device it was is history, even if its object is still there.
static void evict(struct endpoints *endpoints, struct endpoint *e, const struct endpoint *newcomer)
{
	log_info("'%s/%s' gives its device to '%s/%s'", e->ns, e->name, newcomer->ns, newcomer->name);
	slot_drop(endpoints, e);
	if (!own_pod(endpoints, e))
		record_remove(endpoints, e);
}

static void found(struct endpoints *endpoints, struct endpoint *e, const struct pod *pod,
		  const struct link_pod *link)
{
	size_t slot = bitset_free(endpoints->used, endpoints->nslots);
	char text[200];

	if (slot == endpoints->nslots) {
		snprintf(text, sizeof(text), "pod '%.63s/%.63s': no free slot of %u: not protected",
			 e->ns, e->name, endpoints->nslots);
		endpoints->events.problem(endpoints->events.arg, "endpoints", text);
		endpoints->full = true;
		return;
	}
	e->slot = (uint32_t)slot;
	e->ident = BH_IDENT(e->slot, tables_next_incarnation(endpoints->tables));
	e->link = *link;
	e->variant = PROGRAM_OPEN;
	e->attach = endpoints->attach;
	e->flags = endpoints->flags;
	e->phase = ENDPOINT_FOUND;
	if (slot_open(endpoints->tables, e, pod) < 0) {
		log_error("'%s/%s': its record could not be written: not protected", e->ns, e->name);
		e->phase = ENDPOINT_WAITING;
		return;
	}
	if (endpoints->hold)
		slot_reopen(endpoints->tables, e);
	bitset_set(endpoints->used, slot);
	endpoints->slots[slot] = e;
	extra_update(endpoints->tables, endpoints->store, &endpoints->events, e);
	log_info("'%s/%s' found behind ifindex %d, slot %u", e->ns, e->name, link->ifindex, e->slot);
	join(endpoints, e);
}

// Who may run in a pod may change its MAC address and routes: they are learned once.
static void learn(struct endpoints *endpoints, struct endpoint *e, const struct link_pod *link)
{
	struct link_pod known = e->link;
	bool same = !memcmp(known.mac, link->mac, sizeof(known.mac));

	e->link = *link;
	memcpy(e->link.mac, known.mac, sizeof(known.mac));
	if (!bh_addr_equal(&known.gateway4, &(struct bh_addr){ 0 }))
		e->link.gateway4 = known.gateway4;
	if (!bh_addr_equal(&known.gateway6, &(struct bh_addr){ 0 }))
		e->link.gateway6 = known.gateway6;
	tell(endpoints, e, ENDPOINT_TROUBLE_MAC,
	     same ? NULL : "it has changed; what the pod sends from the new one is dropped");
}

// The record keeps its slot: confirmed, or back from being an orphan; addresses may have changed.
static void confirmed(struct endpoints *endpoints, struct endpoint *e, const struct pod *pod,
		      const struct link_pod *link)
{
	learn(endpoints, e, link);
	e->flags = endpoints->flags;
	slot_refresh(endpoints->tables, e, pod);
	if (e->phase == ENDPOINT_ORPHAN) {
		e->phase = ENDPOINT_ATTACHED;
		slot_reopen(endpoints->tables, e);
	}
	if (e->inherited)
		extra_update(endpoints->tables, endpoints->store, &endpoints->events, e);
	e->inherited = false;
	join(endpoints, e);
}

/*
 * Who may run in a pod may also put another pod's address on its device, so an address alone proves
 * nothing: a pod stays on its device as long as that carries its address, and takes no device that another
 * running pod has.
 */
static void match(struct endpoints *endpoints, struct endpoint *e, const struct link_pod *pods,
		  size_t n)
{
	const struct pod *pod = own_pod(endpoints, e);
	const struct link_pod *link;
	struct endpoint *holder;

	if (!pod)
		return;
	link = e->phase == ENDPOINT_WAITING ? NULL : own_device(e, pods, n);
	if (link && link_carries(link, pod)) {
		confirmed(endpoints, e, pod, link);
		return;
	}
	link = free_device(endpoints, e, pod, pods, n);
	if (!link)
		return;
	if (e->phase != ENDPOINT_WAITING)
		slot_drop(endpoints, e);
	holder = holder_of(endpoints, link);
	if (holder)
		evict(endpoints, holder, e);
	found(endpoints, e, pod, link);
}

// Slots whose device is gone are given back; a pod that lives on waits for its next device.
static void drop_gone(struct endpoints *endpoints, const struct link_pod *pods, size_t n)
{
	for (uint32_t slot = 0; slot < BH_MAX_ENDPOINTS; slot++) {
		struct endpoint *e = endpoints->slots[slot];
		bool stays;

		if (!e || own_device(e, pods, n))
			continue;
		log_info("'%s/%s': its device is gone, slot %u is free", e->ns, e->name, slot);
		stays = own_pod(endpoints, e);
		slot_drop(endpoints, e);
		if (!stays)
			record_remove(endpoints, e);
	}
}

// Records of a previous agent whose pod nobody knows any more.
static void orphan_inherited(struct endpoints *endpoints)
{
	for (uint32_t slot = 0; slot < BH_MAX_ENDPOINTS; slot++) {
		struct endpoint *e = endpoints->slots[slot];

		if (e && e->inherited) {
			e->inherited = false;
			pod_gone(endpoints, e);
		}
	}
}

// waiting: a second look at those, since whose device is whose is known better by then.
static void match_all(struct endpoints *endpoints, const struct link_pod *pods, size_t n, bool waiting)
{
	for (size_t i = 0; i < endpoints->all.n; i++) {
		struct endpoint *e = endpoints->all.v[i];

		if (!waiting || e->phase == ENDPOINT_WAITING)
			match(endpoints, e, pods, n);
		i = position(endpoints, e->ns, e->name); // others may have been removed
	}
}

void endpoints_scanned(struct endpoints *endpoints, const struct link_pod *pods, size_t n)
{
	bool was_full = endpoints->full;

	endpoints->want_scan = endpoints->full = false;
	drop_gone(endpoints, pods, n);
	match_all(endpoints, pods, n, false);
	match_all(endpoints, pods, n, true);
	orphan_inherited(endpoints);
	if (was_full && !endpoints->full)
		endpoints->events.problem(endpoints->events.arg, "endpoints", NULL);
}

void endpoints_hold(struct endpoints *endpoints, bool hold)
{
	endpoints->hold = hold;
}

void endpoints_deny(struct endpoints *endpoints, uint32_t ident)
{
	struct endpoint *e = endpoints_by_ident(endpoints, ident);

	if (e && e->phase != ENDPOINT_ORPHAN)
		slot_reopen(endpoints->tables, e);
}

void endpoints_attached(struct endpoints *endpoints, uint32_t slot, uint32_t ident,
			enum program_variant variant, enum bh_attach attach, int r, const char *why)
{
	struct endpoint *e = endpoints_by_ident(endpoints, ident);

	if (!e || e->phase == ENDPOINT_ORPHAN)
		return;
	if (r < 0) {
		if (e->phase != ENDPOINT_ATTACHED)
			e->phase = ENDPOINT_FAILED;
		if (r != -ENODEV) // a device that goes while it is attended to is no failure
			tell(endpoints, e, ENDPOINT_TROUBLE_ATTACH, why);
		return;
	}
	tell(endpoints, e, ENDPOINT_TROUBLE_ATTACH, NULL);
	e->phase = ENDPOINT_ATTACHED;
	e->variant = variant;
	e->refresh = false;
	if (e->attach != attach || slot != e->slot)
		log_debug("'%s/%s': attached by other means", e->ns, e->name);
	e->attach = attach;
	slot_identify(endpoints->tables, e);
}

// A slot that its agent gave up but had no time to clean.
static int inherit_leaving(struct endpoints *endpoints, uint32_t slot,
			   const struct bh_identity *identity)
{
	struct endpoint_leaving leaving = { slot, identity->ident, (int)identity->ifindex,
					    (enum bh_attach)identity->attach };

	bitset_set(endpoints->used, slot);
	return vec_push(&endpoints->leaving, leaving);
}

int endpoints_inherit(struct endpoints *endpoints)
{
	for (uint32_t slot = 0; slot < endpoints->nslots; slot++) {
		struct bh_identity identity;
		struct endpoint *e;

		if (tables_identity_get(endpoints->tables, slot, &identity) < 0)
			continue;
		if (!slot_is_open(endpoints->tables, slot, identity.ident) ||
		    endpoints_find(endpoints, identity.ns, identity.name)) {
			if (inherit_leaving(endpoints, slot, &identity) < 0)
				return -ENOMEM;
			continue;
		}
		e = record_add(endpoints, identity.ns, identity.name,
			       identity.uid[0] ? identity.uid : NULL);
		if (!e)
			return -ENOMEM;
		slot_inherit(endpoints->tables, slot, &identity, e);
		bitset_set(endpoints->used, slot);
		endpoints->slots[slot] = e;
		endpoints->want_scan = true;
	}
	return 0;
}
