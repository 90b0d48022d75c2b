// SPDX-License-Identifier: Apache-2.0
// naive.c - the semantics, read aloud.
#include "tests/harness/naive_private.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/intern.h"

static int collect(void *arg, const struct object *object)
{
	struct naive_list *list = arg;

	if (list->n == NAIVE_LIST_MAX)
		abort();
	list->v[list->n++] = object;
	return 0;
}

void naive_collect(const struct naive *naive, enum kind kind, const char *ns, struct naive_list *ret)
{
	store_each(naive->store, kind, ns, collect, ret);
}

static bool namespace_matches(const struct naive *naive, const struct selector *selector,
			      const char *ns)
{
	const struct namespace_ *found =
		(const struct namespace_ *)store_find(naive->store, KIND_NAMESPACE, NULL, ns);
	struct label own = { intern("kubernetes.io/metadata.name"), intern(ns) };
	struct labels only = { 1, &own };
	bool match = selector_match(selector, found ? &found->labels : &only);

	intern_put(own.key);
	intern_put(own.value);
	return match;
}

// ---- addresses ----------------------------------------------------------------------------------------------

static bool in_block(const struct bh_cidr *cidr, const struct bh_addr *addr)
{
	// 0.0.0.0/0 is IPv4's only, ::/0 is IPv6's only
	if (bh_addr_is4(addr) != (cidr->prefixlen >= BH_V4_PREFIX && bh_addr_is4(&cidr->addr)))
		return false;
	for (uint32_t bit = 0; bit < cidr->prefixlen; bit++)
		if ((ntohl(cidr->addr.w[bit / 32]) >> (31 - bit % 32) & 1) !=
		    (ntohl(addr->w[bit / 32]) >> (31 - bit % 32) & 1))
			return false;
	return true;
}

static bool has_address(const struct bh_addr *addrs, uint32_t n, const struct bh_addr *addr)
{
	for (uint32_t i = 0; i < n; i++)
		if (bh_addr_equal(&addrs[i], addr))
			return true;
	return false;
}

static bool better(const struct naive *naive, const struct pod *a, const struct pod *b)
{
	bool local_a = naive->local && naive->local(naive->arg, a);
	bool local_b = naive->local && naive->local(naive->arg, b);
	int r;

	if (local_a != local_b)
		return local_a;
	if (a->created != b->created)
		return a->created > b->created;
	r = strcmp(a->object.name, b->object.name);
	if (!r)
		r = strcmp(a->object.ns, b->object.ns);
	return r > 0;
}

const struct pod *naive_pod_at(const struct naive *naive, const struct bh_addr *addr)
{
	struct naive_list list = { 0 };
	const struct pod *best = NULL;

	naive_collect(naive, KIND_POD, NULL, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct pod *pod = (const struct pod *)list.v[i];

		if (pod->host_network || pod->finished ||
		    !has_address(pod->addrs, pod->naddrs, addr))
			continue;
		if (!best || better(naive, pod, best))
			best = pod;
	}
	return best;
}

static bool node_matches(const struct naive *naive, const struct selector *selector,
			 const struct bh_addr *addr)
{
	struct naive_list list = { 0 };

	naive_collect(naive, KIND_NODE, NULL, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct node *node = (const struct node *)list.v[i];

		if (has_address(node->addrs, node->naddrs, addr) &&
		    selector_match(selector, &node->labels))
			return true;
	}
	return false;
}

// ---- rules ----------------------------------------------------------------------------------------------------

static bool peer_matches(const struct naive_question *q, const struct object *policy,
			 const struct peer *peer)
{
	switch (peer->kind) {
	case PEER_ANY:
		return true;
	case PEER_PODS:
		if (!q->peer || !selector_match(&peer->pods, &q->peer->labels))
			return false;
		if (peer->own_namespace)
			return !strcmp(policy->ns, q->peer->object.ns);
		return namespace_matches(q->naive, &peer->namespaces, q->peer->object.ns);
	case PEER_CIDR:
		if (!in_block(&peer->cidr, q->remote))
			return false;
		for (uint32_t i = 0; i < peer->nexcepts; i++)
			if (in_block(&peer->excepts[i], q->remote))
				return false;
		return true;
	case PEER_NODES:
		return !q->peer && node_matches(q->naive, &peer->nodes, q->remote);
	default:
		return false;
	}
}

static bool peers_match(const struct naive_question *q, const struct object *policy,
			const struct rule *rule)
{
	if (rule->any_peer)
		return true;
	for (uint32_t i = 0; i < rule->npeers; i++)
		if (peer_matches(q, policy, &rule->peers[i]))
			return true;
	return false;
}

static bool port_matches(const struct naive_question *q, const struct port *port)
{
	// the destination says what a name means
	const struct pod *destination = q->dir == BH_INGRESS ? q->pod : q->peer;

	if (q->protocol != PROTOCOL_TCP && q->protocol != PROTOCOL_UDP &&
	    q->protocol != PROTOCOL_SCTP)
		return false;
	if (port->protocol != PROTOCOL_ANY && port->protocol != q->protocol)
		return false;
	if (!port->name)
		return (!port->lo && !port->hi) || (q->port >= port->lo && q->port <= port->hi);
	for (uint32_t i = 0; destination && i < destination->nports; i++) {
		const struct container_port *own = &destination->ports[i];

		if (own->name && !strcmp(own->name, port->name) && own->protocol == q->protocol &&
		    own->port == q->port)
			return true;
	}
	return false;
}

static bool rule_matches(const struct naive_question *q, const struct object *policy,
			 const struct rule *rule)
{
	if (!peers_match(q, policy, rule))
		return false;
	if (rule->any_port)
		return true;
	for (uint32_t i = 0; i < rule->nports; i++)
		if (port_matches(q, &rule->ports[i]))
			return true;
	return false;
}

// ---- tiers ------------------------------------------------------------------------------------------------------

static bool audited(const struct naive_question *q, const struct netpol *netpol)
{
	const struct namespace_ *ns = (const struct namespace_ *)store_find(
		q->naive->store, KIND_NAMESPACE, NULL, netpol->object.ns);

	return netpol->audit || (ns && ns->audit);
}

// -1: no NetworkPolicy isolates the pod.
static int network_policies(const struct naive_question *q)
{
	struct naive_list list = { 0 };
	int verdict = -1;

	naive_collect(q->naive, KIND_NETPOL, q->pod->object.ns, &list);
	for (size_t i = 0; i < list.n; i++) {
		const struct netpol *netpol = (const struct netpol *)list.v[i];
		const struct rules *rules = &netpol->rules[q->dir];

		if (!netpol->isolates[q->dir] || !selector_match(&netpol->pods, &q->pod->labels) ||
		    (!q->shadow && audited(q, netpol)))
			continue;
		if (verdict < 0)
			verdict = BH_VERDICT_DENY;
		for (uint32_t j = 0; j < rules->n; j++)
			if (rule_matches(q, &netpol->object, &rules->v[j]))
				verdict = BH_VERDICT_ALLOW;
	}
	return verdict;
}

static int by_priority(const void *a, const void *b)
{
	const struct clusternetpol *x = *(const struct clusternetpol *const *)a;
	const struct clusternetpol *y = *(const struct clusternetpol *const *)b;

	if (x->priority != y->priority)
		return x->priority - y->priority;
	return strcmp(x->object.name, y->object.name);
}

// -1: nothing decides, or Pass.
static int cluster_policies(const struct naive_question *q, enum tier tier)
{
	struct naive_list list = { 0 };

	naive_collect(q->naive, KIND_CLUSTERNETPOL, NULL, &list);
	if (list.n > 1)
		qsort(list.v, list.n, sizeof(list.v[0]), by_priority);
	for (size_t i = 0; i < list.n; i++) {
		const struct clusternetpol *cnp = (const struct clusternetpol *)list.v[i];
		const struct rules *rules = &cnp->rules[q->dir];

		if (cnp->tier != tier || (cnp->audit && !q->shadow) ||
		    !namespace_matches(q->naive, &cnp->namespaces, q->pod->object.ns) ||
		    !selector_match(&cnp->pods, &q->pod->labels))
			continue;
		for (uint32_t j = 0; j < rules->n; j++) {
			if (!rule_matches(q, &cnp->object, &rules->v[j]))
				continue;
			if (rules->v[j].action == ACTION_PASS)
				return -1;
			return rules->v[j].action == ACTION_ACCEPT ? BH_VERDICT_ALLOW :
								     BH_VERDICT_DENY_CLUSTER;
		}
	}
	return -1;
}

enum bh_verdict naive_address(struct naive_question *q)
{
	int verdict;

	q->peer = naive_pod_at(q->naive, q->remote);
	verdict = cluster_policies(q, TIER_ADMIN);
	if (verdict < 0)
		verdict = network_policies(q);
	if (verdict < 0)
		verdict = cluster_policies(q, TIER_BASELINE);
	return verdict < 0 ? BH_VERDICT_ALLOW : (enum bh_verdict)verdict;
}

bool naive_own_node(const struct naive *naive, const struct bh_addr *addr)
{
	const struct node *node =
		naive->node ? (const struct node *)store_find(naive->store, KIND_NODE, NULL,
							      naive->node) :
			      NULL;

	return node && has_address(node->addrs, node->naddrs, addr);
}

bool naive_isolated(const struct naive_question *q)
{
	return network_policies(q) >= 0;
}

enum bh_verdict naive_verdict(const struct naive *naive, const char *ns, const char *name,
			      enum bh_dir dir, const struct bh_addr *remote, uint8_t protocol,
			      uint16_t port, bool shadow)
{
	struct naive_question q = { .naive = naive,
				    .remote = remote,
				    .dir = dir,
				    .protocol = protocol,
				    .port = port,
				    .shadow = shadow };
	enum bh_verdict verdict;

	q.pod = (const struct pod *)store_find(naive->store, KIND_POD, ns, name);
	if (!q.pod)
		return BH_VERDICT_DENY;
	if (q.pod->host_network)
		return BH_VERDICT_ALLOW;
	if (naive_service(&q, &verdict))
		return verdict;
	return naive_address(&q);
}
