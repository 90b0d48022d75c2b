// SPDX-License-Identifier: Apache-2.0
// private.h - the registry as its own files see it: endpoint.c keeps records and slots, match.c matches them with
// what a scan saw. Private to this room.
//
// World: host. Pure: no. Owns: what stands in struct endpoints.
#pragma once

#include "agent/base/bitset.h"
#include "agent/endpoint/complaint.h"
#include "agent/endpoint/endpoint.h"

struct endpoints {
	struct tables *tables;
	struct store *store;
	const char *node; // interned
	enum bh_attach attach;
	uint8_t flags;
	struct endpoint_events events;
	VEC(struct endpoint *) all; // by namespace and name; orphans may have a name as well
	struct endpoint *slots[BH_MAX_ENDPOINTS];
	uint64_t used[BITSET_WORDS(BH_MAX_ENDPOINTS)]; // also slots that are being cleaned up
	uint32_t nslots; // of the table
	VEC(struct endpoint_leaving) leaving;
	VEC(struct attachment) attachments; // as they came
	struct complaints scan, waits; // of the last scan; of the last endpoints_check()
	size_t overdue;
	bool want_scan;
	bool started; // a scan was matched: what is found from now on is new
};

// The pod's own record, not one that only holds a device that was or may be its.
struct endpoint *record_of(const struct endpoints *endpoints, const struct pod *pod);
struct endpoint *record_add(struct endpoints *endpoints, const char *ns, const char *name, const char *uid);
void record_remove(struct endpoints *endpoints, struct endpoint *endpoint);

bool pod_is_here(const struct endpoints *endpoints, const struct pod *pod); // it runs, on this node, with a network of its own
bool pod_is_ours(const struct endpoints *endpoints, const struct pod *pod); // and has addresses

// The pod that the record stands for, if it is one of ours still.
const struct pod *record_pod(const struct endpoints *endpoints, const struct endpoint *endpoint);

// Its device is gone: the slot is given back, the record waits for the next device or goes.
void device_lost(struct endpoints *endpoints, struct endpoint *endpoint);

// Its slot and programs go, whether or not its device is there; the record stays.
void slot_give_back(struct endpoints *endpoints, struct endpoint *endpoint);

// A slot for the device, or the holder's.
int slot_take(struct endpoints *endpoints, struct endpoint *endpoint, const struct link_view *view,
	      const struct link_pod *link, struct endpoint *holder);
const struct link_pod *link_at(const struct link_view *view, int ifindex);

// The record takes the device, and from its holder (may be NULL) the slot.
void device_found(struct endpoints *endpoints, const struct link_view *view, const struct pod *pod,
		  struct endpoint *endpoint, const struct link_pod *link, struct endpoint *holder);
// What the host says of the device now.
void device_refresh(struct endpoints *endpoints, const struct link_view *view, const struct link_pod *link,
		    struct endpoint *endpoint);

// attachments.c
// The pod's device is looked at, alone; false: nobody said which it is.
bool attachment_look(struct endpoints *endpoints, const struct pod *pod);
void attachments_bind(struct endpoints *endpoints, const struct pod *pod); // those that nobody's UID was said of
void attachments_device_gone(struct endpoints *endpoints, int ifindex);
void attachments_check(struct endpoints *endpoints, const struct link_view *view); // drops those whose device is gone

// early.c: after pods were matched, opens again what none of them can be behind.
void unowned_release(struct endpoints *endpoints, const struct link_view *view, int64_t now_ms);

// Its device is another record's now, with its slot.
void device_given(struct endpoints *endpoints, struct endpoint *endpoint);

// Its pod is gone, or was never its: what may still run there is shut in.
void shut_in(struct endpoints *endpoints, struct endpoint *endpoint);

// The pod is (again) the one of this device: it takes part, and leaves quarantine with the next plan.
void take_part(struct endpoints *endpoints, struct endpoint *endpoint, const struct pod *pod);
