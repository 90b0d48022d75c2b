// SPDX-License-Identifier: Apache-2.0
// service.c - what is told of Services, slices and hostPorts, as fronts.
#include "agent/policy/service.h"

#include <arpa/inet.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/front.h"
#include "agent/policy/must.h"

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

void service_touch(struct services *services, struct svcent *service)
{
	if (!service->dirty)
		must_push(&services->dirty, service);
	service->dirty = true;
}

static uint8_t families_of(const struct bh_addr *addrs, uint32_t n)
{
	uint8_t families = 0;

	for (uint32_t i = 0; i < n; i++)
		families |= family_bit(bh_addr_is4(&addrs[i]));
	return families;
}

// ---- fronts of a Service -------------------------------------------------------------------------------------------

// Which endpoints are asked for.
struct asked {
	bool v4;
	bool ending; // that still serve while they terminate, instead of ready ones
	const char *node; // not NULL: on this node only
};

static bool is_asked(const struct slice_endpoint *endpoint, const struct asked *asked)
{
	if (!endpoint->has_addr || !!bh_addr_is4(&endpoint->addr) != asked->v4 ||
	    (asked->node && endpoint->node != asked->node))
		return false;
	return asked->ending ? endpoint->serving && endpoint->terminating : endpoint->ready;
}

static size_t add_endpoints(const struct endpointslice *slice, uint16_t port,
			    const struct asked *asked, places *out)
{
	size_t n = 0;

	for (uint32_t i = 0; i < slice->nendpoints; i++) {
		if (!is_asked(&slice->endpoints[i], asked))
			continue;
		n++;
		if (out)
			must_push(out, (struct place){ slice->endpoints[i].addr, port });
	}
	return n;
}

// How many there are. out NULL: that is all.
static size_t add_slices(const struct svcent *service, const struct front *front, struct asked asked,
			 places *out)
{
	size_t n = 0;

	for (size_t i = 0; i < service->slices.n; i++) {
		const struct endpointslice *slice = service->slices.v[i];

		for (uint32_t j = 0; j < slice->nports; j++)
			if (slice->ports[j].port && slice->ports[j].name == front->name &&
			    slice->ports[j].protocol == front->protocol)
				n += add_endpoints(slice, slice->ports[j].port, &asked, out);
	}
	return n;
}

// Ready ones, else those that end. Where traffic is to stay on its node, a proxy decides the same once more among those
// of this node: ones that end count there beside ready ones elsewhere.
static void add_family(const struct policy *policy, const struct svcent *service,
		       const struct front *front, bool v4, places *out)
{
	const char *node = service->object->local ? policy->node : NULL;

	if (!add_slices(service, front, (struct asked){ v4 }, out))
		add_slices(service, front, (struct asked){ v4, .ending = true }, out);
	else if (node && !add_slices(service, front, (struct asked){ v4, .node = node }, NULL))
		add_slices(service, front, (struct asked){ v4, .ending = true, .node = node }, out);
}

static void find_backends(struct policy *policy, struct svcent *service, struct front *front)
{
	places list = { 0 };

	for (int v4 = 0; v4 < 2; v4++)
		if (front->families & family_bit(v4))
			add_family(policy, service, front, v4, &list);
	if (!svcbudget_allows(policy, front, list.n)) {
		service->overgrown = true;
		list.n = 0;
	}
	front_set_backends(policy, front, &list);
	svcbudget_count(policy, front, front->backends.n);
	vec_fini(&list);
}

static void house(struct policy *policy, struct front *front, const struct bh_addr *addr,
		  uint16_t port)
{
	if (front_add_key(policy, front, addr, port))
		return;
	policy->services.crowded = true;
	if (front->service)
		front->service->homeless = true;
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
	front->families = families_of(object->addrs, object->nclusterips);
	must_push(&service->fronts, front);
	for (uint32_t i = 0; i < object->naddrs; i++)
		house(policy, front, &object->addrs[i], port->port);
	if (port->node_port)
		house(policy, front, NULL, port->node_port);
}

// Keys are linked anew before those of the fronts of before are left, so that none is forgotten between.
static void remake_fronts(struct policy *policy, struct svcent *service)
{
	const struct service *object = service->object;
	front_list before = service->fronts;

	svcbudget_leave(policy, service);
	vec_each(struct front *, front, &before)
		svcbudget_count(policy, *front, 0);
	service->overgrown = service->homeless = false;
	service->fronts = (front_list){ 0 };
	for (uint32_t i = 0;
	     object && !object->headless && !object->external_name && i < object->nports; i++)
		add_front(policy, service, &object->ports[i]);
	for (size_t i = 0; i < service->fronts.n; i++)
		find_backends(policy, service, service->fronts.v[i]);
	svcbudget_admit(policy, service);
	fronts_free(policy, &before);
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

void services_remake(struct policy *policy)
{
	struct services *services = &policy->services;

	vec_each(struct svcent *, at, &services->dirty) {
		struct svcent *service = *at;

		service->dirty = service->overgrown = false;
		for (size_t i = 0; i < service->fronts.n; i++)
			find_backends(policy, service, service->fronts.v[i]);
		service_drop(services, service);
	}
	vec_clear(&services->dirty);
}

void services_node(struct services *services)
{
	struct svcent *service;
	size_t at = 0;

	while ((service = hash_next(&services->by_name, &at)))
		if (service->object && service->object->local)
			service_touch(services, service);
}

// ---- hostPorts of a pod ----------------------------------------------------------------------------------------------

static bool is_loopback(const struct bh_addr *addr)
{
	const struct bh_addr six = { .w = { 0, 0, 0, htonl(1) } };

	return bh_addr_is4(addr) ? ntohl(addr->w[3]) >> 24 == 127 : bh_addr_equal(addr, &six);
}

// At every address of this node, whatever the hostIP is: who writes a pod may name any address there, and nobody
// translates what goes to one that is not this node's.
static void add_host_port(struct policy *policy, struct endpoint *endpoint, const struct host_port *port)
{
	struct podent *pod = endpoint->pod;
	struct front *front;
	places list = { 0 };

	if (portset_proto(port->protocol) < 0 || is_loopback(&port->addr))
		return;
	front = must_new(sizeof(*front));
	front->pod = pod;
	front->protocol = port->protocol;
	front->port = port->port;
	front->families = families_of(pod->object->addrs, pod->object->naddrs);
	must_push(&endpoint->fronts, front);
	house(policy, front, NULL, port->port);
	for (uint32_t i = 0; i < pod->object->naddrs; i++)
		must_push(&list, (struct place){ pod->object->addrs[i], port->target });
	front_set_backends(policy, front, &list);
	vec_fini(&list);
}

void services_endpoint(struct policy *policy, struct endpoint *endpoint)
{
	const struct pod *object = endpoint->pod ? endpoint->pod->object : NULL;
	bool own = !policy->node || (object && object->node == policy->node);
	front_list before = endpoint->fronts;

	endpoint->fronts = (front_list){ 0 };
	for (uint32_t i = 0;
	     own && object && !object->host_network && !object->finished && i < object->nhost_ports;
	     i++)
		add_host_port(policy, endpoint, &object->host_ports[i]);
	fronts_free(policy, &before);
}

void services_rehouse(struct policy *policy)
{
	struct services *services = &policy->services;
	struct svcent *service;
	size_t at = 0;

	if (!services->crowded || !svcbudget_has_place(policy))
		return;
	services->crowded = false;
	while ((service = hash_next(&services->by_name, &at)))
		if (service->homeless)
			remake_fronts(policy, service);
	vec_each(struct endpoint *, endpoint, &policy->slots)
		if (*endpoint && (*endpoint)->fronts.n)
			services_endpoint(policy, *endpoint);
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
	size_t at = 0;

	while ((service = hash_next(&services->by_name, &at))) {
		fronts_free(policy, &service->fronts);
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
		svckey_free(key);
	for (at = 0; (target = hash_next(&services->targets, &at));)
		target_free(target);
	hash_fini(&services->by_name);
	hash_fini(&services->keys);
	hash_fini(&services->targets);
	svcbudget_fini(services);
	vec_fini(&services->dirty);
	vec_fini(&services->dirty_keys);
	vec_fini(&services->of_own);
}
