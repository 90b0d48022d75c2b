// SPDX-License-Identifier: Apache-2.0
// naive_service.c - where a flow to a Service goes, and each of these places judged by itself.
#include "tests/harness/naive_private.h"

#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/vec.h"

struct place {
	struct bh_addr addr;
	uint16_t port;
};

struct places {
	bool is_service;
	VEC(struct place) v;
};

// What is asked: an address (NULL: some address of the own node, of this family: where one family has the port,
// what is behind it counts in both), a port, a protocol.
struct destination {
	const struct bh_addr *addr;
	bool v4;
	uint8_t protocol;
	uint16_t port;
};

static struct destination destination(const struct bh_addr *addr, uint8_t protocol, uint16_t port)
{
	return (struct destination){ addr, bh_addr_is4(addr), protocol, port };
}

static bool same_name(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static bool of_family(const struct destination *to, const struct bh_addr *addr)
{
	return !to->addr || bh_addr_is4(to->addr) == bh_addr_is4(addr);
}

static void add_place(struct places *places, const struct bh_addr *addr, uint16_t port)
{
	if (vec_push(&places->v, ((struct place){ *addr, port })) < 0)
		abort();
}

// ---- backends of one port of a Service -------------------------------------------------------------------------

static bool has_family(const struct bh_addr *addrs, uint32_t n, bool v4)
{
	for (uint32_t i = 0; i < n; i++)
		if (!!bh_addr_is4(&addrs[i]) == v4)
			return true;
	return false;
}

// node NULL: whatever node they are on.
static void add_slice(const struct endpointslice *slice, uint16_t port, bool v4, bool ready,
		      const char *node, struct places *places)
{
	for (uint32_t i = 0; i < slice->nendpoints; i++) {
		const struct slice_endpoint *endpoint = &slice->endpoints[i];
		bool counts = ready ? endpoint->ready : endpoint->serving && endpoint->terminating;

		if (counts && endpoint->has_addr && !!bh_addr_is4(&endpoint->addr) == v4 &&
		    (!node || same_name(node, endpoint->node)))
			add_place(places, &endpoint->addr, port);
	}
}

static void add_slices(const struct naive *naive, const struct service *service,
		       const struct service_port *port, bool v4, bool ready, const char *node,
		       struct places *places)
{
	struct naive_list list = { 0 };

	naive_collect(naive, KIND_ENDPOINTSLICE, service->object.ns, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct endpointslice *slice = (const struct endpointslice *)list.v[i];

		if (!slice->service || strcmp(slice->service, service->object.name))
			continue;
		for (uint32_t j = 0; j < slice->nports; j++)
			if (slice->ports[j].protocol == port->protocol && slice->ports[j].port &&
			    same_name(slice->ports[j].name, port->name))
				add_slice(slice, slice->ports[j].port, v4, ready, node, places);
	}
}

// Twice: for traffic that may leave this node, and for what may not.
static void add_family(const struct naive *naive, const struct service *service,
		       const struct service_port *port, bool v4, struct places *places)
{
	for (int local = 0; local <= (service->local && naive->node); local++) {
		const char *node = local ? naive->node : NULL;
		size_t before = places->v.n;

		add_slices(naive, service, port, v4, true, node, places);
		if (places->v.n == before)
			add_slices(naive, service, port, v4, false, node, places);
	}
}

static void add_backends(const struct naive *naive, const struct service *service,
			 const struct service_port *port, const struct destination *to,
			 struct places *places)
{
	for (int v4 = 0; v4 < 2; v4++) {
		if (to->addr && !!bh_addr_is4(to->addr) != v4)
			continue;
		if (!has_family(service->addrs, service->nclusterips, v4))
			continue;
		add_family(naive, service, port, v4, places);
	}
}

static bool stands_for(const struct service *service, const struct service_port *port,
		       const struct destination *to)
{
	if (!port->port || port->protocol != to->protocol)
		return false;
	if (!to->addr)
		return port->node_port == to->port;
	if (port->port != to->port)
		return false;
	for (uint32_t i = 0; i < service->naddrs; i++)
		if (bh_addr_equal(&service->addrs[i], to->addr))
			return true;
	return false;
}

static void add_services(const struct naive *naive, const struct destination *to,
			 struct places *places)
{
	struct naive_list list = { 0 };

	naive_collect(naive, KIND_SERVICE, NULL, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct service *service = (const struct service *)list.v[i];

		if (service->headless || service->external_name)
			continue;
		for (uint32_t j = 0; j < service->nports; j++) {
			if (!stands_for(service, &service->ports[j], to))
				continue;
			places->is_service |=
				to->addr ||
				has_family(service->addrs, service->nclusterips, to->v4);
			add_backends(naive, service, &service->ports[j], to, places);
		}
	}
}

// ---- hostPorts of the own node's pods ----------------------------------------------------------------------------

static bool is_own(const struct naive *naive, const struct pod *pod)
{
	return !naive->node || (pod->node && !strcmp(pod->node, naive->node));
}

static void add_host_ports(const struct naive *naive, const struct destination *to,
			   struct places *places)
{
	struct naive_list list = { 0 };

	if (to->addr)
		return;
	naive_collect(naive, KIND_POD, NULL, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct pod *pod = (const struct pod *)list.v[i];

		if (pod->host_network || pod->finished || !naive->local(naive->arg, pod) ||
		    !is_own(naive, pod))
			continue;
		for (uint32_t j = 0; j < pod->nhost_ports; j++) {
			const struct host_port *port = &pod->host_ports[j];

			if (port->port != to->port || port->protocol != to->protocol)
				continue;
			places->is_service |= has_family(pod->addrs, pod->naddrs, to->v4);
			for (uint32_t k = 0; k < pod->naddrs; k++)
				if (of_family(to, &pod->addrs[k]))
					add_place(places, &pod->addrs[k], port->target);
		}
	}
}

static void places_fini(struct places *places)
{
	vec_fini(&places->v);
}

static void find_places(const struct naive *naive, const struct destination *to,
			struct places *places)
{
	add_services(naive, to, places);
	if (naive->local)
		add_host_ports(naive, to, places);
}

// ---- all together --------------------------------------------------------------------------------------------------

static enum bh_verdict judge_place(const struct naive_question *q, const struct place *place)
{
	struct naive_question of = *q;
	enum bh_verdict verdict;

	of.remote = &place->addr;
	of.port = place->port;
	verdict = naive_address(&of);
	if (verdict == BH_VERDICT_DENY && naive_own_node(q->naive, &place->addr))
		return BH_VERDICT_ALLOW;
	return verdict;
}

// Those of the key itself, else those of the own node's ports.
static void find(const struct naive *naive, struct destination to, struct places *places)
{
	bool host = naive->host && naive->host(naive->arg, to.addr);

	if (to.protocol != PROTOCOL_TCP && to.protocol != PROTOCOL_UDP &&
	    to.protocol != PROTOCOL_SCTP)
		return;
	find_places(naive, &to, places);
	to.addr = NULL;
	if (!places->is_service && host)
		find_places(naive, &to, places);
}

struct naive_service naive_service_of(const struct naive *naive, const char *ns, const char *name,
				      const struct bh_addr *remote, uint8_t protocol, uint16_t port)
{
	_cleanup_(places_fini) struct places places = { 0 };
	struct naive_service ret;

	find(naive, destination(remote, protocol, port), &places);
	ret = (struct naive_service){ .is_service = places.is_service, .backends = places.v.n };
	for (size_t i = 0; i < places.v.n; i++) {
		const struct pod *pod = naive_pod_at(naive, &places.v.v[i].addr);

		ret.own_nodes += naive_own_node(naive, &places.v.v[i].addr);
		ret.selves += pod && !strcmp(pod->object.ns, ns) && !strcmp(pod->object.name, name);
	}
	return ret;
}

bool naive_service(const struct naive_question *q, enum bh_verdict *ret)
{
	_cleanup_(places_fini) struct places places = { 0 };
	size_t n[BH_VERDICT_MIXED] = { 0 };

	if (q->dir != BH_EGRESS)
		return false;
	find(q->naive, destination(q->remote, q->protocol, q->port), &places);
	if (!places.is_service)
		return false;
	for (size_t i = 0; i < places.v.n; i++)
		n[judge_place(q, &places.v.v[i])]++;
	if (!places.v.n)
		*ret = naive_isolated(q) ? BH_VERDICT_DENY : BH_VERDICT_ALLOW;
	else if (!n[BH_VERDICT_ALLOW])
		*ret = n[BH_VERDICT_DENY] ? BH_VERDICT_DENY : BH_VERDICT_DENY_CLUSTER;
	else
		*ret = n[BH_VERDICT_ALLOW] == places.v.n ? BH_VERDICT_ALLOW : BH_VERDICT_MIXED;
	return true;
}
