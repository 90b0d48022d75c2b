// SPDX-License-Identifier: Apache-2.0
// crowd.h - who policies could be about: namespaces, and groups of pods that neither labels nor ports tell apart.
//
// World: host, one thread. Pure: yes. Owns: the groups; borrows the store's objects, so the store must not change. Lack of
// memory ends the process.
#pragma once

#include "agent/base/hash.h"
#include "agent/base/vec.h"
#include "agent/store/store.h"

struct realm; // a namespace

// Pods of one namespace with equal labels, named ports and network; finished pods are in none.
struct group {
	struct realm *realm;
	const struct pod *pod; // one of them, the first by name
	uint32_t npods;
	bool families[2]; // some pod has an address of IPv4, of IPv6
};

struct realm {
	const char *name; // interned
	const struct namespace_ *object; // NULL: not given
	struct labels labels; // its name's, at least
	struct label self;
	VEC(struct group *) groups; // by name of their pod
	VEC(const struct netpol *) policies; // by name
};

struct crowd {
	VEC(struct realm *) realms; // by name
	VEC(struct group *) groups;
	VEC(const struct clusternetpol *) policies; // as they are evaluated: tier, priority, name
	VEC(struct bh_addr) addrs; // of all pods, ascending
	struct hash by_name, by_content;
	const char *name_label;
};

void crowd_init(struct crowd *crowd, const struct store *store);
void crowd_fini(struct crowd *crowd);

struct realm *crowd_realm(const struct crowd *crowd, const char *name); // NULL: nobody names it

// Calls fn for each group that a policy of namespace `own` (NULL: of the cluster) means by a peer of pods, until it returns
// true, which is then returned.
typedef bool (*crowd_fn)(void *arg, struct group *group);
bool crowd_peer_any(const struct crowd *crowd, const char *own, const struct peer *peer, crowd_fn fn,
		    void *arg);
// Some namespace matches.
bool crowd_has_realm(const struct crowd *crowd, const struct selector *namespaces);

// Some pod has an address in the block, outside of its excepts.
bool crowd_has_address(const struct crowd *crowd, const struct peer *block);
size_t crowd_claims(const struct crowd *crowd, const struct bh_addr *addr); // pods that say it is theirs
