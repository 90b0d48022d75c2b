// SPDX-License-Identifier: Apache-2.0
// store.c - one table by kind, namespace and name, and a list of the objects of each namespace.
#include "agent/store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/base/intern.h"
#include "agent/base/vec.h"

// Objects of one kind and namespace (NULL: not namespaced) as a ring that starts at itself.
struct entry {
	struct object *object;
	struct entry *next, *prev;
};

struct group {
	enum kind kind;
	const char *ns;
	size_t n;
	struct entry ring;
	struct group *next, *prev; // groups of the kind
};

struct subscriber {
	store_changed_fn fn;
	void *arg;
};

struct loan {
	const char *ns, *name, *uid; // interned
	uint32_t naddrs;
	struct bh_addr addrs[POD_ADDRS_MAX];
};

struct store {
	struct hash entries;
	struct hash groups;
	struct group *kinds[KIND_MAX];
	size_t counts[KIND_MAX];
	VEC(struct subscriber) subscribers;
	VEC(struct loan) loans;
	uint64_t generation;
};

// ns and name are interned, so a key is three words.
struct key {
	enum kind kind;
	const char *ns;
	const char *name; // NULL: a group's key
};

static uint64_t key_hash(const struct key *key)
{
	uintptr_t words[3] = {key->kind, (uintptr_t)key->ns, (uintptr_t)key->name};

	return hash_bytes(words, sizeof(words));
}

static bool entry_equal(const void *item, const void *arg)
{
	const struct object *object = ((const struct entry *)item)->object;
	const struct key *key = arg;

	return object->kind == key->kind && object->ns == key->ns && object->name == key->name;
}

static bool group_equal(const void *item, const void *arg)
{
	const struct group *group = item;
	const struct key *key = arg;

	return group->kind == key->kind && group->ns == key->ns;
}

static struct key entry_key(const struct object *object)
{
	return (struct key){object->kind, object->ns, object->name};
}

static struct key group_key(enum kind kind, const char *ns)
{
	return (struct key){kind, ns, NULL};
}

static void group_free(struct store *store, struct group *group)
{
	struct key key = group_key(group->kind, group->ns);

	hash_remove(&store->groups, key_hash(&key), group);
	if (group->prev)
		group->prev->next = group->next;
	else
		store->kinds[group->kind] = group->next;
	if (group->next)
		group->next->prev = group->prev;
	intern_put(group->ns);
	free(group);
}

static struct group *group_find(const struct store *store, enum kind kind, const char *ns)
{
	struct key key = group_key(kind, ns);

	return hash_find(&store->groups, key_hash(&key), group_equal, &key);
}

static struct group *group_get(struct store *store, enum kind kind, const char *ns)
{
	struct key key = group_key(kind, ns);
	struct group *group = group_find(store, kind, ns);

	if (group)
		return group;
	group = calloc(1, sizeof(*group));
	if (!group)
		return NULL;
	group->kind = kind;
	group->ns = ns;
	group->ring.next = group->ring.prev = &group->ring;
	if (hash_add(&store->groups, key_hash(&key), group) < 0) {
		free(group);
		return NULL;
	}
	intern_get(ns);
	group->next = store->kinds[kind];
	if (group->next)
		group->next->prev = group;
	store->kinds[kind] = group;
	return group;
}

static void entry_free(struct store *store, struct entry *entry)
{
	struct key key = entry_key(entry->object);
	struct group *group = group_find(store, key.kind, key.ns);

	hash_remove(&store->entries, key_hash(&key), entry);
	store->counts[entry->object->kind]--;
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	free(entry);
	if (!--group->n)
		group_free(store, group);
}

static int entry_add(struct store *store, struct object *object)
{
	struct key key = entry_key(object);
	struct entry *entry;
	struct group *group;

	if (hash_reserve(&store->entries, 1) < 0)
		return -ENOMEM;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	group = group_get(store, object->kind, object->ns);
	if (!group) {
		free(entry);
		return -ENOMEM;
	}
	*entry = (struct entry){object, group->ring.next, &group->ring};
	entry->next->prev = entry;
	group->ring.next = entry;
	group->n++;
	hash_add(&store->entries, key_hash(&key), entry);
	store->counts[object->kind]++;
	return 0;
}

// ---- addresses that are lent -------------------------------------------------------------------

static void loan_fini(struct loan *loan)
{
	intern_put(loan->ns);
	intern_put(loan->name);
	intern_put(loan->uid);
}

static struct loan *loan_find(const struct store *store, const char *ns, const char *name)
{
	vec_each(struct loan, loan, &store->loans)
		if (!strcmp(loan->name, name) && !strcmp(loan->ns, ns))
			return loan;
	return NULL;
}

// The object with what is lent to it now; takes over the reference, NULL for lack of memory.
static struct object *lend(const struct store *store, struct object *object)
{
	const struct pod *pod = (const struct pod *)object;
	struct object *lent;
	const struct loan *loan;

	if (object->kind != KIND_POD || (pod->naddrs && !pod->lent))
		return object;
	loan = pod->host_network ? NULL : loan_find(store, object->ns, object->name);
	if (loan && loan->uid && (!object->uid || strcmp(loan->uid, object->uid)))
		loan = NULL;
	if (!loan && !pod->lent)
		return object;
	lent = pod_with_addrs(pod, loan ? loan->addrs : NULL, loan ? loan->naddrs : 0, loan);
	object_put(object);
	return lent;
}

static int lend_anew(struct store *store, const char *ns, const char *name)
{
	const struct object *held = store_find(store, KIND_POD, ns, name);
	int r = held ? store_put(store, object_get((struct object *)held)) : 0;

	return r < 0 ? r : 0;
}

int store_lend(struct store *store, const char *ns, const char *name, const char *uid,
	       const struct bh_addr *addrs, uint32_t naddrs)
{
	struct loan loan = { intern(ns), intern(name), uid ? intern(uid) : NULL, naddrs };
	struct loan *known = loan_find(store, ns, name);

	assert(naddrs <= POD_ADDRS_MAX);

	if (!loan.ns || !loan.name || (uid && !loan.uid) || (!known && vec_reserve(&store->loans, 1) < 0)) {
		loan_fini(&loan);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < naddrs; i++)
		loan.addrs[i] = addrs[i];
	if (known) {
		loan_fini(known);
		*known = loan;
	} else {
		vec_push(&store->loans, loan);
	}
	return lend_anew(store, ns, name);
}

int store_recall(struct store *store, const char *ns, const char *name)
{
	struct loan *loan = loan_find(store, ns, name);

	if (!loan)
		return 0;
	loan_fini(loan);
	vec_drop(&store->loans, loan - store->loans.v);
	return lend_anew(store, ns, name);
}

// ---- life ----------------------------------------------------------------------------------------

int store_new(struct store **ret)
{
	struct store *store = calloc(1, sizeof(*store));

	assert(ret);

	if (!store)
		return -ENOMEM;
	*ret = store;
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	for (int kind = 0; kind < KIND_MAX; kind++) {
		while (store->kinds[kind]) {
			struct entry *entry = store->kinds[kind]->ring.next;
			struct object *object = entry->object;

			entry_free(store, entry);
			object_put(object);
		}
	}
	hash_fini(&store->entries);
	hash_fini(&store->groups);
	vec_fini(&store->subscribers);
	vec_each(struct loan, loan, &store->loans)
		loan_fini(loan);
	vec_fini(&store->loans);
	free(store);
}

int store_subscribe(struct store *store, store_changed_fn fn, void *arg)
{
	struct subscriber subscriber = {fn, arg};

	return vec_push(&store->subscribers, subscriber);
}

static void tell(struct store *store, const struct object *before, const struct object *after)
{
	store->generation++;
	for (size_t i = 0; i < store->subscribers.n; i++)
		store->subscribers.v[i].fn(store->subscribers.v[i].arg, before, after);
}

int store_put(struct store *store, struct object *object)
{
	struct object *before;
	struct entry *entry;
	struct key key;

	object = lend(store, object);
	if (!object)
		return -ENOMEM;
	key = entry_key(object);
	entry = hash_find(&store->entries, key_hash(&key), entry_equal, &key);
	before = entry ? entry->object : NULL;
	if (before && object_equal(before, object)) {
		object_put(object);
		return 0;
	}
	if (entry) {
		entry->object = object;
	} else if (entry_add(store, object) < 0) {
		object_put(object);
		return -ENOMEM;
	}
	tell(store, before, object);
	object_put(before);
	return 1;
}

// Strings of callers need not be interned; what nobody holds is in no store.
static struct entry *entry_find(const struct store *store, enum kind kind, const char *ns,
				const char *name)
{
	struct key key = {kind, ns ? intern_find(ns) : NULL, intern_find(name)};

	if (!key.name || (ns && !key.ns))
		return NULL;
	return hash_find(&store->entries, key_hash(&key), entry_equal, &key);
}

int store_remove(struct store *store, enum kind kind, const char *ns, const char *name)
{
	struct entry *entry = entry_find(store, kind, ns, name);
	struct object *object;

	if (!entry)
		return 0;
	object = entry->object;
	entry_free(store, entry);
	tell(store, object, NULL);
	object_put(object);
	return 1;
}

const struct object *store_find(const struct store *store, enum kind kind, const char *ns,
				const char *name)
{
	const struct entry *entry = entry_find(store, kind, ns, name);

	return entry ? entry->object : NULL;
}

static int group_each(const struct group *group, store_each_fn fn, void *arg)
{
	for (const struct entry *e = group->ring.next; e != &group->ring; e = e->next) {
		int r = fn(arg, e->object);

		if (r)
			return r;
	}
	return 0;
}

int store_each(const struct store *store, enum kind kind, const char *ns, store_each_fn fn,
	       void *arg)
{
	if (ns) {
		const char *interned = intern_find(ns);
		const struct group *group = interned ? group_find(store, kind, interned) : NULL;

		return group ? group_each(group, fn, arg) : 0;
	}
	for (const struct group *group = store->kinds[kind]; group; group = group->next) {
		int r = group_each(group, fn, arg);

		if (r)
			return r;
	}
	return 0;
}

size_t store_count(const struct store *store, enum kind kind)
{
	return store->counts[kind];
}

uint64_t store_generation(const struct store *store)
{
	return store->generation;
}
