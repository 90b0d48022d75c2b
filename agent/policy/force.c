// SPDX-License-Identifier: Apache-2.0
// force.c - atoms come in force and go out of it: the indexes that say where each could match.
//
// What comes may match addresses that were not asked about it yet: they become dirty. What goes leaves every
// signature that holds it, which needs no look at an address (fade.c).
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/match.h"
#include "agent/policy/must.h"
#include "agent/policy/nslabel.h"

static bool is_ns(const void *item, const void *key)
{
	return !strcmp(((const struct nsent *)item)->name, key);
}

struct nsent *cluster_ns_find(const struct cluster *cluster, const char *ns)
{
	return hash_find(&cluster->namespaces, hash_string(ns), is_ns, ns);
}

// ---- candidates of a namespace ---------------------------------------------------------------------------

static void add_candidate(struct nsent *ns, struct atom *atom, const struct peer *peer)
{
	must_push(&ns->candidates, candidate_of(atom, peer));
	ns->sorted = false;
}

static void list_candidates(struct cluster *cluster, struct nsent *ns)
{
	vec_clear(&ns->candidates);
	vec_each(struct atom *, at, &cluster->atoms.by_id) {
		struct atom *atom = *at;

		for (uint32_t i = 0; atom && atom->in_force && i < atom->npeers; i++)
			if (atom->peers[i]->kind == PEER_PODS && !peer_is_wide(atom->peers[i]) &&
			    peer_in_namespace(atom, atom->peers[i], ns))
				add_candidate(ns, atom, atom->peers[i]);
	}
}

struct nsent *cluster_ns(struct cluster *cluster, const char *name)
{
	struct nsent *ns = cluster_ns_find(cluster, name);

	if (ns)
		return ns;
	ns = must_new(sizeof(*ns));
	ns->name = must((void *)intern(name));
	ns->self = (struct label){ cluster->name_label, ns->name };
	must_ok(hash_add(&cluster->namespaces, hash_string(name), ns));
	nslabel_enter(cluster, ns);
	list_candidates(cluster, ns);
	return ns;
}

void cluster_namespace(struct cluster *cluster, const struct namespace_ *before,
		       const struct namespace_ *after)
{
	const char *name = before ? before->object.name : after->object.name;
	struct nsent *ns = cluster_ns(cluster, name);

	nslabel_leave(cluster, ns);
	if (after)
		object_get((struct object *)&after->object);
	if (ns->object)
		object_put((struct object *)&ns->object->object);
	ns->object = after;
	nslabel_enter(cluster, ns);
	list_candidates(cluster, ns);
	vec_each(struct podent *, pod, &ns->pods)
		cluster_pod_touch(cluster, *pod);
	cluster_ns_drop(cluster, ns);
}

// ---- atoms come and go ------------------------------------------------------------------------------------

// Candidates whose atoms come or go.
struct shifted {
	candidate_list wide, narrow;
	bool wide_gone;
};

// What they match in a namespace becomes dirty.
static void touch_matching(struct cluster *cluster, const struct nsent *ns,
			   const candidate_list *list)
{
	atom_ids hits = { 0 };

	vec_each(struct podent *const, pod, &ns->pods) {
		vec_clear(&hits);
		if ((*pod)->object)
			match_pod(list, (*pod)->object, &hits);
		if (hits.n)
			cluster_pod_touch(cluster, *pod);
	}
	vec_fini(&hits);
}

static void drop_gone(candidate_list *list)
{
	size_t kept = 0;

	vec_each(struct candidate, c, list)
		if (c->atom->in_force)
			list->v[kept++] = *c;
	list->n = kept;
}

static void shift_wide(struct cluster *cluster, struct shifted *all)
{
	struct nsent *ns;
	size_t at = 0;

	if (all->wide_gone)
		drop_gone(&cluster->wide);
	if (!all->wide.n)
		return;
	vec_sort(&all->wide, candidate_by_need);
	vec_each(struct candidate, c, &all->wide)
		must_push(&cluster->wide, *c);
	cluster->wide_sorted = false;
	while ((ns = hash_next(&cluster->namespaces, &at)))
		touch_matching(cluster, ns, &all->wide);
}

// A candidate and a namespace that it is for.
struct placed {
	struct nsent *ns;
	const struct candidate *candidate;
};
typedef VEC(struct placed) placed_list;

static int by_ns(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->ns != y->ns)
		return (uintptr_t)x->ns < (uintptr_t)y->ns ? -1 : 1;
	return (uintptr_t)x->candidate < (uintptr_t)y->candidate ? -1 : 1;
}

static void place(const struct cluster *cluster, const struct candidate *c, ns_list *suspects,
		  placed_list *out)
{
	struct nsent *own = c->peer->own_namespace ? cluster_ns_find(cluster, c->atom->ns) : NULL;

	vec_clear(suspects);
	if (own)
		must_push(suspects, own);
	else if (!c->peer->own_namespace)
		nslabel_suspects(cluster, &c->peer->namespaces, suspects);
	vec_each(struct nsent *, ns, suspects)
		if (peer_in_namespace(c->atom, c->peer, *ns))
			must_push(out, (struct placed){ *ns, c });
}

// n of one namespace.
static void shift_namespace(struct cluster *cluster, const struct placed *placed, size_t n)
{
	struct nsent *ns = placed->ns;
	candidate_list came = { 0 };

	for (size_t i = 0; i < n; i++)
		if (placed[i].candidate->atom->in_force)
			must_push(&came, *placed[i].candidate);
	if (came.n < n)
		drop_gone(&ns->candidates);
	vec_each(struct candidate, c, &came)
		add_candidate(ns, c->atom, c->peer);
	vec_sort(&came, candidate_by_need);
	touch_matching(cluster, ns, &came);
	vec_fini(&came);
}

static void shift_narrow(struct cluster *cluster, const candidate_list *narrow)
{
	placed_list placed = { 0 };
	ns_list suspects = { 0 };
	size_t n;

	vec_each(const struct candidate, c, narrow)
		place(cluster, c, &suspects, &placed);
	vec_sort(&placed, by_ns);
	for (size_t i = 0; i < placed.n; i += n) {
		for (n = 1; i + n < placed.n && placed.v[i + n].ns == placed.v[i].ns; n++)
			;
		shift_namespace(cluster, placed.v + i, n);
	}
	vec_fini(&suspects);
	vec_fini(&placed);
}

static void shift_pods(struct atom *atom, const struct peer *peer, struct shifted *out)
{
	if (!peer_is_wide(peer))
		must_push(&out->narrow, candidate_of(atom, peer));
	else if (atom->in_force)
		must_push(&out->wide, candidate_of(atom, peer));
	else
		out->wide_gone = true;
}

static void shift_block(struct cluster *cluster, struct atom *atom, uint32_t i, bool on)
{
	void (*shift)(struct space *, const struct bh_cidr *, struct mark) =
		on ? space_mark : space_unmark;
	const struct peer *peer = atom->peers[i];

	shift(&cluster->space, &peer->cidr, (struct mark){ atom, i, false });
	for (uint32_t j = 0; j < peer->nexcepts; j++)
		shift(&cluster->space, &peer->excepts[j], (struct mark){ atom, i, true });
}

static void touch_node(struct cluster *cluster, const struct nodeent *node)
{
	for (uint32_t i = 0; i < node->object->naddrs; i++)
		space_touch(&cluster->space,
			    space_get(&cluster->space,
				      &(struct bh_cidr){ 128, node->object->addrs[i] }));
}

static void shift_nodes(struct cluster *cluster, struct atom *atom, const struct peer *peer,
			bool on)
{
	if (on) {
		must_push(&cluster->node_candidates, (struct candidate){ { 0 }, atom, peer });
		vec_each(struct nodeent *, node, &cluster->node_list)
			if (selector_match(&peer->nodes, &(*node)->object->labels))
				touch_node(cluster, *node);
		return;
	}
	for (size_t i = 0; i < cluster->node_candidates.n; i++)
		if (cluster->node_candidates.v[i].atom == atom &&
		    cluster->node_candidates.v[i].peer == peer) {
			vec_drop(&cluster->node_candidates, i);
			break;
		}
}

static void shift_atom(struct cluster *cluster, struct atom *atom, bool on, struct shifted *out)
{
	atom->in_force = on;
	if (atom->any)
		shift_pods(atom, NULL, out);
	for (uint32_t i = 0; i < atom->npeers; i++) {
		switch (atom->peers[i]->kind) {
		case PEER_PODS:
			shift_pods(atom, atom->peers[i], out);
			break;
		case PEER_CIDR:
			shift_block(cluster, atom, i, on);
			break;
		case PEER_NODES:
			// a node's addresses hold no named port
			if (!atom->port_name)
				shift_nodes(cluster, atom, atom->peers[i], on);
			break;
		default:
			break;
		}
	}
}

void cluster_atoms(struct cluster *cluster)
{
	struct shifted shifted = { 0 };

	vec_each(struct atom *, atom, &cluster->atoms.changed) {
		(*atom)->queued = false;
		if ((*atom)->in_force != !!(*atom)->refs)
			shift_atom(cluster, *atom, !(*atom)->in_force, &shifted);
	}
	shift_wide(cluster, &shifted);
	shift_narrow(cluster, &shifted.narrow);
	vec_each(struct atom *, atom, &cluster->atoms.changed)
		if (!(*atom)->refs)
			atom_bury(&cluster->atoms, *atom);
	vec_clear(&cluster->atoms.changed);
	vec_fini(&shifted.wide);
	vec_fini(&shifted.narrow);
	space_sweep(&cluster->space);
}
