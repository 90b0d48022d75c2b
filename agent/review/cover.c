// SPDX-License-Identifier: Apache-2.0
// cover.c - implications between selectors, peers, ports and rules.
#include "agent/review/cover.h"

// ---- selectors ---------------------------------------------------------------------------------

static bool has_value(const struct selector_term *term, const char *value)
{
	for (uint32_t i = 0; i < term->nvalues; i++)
		if (term->values[i] == value)
			return true;
	return false;
}

static bool values_within(const struct selector_term *a, const struct selector_term *b)
{
	for (uint32_t i = 0; i < a->nvalues; i++)
		if (!has_value(b, a->values[i]))
			return false;
	return true;
}

static bool values_apart(const struct selector_term *a, const struct selector_term *b)
{
	for (uint32_t i = 0; i < a->nvalues; i++)
		if (has_value(b, a->values[i]))
			return false;
	return true;
}

static bool term_implies(const struct selector_term *a, const struct selector_term *b)
{
	if (a->key != b->key)
		return false;
	switch (b->op) {
	case SELECTOR_IN:
		return a->op == SELECTOR_IN && values_within(a, b);
	case SELECTOR_EXISTS:
		return a->op == SELECTOR_IN || a->op == SELECTOR_EXISTS;
	case SELECTOR_NOT_EXISTS:
		return a->op == SELECTOR_NOT_EXISTS;
	case SELECTOR_NOT_IN:
		return a->op == SELECTOR_NOT_EXISTS ||
		       (a->op == SELECTOR_NOT_IN && values_within(b, a)) ||
		       (a->op == SELECTOR_IN && values_apart(a, b));
	}
	return false;
}

bool selector_implies(const struct selector *narrow, const struct selector *wide)
{
	for (uint32_t i = 0; i < wide->nterms; i++) {
		uint32_t k = 0;

		while (k < narrow->nterms && !term_implies(&narrow->terms[k], &wide->terms[i]))
			k++;
		if (k == narrow->nterms)
			return false;
	}
	return true;
}

// ---- peers -------------------------------------------------------------------------------------

static bool cidr_within(const struct bh_cidr *inner, const struct bh_cidr *outer)
{
	return inner->prefixlen >= outer->prefixlen && cidr_contains(outer, &inner->addr);
}

// Nothing that the block means is in the except.
static bool except_misses(const struct bh_cidr *except, const struct peer *block)
{
	if (!cidr_within(except, &block->cidr) && !cidr_within(&block->cidr, except))
		return true;
	for (uint32_t i = 0; i < block->nexcepts; i++)
		if (cidr_within(except, &block->excepts[i]))
			return true;
	return false;
}

static bool block_covers(const struct peer *wide, const struct peer *narrow)
{
	if (!cidr_within(&narrow->cidr, &wide->cidr))
		return false;
	for (uint32_t i = 0; i < wide->nexcepts; i++)
		if (!except_misses(&wide->excepts[i], narrow))
			return false;
	return true;
}

static bool pods_cover(const struct peer *wide, const struct peer *narrow)
{
	if (wide->own_namespace && !narrow->own_namespace)
		return false;
	if (!wide->own_namespace && narrow->own_namespace && wide->namespaces.nterms)
		return false;
	return selector_implies(&narrow->namespaces, &wide->namespaces) &&
	       selector_implies(&narrow->pods, &wide->pods);
}

bool peer_covers(const struct peer *wide, const struct peer *narrow)
{
	if (wide->kind == PEER_ANY || narrow->kind == PEER_NONE)
		return true;
	if (wide->kind != narrow->kind)
		return false;
	switch (wide->kind) {
	case PEER_PODS:
		return pods_cover(wide, narrow);
	case PEER_CIDR:
		return block_covers(wide, narrow);
	case PEER_NODES:
		return selector_implies(&narrow->nodes, &wide->nodes);
	default:
		return false;
	}
}

// ---- rules -------------------------------------------------------------------------------------

static bool port_covers(const struct port *wide, const struct port *narrow)
{
	if (wide->name)
		return wide->name == narrow->name && (wide->protocol == narrow->protocol ||
						      wide->protocol == PROTOCOL_ANY);
	if (wide->protocol != narrow->protocol)
		return false;
	if (!wide->lo && !wide->hi)
		return true;
	if (narrow->name || (!narrow->lo && !narrow->hi))
		return wide->lo <= 1 && wide->hi == UINT16_MAX;
	return wide->lo <= narrow->lo && narrow->hi <= wide->hi;
}

static bool ports_cover(const struct rule *wide, const struct port *narrow)
{
	for (uint32_t i = 0; i < wide->nports; i++)
		if (port_covers(&wide->ports[i], narrow))
			return true;
	return false;
}

static bool peers_cover(const struct rule *wide, const struct peer *narrow)
{
	for (uint32_t i = 0; i < wide->npeers; i++)
		if (peer_covers(&wide->peers[i], narrow))
			return true;
	return false;
}

bool rule_covers(const struct rule *wide, const struct rule *narrow)
{
	if ((narrow->any_peer && !wide->any_peer) || (narrow->any_port && !wide->any_port))
		return false;
	for (uint32_t i = 0; !wide->any_port && i < narrow->nports; i++)
		if (!ports_cover(wide, &narrow->ports[i]))
			return false;
	for (uint32_t i = 0; !wide->any_peer && i < narrow->npeers; i++)
		if (!peers_cover(wide, &narrow->peers[i]))
			return false;
	return true;
}
