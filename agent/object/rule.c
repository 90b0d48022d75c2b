// SPDX-License-Identifier: Apache-2.0
// rule.c - the parts that both policy kinds are made of.
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/object/kind.h"

void peer_fini(struct peer *peer)
{
	selector_fini(&peer->namespaces);
	selector_fini(&peer->pods);
	selector_fini(&peer->nodes);
	free(peer->excepts);
	*peer = (struct peer){0};
}

void rule_fini(struct rule *rule)
{
	for (uint32_t i = 0; i < rule->npeers; i++)
		peer_fini(&rule->peers[i]);
	for (uint32_t i = 0; i < rule->nports; i++)
		intern_put(rule->ports[i].name);
	free(rule->peers);
	free(rule->ports);
	intern_put(rule->name);
	*rule = (struct rule){0};
}

void rules_fini(struct rules *rules)
{
	for (uint32_t i = 0; i < rules->n; i++)
		rule_fini(&rules->v[i]);
	free(rules->v);
	*rules = (struct rules){0};
}

void rule_take_peers(struct rule *rule, peer_vec *peers)
{
	assert(!rule->peers);

	rule->npeers = (uint32_t)peers->n;
	rule->peers = TAKE_PTR(peers->v);
	vec_fini(peers);
}

void rule_take_ports(struct rule *rule, port_vec *ports)
{
	assert(!rule->ports);

	rule->nports = (uint32_t)ports->n;
	rule->ports = TAKE_PTR(ports->v);
	vec_fini(ports);
}

static bool cidr_equal(const struct bh_cidr *a, const struct bh_cidr *b)
{
	return a->prefixlen == b->prefixlen && bh_addr_equal(&a->addr, &b->addr);
}

bool peer_equal(const struct peer *a, const struct peer *b)
{
	if (a->kind != b->kind || a->own_namespace != b->own_namespace ||
	    a->nexcepts != b->nexcepts || !cidr_equal(&a->cidr, &b->cidr))
		return false;
	for (uint32_t i = 0; i < a->nexcepts; i++)
		if (!cidr_equal(&a->excepts[i], &b->excepts[i]))
			return false;
	return selector_equal(&a->namespaces, &b->namespaces) &&
	       selector_equal(&a->pods, &b->pods) && selector_equal(&a->nodes, &b->nodes);
}

static bool port_equal(const struct port *a, const struct port *b)
{
	return a->protocol == b->protocol && a->name == b->name && a->lo == b->lo && a->hi == b->hi;
}

static bool rule_equal(const struct rule *a, const struct rule *b)
{
	if (a->name != b->name || a->action != b->action || a->any_peer != b->any_peer ||
	    a->npeers != b->npeers || a->any_port != b->any_port || a->nports != b->nports)
		return false;
	for (uint32_t i = 0; i < a->npeers; i++)
		if (!peer_equal(&a->peers[i], &b->peers[i]))
			return false;
	for (uint32_t i = 0; i < a->nports; i++)
		if (!port_equal(&a->ports[i], &b->ports[i]))
			return false;
	return true;
}

bool rules_equal(const struct rules *a, const struct rules *b)
{
	if (a->n != b->n)
		return false;
	for (uint32_t i = 0; i < a->n; i++)
		if (!rule_equal(&a->v[i], &b->v[i]))
			return false;
	return true;
}

bool addrs_equal(const struct bh_addr *a, uint32_t na, const struct bh_addr *b, uint32_t nb)
{
	if (na != nb)
		return false;
	for (uint32_t i = 0; i < na; i++)
		if (!bh_addr_equal(&a[i], &b[i]))
			return false;
	return true;
}

int protocol_read(const struct at *at, uint8_t *ret, struct err *reterr)
{
	const char *text = "TCP";
	int r = at_string(at, &text, reterr);

	if (r < 0)
		return r;
	if (!strcmp(text, "TCP"))
		*ret = PROTOCOL_TCP;
	else if (!strcmp(text, "UDP"))
		*ret = PROTOCOL_UDP;
	else if (!strcmp(text, "SCTP"))
		*ret = PROTOCOL_SCTP;
	else
		return at_fail(at, reterr, "\"%.80s\" is none of TCP, UDP, SCTP", text);
	return 0;
}
