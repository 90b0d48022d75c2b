// SPDX-License-Identifier: Apache-2.0
// service.c - fronts, their keys and backends, and what the backends come to.
#include "agent/policy/service.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/must.h"
#include "agent/policy/room.h"

// ---- entries ------------------------------------------------------------------------------------------------

struct title {
	const char *ns, *name;
};

static uint64_t title_hash(const char *ns, const char *name)
{
	return hash_mix(hash_pointer(ns), hash_pointer(name));
}

static bool is_service(const void *item, const void *key)
{
	const struct svcent *service = item;
	const struct title *title = key;

	return service->ns == title->ns && service->name == title->name;
}

static struct svcent *service_get(struct services *services, const char *ns, const char *name)
{
	uint64_t hash = title_hash(ns, name);
	struct svcent *service =
		hash_find(&services->by_name, hash, is_service, &(struct title){ ns, name });

	if (service)
		return service;
	service = must_new(sizeof(*service));
	service->ns = intern_get(ns);
	service->name = intern_get(name);
	must_ok(hash_add(&services->by_name, hash, service));
	return service;
}

static void service_touch(struct services *services, struct svcent *service)
{
	if (!service->dirty)
		must_push(&services->dirty, service);
	service->dirty = true;
}

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

static void key_free(struct svckey *key)
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
	key_free(key);
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

static void target_free(struct target *target)
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

static void touch_keys(struct services *services, const struct front *front)
{
	for (size_t i = 0; i < front->keys.n; i++)
		svckey_touch(services, front->keys.v[i]);
}

// A place behind a front, before it has entries.
struct place {
	struct bh_addr addr;
	uint16_t port;
};
typedef VEC(struct place) places;

static int by_place(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int r = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return r ? r : (int)x->port - (int)y->port;
}

static struct place place_of(const struct backend *backend)
{
	return (struct place){ backend->spot->cidr.addr, backend->target->port };
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

		drop_front(&spot->fronts, front);
		space_put(&policy->cluster.space, spot);
		target_put(&policy->services, target);
	}
}

// What comes is linked before what goes is not any more, so that what stays keeps its entries.
static void set_backends(struct policy *policy, struct front *front, places *list)
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

		must_push(&spot->fronts, front);
		target->refs++;
		must_push(&front->backends, (struct backend){ spot, target });
	}
	unlink_backends(policy, front, before, nbefore);
	free(before);
	touch_keys(&policy->services, front);
}

static void add_key(struct services *services, struct front *front, const struct bh_addr *addr,
		    uint16_t port)
{
	struct bh_service_key wanted = { .port = htons(port), .proto = front->protocol };
	struct svckey *key;

	if (addr)
		memcpy(wanted.addr, addr, sizeof(wanted.addr));
	key = svckey_get(services, &wanted);
	for (size_t i = 0; i < front->keys.n; i++)
		if (front->keys.v[i] == key)
			return;
	must_push(&key->fronts, front);
	must_push(&front->keys, key);
	svckey_touch(services, key);
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
		key->lost |= !keeps_all(key, front);
		svckey_touch(&policy->services, key);
	}
	unlink_backends(policy, front, front->backends.v, front->backends.n);
	vec_fini(&front->keys);
	vec_fini(&front->backends);
	free(front);
}

static void free_fronts(struct policy *policy, front_list *list)
{
	vec_each(struct front *, front, list)
		front_free(policy, *front);
	vec_fini(list);
}

// ---- fronts of a Service -------------------------------------------------------------------------------------------

static void add_endpoints(const struct endpointslice *slice, uint16_t port, bool v4, bool ready,
			  places *out)
{
	for (uint32_t i = 0; i < slice->nendpoints; i++) {
		const struct slice_endpoint *endpoint = &slice->endpoints[i];

		if (!(ready ? endpoint->ready : endpoint->serving && endpoint->terminating))
			continue;
		for (uint32_t j = 0; j < endpoint->naddrs; j++)
			if (!!bh_addr_is4(&endpoint->addrs[j]) == v4)
				must_push(out, (struct place){ endpoint->addrs[j], port });
	}
}

static void add_slices(const struct svcent *service, const struct front *front, bool v4, bool ready,
		       places *out)
{
	for (size_t i = 0; i < service->slices.n; i++) {
		const struct endpointslice *slice = service->slices.v[i];

		for (uint32_t j = 0; j < slice->nports; j++)
			if (slice->ports[j].port && slice->ports[j].name == front->name &&
			    slice->ports[j].protocol == front->protocol)
				add_endpoints(slice, slice->ports[j].port, v4, ready, out);
	}
}

static void find_backends(struct policy *policy, const struct svcent *service, struct front *front)
{
	places list = { 0 };

	for (int v4 = 0; v4 < 2; v4++) {
		size_t before = list.n;

		add_slices(service, front, v4, true, &list);
		if (list.n == before)
			add_slices(service, front, v4, false, &list);
	}
	set_backends(policy, front, &list);
	vec_fini(&list);
}

static void add_front(struct policy *policy, struct svcent *service,
		      const struct service_port *port)
{
	const struct service *object = service->object;
	struct front *front;

	if (portset_proto(port->protocol) < 0 || !port->port)
		return;
	front = must_new(sizeof(*front));
	front->service = service;
	front->name = port->name;
	front->protocol = port->protocol;
	front->port = port->port;
	must_push(&service->fronts, front);
	for (uint32_t i = 0; i < object->naddrs; i++)
		add_key(&policy->services, front, &object->addrs[i], port->port);
	if (port->node_port)
		add_key(&policy->services, front, NULL, port->node_port);
}

// Keys are linked anew before those of the fronts of before are left, so that none is forgotten between.
static void remake_fronts(struct policy *policy, struct svcent *service)
{
	const struct service *object = service->object;
	front_list before = service->fronts;

	svcbudget_leave(policy, service);
	service->fronts = (front_list){ 0 };
	for (uint32_t i = 0;
	     object && !object->headless && !object->external_name && i < object->nports; i++)
		add_front(policy, service, &object->ports[i]);
	for (size_t i = 0; i < service->fronts.n; i++)
		find_backends(policy, service, service->fronts.v[i]);
	svcbudget_admit(policy, service);
	free_fronts(policy, &before);
}

static void service_drop(struct services *services, struct svcent *service)
{
	if (service->object || service->slices.n)
		return;
	hash_remove(&services->by_name, title_hash(service->ns, service->name), service);
	intern_put(service->ns);
	intern_put(service->name);
	vec_fini(&service->slices);
	vec_fini(&service->fronts);
	free(service);
}

void services_service(struct policy *policy, const struct service *before,
		      const struct service *after)
{
	const struct object *object = after ? &after->object : &before->object;
	struct svcent *service = service_get(&policy->services, object->ns, object->name);
	const struct service *old = service->object;

	service->object = after;
	if (after)
		object_get((struct object *)&after->object);
	remake_fronts(policy, service);
	if (old)
		object_put((struct object *)&old->object);
	service_touch(&policy->services, service);
}

static void slice_enter(struct policy *policy, const struct endpointslice *slice, bool on)
{
	struct svcent *service;
	size_t i = 0;

	if (!slice || !slice->service)
		return;
	service = service_get(&policy->services, slice->object.ns, slice->service);
	while (i < service->slices.n && service->slices.v[i] != slice)
		i++;
	if (on && i == service->slices.n) {
		must_push(&service->slices, slice);
		object_get((struct object *)&slice->object);
	} else if (!on && i < service->slices.n) {
		vec_drop(&service->slices, i);
		object_put((struct object *)&slice->object);
	}
	service_touch(&policy->services, service);
}

void services_slice(struct policy *policy, const struct endpointslice *before,
		    const struct endpointslice *after)
{
	slice_enter(policy, after, true);
	slice_enter(policy, before, false);
}

// ---- hostPorts of a pod ----------------------------------------------------------------------------------------------

static void add_host_port(struct policy *policy, struct podent *pod, const struct host_port *port)
{
	bool any = bh_addr_equal(&port->addr, &(struct bh_addr){ 0 });
	struct front *front;
	places list = { 0 };

	if (portset_proto(port->protocol) < 0)
		return;
	front = must_new(sizeof(*front));
	front->pod = pod;
	front->protocol = port->protocol;
	front->port = port->port;
	must_push(&pod->fronts, front);
	add_key(&policy->services, front, any ? NULL : &port->addr, port->port);
	for (uint32_t i = 0; i < pod->object->naddrs; i++)
		must_push(&list, (struct place){ pod->object->addrs[i], port->target });
	set_backends(policy, front, &list);
	vec_fini(&list);
}

void services_pod(struct policy *policy, struct podent *pod)
{
	const struct pod *object = pod->endpoint ? pod->object : NULL;
	bool own = !policy->node || (object && object->node == policy->node);
	front_list before = pod->fronts;

	pod->fronts = (front_list){ 0 };
	for (uint32_t i = 0;
	     own && object && !object->host_network && !object->finished && i < object->nhost_ports;
	     i++)
		add_host_port(policy, pod, &object->host_ports[i]);
	free_fronts(policy, &before);
}

// ---- what backends come to ----------------------------------------------------------------------------------------------

bool spot_is_own_node(const struct policy *policy, const struct spot *spot)
{
	for (size_t i = 0; i < spot->nodes.n; i++)
		if (spot->nodes.v[i]->object->object.name == policy->node)
			return true;
	return false;
}

static const struct cls *wanted_class(struct spot *spot)
{
	return spot->exact.live ? spot->exact.want : space_live_above(spot, true)->want;
}

static bool is_refused(const struct front *front)
{
	return front->service && front->service->refused;
}

static void want_class(struct policy *policy, struct svckey *key, struct svcsig *draft,
		       atom_ids *scratch)
{
	vec_each(struct front *, front, &key->fronts) {
		if (is_refused(*front)) {
			svcsig_refuse(draft);
			continue;
		}
		vec_each(struct backend, backend, &(*front)->backends)
			if (svckey_has(&key->key, &backend->spot->cidr.addr))
				svcsig_add(draft, &policy->cluster.atoms,
					   wanted_class(backend->spot), &backend->target->sig,
					   spot_is_own_node(policy, backend->spot));
	}
	vec_clear(scratch);
	svcsig_finish(draft, scratch);
	key->loc.want = cls_get(&policy->classes, scratch->v, scratch->n);
}

static int by_slot(const void *a, const void *b)
{
	const struct svcself *x = a, *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void want_selves(struct svckey *key)
{
	size_t kept = 0;
	bool others = false;

	vec_clear(&key->wanted);
	vec_each(struct front *, front, &key->fronts)
		vec_each(struct backend, backend, &(*front)->backends) {
			const struct podent *pod = spot_winner(backend->spot);

			if (!svckey_has(&key->key, &backend->spot->cidr.addr))
				continue;
			if (pod && pod->endpoint)
				must_push(&key->wanted,
					  (struct svcself){ pod->endpoint->slot, BH_SELF_ONLY });
			else
				others = true;
		}
	vec_sort(&key->wanted, by_slot);
	for (size_t i = 0; i < key->wanted.n; i++)
		if (!kept || key->wanted.v[kept - 1].slot != key->wanted.v[i].slot)
			key->wanted.v[kept++] = key->wanted.v[i];
	key->wanted.n = kept;
	for (size_t i = 0; i < kept; i++)
		if (others || kept > 1)
			key->wanted.v[i].how = BH_SELF_ONE;
}

static void remake_dirty(struct policy *policy)
{
	struct services *services = &policy->services;

	vec_each(struct svcent *, at, &services->dirty) {
		struct svcent *service = *at;

		service->dirty = false;
		for (size_t i = 0; i < service->fronts.n; i++)
			find_backends(policy, service, service->fronts.v[i]);
		service_drop(services, service);
	}
	vec_clear(&services->dirty);
}

static bool same_sig(const atom_ids *a, const atom_ids *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->v, b->v, a->n * sizeof(*a->v)));
}

static bool has_changed_target(const struct svckey *key)
{
	for (size_t i = 0; i < key->fronts.n; i++)
		for (size_t j = 0; j < key->fronts.v[i]->backends.n; j++)
			if (key->fronts.v[i]->backends.v[j].target->changed)
				return true;
	return false;
}

// Ports in other classes than before.
static void look_at_ports(struct policy *policy)
{
	struct services *services = &policy->services;
	atom_ids sig = { 0 };
	struct target *target;
	struct svckey *key;
	bool any = false;
	size_t at = 0;

	while ((target = hash_next(&services->targets, &at))) {
		vec_clear(&sig);
		svcsig_ports(&policy->ports,
			     portset_wanted(&policy->ports, target->protocol, target->port), &sig);
		if (same_sig(&sig, &target->sig))
			continue;
		vec_clear(&target->sig);
		vec_each(uint32_t, id, &sig)
			must_push(&target->sig, *id);
		target->changed = any = true;
	}
	vec_fini(&sig);
	for (at = 0; any && (key = hash_next(&services->keys, &at));)
		if (has_changed_target(key))
			svckey_touch(services, key);
	for (at = 0; any && (target = hash_next(&services->targets, &at));)
		target->changed = false;
}

// Keys that are in the table, or found no room in it, in all: of admitted Services and as many more.
static uint32_t room_left(const struct policy *policy)
{
	uint64_t room = 2ull * policy->limits.services, used = policy->services.in_table;

	vec_each(struct svckey *const, key, &policy->services.dirty_keys)
		used -= !(*key)->fronts.n && (*key)->loc.in_table;
	return room > used ? (uint32_t)(room - used) : 0;
}

// Keys without a place are looked at again when there is one.
static void find_room(struct policy *policy)
{
	struct services *services = &policy->services;
	struct svckey *key;
	size_t at = 0;

	if (!services->crowded || !room_left(policy))
		return;
	services->crowded = false;
	while ((key = hash_next(&services->keys, &at)))
		if (!key->loc.in_table)
			svckey_touch(services, key);
}

void services_want(struct policy *policy)
{
	struct services *services = &policy->services;
	struct svcsig draft = { 0 };
	atom_ids scratch = { 0 };
	uint32_t room;

	remake_dirty(policy);
	svcbudget_retry(policy);
	find_room(policy);
	vec_each(struct spot *, spot, &policy->cluster.space.dirty)
		vec_each(struct front *, front, &(*spot)->fronts)
			touch_keys(services, *front);
	if (policy->ports.wanted[0].n)
		look_at_ports(policy);
	room = room_left(policy);
	vec_each(struct svckey *, at, &services->dirty_keys) {
		struct svckey *key = *at;

		key->loc.live = key->fronts.n && (key->loc.in_table || room);
		if (key->loc.live && !key->loc.in_table)
			room--;
		services->crowded |= key->fronts.n && !key->loc.live;
		want_selves(key);
		if (key->loc.live)
			want_class(policy, key, &draft, &scratch);
	}
	svcsig_fini(&draft);
	vec_fini(&scratch);
}

uint32_t services_count(const struct policy *policy)
{
	const struct svcent *service;
	uint32_t n = 0;
	size_t at = 0;

	while ((service = hash_next(&policy->services.by_name, &at)))
		n += service->fronts.n > 0;
	return n;
}

void services_fini(struct policy *policy)
{
	struct services *services = &policy->services;
	struct svcent *service;
	struct target *target;
	struct svckey *key;
	struct podent *pod;
	size_t at = 0;

	while ((pod = hash_next(&policy->cluster.pods, &at)))
		free_fronts(policy, &pod->fronts);
	for (at = 0; (service = hash_next(&services->by_name, &at));) {
		free_fronts(policy, &service->fronts);
		vec_each(const struct endpointslice *, slice, &service->slices)
			object_put((struct object *)&(*slice)->object);
		if (service->object)
			object_put((struct object *)&service->object->object);
		intern_put(service->ns);
		intern_put(service->name);
		vec_fini(&service->slices);
		free(service);
	}
	for (at = 0; (key = hash_next(&services->keys, &at));)
		key_free(key);
	for (at = 0; (target = hash_next(&services->targets, &at));)
		target_free(target);
	hash_fini(&services->by_name);
	hash_fini(&services->keys);
	hash_fini(&services->targets);
	svcbudget_fini(services);
	vec_fini(&services->dirty);
	vec_fini(&services->dirty_keys);
}
