// SPDX-License-Identifier: Apache-2.0
// space.h - the address space as one trie: prefixes that ipBlocks name, addresses of pods and nodes.
//
// World: host, one thread. Pure: yes. Owns: the spots. Borrows: atoms, pods, nodes.
// A location is what the tables can hold: a prefix (bh_cidr) or an exact address (bh_peer). A spot may
// be both (a /128 prefix that is a pod's address), or neither: a fork, a backend elsewhere (service.h). A location that
// is in no table is answered by the nearest prefix above that is.
// Each pod of the cluster has an address and a fork of its own here, so both hold no more than all of them need.
#pragma once

#include <bulkhead/addr.h>

#include "agent/policy/atom.h"
#include "agent/policy/class.h"

struct loc {
	struct cls *cls; // what a reader gets; NULL: nothing published yet
	struct cls *want; // what it should get
	struct loc *next, **back; // in the class's list
	bool live; // a block or except names it; a pod or node has it
	bool in_table;
	uint8_t kind; // enum loc_kind
};

struct mark {
	struct atom *atom;
	uint32_t peer; // index in the atom
	bool except;
};

struct podent;
struct nodeent;
struct front;
typedef VEC(struct front *) front_list;

// What few spots have.
struct spot_more {
	struct spot *spot;
	struct loc prefix;
	VEC(struct mark) marks;
	VEC(struct podent *) rivals; // pods that claim the address beside the first one
	VEC(struct nodeent *) nodes;
	front_list fronts; // that have it as a backend
};

struct spot {
	struct spot *up;
	struct bh_addr addr;
	uint32_t swept; // the round in which all below was marked dirty
	uint8_t len; // of the prefix
	bool dirty;
	struct spot_more *more; // NULL: nothing of it
};

// A spot of len 128.
struct exact {
	struct spot spot;
	struct loc loc;
	struct podent *pod; // claims it; NULL: no pod does
};

// Any other spot.
struct fork {
	struct spot spot;
	struct spot *child[2];
};

static inline struct exact *spot_exact(const struct spot *spot) // NULL: it is no address
{
	return spot->len == 128 ? (struct exact *)spot : NULL;
}

static inline struct spot *spot_child(const struct spot *spot, int i)
{
	return spot->len < 128 ? ((const struct fork *)spot)->child[i] : NULL;
}

extern const struct spot_more spot_nothing;

static inline const struct spot_more *spot_more(const struct spot *spot)
{
	return spot->more ? spot->more : &spot_nothing;
}

struct spot_more *spot_extend(struct spot *spot); // made when missing

// The locations of a spot, NULL: it cannot be in that table.
static inline struct loc *spot_loc(const struct spot *spot, bool exact)
{
	if (exact)
		return spot->len == 128 ? &spot_exact(spot)->loc : NULL;
	return spot->more ? &spot->more->prefix : NULL;
}

struct space {
	struct spot *root, *root4; // ::/0 and 0.0.0.0/0, always live
	uint32_t round;
	uint32_t guarded; // marks of atoms with a port condition
	uint32_t peers, cidrs; // in the tables
	VEC(struct spot *) dirty;
	VEC(struct spot *) changed; // stirred
};

void space_init(struct space *space);
void space_fini(struct space *space);

struct spot *space_get(struct space *space, const struct bh_cidr *cidr); // made when missing
struct spot *space_find(const struct space *space, const struct bh_addr *addr);

// The deepest spot that covers the address: an exact one, a prefix or a fork.
const struct spot *space_reach(const struct space *space, const struct bh_addr *addr);

struct spot *spot_of(struct loc *loc);

// The location is shown as this class from now on (NULL: as none).
void loc_show(struct classes *classes, struct loc *loc, struct cls *cls);

// Forgets a spot that is nothing any more.
void space_put(struct space *space, struct spot *spot);

void space_touch(struct space *space, struct spot *spot);
void space_stir(struct space *space, struct spot *spot); // and, at the next sweep, all below it
void space_mark(struct space *space, const struct bh_cidr *cidr, struct mark mark);
void space_unmark(struct space *space, const struct bh_cidr *cidr, struct mark mark);

// Makes everything below what was stirred dirty.
void space_sweep(struct space *space);

// The nearest prefix at or above (self) or above a spot that is live / in the tables; NULL: none.
struct loc *space_live_above(struct spot *spot, bool self);
struct loc *space_shown_above(struct spot *spot, bool self);

typedef VEC(uint32_t) atom_ids;

// Appends the atoms whose ipBlocks cover the spot. pod NULL: without the atoms that ask for a port.
void space_blocks(const struct space *space, const struct spot *spot, const struct pod *pod,
		  atom_ids *out);
