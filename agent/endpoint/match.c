// SPDX-License-Identifier: Apache-2.0
// match.c - what a scan saw against the records: devices that went, pods whose device came, and what is odd.
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/endpoint/choose.h"
#include "agent/endpoint/extra.h"
#include "agent/endpoint/private.h"
#include "agent/endpoint/slot.h"

LOG_ROOM("endpoint");

#define WHERE_BYTES 400
#define DEVICE_BYTES 64

typedef VEC(struct claim) claims_t;
typedef VEC(struct candidate) candidates_t;

// ---- what the next scan has to know -----------------------------------------------------------------------

// Nobody needs to be asked whose this device is.
static bool is_settled(const struct endpoint *e)
{
	return e->phase != ENDPOINT_WAITING && e->phase != ENDPOINT_ORPHAN && !e->inherited;
}

// Another pod waits with the same address.
static bool is_asked(const struct link_known *known, const struct pod *pod)
{
	for (uint32_t i = 0; pod && known->asked.n && i < pod->naddrs; i++)
		if (bsearch(&pod->addrs[i], known->asked.v, known->asked.n, sizeof(pod->addrs[i]),
			    link_addr_order))
			return true;
	return false;
}

int endpoints_known(const struct endpoints *endpoints, struct link_known *ret)
{
	int r = 0;

	*ret = (struct link_known){ 0 };
	vec_each(struct endpoint *, at, &endpoints->all) {
		const struct pod *pod = record_pod(endpoints, *at);

		for (uint32_t i = 0; pod && i < pod->naddrs && r == 0; i++) {
			r = vec_push(&ret->addrs, pod->addrs[i]);
			if (r == 0 && !is_settled(*at))
				r = vec_push(&ret->asked, pod->addrs[i]);
		}
	}
	vec_sort(&ret->addrs, link_addr_order);
	vec_sort(&ret->asked, link_addr_order);
	ret->uids = endpoints_unowned(endpoints) > 0;
	vec_each(struct endpoint *, at, &endpoints->all)
		if (is_settled(*at) && !is_asked(ret, record_pod(endpoints, *at)))
			r = r ?: vec_push(&ret->held, (*at)->ifindex);
	vec_each(const struct attachment, attachment, &endpoints->attachments)
		r = r ?: vec_push(&ret->held, attachment->ifindex);
	return r;
}

// ---- devices that went ------------------------------------------------------------------------------------

static void drop_gone(struct endpoints *endpoints, const struct link_view *view)
{
	for (uint32_t slot = 0; slot < endpoints->nslots; slot++) {
		struct endpoint *e = endpoints->slots[slot];

		if (e && !link_view_has(view, e->ifindex))
			device_lost(endpoints, e);
	}
}

// ---- records of a previous agent --------------------------------------------------------------------------

const struct link_pod *link_at(const struct link_view *view, int ifindex)
{
	vec_each(const struct link_pod, link, &view->pods)
		if (link->ifindex == ifindex)
			return link;
	return NULL;
}

static bool somebody_elses(const struct endpoints *endpoints, const struct link_pod *link,
			   const struct pod *pod)
{
	const struct attachment *attachment = link ? endpoints_attachment_of(endpoints, link->ifindex) : NULL;

	return link && (link->nuids || attachment) && evidence_of(pod, link, attachment) == EVIDENCE_NONE;
}

// Of a pod without an active device: the only one that was shut in is its, of several nobody knows.
static bool is_alone(const struct endpoints *endpoints, const struct endpoint *e, const struct pod *pod)
{
	for (uint32_t slot = 0; slot < endpoints->nslots; slot++) {
		const struct endpoint *other = endpoints->slots[slot];

		if (other && other != e && record_pod(endpoints, other) == pod)
			return false;
	}
	return true;
}

static void confirm(struct endpoints *endpoints, struct endpoint *e, const struct link_view *view)
{
	const struct pod *pod = record_pod(endpoints, e);

	if (!pod || somebody_elses(endpoints, link_at(view, e->ifindex), pod) ||
	    (e->phase == ENDPOINT_ORPHAN && !is_alone(endpoints, e, pod))) {
		e->contested = pod != NULL; // it may be another device's
		shut_in(endpoints, e);
	} else {
		take_part(endpoints, e, pod);
	}
	if (pod && !record_of(endpoints, pod) &&
	    !record_add(endpoints, pod->object.ns, pod->object.name, pod->object.uid))
		log_error("out of memory: pod '%s/%s' is not protected", pod->object.ns, pod->object.name);
}

static void confirm_inherited(struct endpoints *endpoints, const struct link_view *view)
{
	for (uint32_t slot = 0; slot < endpoints->nslots; slot++) {
		struct endpoint *e = endpoints->slots[slot];

		if (e && e->inherited)
			confirm(endpoints, e, view);
	}
}

// ---- pods that wait, devices that are free ------------------------------------------------------------------

static int list_claims(struct endpoints *endpoints, claims_t *claims)
{
	int r = 0;

	vec_each(struct endpoint *, e, &endpoints->all) {
		const struct pod *pod = record_pod(endpoints, *e);

		if (pod && (*e)->phase == ENDPOINT_WAITING)
			r = r ?: vec_push(claims, (struct claim){ .pod = pod, .arg = *e });
	}
	return r;
}

// A device whose pod is gone stays shut, unless the host itself says that it is another pod's by now. One that was
// held when the scan began, and no longer is, may be anybody's: the next scan asks.
static int list_candidates(struct endpoints *endpoints, const struct link_view *view,
			   candidates_t *candidates)
{
	int r = 0;

	vec_each(const struct link_pod, link, &view->pods) {
		struct endpoint *holder = endpoints_by_device(endpoints, link->ifindex);
		struct candidate candidate = {
			.link = link,
			.attachment = endpoints_attachment_of(endpoints, link->ifindex),
			.needs = EVIDENCE_ADDRESS,
			.arg = holder,
		};

		if (link->unread)
			continue;
		if (holder && holder->phase != ENDPOINT_ORPHAN)
			candidate.holder = record_pod(endpoints, holder);
		if (holder && holder->phase != ENDPOINT_ORPHAN && !candidate.holder)
			continue;
		if (link->unasked && !candidate.attachment && !candidate.holder) {
			endpoints->want_scan = true;
			continue;
		}
		if (holder && holder->phase == ENDPOINT_ORPHAN && !holder->contested)
			candidate.needs = EVIDENCE_ROUTE;
		r = r ?: vec_push(candidates, candidate);
	}
	return r;
}

static void set_link(struct endpoint *e, const struct link_view *view, const struct link_pod *link)
{
	e->ifindex = link->ifindex;
	e->gateway4 = link->gateway4;
	e->gateway6 = link->gateway6;
	e->ephemeral_lo = view->ephemeral_lo;
	e->ephemeral_hi = view->ephemeral_hi;
}

// A device keeps its slot when it passes to another record; its next ident makes the programs of the one before
// stale, until they are replaced in their place.
static void slot_inherit_from(struct endpoints *endpoints, struct endpoint *e, struct endpoint *holder)
{
	struct endpoint_leaving leaving = { holder->slot, holder->ident, 0, BH_ATTACH_NONE, true };

	e->slot = holder->slot;
	e->attached = holder->attached;
	e->variant = holder->variant;
	e->attach = holder->attach;
	endpoints_put_leaving(endpoints, &leaving);
	log_info("'%s/%s' gives its device to '%s/%s'", holder->ns, holder->name, e->ns, e->name);
	device_given(endpoints, holder);
}

int slot_take(struct endpoints *endpoints, struct endpoint *e, const struct link_view *view,
	      const struct link_pod *link, struct endpoint *holder)
{
	size_t slot = bitset_free(endpoints->used, endpoints->nslots);
	char where[WHERE_BYTES];
	int r;

	if (!holder && slot == endpoints->nslots) {
		snprintf(where, sizeof(where), "pod %s/%s slot", e->ns, e->name);
		complaints_say(&endpoints->scan, &endpoints->events, where,
			       "no free slot of %u: nothing is enforced on it", endpoints->nslots);
		return -ENOSPC;
	}
	e->slot = holder ? holder->slot : (uint32_t)slot;
	e->ident = BH_IDENT(e->slot, tables_next_incarnation(endpoints->tables));
	e->variant = PROGRAM_OPEN;
	e->attach = endpoints->attach;
	e->flags = endpoints->flags;
	memcpy(e->mac, link->mac, sizeof(e->mac));
	set_link(e, view, link);
	r = slot_open(endpoints->tables, e, !holder);
	if (r < 0) {
		log_error("'%s/%s': its record could not be written: %s: not protected", e->ns, e->name,
			  strerror(-r));
		return r;
	}
	if (holder)
		slot_inherit_from(endpoints, e, holder);
	e->refresh = holder != NULL;
	bitset_set(endpoints->used, e->slot);
	endpoints->slots[e->slot] = e;
	return 0;
}

void device_found(struct endpoints *endpoints, const struct link_view *view, const struct pod *pod,
		  struct endpoint *e, const struct link_pod *link, struct endpoint *holder)
{
	if (slot_take(endpoints, e, view, link, holder) < 0)
		return;
	e->early = !endpoints->started && !holder;
	log_info("'%s/%s' found behind ifindex %d, slot %u", e->ns, e->name, e->ifindex, e->slot);
	take_part(endpoints, e, pod);
}

static const char *device_name(int ifindex, char buf[static DEVICE_BYTES])
{
	char name[IF_NAMESIZE];

	if (if_indextoname((unsigned)ifindex, name))
		snprintf(buf, DEVICE_BYTES, "'%s' (ifindex %d)", name, ifindex);
	else
		snprintf(buf, DEVICE_BYTES, "ifindex %d", ifindex);
	return buf;
}

// One of several devices that may be the pod's: nothing passes it until something decides.
static void shut_contested(struct endpoints *endpoints, const struct link_view *view,
			   const struct candidate *candidate)
{
	const struct object *pod = &candidate->taker->pod->object;
	struct endpoint *e;

	if (candidate->arg)
		return;
	e = record_add(endpoints, pod->ns, pod->name, pod->uid);
	if (!e) {
		log_error("out of memory: ifindex %d is not quarantined", candidate->link->ifindex);
		return;
	}
	e->contested = true;
	if (slot_take(endpoints, e, view, candidate->link, NULL) < 0) {
		record_remove(endpoints, e);
		return;
	}
	e->phase = ENDPOINT_ORPHAN;
	slot_refresh(endpoints->tables, e, candidate->taker->pod);
	log_warn("'%s/%s' may be behind ifindex %d, and elsewhere: quarantined", e->ns, e->name, e->ifindex);
}

static void say_waiting(struct endpoints *endpoints, const struct claim *claim)
{
	char where[WHERE_BYTES], device[DEVICE_BYTES];
	const struct endpoint *e = claim->arg;

	snprintf(where, sizeof(where), "pod %s/%s device", e->ns, e->name);
	if (claim->contested)
		complaints_say(&endpoints->scan, &endpoints->events, where,
			       "device %s and others may be its, and nothing decides: all are quarantined",
			       device_name(claim->link->ifindex, device));
	else if (claim->winner)
		complaints_say(&endpoints->scan, &endpoints->events, where,
			       "waits: device %s is pod %s/%s's, which has its address and is newer or better known",
			       device_name(claim->lost->ifindex, device), claim->winner->object.ns,
			       claim->winner->object.name);
}

static int settle(struct endpoints *endpoints, const struct link_view *view, claims_t *claims,
		  candidates_t *candidates)
{
	int r = choose(claims->v, claims->n, candidates->v, candidates->n);

	if (r < 0)
		return r;
	vec_each(struct claim, claim, claims)
		if (!claim->link || claim->contested)
			say_waiting(endpoints, claim);
	vec_each(struct candidate, candidate, candidates) {
		if (!candidate->taker)
			continue;
		if (candidate->contested)
			shut_contested(endpoints, view, candidate);
		else
			device_found(endpoints, view, candidate->taker->pod, candidate->taker->arg,
				     candidate->link, candidate->arg);
	}
	return 0;
}

static void match_waiting(struct endpoints *endpoints, const struct link_view *view)
{
	claims_t claims = { 0 };
	candidates_t candidates = { 0 };
	int r = list_claims(endpoints, &claims);

	if (r == 0 && claims.n)
		r = list_candidates(endpoints, view, &candidates);
	if (r == 0)
		r = settle(endpoints, view, &claims, &candidates);
	if (r < 0)
		log_error("out of memory: pods wait for the next scan");
	vec_fini(&claims);
	vec_fini(&candidates);
}

// ---- what is odd ------------------------------------------------------------------------------------------

struct owner {
	struct bh_addr addr;
	const struct endpoint *e;
};

static int owner_order(const void *a, const void *b)
{
	return link_addr_order(&((const struct owner *)a)->addr, &((const struct owner *)b)->addr);
}

typedef VEC(struct owner) owners_t;

static int list_owners(const struct endpoints *endpoints, owners_t *owners)
{
	int r = 0;

	vec_each(struct endpoint *, e, &endpoints->all) {
		const struct pod *pod = record_pod(endpoints, *e);

		for (uint32_t i = 0; pod && !(*e)->contested && i < pod->naddrs && r == 0; i++)
			r = vec_push(owners, (struct owner){ pod->addrs[i], *e });
	}
	vec_sort(owners, owner_order);
	return r;
}

// The first of those with the address.
static const struct owner *owner_of(const owners_t *owners, const struct bh_addr *addr)
{
	size_t lo = 0, hi = owners->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (link_addr_order(&owners->v[mid].addr, addr) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < owners->n && bh_addr_equal(&owners->v[lo].addr, addr) ? &owners->v[lo] : NULL;
}

static void say_foreign(struct endpoints *endpoints, const struct link_pod *link, const struct bh_addr *addr,
			const struct endpoint *owner)
{
	const struct endpoint *holder = endpoints_by_device(endpoints, link->ifindex);
	char where[WHERE_BYTES], device[DEVICE_BYTES], text[64];

	snprintf(where, sizeof(where), "device %d", link->ifindex);
	complaints_say(&endpoints->scan, &endpoints->events, where,
		       "device %s of %s%s%s carries %s, the address of pod %s/%s, which %s",
		       device_name(link->ifindex, device), holder ? holder->ns : "nobody",
		       holder ? "/" : "", holder ? holder->name : "", addr_format(addr, text, sizeof(text)),
		       owner->ns, owner->name,
		       owner->phase == ENDPOINT_WAITING ? "waits" : "keeps its own device");
}

// An address on a device of another pod than its own: said, and nothing follows from it. A device of nobody with
// the address of a pod that waits is what say_waiting() is about.
static void look_at_addrs(struct endpoints *endpoints, const struct link_pod *link, const owners_t *owners)
{
	const struct endpoint *holder = endpoints_by_device(endpoints, link->ifindex);
	bool settled = holder && !holder->contested;

	for (uint32_t i = 0; i < link->naddrs; i++) {
		const struct owner *owner = owner_of(owners, &link->addrs[i]), *end = owners->v + owners->n;
		const struct owner *other = owner;

		while (other && other < end && bh_addr_equal(&other->addr, &link->addrs[i]) &&
		       other->e->ifindex != link->ifindex)
			other++;
		if (owner && (settled || owner->e->phase != ENDPOINT_WAITING) &&
		    (other == end || !bh_addr_equal(&other->addr, &link->addrs[i])))
			say_foreign(endpoints, link, &link->addrs[i], owner->e);
	}
}

// A pod that waits for an address which the pod of a settled device has as well.
static void look_at_waiting(struct endpoints *endpoints, const struct endpoint *e, const owners_t *owners)
{
	const struct pod *pod = record_pod(endpoints, e);
	char where[WHERE_BYTES], device[DEVICE_BYTES], text[64];

	snprintf(where, sizeof(where), "pod %s/%s device", e->ns, e->name);
	for (uint32_t i = 0; pod && i < pod->naddrs; i++) {
		const struct owner *other = owner_of(owners, &pod->addrs[i]);

		for (; other < owners->v + owners->n && bh_addr_equal(&other->addr, &pod->addrs[i]); other++) {
			if (!is_settled(other->e))
				continue;
			complaints_say(&endpoints->scan, &endpoints->events, where,
				       "waits: its address %s is also pod %s/%s's, which has device %s",
				       addr_format(&pod->addrs[i], text, sizeof(text)), other->e->ns,
				       other->e->name, device_name(other->e->ifindex, device));
			return;
		}
	}
}

// What it sends from the new one is dropped: who may run in a pod may give it any.
static void look_at_mac(struct endpoints *endpoints, const struct link_pod *link)
{
	const struct endpoint *e = endpoints_by_device(endpoints, link->ifindex);
	char where[WHERE_BYTES];

	if (!e || !is_settled(e) || link->unread || memcmp(e->mac, link->mac, sizeof(e->mac)) == 0)
		return;
	snprintf(where, sizeof(where), "pod %s/%s MAC address", e->ns, e->name);
	complaints_say(&endpoints->scan, &endpoints->events, where,
		       "it has changed: what the pod sends from the new one is dropped");
}

static void say_odd(struct endpoints *endpoints, const struct link_view *view)
{
	owners_t owners = { 0 };

	if (list_owners(endpoints, &owners) < 0)
		log_error("out of memory: addresses that are in two places are not looked for");
	vec_each(const struct link_pod, link, &view->pods) {
		look_at_addrs(endpoints, link, &owners);
		look_at_mac(endpoints, link);
	}
	vec_each(struct endpoint *, e, &endpoints->all)
		if ((*e)->phase == ENDPOINT_WAITING)
			look_at_waiting(endpoints, *e, &owners);
	vec_fini(&owners);
}

// ---- a whole scan -----------------------------------------------------------------------------------------

// The host's side of a device that is known; never what the pod says of its own.
void device_refresh(struct endpoints *endpoints, const struct link_view *view, const struct link_pod *link,
		    struct endpoint *e)
{
	set_link(e, view, link);
	slot_refresh(endpoints->tables, e, record_pod(endpoints, e));
}

static void refresh(struct endpoints *endpoints, const struct link_view *view)
{
	vec_each(const struct link_pod, link, &view->pods) {
		struct endpoint *e = endpoints_by_device(endpoints, link->ifindex);

		if (e && e->phase != ENDPOINT_ORPHAN)
			device_refresh(endpoints, view, link, e);
	}
}

void endpoints_scanned(struct endpoints *endpoints, const struct link_view *view, int64_t now_ms)
{
	// who could not be looked at may be whom a pod waits for
	endpoints->want_scan = view->unread || view->hidden;
	complaints_begin(&endpoints->scan);
	drop_gone(endpoints, view);
	attachments_check(endpoints, view);
	refresh(endpoints, view);
	if (!view->hidden)
		confirm_inherited(endpoints, view);
	if (!view->hidden)
		match_waiting(endpoints, view);
	unowned_release(endpoints, view, now_ms);
	say_odd(endpoints, view);
	complaints_end(&endpoints->scan, &endpoints->events);
	endpoints->started |= !view->hidden;
}
