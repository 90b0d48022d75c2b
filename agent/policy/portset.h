// SPDX-License-Identifier: Apache-2.0
// portset.h - port atoms, and the classes of (protocol, port) that they cut the port space into.
//
// World: host, one thread. Pure: yes. Owns: atoms (counted), port classes, what the tables show.
// Class 0 is the empty signature; it is also the class of protocols without ports.
#pragma once

#include <bulkhead/policy.h>

#include "agent/policy/class.h"

struct port_range {
	uint16_t lo, hi;
	uint32_t proto; // enum bh_port_proto
};

// One rule's resolved port list: sorted, merged. Of ingress and egress apart, as peer atoms are.
struct port_atom {
	uint32_t id;
	uint32_t refs;
	uint64_t hash;
	enum bh_dir dir;
	uint32_t n;
	struct port_range v[];
};

struct port_span {
	uint32_t lo, hi; // inclusive
	struct cls *cls;
};

typedef VEC(struct port_range) port_ranges;
typedef VEC(struct port_span) port_spans;

struct portset {
	struct hash by_content;
	struct ids atom_ids;
	VEC(struct port_atom *) atoms; // by id
	struct classes classes;
	struct cls *none; // class 0
	port_spans shown[BH_PORT_PROTO_MAX]; // what the tables hold
	port_spans wanted[BH_PORT_PROTO_MAX]; // what they are to hold; empty: the same
	bool changed; // atoms came or went since portset_cut()
};

void portset_init(struct portset *set, uint32_t max_classes);
void portset_fini(struct portset *set);

// IP protocol -> enum bh_port_proto, or -1.
int portset_proto(uint8_t protocol);

// The atom of a list, counted once more. ranges is sorted and merged in place; it may not be empty.
struct port_atom *port_atom_get(struct portset *set, enum bh_dir dir, port_ranges *ranges);
void port_atom_ref(struct port_atom *atom);
void port_atom_put(struct portset *set, struct port_atom *atom); // NULL is fine

// Cuts the port space by the atoms in force, if they changed: one list of spans per protocol, class by
// signature, into wanted.
void portset_cut(struct portset *set);

// What the tables show, and what they are to show; protocols without ports: class 0.
struct cls *portset_find(const struct portset *set, uint8_t protocol, uint16_t port);
struct cls *portset_wanted(const struct portset *set, uint8_t protocol, uint16_t port);
