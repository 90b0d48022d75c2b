// SPDX-License-Identifier: Apache-2.0
// atom.c - canonical form, comparison and interning of peer atoms.
#include "agent/policy/atom.h"

#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/must.h"

static int order(uintptr_t a, uintptr_t b)
{
	return a < b ? -1 : a > b;
}

static int selector_order(const struct selector *a, const struct selector *b)
{
	int r = order(a->nterms, b->nterms);

	for (uint32_t i = 0; !r && i < a->nterms; i++) {
		const struct selector_term *s = &a->terms[i], *t = &b->terms[i];

		r = order((uintptr_t)s->key, (uintptr_t)t->key);
		r = r ? r : order(s->op, t->op);
		r = r ? r : order(s->nvalues, t->nvalues);
		for (uint32_t j = 0; !r && j < s->nvalues; j++)
			r = order((uintptr_t)s->values[j], (uintptr_t)t->values[j]);
	}
	return r;
}

static int peer_order(const struct peer *a, const struct peer *b)
{
	int r = order(a->kind, b->kind);

	if (r)
		return r;
	switch (a->kind) {
	case PEER_PODS:
		r = order(a->own_namespace, b->own_namespace);
		r = r ? r : selector_order(&a->namespaces, &b->namespaces);
		return r ? r : selector_order(&a->pods, &b->pods);
	case PEER_NODES:
		return selector_order(&a->nodes, &b->nodes);
	case PEER_CIDR:
		r = memcmp(&a->cidr, &b->cidr, sizeof(a->cidr));
		r = r ? r : order(a->nexcepts, b->nexcepts);
		if (!r && a->nexcepts)
			r = memcmp(a->excepts, b->excepts, a->nexcepts * sizeof(*a->excepts));
		return r;
	default:
		return 0;
	}
}

static int peer_compare(const void *a, const void *b)
{
	return peer_order(*(const struct peer *const *)a, *(const struct peer *const *)b);
}

static uint64_t selector_hash(uint64_t hash, const struct selector *selector)
{
	for (uint32_t i = 0; i < selector->nterms; i++) {
		const struct selector_term *t = &selector->terms[i];

		hash = hash_mix(hash, (uintptr_t)t->key ^ t->op);
		for (uint32_t j = 0; j < t->nvalues; j++)
			hash = hash_mix(hash, (uintptr_t)t->values[j]);
	}
	return hash_mix(hash, selector->nterms);
}

static uint64_t peer_hash(uint64_t hash, const struct peer *peer)
{
	hash = hash_mix(hash, peer->kind * 2 + peer->own_namespace);
	if (peer->kind == PEER_PODS)
		return selector_hash(selector_hash(hash, &peer->namespaces), &peer->pods);
	if (peer->kind == PEER_NODES)
		return selector_hash(hash, &peer->nodes);
	hash = hash_mix(hash, hash_bytes(&peer->cidr, sizeof(peer->cidr)));
	return hash_mix(hash, hash_bytes(peer->excepts, peer->nexcepts * sizeof(*peer->excepts)));
}

static uint64_t atom_hash(const struct atom *atom)
{
	uint64_t hash = hash_mix((uintptr_t)atom->ns, (uintptr_t)atom->port_name);

	hash = hash_mix(hash, (uint64_t)atom->dir << 24 | (uint64_t)atom->port_proto << 16 |
				      atom->port_number);
	for (uint32_t i = 0; i < atom->npeers; i++)
		hash = peer_hash(hash, atom->peers[i]);
	return hash_mix(hash, atom->any);
}

static bool equal(const void *item, const void *key)
{
	const struct atom *a = item, *b = key;

	if (a->ns != b->ns || a->any != b->any || a->dir != b->dir || a->npeers != b->npeers ||
	    a->port_name != b->port_name || a->port_proto != b->port_proto ||
	    a->port_number != b->port_number)
		return false;
	for (uint32_t i = 0; i < a->npeers; i++)
		if (peer_order(a->peers[i], b->peers[i]))
			return false;
	return true;
}

static void list_peers(struct atom *atom, const struct atom_spec *spec)
{
	const struct rule *rule = spec->rule;
	uint32_t kept = 0;

	atom->peers = must_new(rule->npeers * sizeof(*atom->peers));
	for (uint32_t i = 0; i < rule->npeers; i++) {
		if (rule->peers[i].kind == PEER_NONE || rule->peers[i].kind == PEER_ANY)
			continue;
		atom->peers[atom->npeers++] = &rule->peers[i];
		if (rule->peers[i].kind == PEER_PODS && rule->peers[i].own_namespace)
			atom->ns = spec->owner->ns;
	}
	if (atom->npeers > 1)
		qsort(atom->peers, atom->npeers, sizeof(*atom->peers), peer_compare);
	for (uint32_t i = 0; i < atom->npeers; i++)
		if (!kept || peer_order(atom->peers[kept - 1], atom->peers[i]))
			atom->peers[kept++] = atom->peers[i];
	atom->npeers = kept;
}

static void atom_free(struct atom *atom)
{
	if (!atom)
		return;
	object_put(atom->owner);
	intern_put(atom->ns);
	intern_put(atom->port_name);
	free(atom->peers);
	free(atom);
}

void atoms_init(struct atoms *atoms)
{
	*atoms = (struct atoms){ 0 };
	ids_init(&atoms->ids, 0, IDS_NONE);
}

void atoms_fini(struct atoms *atoms)
{
	vec_each(struct atom *, atom, &atoms->by_id)
		atom_free(*atom);
	hash_fini(&atoms->by_content);
	ids_fini(&atoms->ids);
	vec_fini(&atoms->by_id);
	vec_fini(&atoms->changed);
}

static void queue(struct atoms *atoms, struct atom *atom)
{
	if (!atom->queued)
		must_push(&atoms->changed, atom);
	atom->queued = true;
}

static struct atom *enroll(struct atoms *atoms, const struct atom *draft,
			   const struct atom_spec *spec)
{
	struct atom *atom = must_new(sizeof(*atom));

	*atom = *draft;
	atom->id = ids_take(&atoms->ids);
	atom->owner = object_get((struct object *)spec->owner);
	atom->ns = intern_get(draft->ns);
	atom->port_name = intern_get(draft->port_name);
	must_ok(hash_add(&atoms->by_content, atom->hash, atom));
	while (atoms->by_id.n <= atom->id)
		must_push(&atoms->by_id, NULL);
	atoms->by_id.v[atom->id] = atom;
	queue(atoms, atom);
	return atom;
}

struct atom *atom_get(struct atoms *atoms, const struct atom_spec *spec)
{
	struct atom draft = { .dir = spec->dir,
			      .port_name = spec->port_name,
			      .port_proto = spec->port_proto,
			      .port_number = spec->port_number };
	struct atom *atom;

	draft.any = spec->rule->any_peer;
	for (uint32_t i = 0; i < spec->rule->npeers; i++)
		draft.any |= spec->rule->peers[i].kind == PEER_ANY;
	if (!draft.any)
		list_peers(&draft, spec);
	draft.hash = atom_hash(&draft);
	atom = hash_find(&atoms->by_content, draft.hash, equal, &draft);
	if (atom)
		free(draft.peers);
	else
		atom = enroll(atoms, &draft, spec);
	atom->refs++;
	return atom;
}

void atom_ref(struct atom *atom)
{
	if (atom)
		atom->refs++;
}

void atom_put(struct atoms *atoms, struct atom *atom)
{
	if (atom && !--atom->refs)
		queue(atoms, atom);
}

void atom_bury(struct atoms *atoms, struct atom *atom)
{
	hash_remove(&atoms->by_content, atom->hash, atom);
	atoms->by_id.v[atom->id] = NULL;
	ids_put(&atoms->ids, atom->id);
	atom_free(atom);
}

bool atom_port_holds(const struct atom *atom, const struct pod *pod)
{
	if (!atom->port_name)
		return true;
	for (uint32_t i = 0; i < pod->nports; i++)
		if (pod->ports[i].name == atom->port_name &&
		    pod->ports[i].protocol == atom->port_proto &&
		    pod->ports[i].port == atom->port_number)
			return true;
	return false;
}
