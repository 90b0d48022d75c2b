// SPDX-License-Identifier: Apache-2.0
// early.c - devices that may be pods' while no pod is known: shut until one takes them, or none can be behind them.
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/endpoint/choose.h"
#include "agent/endpoint/private.h"
#include "agent/endpoint/slot.h"

LOG_ROOM("endpoint");

size_t endpoints_unowned(const struct endpoints *endpoints)
{
	size_t n = 0;

	vec_each(struct endpoint *, e, &endpoints->all)
		n += (*e)->unowned;
	return n;
}

// ---- shutting ---------------------------------------------------------------------------------------------

// Its address may come later than the device, and only this pod could misuse another one: towards its own node.
static void unowned_refresh(struct endpoints *endpoints, struct endpoint *e, const struct link_pod *link)
{
	if (link->unread)
		return;
	memcpy(e->mac, link->mac, sizeof(e->mac));
	slot_refresh_as(endpoints->tables, e, link->addrs, link->naddrs);
}

static void shut(struct endpoints *endpoints, const struct link_view *view, const struct link_pod *link)
{
	char name[IF_NAMESIZE];
	struct endpoint *e;

	if (!if_indextoname((unsigned)link->ifindex, name))
		snprintf(name, sizeof(name), "%d", link->ifindex);
	e = record_add(endpoints, ENDPOINT_DEVICES, name, NULL);
	if (!e) {
		log_error("out of memory: device '%s' is not shut", name);
		return;
	}
	e->unowned = e->contested = true;
	if (slot_take(endpoints, e, view, link, NULL) < 0) {
		record_remove(endpoints, e);
		return;
	}
	e->phase = ENDPOINT_ORPHAN;
	unowned_refresh(endpoints, e, link);
	log_info("device '%s' may be a pod's: shut until pods are known", name);
}

static void drop_gone(struct endpoints *endpoints, const struct link_view *view)
{
	for (uint32_t slot = 0; slot < endpoints->nslots; slot++) {
		struct endpoint *e = endpoints->slots[slot];

		if (e && e->unowned && !link_view_has(view, e->ifindex))
			device_lost(endpoints, e);
	}
}

void endpoints_shut_early(struct endpoints *endpoints, const struct link_view *view,
			  bool (*spared)(const void *arg, int ifindex), const void *arg)
{
	complaints_begin(&endpoints->scan);
	drop_gone(endpoints, view);
	vec_each(const struct link_pod, link, &view->pods) {
		struct endpoint *holder = endpoints_by_device(endpoints, link->ifindex);

		if (holder && holder->unowned)
			unowned_refresh(endpoints, holder, link);
		else if (!holder && !link->way_out && !spared(arg, link->ifindex))
			shut(endpoints, view, link);
	}
	complaints_end(&endpoints->scan, &endpoints->events);
}

// ---- opening again ----------------------------------------------------------------------------------------

enum guess {
	GUESS_NO,
	GUESS_MAYBE,
	GUESS_YES,
};

struct guessing {
	const struct endpoints *endpoints;
	const struct link_pod *link;
	enum guess guess;
};

// A pod of this node that has no device yet: it waits for its addresses, or for this scan's end.
static bool lacks_device(const struct endpoints *endpoints, const struct pod *pod)
{
	const struct endpoint *e = record_of(endpoints, pod);

	return pod_is_here(endpoints, pod) && (!e || e->phase == ENDPOINT_WAITING);
}

static int guess_pod(void *arg, const struct object *object)
{
	const struct pod *pod = (const struct pod *)object;
	struct guessing *guessing = arg;

	if (!lacks_device(guessing->endpoints, pod))
		return 0;
	if (evidence_of(pod, guessing->link, NULL)) {
		guessing->guess = GUESS_YES;
		return 1;
	}
	if (!guessing->link->nuids)
		guessing->guess = GUESS_MAYBE;
	return 0;
}

// Where a pod's processes live that no object tells of, its object may be on its way.
static enum guess guess(const struct endpoints *endpoints, const struct link_pod *link)
{
	struct guessing guessing = { endpoints, link, link->nuids ? GUESS_MAYBE : GUESS_NO };

	store_each(endpoints->store, KIND_POD, NULL, guess_pod, &guessing);
	return guessing.guess;
}

static bool may_open(const struct endpoints *endpoints, struct endpoint *e, const struct link_view *view,
		     int64_t now_ms)
{
	const struct link_pod *link = link_at(view, e->ifindex);
	enum guess is;

	if (endpoints_attachment_of(endpoints, e->ifindex))
		return false;
	if (!link)
		return true;
	if (link->unasked)
		return false;
	if (!e->waits_since_ms)
		e->waits_since_ms = now_ms;
	is = view->hidden || link->unread ? GUESS_MAYBE : guess(endpoints, link);
	return is == GUESS_NO || (is == GUESS_MAYBE && now_ms - e->waits_since_ms >= ENDPOINT_HOLD_MS);
}

void unowned_release(struct endpoints *endpoints, const struct link_view *view, int64_t now_ms)
{
	for (uint32_t slot = 0; slot < endpoints->nslots; slot++) {
		struct endpoint *e = endpoints->slots[slot];

		if (!e || !e->unowned || !may_open(endpoints, e, view, now_ms))
			continue;
		log_info("device '%s' is no pod's of this node: open again", e->name);
		slot_give_back(endpoints, e);
		device_given(endpoints, e);
	}
}
