// SPDX-License-Identifier: Apache-2.0
// class.h - equivalence classes: a set of atoms (the signature), and the id under which tables know it.
//
// World: host, one thread. Pure: yes. Owns: the classes; each lives while a location is shown as it.
// Peer classes and port classes are two of these sets.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/hash.h"
#include "agent/base/vec.h"
#include "agent/policy/ids.h"

struct loc;

// What is shown as a class: a prefix, an exact address, the address and port of a Service (service.h).
enum loc_kind { LOC_PREFIX, LOC_EXACT, LOC_SERVICE, LOC_KIND_MAX };

struct cls {
	uint32_t id; // IDS_NONE: not in the tables yet
	uint32_t members; // locations that the tables show as this class
	struct loc *locs[LOC_KIND_MAX]; // of peers: those locations
	uint64_t hash;
	bool interned; // found by its signature; adopted classes and fragments are not
	bool adopted; // read from the kernel: what it stands for is not known
	bool touched;
	// Scratch of one plan.
	uint32_t leaving; // members that move away
	uint32_t arriving; // locations that move to it
	uint32_t from; // replaced matrices judge it as the class of this id
	uint32_t counted; // in this round of counting
	uint32_t addresses; // exact ones that need an element for it, in that round
	bool lent; // the id is the heir's now
	uint32_t n;
	uint32_t sig[]; // ids of atoms, ascending; of a Service's class see svcsig.h
};

#define SIG_SERVICE UINT32_MAX // no atom has this id

static inline bool cls_is_service(const struct cls *cls)
{
	return cls->n && cls->sig[0] == SIG_SERVICE;
}

struct classes {
	struct hash by_sig;
	struct ids ids;
	VEC(struct cls *) by_id;
	VEC(struct cls *) touched;
	uint32_t services; // of those found by their signature
};

void classes_init(struct classes *classes, uint32_t first, uint32_t max);
void classes_fini(struct classes *classes);

// The class of a signature, made when it is new (without an id).
struct cls *cls_get(struct classes *classes, const uint32_t *sig, size_t n);

// A class that no signature finds: a fragment, or one read from the kernel.
struct cls *cls_loose(struct classes *classes, const uint32_t *sig, size_t n);

// Takes a class out of the table of signatures, or puts it in; it must not be or be there.
void cls_unintern(struct classes *classes, struct cls *cls);
void cls_intern(struct classes *classes, struct cls *cls);
struct cls *cls_find(const struct classes *classes, const uint32_t *sig, size_t n); // NULL: none

void cls_join(struct cls *cls);
void cls_leave(struct classes *classes, struct cls *cls); // cls may be NULL

// Gives a class the next free id, or this one. False: none is free.
bool cls_number(struct classes *classes, struct cls *cls);
void cls_number_as(struct classes *classes, struct cls *cls, uint32_t id);

// heir takes over the id of a class that every member leaves.
void cls_inherit(struct classes *classes, struct cls *heir, struct cls *from);

// Ends a plan: classes without members go, their ids wait.
void classes_sweep(struct classes *classes);

// Sorts a list of ids and drops repetitions.
size_t sig_sort(uint32_t *sig, size_t n);
