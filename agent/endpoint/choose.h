// SPDX-License-Identifier: Apache-2.0
// choose.h - which device is which pod's, by everything that speaks for it, before anything is attached.
// Private to this room.
//
// World: host. Pure: yes. Owns: nothing.
//
// The pods that wait and the devices that are free are paired best evidence first, so the answer depends on
// neither's order. Between pods with the same evidence for a device pod_outranks() decides, as the compiler
// does who an address belongs to.
// Between devices with the same evidence for a pod those pods come first that have no other; if several
// are left nothing decides: they are contested.
//
// A device that a pod has is not free. It passes to another only when the API itself says that the address is
// a younger pod's by now, or the kernel that the other's processes live there, and never while those of its
// own pod do: what stands on the device is not asked. What the CNI plugin said of a device is above all that: it
// passes to the pod that it was given to, and to no other.
#pragma once

#include "agent/bpf/link.h"
#include "agent/endpoint/attachment.h"
#include "agent/object/object.h"

enum evidence {
	EVIDENCE_NONE,
	EVIDENCE_ADDRESS, // its address stands there: the pod's word, and maybe another pod's
	EVIDENCE_ROUTE, // the host routes its address there
	EVIDENCE_UID, // its processes live there
	EVIDENCE_ATTACHMENT, // it was given to the pod
};

// A pod that waits.
struct claim {
	const struct pod *pod;
	void *arg; // the caller's
	// the answer
	const struct link_pod *link; // its device, or NULL
	bool contested; // link is only one of several
	const struct pod *winner; // no device: who got the one that it has most evidence for, or NULL
	const struct link_pod *lost; // that device
};

// A device that is free, or may pass to another pod than its own.
struct candidate {
	const struct link_pod *link;
	const struct attachment *attachment; // NULL: nobody said whose it is
	const struct pod *holder; // NULL: free
	enum evidence needs; // less does not count
	void *arg; // the caller's
	// the answer
	struct claim *taker;
	bool contested; // among several for the taker
	enum evidence kept; // for one that cannot decide yet: who has less must not take it
};

enum evidence evidence_of(const struct pod *pod, const struct link_pod *link,
			  const struct attachment *attachment);

// 0 or -ENOMEM.
int choose(struct claim *claims, size_t nclaims, struct candidate *candidates, size_t ncandidates);
