// SPDX-License-Identifier: Apache-2.0
// front.c - keys, backends and the ports behind, and what links them to fronts.
#include "agent/policy/front.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/policy/must.h"

// ---- keys ---------------------------------------------------------------------------------------------------

static uint64_t key_hash(const struct bh_service_key *key)
{
	return hash_bytes(key, sizeof(*key));
}

static bool is_key(const void *item, const void *key)
{
	return !memcmp(&((const struct svckey *)item)->key, key, sizeof(struct bh_service_key));
}

struct svckey *svckey_find(const struct services *services, const struct bh_service_key *key)
{
	return hash_find(&services->keys, key_hash(key), is_key, key);
}

struct svckey *svckey_get(struct services *services, const struct bh_service_key *wanted)
{
	struct svckey *key = svckey_find(services, wanted);

	if (key)
		return key;
	key = must_new(sizeof(*key));
	key->key = *wanted;
	key->loc.kind = LOC_SERVICE;
	must_ok(hash_add(&services->keys, key_hash(wanted), key));
	return key;
}

void svckey_touch(struct services *services, struct svckey *key)
{
	if (!key->dirty)
		must_push(&services->dirty_keys, key);
	key->dirty = true;
}

void svckey_free(struct svckey *key)
{
	vec_fini(&key->fronts);
	vec_fini(&key->selves);
	vec_fini(&key->wanted);
	free(key);
}

void svckey_put(struct services *services, struct svckey *key)
{
	if (key->fronts.n || key->dirty || key->loc.in_table || key->loc.cls || key->selves.n)
		return;
	hash_remove(&services->keys, key_hash(&key->key), key);
	svckey_free(key);
}

struct svckey *svckey_of(struct loc *loc)
{
	return (struct svckey *)((char *)loc - offsetof(struct svckey, loc));
}

bool svckey_is_any(const struct bh_service_key *key)
{
	return !(key->addr[0] | key->addr[1] | key->addr[2] | key->addr[3]);
}

bool svckey_has(const struct bh_service_key *key, const struct bh_addr *backend)
{
	struct bh_addr own;

	memcpy(&own, key->addr, sizeof(own));
	return svckey_is_any(key) || bh_addr_is4(&own) == bh_addr_is4(backend);
}

static bool is_cluster_ip(const struct service *object, const struct bh_service_key *key)
{
	for (uint32_t i = 0; i < object->nclusterips; i++)
		if (!memcmp(&object->addrs[i], key->addr, sizeof(key->addr)))
			return true;
	return false;
}

uint32_t svckey_flags(const struct svckey *key)
{
	bool any = svckey_is_any(&key->key), cluster_ip = false;
	uint8_t families = 0;

	vec_each(struct front *, front, &key->fronts) {
		const struct service *object = (*front)->service ? (*front)->service->object : NULL;

		families |= (*front)->families;
		cluster_ip |= !any && object && is_cluster_ip(object, &key->key);
	}
	return (cluster_ip ? BH_SERVICE_CLUSTER_IP : 0) |
	       (any && !(families & family_bit(true)) ? BH_SERVICE_NOT4 : 0) |
	       (any && !(families & family_bit(false)) ? BH_SERVICE_NOT6 : 0);
}

// ---- targets --------------------------------------------------------------------------------------------------

static uint64_t target_hash(uint8_t protocol, uint16_t port)
{
	return hash_mix(protocol, port);
}

static bool is_target(const void *item, const void *key)
{
	const struct target *a = item, *b = key;

	return a->protocol == b->protocol && a->port == b->port;
}

static struct target *target_get(struct policy *policy, uint8_t protocol, uint16_t port)
{
	struct services *services = &policy->services;
	struct target key = { .protocol = protocol, .port = port }, *target;

	target = hash_find(&services->targets, target_hash(protocol, port), is_target, &key);
	if (target)
		return target;
	target = must_new(sizeof(*target));
	target->protocol = protocol;
	target->port = port;
	svcsig_ports(&policy->ports, portset_wanted(&policy->ports, protocol, port), &target->sig);
	must_ok(hash_add(&services->targets, target_hash(protocol, port), target));
	return target;
}

void target_free(struct target *target)
{
	vec_fini(&target->sig);
	free(target);
}

static void target_put(struct services *services, struct target *target)
{
	if (--target->refs)
		return;
	hash_remove(&services->targets, target_hash(target->protocol, target->port), target);
	target_free(target);
}

// ---- fronts: links to what is behind and before ------------------------------------------------------------------

static void drop_front(front_list *list, const struct front *front)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->v[i] == front) {
			vec_drop(list, i);
			return;
		}
}

void front_touch_keys(struct services *services, const struct front *front)
{
	for (size_t i = 0; i < front->keys.n; i++)
		svckey_touch(services, front->keys.v[i]);
}

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int r = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return r ? r : (int)x->port - (int)y->port;
}

static struct place place_of(const struct backend *backend)
{
	return (struct place){ backend->spot->addr, backend->target->port };
}

// Both are sorted.
static bool same_places(const struct front *front, const places *list)
{
	if (front->backends.n != list->n)
		return false;
	for (size_t i = 0; i < list->n; i++) {
		struct place have = place_of(&front->backends.v[i]);

		if (by_place(&have, &list->v[i]))
			return false;
	}
	return true;
}

static bool loses(const struct front *front, const places *list)
{
	for (size_t i = 0; i < front->backends.n; i++) {
		struct place have = place_of(&front->backends.v[i]);

		if (!list->n || !bsearch(&have, list->v, list->n, sizeof(have), by_place))
			return true;
	}
	return false;
}

static void unlink_backends(struct policy *policy, struct front *front,
			    const struct backend *backends, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct target *target = backends[i].target;
		struct spot *spot = backends[i].spot;

		drop_front(&spot->more->fronts, front);
		space_put(&policy->cluster.space, spot);
		target_put(&policy->services, target);
	}
}

// What comes is linked before what goes is not any more, so that what stays keeps its entries.
void front_set_backends(struct policy *policy, struct front *front, places *list)
{
	struct backend *before = front->backends.v;
	size_t nbefore = front->backends.n, kept = 0;

	vec_sort(list, by_place);
	for (size_t i = 0; i < list->n; i++)
		if (!kept || by_place(&list->v[kept - 1], &list->v[i]))
			list->v[kept++] = list->v[i];
	list->n = kept;
	if (same_places(front, list))
		return;
	for (size_t i = 0; i < front->keys.n; i++)
		front->keys.v[i]->lost |= loses(front, list);
	front->backends = (backend_list){ 0 };
	vec_each(struct place, place, list) {
		struct spot *spot =
			space_get(&policy->cluster.space, &(struct bh_cidr){ 128, place->addr });
		struct target *target = target_get(policy, front->protocol, place->port);

		must_push(&spot_extend(spot)->fronts, front);
		target->refs++;
		must_push(&front->backends, (struct backend){ spot, target });
	}
	unlink_backends(policy, front, before, nbefore);
	free(before);
	front_touch_keys(&policy->services, front);
}

bool front_add_key(struct policy *policy, struct front *front, const struct bh_addr *addr,
		   uint16_t port)
{
	struct services *services = &policy->services;
	struct bh_service_key wanted = { .port = htons(port), .proto = front->protocol };
	struct svckey *key;

	if (addr)
		memcpy(wanted.addr, addr, sizeof(wanted.addr));
	key = svckey_find(services, &wanted);
	if (key && key->fronts.n && key->fronts.v[key->fronts.n - 1] == front)
		return true; // said twice
	if ((!key || !key->fronts.n) && !svcbudget_has_place(policy))
		return false;
	key = svckey_get(services, &wanted);
	services->linked += !key->fronts.n;
	must_push(&key->fronts, front);
	must_push(&front->keys, key);
	svckey_touch(services, key);
	return true;
}

static bool has_backend(const struct svckey *key, const struct backend *backend)
{
	for (size_t i = 0; i < key->fronts.n; i++)
		for (size_t j = 0; j < key->fronts.v[i]->backends.n; j++) {
			const struct backend *have = &key->fronts.v[i]->backends.v[j];

			if (have->spot == backend->spot && have->target == backend->target)
				return true;
		}
	return false;
}

static bool keeps_all(const struct svckey *key, const struct front *gone)
{
	for (size_t i = 0; i < gone->backends.n; i++)
		if (!has_backend(key, &gone->backends.v[i]))
			return false;
	return true;
}

static void front_free(struct policy *policy, struct front *front)
{
	for (size_t i = 0; i < front->keys.n; i++) {
		struct svckey *key = front->keys.v[i];

		drop_front(&key->fronts, front);
		policy->services.linked -= !key->fronts.n;
		key->lost |= !keeps_all(key, front);
		svckey_touch(&policy->services, key);
	}
	svcbudget_count(policy, front, 0);
	unlink_backends(policy, front, front->backends.v, front->backends.n);
	vec_fini(&front->keys);
	vec_fini(&front->backends);
	free(front);
}

void fronts_free(struct policy *policy, front_list *list)
{
	vec_each(struct front *, front, list)
		front_free(policy, *front);
	vec_fini(list);
}
