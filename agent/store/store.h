// SPDX-License-Identifier: Apache-2.0
// store.h - the objects of the cluster as last read, by kind, namespace and name; says what changed.
//
// World: host, one thread. Pure: yes. Owns: one reference on every object it holds.
#pragma once

#include "agent/object/object.h"

struct store;

// One change, told to every subscriber right after it is in force; before == NULL: added,
// after == NULL: removed. Both are borrowed for the call.
typedef void (*store_changed_fn)(void *arg, const struct object *before, const struct object *after);

int store_new(struct store **ret);
void store_free(struct store *store);
DEFINE_CLEANUP(struct store *, store_free)

int store_subscribe(struct store *store, store_changed_fn fn, void *arg);

// Takes over one reference. Returns 1 when something that matters changed (subscribers were told), 0
// when it equals what was held (nothing is told), -ENOMEM. On an error the reference is dropped.
int store_put(struct store *store, struct object *object);

// 1 removed, 0 was not there.
int store_remove(struct store *store, enum kind kind, const char *ns, const char *name);

// Addresses that the host gave a pod, from now on and until store_recall(): while its object tells of none, they
// stand in it, marked as lent. uid NULL: whatever the object's. A pod has one loan, the last. 0 or -ENOMEM.
int store_lend(struct store *store, const char *ns, const char *name, const char *uid,
	       const struct bh_addr *addrs, uint32_t naddrs);
int store_recall(struct store *store, const char *ns, const char *name);

// Borrowed; NULL: not there. ns is NULL for kinds that are not namespaced. Strings need not be interned.
const struct object *store_find(const struct store *store, enum kind kind, const char *ns,
				const char *name);

// Calls fn for each object of a kind (ns != NULL: of that namespace only), in no order, until it
// returns non-zero, which is then returned. fn must not change the store.
typedef int (*store_each_fn)(void *arg, const struct object *object);
int store_each(const struct store *store, enum kind kind, const char *ns, store_each_fn fn, void *arg);

// Objects held, of one kind.
size_t store_count(const struct store *store, enum kind kind);

// Counts every change that mattered since the store was made: the product's "seen" generation.
uint64_t store_generation(const struct store *store);
