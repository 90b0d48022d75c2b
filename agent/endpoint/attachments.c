// SPDX-License-Identifier: Apache-2.0
// attachments.c - which device was given to which pod: told, looked at alone, and believed.
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/endpoint/private.h"

LOG_ROOM("endpoint");

// ---- the table ----------------------------------------------------------------------------------------------

static bool is_named(const struct attachment *a, const char *ns, const char *name)
{
	return !strcmp(a->name, name) && !strcmp(a->ns, ns);
}

static struct attachment *named(const struct endpoints *endpoints, const struct attachment *name)
{
	vec_each(struct attachment, a, &endpoints->attachments)
		if (attachment_same(a, name))
			return a;
	return NULL;
}

const struct attachment *endpoints_attachment_find(const struct endpoints *endpoints,
						   const struct attachment *name)
{
	return named(endpoints, name);
}

const struct attachment *endpoints_attachment_at(const struct endpoints *endpoints, size_t index)
{
	return index < endpoints->attachments.n ? &endpoints->attachments.v[index] : NULL;
}

// Of two that name it the later one is right: the other's pod is gone, and its end was not told.
const struct attachment *endpoints_attachment_of(const struct endpoints *endpoints, int ifindex)
{
	for (size_t i = endpoints->attachments.n; i-- > 0;)
		if (endpoints->attachments.v[i].ifindex == ifindex)
			return &endpoints->attachments.v[i];
	return NULL;
}

static struct attachment *of_pod(const struct endpoints *endpoints, const struct pod *pod)
{
	for (size_t i = endpoints->attachments.n; i-- > 0;)
		if (attachment_fits(&endpoints->attachments.v[i], pod))
			return &endpoints->attachments.v[i];
	return NULL;
}

const struct pod *endpoints_attachment_pod(const struct endpoints *endpoints,
					   const struct attachment *attachment)
{
	const struct object *object =
		store_find(endpoints->store, KIND_POD, attachment->ns, attachment->name);
	const struct pod *pod = (const struct pod *)object;

	return pod && attachment_fits(attachment, pod) && pod_is_ours(endpoints, pod) ? pod : NULL;
}

static void lend(struct endpoints *endpoints, const struct attachment *a)
{
	if (a->undecided)
		return;
	if (store_lend(endpoints->store, a->ns, a->name, a->uid[0] ? a->uid : NULL, a->addrs, a->naddrs) < 0)
		log_error("out of memory: the addresses of '%s/%s' are not known before its object says them",
			  a->ns, a->name);
}

// Of another attachment of the pod, if there is one: a sandbox that took this one's place.
static void recall(struct endpoints *endpoints, const struct attachment *a)
{
	for (size_t i = endpoints->attachments.n; i-- > 0;) {
		const struct attachment *other = &endpoints->attachments.v[i];

		if (!other->undecided && is_named(other, a->ns, a->name)) {
			lend(endpoints, other);
			return;
		}
	}
	if (store_recall(endpoints->store, a->ns, a->name) < 0)
		log_error("out of memory: '%s/%s' keeps addresses that it has no more", a->ns, a->name);
}

// A further interface of a sandbox that has one: its addresses are not the pod's.
static bool is_further(const struct endpoints *endpoints, const struct attachment *attachment)
{
	vec_each(const struct attachment, a, &endpoints->attachments)
		if (!strcmp(a->container, attachment->container) && strcmp(a->ifname, attachment->ifname) != 0)
			return true;
	return false;
}

// ---- whose it is, if the plugin did not say ---------------------------------------------------------------------

static void bind_to(struct endpoints *endpoints, struct attachment *a, const char *uid)
{
	if (a->uid[0])
		return;
	attachment_bind(a, uid);
	if (a->uid[0] && !is_further(endpoints, a))
		lend(endpoints, a);
}

void attachments_bind(struct endpoints *endpoints, const struct pod *pod)
{
	struct attachment *a = of_pod(endpoints, pod);

	vec_each(struct attachment, other, &endpoints->attachments)
		other->ask |= other->undecided && is_named(other, pod->object.ns, pod->object.name);
	if (a && pod_is_here(endpoints, pod))
		bind_to(endpoints, a, pod->object.uid);
}

// What the device was given to before.
static const char *held_uid(const struct endpoints *endpoints, const struct attachment *a)
{
	const struct endpoint *e = endpoints_by_device(endpoints, a->ifindex);

	return e && is_named(a, e->ns, e->name) ? e->uid : NULL;
}

// Of the object that is there already.
static const char *known_uid(const struct endpoints *endpoints, const struct attachment *a)
{
	const struct pod *pod = (const struct pod *)store_find(endpoints->store, KIND_POD, a->ns, a->name);

	return pod && pod_is_here(endpoints, pod) ? pod->object.uid : NULL;
}

// The watch may show the pod of that name before this one still, so it is not believed.
static void decide(struct endpoints *endpoints, struct attachment *a)
{
	const char *held = held_uid(endpoints, a);

	a->undecided &= !held;
	a->ask = a->undecided;
	if (!a->undecided)
		attachment_bind(a, held ? held : known_uid(endpoints, a));
}

const struct attachment *endpoints_attachment_ask(struct endpoints *endpoints)
{
	vec_each(struct attachment, a, &endpoints->attachments) {
		if (!a->ask)
			continue;
		a->ask = false;
		return a;
	}
	return NULL;
}

void endpoints_attachment_decide(struct endpoints *endpoints, const char *ns, const char *name)
{
	vec_each(struct attachment, a, &endpoints->attachments) {
		if (!a->undecided || !is_named(a, ns, name))
			continue;
		a->undecided = false;
		a->due = true;
		decide(endpoints, a);
		if (!is_further(endpoints, a))
			lend(endpoints, a);
	}
}

int endpoints_attachment_add(struct endpoints *endpoints, const struct attachment *attachment)
{
	struct attachment *known;

	if (vec_reserve(&endpoints->attachments, 1) < 0)
		return -ENOMEM;
	known = named(endpoints, attachment);
	if (known)
		vec_cut(&endpoints->attachments, (size_t)(known - endpoints->attachments.v));
	vec_push(&endpoints->attachments, *attachment);
	known = &endpoints->attachments.v[endpoints->attachments.n - 1];
	decide(endpoints, known);
	if (!is_further(endpoints, known))
		lend(endpoints, known);
	return 0;
}

bool endpoints_attachment_remove(struct endpoints *endpoints, const struct attachment *name)
{
	struct attachment *known = named(endpoints, name), gone;

	if (!known)
		return false;
	gone = *known;
	vec_cut(&endpoints->attachments, (size_t)(known - endpoints->attachments.v));
	recall(endpoints, &gone);
	return true;
}

static void refuse(struct endpoints *endpoints, const struct attachment *attachment, int r, const char *why)
{
	struct attachment gone = *attachment;

	log_info("'%s/%s', container %s: %s", gone.ns, gone.name, gone.container, why);
	endpoints_attachment_remove(endpoints, &gone);
	if (endpoints->events.refused)
		endpoints->events.refused(endpoints->events.arg, &gone, r, why);
}

// ---- devices that went -----------------------------------------------------------------------------------------

void attachments_device_gone(struct endpoints *endpoints, int ifindex)
{
	for (size_t i = endpoints->attachments.n; i-- > 0;)
		if (i < endpoints->attachments.n && endpoints->attachments.v[i].ifindex == ifindex)
			refuse(endpoints, &endpoints->attachments.v[i], -ENODEV, "its device is gone");
}

// Only the host's list ends one: the other side is where the pod puts it, and has the index that it makes it have.
// One that was told while the scan was under way is looked at by itself.
void attachments_check(struct endpoints *endpoints, const struct link_view *view)
{
	for (size_t i = endpoints->attachments.n; i-- > 0;) {
		struct attachment *a = i < endpoints->attachments.n ? &endpoints->attachments.v[i] : NULL;

		if (!a || a->told)
			continue;
		a->due = false;
		if (!link_view_has(view, a->ifindex))
			refuse(endpoints, a, -ENODEV, "its device is gone");
	}
}

// ---- looking ------------------------------------------------------------------------------------------------------

bool attachment_look(struct endpoints *endpoints, const struct pod *pod)
{
	struct attachment *a = of_pod(endpoints, pod);

	if (!a)
		return false;
	a->due = true;
	a->asked = false;
	return true;
}

bool endpoints_want_look(const struct endpoints *endpoints)
{
	vec_each(const struct attachment, a, &endpoints->attachments)
		if (a->due)
			return true;
	return false;
}

int endpoints_look_at(struct endpoints *endpoints, struct link_known *ret)
{
	int r = 0;

	*ret = (struct link_known){ 0 };
	vec_each(struct attachment, a, &endpoints->attachments) {
		a->asked = a->due;
		if (a->due)
			r = r ?: vec_push(&ret->only, a->ifindex);
		for (uint32_t i = 0; a->due && i < a->naddrs; i++)
			r = r ?: vec_push(&ret->addrs, a->addrs[i]);
	}
	vec_sort(&ret->addrs, link_addr_order);
	return r;
}

void endpoints_look_failed(struct endpoints *endpoints)
{
	vec_each(struct attachment, a, &endpoints->attachments)
		a->asked = false;
}

// The pod has another device: of a sandbox before this one, which is gone or is being taken down, or by less than
// what the plugin says. But one sandbox has one device.
static int leave_other(struct endpoints *endpoints, struct endpoint *e, const struct attachment *a)
{
	const struct attachment *other = endpoints_attachment_of(endpoints, e->ifindex);

	if (other && !strcmp(other->container, a->container))
		return -EEXIST;
	e->contested = true;
	shut_in(endpoints, e);
	return 0;
}

// What the plugin put on the device to shut it is in the programs' place.
static void put_again(struct endpoints *endpoints, const struct link_view *view, const struct link_pod *link,
		      struct endpoint *e, const struct pod *pod)
{
	if (e->inherited)
		take_part(endpoints, e, pod);
	device_refresh(endpoints, view, link, e);
	e->refresh = e->missing = true;
}

static void settle(struct endpoints *endpoints, const struct link_view *view, const struct attachment *a)
{
	const struct pod *pod = endpoints_attachment_pod(endpoints, a);
	const struct link_pod *link = link_at(view, a->ifindex);
	struct endpoint *holder = endpoints_by_device(endpoints, a->ifindex), *e;

	if (!link_view_has(view, a->ifindex)) {
		refuse(endpoints, a, -ENODEV, "this node has no such device");
		return;
	}
	e = pod ? record_of(endpoints, pod) : NULL;
	endpoints->want_scan |= !link || link->unread;
	if (!pod || !link || link->unread)
		return;
	if (e && e == holder) {
		put_again(endpoints, view, link, e, pod);
		return;
	}
	if (e && e->phase != ENDPOINT_WAITING && leave_other(endpoints, e, a) < 0) {
		refuse(endpoints, a, -EEXIST, "the pod has a device already, and only one is supported: this one stays shut");
		return;
	}
	if (!e || e->phase != ENDPOINT_WAITING)
		e = record_add(endpoints, pod->object.ns, pod->object.name, pod->object.uid);
	if (!e) {
		log_error("out of memory: pod '%s/%s' is not protected", pod->object.ns, pod->object.name);
		return;
	}
	device_found(endpoints, view, pod, e, link, holder);
	e->added = e->phase == ENDPOINT_FOUND;
}

void endpoints_looked(struct endpoints *endpoints, const struct link_view *view)
{
	for (size_t i = endpoints->attachments.n; i-- > 0;) {
		struct attachment *a = i < endpoints->attachments.n ? &endpoints->attachments.v[i] : NULL;

		if (!a || !a->asked)
			continue;
		a->due = a->asked = a->told = false;
		settle(endpoints, view, a);
	}
}

bool endpoints_adding(const struct endpoints *endpoints)
{
	vec_each(struct endpoint *, e, &endpoints->all)
		if ((*e)->added && (*e)->phase == ENDPOINT_FOUND)
			return true;
	return false;
}
