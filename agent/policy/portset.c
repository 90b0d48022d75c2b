// SPDX-License-Identifier: Apache-2.0
// portset.c - a sweep over the ends of all intervals gives each elementary interval its signature.
#include "agent/policy/portset.h"

#include <string.h>

#include "agent/policy/must.h"

#define PORTS 65536

void portset_init(struct portset *set, uint32_t max_classes)
{
	*set = (struct portset){ .changed = true };
	ids_init(&set->atom_ids, 0, IDS_NONE);
	classes_init(&set->classes, 0, max_classes);
	set->none = cls_get(&set->classes, NULL, 0);
	cls_number(&set->classes, set->none);
	cls_join(set->none); // for ever
	for (int i = 0; i < BH_PORT_PROTO_MAX; i++) {
		must_push(&set->shown[i], (struct port_span){ 0, PORTS - 1, set->none });
		cls_join(set->none);
	}
}

void portset_fini(struct portset *set)
{
	vec_each(struct port_atom *, atom, &set->atoms)
		free(*atom);
	vec_fini(&set->atoms);
	hash_fini(&set->by_content);
	ids_fini(&set->atom_ids);
	classes_fini(&set->classes);
	for (int i = 0; i < BH_PORT_PROTO_MAX; i++)
		vec_fini(&set->shown[i]);
	for (int i = 0; i < BH_PORT_PROTO_MAX; i++)
		vec_fini(&set->wanted[i]);
}

int portset_proto(uint8_t protocol)
{
	switch (protocol) {
	case 6:
		return BH_PORT_TCP;
	case 17:
		return BH_PORT_UDP;
	case 132:
		return BH_PORT_SCTP;
	default:
		return -1;
	}
}

static int by_start(const void *a, const void *b)
{
	const struct port_range *x = a, *y = b;

	if (x->proto != y->proto)
		return x->proto < y->proto ? -1 : 1;
	return (int)x->lo - (int)y->lo;
}

static void merge(port_ranges *ranges)
{
	size_t kept = 0;

	vec_sort(ranges, by_start);
	vec_each(struct port_range, r, ranges) {
		struct port_range *last = kept ? &ranges->v[kept - 1] : NULL;

		if (last && last->proto == r->proto && r->lo <= (uint32_t)last->hi + 1)
			last->hi = r->hi > last->hi ? r->hi : last->hi;
		else
			ranges->v[kept++] = *r;
	}
	ranges->n = kept;
}

struct draft {
	enum bh_dir dir;
	const port_ranges *ranges;
};

static bool equal(const void *item, const void *key)
{
	const struct port_atom *atom = item;
	const struct draft *draft = key;
	const port_ranges *ranges = draft->ranges;

	return atom->dir == draft->dir && atom->n == ranges->n &&
	       !memcmp(atom->v, ranges->v, ranges->n * sizeof(*ranges->v));
}

struct port_atom *port_atom_get(struct portset *set, enum bh_dir dir, port_ranges *ranges)
{
	struct draft draft = { dir, ranges };
	struct port_atom *atom;
	uint64_t hash;

	merge(ranges);
	hash = hash_mix(hash_bytes(ranges->v, ranges->n * sizeof(*ranges->v)), dir);
	atom = hash_find(&set->by_content, hash, equal, &draft);
	if (!atom) {
		atom = must_new(sizeof(*atom) + ranges->n * sizeof(*ranges->v));
		atom->id = ids_take(&set->atom_ids);
		atom->hash = hash;
		atom->dir = dir;
		atom->n = (uint32_t)ranges->n;
		memcpy(atom->v, ranges->v, ranges->n * sizeof(*ranges->v));
		must_ok(hash_add(&set->by_content, hash, atom));
		while (set->atoms.n <= atom->id)
			must_push(&set->atoms, NULL);
		set->atoms.v[atom->id] = atom;
		set->changed = true;
	}
	atom->refs++;
	return atom;
}

void port_atom_ref(struct port_atom *atom)
{
	if (atom)
		atom->refs++;
}

// An atom whose last rule went keeps its id until the port space is cut without it.
void port_atom_put(struct portset *set, struct port_atom *atom)
{
	if (!atom || --atom->refs)
		return;
	set->changed = true;
}

static void bury(struct portset *set)
{
	vec_each(struct port_atom *, atom, &set->atoms) {
		if (!*atom || (*atom)->refs)
			continue;
		hash_remove(&set->by_content, (*atom)->hash, *atom);
		ids_put(&set->atom_ids, (*atom)->id);
		free(*atom);
		*atom = NULL;
	}
}

struct edge {
	uint32_t port;
	uint32_t atom;
	bool ends;
};
typedef VEC(struct edge) edges;

static int by_port(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return x->port < y->port ? -1 : x->port > y->port;
}

static void list_edges(const struct portset *set, uint32_t proto, edges *out)
{
	vec_each(struct port_atom *, atom, &set->atoms)
		for (uint32_t i = 0; *atom && i < (*atom)->n; i++) {
			const struct port_range *r = &(*atom)->v[i];

			if (r->proto != proto)
				continue;
			must_push(out, (struct edge){ r->lo, (*atom)->id, false });
			must_push(out, (struct edge){ (uint32_t)r->hi + 1, (*atom)->id, true });
		}
	vec_sort(out, by_port);
}

typedef VEC(uint32_t) actives;

static void cross(actives *active, const struct edge *edge)
{
	size_t lo = 0, hi = active->n;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (active->v[mid] < edge->atom)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (edge->ends) {
		vec_cut(active, lo);
		return;
	}
	must_push(active, 0);
	memmove(active->v + lo + 1, active->v + lo, (active->n - 1 - lo) * sizeof(*active->v));
	active->v[lo] = edge->atom;
}

static void add_span(port_spans *spans, uint32_t lo, uint32_t end, struct cls *cls)
{
	struct port_span *last = spans->n ? &spans->v[spans->n - 1] : NULL;

	if (lo == end)
		return;
	if (last && last->cls == cls)
		last->hi = end - 1;
	else
		must_push(spans, (struct port_span){ lo, end - 1, cls });
}

static void cut_proto(struct portset *set, uint32_t proto, port_spans *spans)
{
	actives active = { 0 };
	edges list = { 0 };
	uint32_t at = 0;

	list_edges(set, proto, &list);
	for (size_t i = 0; i < list.n;) {
		uint32_t port = list.v[i].port;
		size_t first = i;

		add_span(spans, at, port, cls_get(&set->classes, active.v, active.n));
		// ends before starts: an atom's ranges do not touch, so it is never active twice
		for (i = first; i < list.n && list.v[i].port == port; i++)
			if (list.v[i].ends)
				cross(&active, &list.v[i]);
		for (i = first; i < list.n && list.v[i].port == port; i++)
			if (!list.v[i].ends)
				cross(&active, &list.v[i]);
		at = port;
	}
	add_span(spans, at, PORTS, set->none);
	vec_fini(&list);
	vec_fini(&active);
}

void portset_cut(struct portset *set)
{
	if (!set->changed)
		return;
	bury(set);
	for (uint32_t i = 0; i < BH_PORT_PROTO_MAX; i++) {
		vec_clear(&set->wanted[i]);
		cut_proto(set, i, &set->wanted[i]);
	}
	set->changed = false;
}

static struct cls *find_in(const port_spans *spans, uint16_t port)
{
	size_t lo = 0, hi;

	for (hi = spans->n - 1; lo < hi;) {
		size_t mid = (lo + hi) / 2;

		if (spans->v[mid].hi < port)
			lo = mid + 1;
		else
			hi = mid;
	}
	return spans->v[lo].cls;
}

struct cls *portset_find(const struct portset *set, uint8_t protocol, uint16_t port)
{
	int proto = portset_proto(protocol);

	return proto < 0 ? set->none : find_in(&set->shown[proto], port);
}

struct cls *portset_wanted(const struct portset *set, uint8_t protocol, uint16_t port)
{
	int proto = portset_proto(protocol);

	if (proto < 0)
		return set->none;
	return find_in(set->wanted[proto].n ? &set->wanted[proto] : &set->shown[proto], port);
}
