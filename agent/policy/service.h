// SPDX-License-Identifier: Apache-2.0
// service.h - Services as the compiler needs them: which addresses and ports lead to which backends.
//
// World: host, one thread. Pure: yes. Owns: its entries and a reference on each object in them.
// A *front* is one port of a Service, or one hostPort of a pod of this node. Before it stand its *keys*, what
// bh_service is looked up by; behind it its *backends*, an address and a port each. Backends come from
// EndpointSlices alone, by the port's name and protocol: of each family of the Service the ready ones, or if there is
// none those that still serve while they terminate (service.c has the whole rule). A key is a location like an address (space.h), and its class says what egress
// rules can tell of the backends (svcsig.h). Two fronts may have one key (an address that two Services claim, a NodePort
// that is also a pod's hostPort): it is judged on the backends of both.
#pragma once

#include <bulkhead/service.h>

#include "agent/policy/svcsig.h"

struct svcent;

// A port behind fronts, and the egress atoms that its backends were last judged by.
struct target {
	uint8_t protocol;
	uint16_t port;
	uint32_t refs; // backends
	bool changed;
	atom_ids sig;
};

struct backend {
	struct spot *spot;
	struct target *target;
};
typedef VEC(struct backend) backend_list;

static inline uint8_t family_bit(bool v4)
{
	return v4 ? 1 : 2;
}

struct front {
	struct svcent *service; // NULL: a hostPort of `pod`
	struct podent *pod;
	const char *name; // of the Service's port, borrowed from its object
	uint8_t protocol;
	uint16_t port;
	uint8_t families; // family_bit() of those that it has
	backend_list backends; // by address, port
	uint32_t counted; // of the backends, to the namespace's share
	VEC(struct svckey *) keys;
};

// A pod of this node among the backends of a key.
struct svcself {
	uint32_t slot, how; // enum bh_self_how
};
typedef VEC(struct svcself) svcselves; // by slot

struct svckey {
	struct bh_service_key key;
	struct loc loc;
	uint32_t word; // what bh_service holds
	bool dirty;
	bool lost; // a backend, since the last plan
	bool resolve; // the plan that is being made has a STEP_RESOLVE for it
	front_list fronts;
	size_t self_at; // in services.of_own, 1 being the first; 0: it is not there
	svcselves selves, wanted; // what bh_self holds, what it is to hold
};

struct svcent {
	const char *ns, *name; // interned
	const struct service *object; // NULL: only slices name it
	VEC(const struct endpointslice *) slices;
	front_list fronts;
	bool dirty;
	uint32_t admitted; // keys counted to its share
	const char *refused; // why it is; a part of a sentence
	bool overgrown; // it has more backends than its share: refused as well
	bool homeless; // for some of its keys there is no place
};

struct services {
	struct hash by_name, keys, targets;
	VEC(struct svcent *) dirty;
	VEC(struct svckey *) dirty_keys;
	VEC(struct svckey *) of_own; // keys with pods of this node among their backends
	uint32_t in_table; // keys in bh_service
	uint32_t selves; // elements of bh_self
	struct hash shares; // of keys and backends, by namespace
	uint32_t linked; // keys of fronts
	uint64_t backends; // counted, of all fronts
	uint32_t admitted; // keys of Services that are not refused
	bool room_came; // refused ones may fit
	bool crowded; // some keys found no place
	bool deferred; // keys that come or go wait for a round of the plan of their own
};

struct policy;

void services_fini(struct policy *policy);

// before/after as in policy_changed().
void services_service(struct policy *policy, const struct service *before,
		      const struct service *after);
void services_slice(struct policy *policy, const struct endpointslice *before,
		    const struct endpointslice *after);
// The endpoint's pod has changed, or it came or went.
void services_endpoint(struct policy *policy, struct endpoint *endpoint);
// Another node is the own one now.
void services_node(struct services *services);

// What every key should be whose backends, their classes or ports have changed. Call it when all addresses and
// ports know what they should be; may be called again after more changed.
void services_want(struct policy *policy);

void service_touch(struct services *services, struct svcent *service);
void services_rehouse(struct policy *policy); // those whose keys found no place
void svckey_touch(struct services *services, struct svckey *key);
struct svckey *svckey_get(struct services *services, const struct bh_service_key *key);
struct svckey *svckey_find(const struct services *services, const struct bh_service_key *key);
// Forgets a key that is nothing any more.
void svckey_put(struct services *services, struct svckey *key);
struct svckey *svckey_of(struct loc *loc);

// The key is about a family, or (an address of this node) about both.
bool svckey_has(const struct bh_service_key *key, const struct bh_addr *backend);
bool svckey_is_any(const struct bh_service_key *key); // address 0
// BH_SERVICE_ flags of a key by its fronts: all but BH_SERVICE_EMPTY, which its class tells.
uint32_t svckey_flags(const struct svckey *key);

// ---- svcbudget.c ----
void svcbudget_fini(struct services *services);
void svcbudget_admit(struct policy *policy, struct svcent *service);
void svcbudget_leave(struct policy *policy, struct svcent *service);
void svcbudget_retry(struct policy *policy); // refused ones that fit are admitted
// One more key may be told of, be it a refused Service's.
bool svcbudget_has_place(const struct policy *policy);
// So many backends may stand behind this front of a Service; and they do, from now on.
bool svcbudget_allows(struct policy *policy, const struct front *front, size_t backends);
void svcbudget_count(struct policy *policy, struct front *front, size_t backends);
// Services of the namespace that needs most classes are refused until so many are not needed; false: there is none.
bool svcbudget_shed(struct policy *policy, uint32_t excess);

uint32_t services_count(const struct policy *policy); // Services with keys

// How many keys are mixed for some pod of this node.
uint32_t services_mixed(const struct policy *policy);

// The address is a status address of the own Node.
bool spot_is_own_node(const struct policy *policy, const struct spot *spot);
