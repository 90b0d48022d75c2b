// SPDX-License-Identifier: Apache-2.0
// atom.h - peer atoms: one rule's whole peer list, interned by content.
//
// World: host, one thread. Pure: yes. Owns: the atoms (counted) and a reference on the object that each
// took its selectors from. Rules of ingress and egress have atoms of their own, as what Services are told
// apart by is egress alone. An atom with a port is the part of a rule that holds for pods where a named
// port means this number; it never matches an address that is no pod's.
#pragma once

#include <bulkhead/abi.h>

#include "agent/base/hash.h"
#include "agent/object/object.h"
#include "agent/policy/ids.h"

struct atom {
	uint32_t id;
	uint32_t refs;
	uint64_t hash;
	bool queued; // in atoms.changed
	bool in_force; // part of signatures
	bool any; // every pod (only with a port)
	uint8_t dir; // enum bh_dir: of the rules
	const char *ns; // of the policy, when a peer is of the own namespace; else NULL
	const char *port_name; // NULL: no port condition
	uint8_t port_proto; // enum protocol
	uint16_t port_number;
	struct object *owner;
	uint32_t npeers;
	const struct peer **peers; // sorted, unique; their storage is the owner's
};

struct atoms {
	struct hash by_content;
	struct ids ids;
	VEC(struct atom *) by_id;
	VEC(struct atom *) changed; // came or lost their last rule since atoms_settled()
};

// What an atom is made of; port_name NULL: no port condition.
struct atom_spec {
	const struct object *owner; // the policy
	const struct rule *rule;
	enum bh_dir dir;
	const char *port_name;
	uint8_t port_proto;
	uint16_t port_number;
};

void atoms_init(struct atoms *atoms);
void atoms_fini(struct atoms *atoms);

// Counted once more. The rule's peers of kinds PEER_NONE and PEER_ANY are the caller's to handle.
struct atom *atom_get(struct atoms *atoms, const struct atom_spec *spec);
void atom_ref(struct atom *atom); // NULL is fine
void atom_put(struct atoms *atoms, struct atom *atom); // NULL is fine

// Frees an atom without rules whose marks are gone.
void atom_bury(struct atoms *atoms, struct atom *atom);

// The pod has the port that the atom asks for (true without a port condition).
bool atom_port_holds(const struct atom *atom, const struct pod *pod);
