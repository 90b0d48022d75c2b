// SPDX-License-Identifier: Apache-2.0
// endpoint.h - the pods of this node: by which veth they hang, which slot they have, what state they are in.
//
// World: host, the loop's thread. Pure: no (stores into the endpoint table, never waits). Owns: a record per
// pod of this node and per slot in use. What waits (scanning, loading, attaching, detaching) is done by
// the daemon's helper thread, which brings results back here.
//
// Who a device is. The host's own link table says which devices there are, and only that a device is not in it
// any more ends an endpoint. Which pod a device belongs to is decided once, by choose.h, before anything is
// attached; from then on the endpoint keeps its device, whatever pods say behind their veths.
//
// Life. A pod object of this node makes a record (WAITING). A scan that finds its device gives it a slot and
// an incarnation (FOUND), in quarantine; from then on it takes part in compiling, and leaves quarantine
// when its first plan has run. Once its programs are on the veth it is ATTACHED. When the device goes,
// the slot is given back; when only the object goes, the pod that may still run is quarantined (ORPHAN)
// until its device goes, since nothing says any more what it may do. A device that might be one of
// several pods', or one of several devices of a pod, is an ORPHAN as well, until something decides; and so is one
// that was shut before pods were known, until a pod takes it or none can be behind it.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/vec.h"
#include "agent/bpf/link.h"
#include "agent/bpf/program.h"
#include "agent/bpf/tables.h"
#include "agent/endpoint/attachment.h"
#include "agent/store/store.h"

// For how long a connection older than enforcement may be adopted by its first packet (design 3.4).
// Only pods that an agent finds when it starts have such.
#define ENDPOINT_ADOPT_SEC 60

// A pod that waits longer for its device is a problem, and the agent not ready: nothing is enforced on it.
#define ENDPOINT_WAIT_MS 10000

// A device that was shut before pods were known stays so for as long, after that, as a pod without addresses may
// be behind it; for longer only if one is for certain.
#define ENDPOINT_HOLD_MS 30000
#define ENDPOINT_DEVICES "(device)" // in place of a namespace: no namespace is called so

enum endpoint_phase {
	ENDPOINT_WAITING,
	ENDPOINT_FOUND,
	ENDPOINT_ATTACHED,
	ENDPOINT_FAILED, // attaching failed; tried again
	ENDPOINT_ORPHAN,
	ENDPOINT_PHASE_MAX,
};

struct endpoint {
	const char *ns, *name, *uid; // interned; uid may be NULL
	enum endpoint_phase phase;
	uint32_t slot, ident; // valid unless WAITING
	bool inherited; // of a previous agent, not confirmed by a scan yet
	bool enrolled; // the owner was told joined()
	bool attached; // its programs are on the device
	bool contested; // ORPHAN: a device that may be this pod's, and nothing decides
	bool unowned; // ORPHAN: shut before any pod was known; its names are ENDPOINT_DEVICES and the device's
	bool added; // given to the pod by the CNI plugin while the agent ran: nothing in it is older
	bool early; // ran before the agent did: connections older than enforcement may be adopted
	bool extra; // may use addresses of bh_extra
	bool troubled; // a problem with its programs was told
	bool refresh; // programs must be loaded anew (extra addresses, a restart)
	bool stays; // its programs could not be moved from filters to tcx
	bool missing; // its programs are not on the device, or somebody's are in front: put back at once
	bool suspect; // its filters changed: to be looked at
	bool suspect_later; // ... when some time has passed since its last repair
	int64_t repaired_ms; // when the owner saw that, last; 0: never
	uint32_t tried_in; // the owner's round in which attaching failed last
	uint8_t flags; // endpoint_config's
	enum program_variant variant; // of the attached programs
	enum bh_attach attach;
	int64_t waits_since_ms; // WAITING, once endpoints_check() has seen it; unowned, once pods are known; else 0
	// of its device, unless WAITING
	int ifindex;
	uint8_t mac[6]; // as it was when the device was found
	uint16_t ephemeral_lo, ephemeral_hi;
	struct bh_addr gateway4, gateway6;
};

// A slot whose device is gone: programs and table entries are to be removed, then endpoints_released() makes the
// slot free. Or (stays) only an ident that the slot bore before: its entries go, programs and slot are another's.
struct endpoint_leaving {
	uint32_t slot, ident;
	int ifindex;
	enum bh_attach attach;
	bool stays;
};

struct endpoints;

// Of every pod of this node.
struct endpoint_config {
	const char *node;
	enum bh_attach attach;
	uint8_t flags; // enum bh_endpoint_flag but for BH_EP_EXTRA
};

struct endpoint_events {
	void *arg;
	// The endpoint has a slot and is to be compiled from now on / no more.
	void (*joined)(void *arg, const struct endpoint *endpoint);
	void (*left)(void *arg, const struct endpoint *endpoint);
	void (*problem)(void *arg, const char *where, const char *text); // as in source_events
	// The attachment does not count any more, and why; may be NULL.
	void (*refused)(void *arg, const struct attachment *attachment, int r, const char *why);
};

int endpoints_new(struct tables *tables, struct store *store,
		  const struct endpoint_config *config, const struct endpoint_events *events,
		  struct endpoints **ret);
void endpoints_free(struct endpoints *endpoints);
DEFINE_CLEANUP(struct endpoints *, endpoints_free)

// Records of a previous agent's slots, from the pinned tables; before anything else.
int endpoints_inherit(struct endpoints *endpoints);

// The owner passes on every change of Pod and Namespace objects.
void endpoints_changed(struct endpoints *endpoints, const struct object *before,
		       const struct object *after);

// ---- what the CNI plugin says: attachment.h ------------------------------------------------------------------
// Taken up, in place of one of the same name. Its addresses are lent to its pod. If it is told while the agent runs
// its device is looked at soon, alone. -ENOMEM.
int endpoints_attachment_add(struct endpoints *endpoints, const struct attachment *attachment);
bool endpoints_attachment_remove(struct endpoints *endpoints, const struct attachment *name);
const struct attachment *endpoints_attachment_find(const struct endpoints *endpoints,
						   const struct attachment *name);
const struct attachment *endpoints_attachment_at(const struct endpoints *endpoints, size_t index); // NULL: the end
const struct attachment *endpoints_attachment_of(const struct endpoints *endpoints, int ifindex);
// One whose name is to be asked for, told once; NULL: none. And what the store says by then is whose it is.
const struct attachment *endpoints_attachment_ask(struct endpoints *endpoints);
void endpoints_attachment_decide(struct endpoints *endpoints, const char *ns, const char *name);
// Its pod's object, if it is a pod of this node that runs; NULL: not known (yet).
const struct pod *endpoints_attachment_pod(const struct endpoints *endpoints,
					   const struct attachment *attachment);

// Whether devices of attachments are to be looked at; which ones: as endpoints_known(). And what was seen.
bool endpoints_want_look(const struct endpoints *endpoints);
int endpoints_look_at(struct endpoints *endpoints, struct link_known *ret);
void endpoints_looked(struct endpoints *endpoints, const struct link_view *view);
void endpoints_look_failed(struct endpoints *endpoints); // nothing was seen: they are looked at again
bool endpoints_adding(const struct endpoints *endpoints); // what was seen is not attached yet

// True when a scan could find what is waited for (new pods, devices that came or went).
bool endpoints_want_scan(const struct endpoints *endpoints);
size_t endpoints_waiting(const struct endpoints *endpoints);

// What the next scan has to know. 0 or -ENOMEM; *ret is link_known_fini()'s in any case.
int endpoints_known(const struct endpoints *endpoints, struct link_known *ret);

// The result of a link_scan().
void endpoints_scanned(struct endpoints *endpoints, const struct link_view *view, int64_t now_ms);

// Before any pod is known, the result of an early link_scan(): shuts what may be a pod's, but for devices of which
// spared() is true and the host's ways out.
void endpoints_shut_early(struct endpoints *endpoints, const struct link_view *view,
			  bool (*spared)(const void *arg, int ifindex), const void *arg);
size_t endpoints_unowned(const struct endpoints *endpoints); // how many are shut so, still

// Devices came or went: the next scan matters.
void endpoints_devices_changed(struct endpoints *endpoints);

// The host's own namespace lost this device.
void endpoints_device_gone(struct endpoints *endpoints, int ifindex);

// From time to time: who waits for too long, which adoption windows have passed.
void endpoints_check(struct endpoints *endpoints, int64_t now_ms);
bool endpoints_overdue(const struct endpoints *endpoints); // a pod waits for too long

// Programs were attached (r = 0) or could not be. Ignored when the slot has another incarnation by now.
void endpoints_attached(struct endpoints *endpoints, uint32_t ident, enum program_variant variant,
			enum bh_attach attach, int r, const char *why);

// The same programs are attached the other way now.
void endpoints_moved(struct endpoints *endpoints, struct endpoint *endpoint, enum bh_attach attach);

// Takes one slot that is to be cleaned up; false: none.
bool endpoints_take_leaving(struct endpoints *endpoints, struct endpoint_leaving *ret);
void endpoints_put_leaving(struct endpoints *endpoints, const struct endpoint_leaving *leaving); // not done
void endpoints_released(struct endpoints *endpoints, uint32_t slot);

// The pod's own record, else one of a device that was or may be its.
struct endpoint *endpoints_find(const struct endpoints *endpoints, const char *ns, const char *name);
struct endpoint *endpoints_by_slot(const struct endpoints *endpoints, uint32_t slot);
struct endpoint *endpoints_by_device(const struct endpoints *endpoints, int ifindex);
struct endpoint *endpoints_by_ident(const struct endpoints *endpoints, uint32_t ident);
struct endpoint *endpoints_by_device(const struct endpoints *endpoints, int ifindex);

// All records, in the order of their names: index 0.. until NULL.
struct endpoint *endpoints_at(const struct endpoints *endpoints, size_t index);

const char *endpoint_phase_name(enum endpoint_phase phase);
