// SPDX-License-Identifier: Apache-2.0
// crowd.c - namespaces and groups of pods.
#include "agent/review/crowd.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/must.h"

// ---- namespaces --------------------------------------------------------------------------------

static bool realm_is(const void *item, const void *key)
{
	return !strcmp(((const struct realm *)item)->name, key);
}

struct realm *crowd_realm(const struct crowd *crowd, const char *name)
{
	return hash_find(&crowd->by_name, hash_string(name), realm_is, name);
}

static struct realm *realm_get(struct crowd *crowd, const char *name)
{
	struct realm *realm = crowd_realm(crowd, name);

	if (realm)
		return realm;
	realm = must_new(sizeof(*realm));
	realm->name = intern_get(name);
	realm->self = (struct label){ crowd->name_label, realm->name };
	realm->labels = (struct labels){ 1, &realm->self };
	must_ok(hash_add(&crowd->by_name, hash_string(name), realm));
	must_push(&crowd->realms, realm);
	return realm;
}

static int add_namespace(void *arg, const struct object *object)
{
	struct realm *realm = realm_get(arg, object->name);

	realm->object = (const struct namespace_ *)object;
	realm->labels = realm->object->labels;
	return 0;
}

// ---- pods --------------------------------------------------------------------------------------

static uint64_t pod_hash(const struct pod *pod)
{
	return hash_mix(hash_mix(hash_pointer(pod->object.ns), hash_pointer(pod->labels.v)),
			hash_mix(hash_pointer(pod->ports), pod->host_network));
}

// Names, sets of labels and lists of ports are interned.
static bool group_is(const void *item, const void *key)
{
	const struct pod *a = ((const struct group *)item)->pod, *b = key;

	return a->object.ns == b->object.ns && a->labels.v == b->labels.v && a->ports == b->ports &&
	       a->host_network == b->host_network;
}

static struct group *group_get(struct crowd *crowd, const struct pod *pod)
{
	struct group *group = hash_find(&crowd->by_content, pod_hash(pod), group_is, pod);

	if (group)
		return group;
	group = must_new(sizeof(*group));
	group->realm = realm_get(crowd, pod->object.ns);
	group->pod = pod;
	must_ok(hash_add(&crowd->by_content, pod_hash(pod), group));
	must_push(&crowd->groups, group);
	must_push(&group->realm->groups, group);
	return group;
}

static int add_pod(void *arg, const struct object *object)
{
	const struct pod *pod = (const struct pod *)object;
	struct crowd *crowd = arg;
	struct group *group;

	if (pod->finished)
		return 0;
	group = group_get(crowd, pod);
	group->npods++;
	if (strcmp(pod->object.name, group->pod->object.name) < 0)
		group->pod = pod;
	for (uint32_t i = 0; i < pod->naddrs; i++) {
		group->families[!bh_addr_is4(&pod->addrs[i])] = true;
		if (!pod->host_network)
			must_push(&crowd->addrs, pod->addrs[i]);
	}
	return 0;
}

// ---- policies ----------------------------------------------------------------------------------

static int add_netpol(void *arg, const struct object *object)
{
	struct realm *realm = realm_get(arg, object->ns);

	must_push(&realm->policies, (const struct netpol *)object);
	return 0;
}

static int add_cluster(void *arg, const struct object *object)
{
	struct crowd *crowd = arg;

	must_push(&crowd->policies, (const struct clusternetpol *)object);
	return 0;
}

// ---- order -------------------------------------------------------------------------------------

static int by_pod(const void *a, const void *b)
{
	return strcmp((*(struct group *const *)a)->pod->object.name,
		      (*(struct group *const *)b)->pod->object.name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct object *const *)a)->name,
		      (*(const struct object *const *)b)->name);
}

static int by_realm(const void *a, const void *b)
{
	return strcmp((*(struct realm *const *)a)->name, (*(struct realm *const *)b)->name);
}

static int by_precedence(const void *a, const void *b)
{
	const struct clusternetpol *x = *(const struct clusternetpol *const *)a;
	const struct clusternetpol *y = *(const struct clusternetpol *const *)b;

	if (x->tier != y->tier)
		return x->tier < y->tier ? -1 : 1;
	return x->priority != y->priority ? x->priority - y->priority :
					    strcmp(x->object.name, y->object.name);
}

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct bh_addr)); // network order
}

// Every cluster has them.
static void add_builtin(struct crowd *crowd)
{
	static const char *const names[] = { "default", "kube-node-lease", "kube-public", "kube-system" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *name = must((void *)intern(names[i]));

		realm_get(crowd, name);
		intern_put(name);
	}
}

void crowd_init(struct crowd *crowd, const struct store *store)
{
	*crowd = (struct crowd){ .name_label = must((void *)intern("kubernetes.io/metadata.name")) };
	add_builtin(crowd);
	store_each(store, KIND_NAMESPACE, NULL, add_namespace, crowd);
	store_each(store, KIND_POD, NULL, add_pod, crowd);
	store_each(store, KIND_NETPOL, NULL, add_netpol, crowd);
	store_each(store, KIND_CLUSTERNETPOL, NULL, add_cluster, crowd);
	vec_sort(&crowd->realms, by_realm);
	vec_sort(&crowd->groups, by_pod);
	vec_sort(&crowd->policies, by_precedence);
	vec_sort(&crowd->addrs, by_address);
	vec_each(struct realm *, realm, &crowd->realms) {
		vec_sort(&(*realm)->groups, by_pod);
		vec_sort(&(*realm)->policies, by_name);
	}
}

void crowd_fini(struct crowd *crowd)
{
	vec_each(struct realm *, realm, &crowd->realms) {
		intern_put((*realm)->name);
		vec_fini(&(*realm)->groups);
		vec_fini(&(*realm)->policies);
		free(*realm);
	}
	vec_each(struct group *, group, &crowd->groups)
		free(*group);
	vec_fini(&crowd->realms);
	vec_fini(&crowd->groups);
	vec_fini(&crowd->policies);
	vec_fini(&crowd->addrs);
	hash_fini(&crowd->by_name);
	hash_fini(&crowd->by_content);
	intern_put(crowd->name_label);
}

// ---- peers -------------------------------------------------------------------------------------

static bool realm_groups(struct realm *realm, const struct peer *peer, crowd_fn fn, void *arg)
{
	vec_each(struct group *, group, &realm->groups) {
		if ((*group)->pod->host_network ||
		    !selector_match(&peer->pods, &(*group)->pod->labels))
			continue;
		if (fn(arg, *group))
			return true;
	}
	return false;
}

// Namespaces are mostly named: the term that does so, or NULL.
static const struct selector_term *naming_term(const struct crowd *crowd,
					       const struct selector *namespaces)
{
	for (uint32_t i = 0; i < namespaces->nterms; i++)
		if (namespaces->terms[i].op == SELECTOR_IN &&
		    namespaces->terms[i].key == crowd->name_label)
			return &namespaces->terms[i];
	return NULL;
}

typedef bool (*realm_fn)(void *arg, struct realm *realm);

static bool each_realm(const struct crowd *crowd, const struct selector *namespaces, realm_fn fn,
		       void *arg)
{
	const struct selector_term *names = naming_term(crowd, namespaces);

	for (uint32_t i = 0; names && i < names->nvalues; i++) {
		struct realm *realm = crowd_realm(crowd, names->values[i]);

		if (realm && selector_match(namespaces, &realm->labels) && fn(arg, realm))
			return true;
	}
	vec_each(struct realm *, realm, &crowd->realms) {
		if (names)
			break;
		if (selector_match(namespaces, &(*realm)->labels) && fn(arg, *realm))
			return true;
	}
	return false;
}

static bool is_given(void *arg, struct realm *realm)
{
	return true;
}

bool crowd_has_realm(const struct crowd *crowd, const struct selector *namespaces)
{
	return each_realm(crowd, namespaces, is_given, NULL);
}

struct peer_search {
	const struct peer *peer;
	crowd_fn fn;
	void *arg;
};

static bool search_realm(void *arg, struct realm *realm)
{
	const struct peer_search *search = arg;

	return realm_groups(realm, search->peer, search->fn, search->arg);
}

bool crowd_peer_any(const struct crowd *crowd, const char *own, const struct peer *peer, crowd_fn fn,
		    void *arg)
{
	struct peer_search search = { peer, fn, arg };
	struct realm *realm = peer->own_namespace && own ? crowd_realm(crowd, own) : NULL;

	if (peer->own_namespace)
		return realm && search_realm(&search, realm);
	return each_realm(crowd, &peer->namespaces, search_realm, &search);
}

// ---- addresses ---------------------------------------------------------------------------------

static const struct bh_cidr *except_of(const struct peer *block, const struct bh_addr *addr)
{
	for (uint32_t i = 0; i < block->nexcepts; i++)
		if (cidr_contains(&block->excepts[i], addr))
			return &block->excepts[i];
	return NULL;
}

// The first address at or above the block's.
static size_t first_address(const struct crowd *crowd, const struct bh_addr *addr)
{
	size_t lo = 0, hi = crowd->addrs.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (by_address(&crowd->addrs.v[mid], addr) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

size_t crowd_claims(const struct crowd *crowd, const struct bh_addr *addr)
{
	size_t first = first_address(crowd, addr), at = first;

	while (at < crowd->addrs.n && bh_addr_equal(&crowd->addrs.v[at], addr))
		at++;
	return at - first;
}

bool crowd_has_address(const struct crowd *crowd, const struct peer *block)
{
	size_t at = first_address(crowd, &block->cidr.addr);

	while (at < crowd->addrs.n) {
		const struct bh_addr *addr = &crowd->addrs.v[at];
		const struct bh_cidr *except;

		// ::/0 begins below the IPv4 addresses and is not about them.
		if (!cidr_contains(&block->cidr, addr) && !(block->cidr.prefixlen < BH_V4_PREFIX &&
							    bh_addr_is4(addr)))
			return false;
		except = cidr_contains(&block->cidr, addr) ? except_of(block, addr) : &block->cidr;
		if (!except)
			return true;
		at++;
	}
	return false;
}
