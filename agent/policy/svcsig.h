// SPDX-License-Identifier: Apache-2.0
// svcsig.h - the signature of a Service: what egress rules can tell of its backends, and nothing else.
//
// World: host, one thread. Pure: yes. Owns: a draft its words.
// Two keys of Services are in one class when the sets of their backends are, to every egress rule, sets of the
// same: of each backend only the egress atoms of its address and of its port count, and whether the address is
// the own node's. How many backends are alike does not. The words after SIG_SERVICE are, for each different
// one in ascending order: number of peer atoms (SIG_OWN_NODE on top), number of port atoms, peer atoms,
// port atoms. Nothing after it: there are no backends. SIG_REFUSED in the first word: a Service of which nothing is
// told, and which is denied.
#pragma once

#include "agent/policy/cluster.h"
#include "agent/policy/portset.h"

#define SIG_OWN_NODE (1u << 31)
#define SIG_REFUSED (1u << 30)

static inline bool cls_is_empty_service(const struct cls *cls)
{
	return cls->n == 1 && cls->sig[0] == SIG_SERVICE;
}

// What one or more backends are to egress rules; the words are borrowed from the signature.
struct svcpart {
	bool own_node, refused;
	uint32_t npeers, nports;
	const uint32_t *peers, *ports;
};

// The part at *at, which moves on; *at begins as 0. False: there is none.
bool svcsig_next(const struct cls *cls, uint32_t *at, struct svcpart *ret);

struct svcsig {
	atom_ids words;
	VEC(size_t) parts; // where each begins
};

void svcsig_fini(struct svcsig *draft);

// The egress atoms of a port's class.
void svcsig_ports(const struct portset *set, const struct cls *cls, atom_ids *out);

// One backend: the class of its address, the egress atoms of its port.
void svcsig_add(struct svcsig *draft, const struct atoms *atoms, const struct cls *cls,
		const atom_ids *ports, bool own_node);

void svcsig_refuse(struct svcsig *draft); // a Service that is refused

// Appends the finished signature.
void svcsig_finish(struct svcsig *draft, atom_ids *out);
