// SPDX-License-Identifier: Apache-2.0
// match.c - which atoms match which addresses, and which addresses a new or vanishing atom touches.
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/cluster.h"
#include "agent/policy/must.h"

static bool is_ns(const void *item, const void *key)
{
	return !strcmp(((const struct nsent *)item)->name, key);
}

static struct nsent *find_ns(const struct cluster *cluster, const char *ns)
{
	return hash_find(&cluster->namespaces, hash_string(ns), is_ns, ns);
}

static bool in_namespace(const struct atom *atom, const struct peer *peer, const struct nsent *ns)
{
	struct labels labels = nsent_labels(ns);

	if (!peer)
		return true;
	if (peer->own_namespace)
		return atom->ns == ns->name;
	return selector_match(&peer->namespaces, &labels);
}

static bool is_wide(const struct peer *peer)
{
	return !peer || (!peer->own_namespace && !peer->namespaces.nterms);
}

static bool matches(const struct candidate *candidate, const struct pod *pod)
{
	return (!candidate->peer || selector_match(&candidate->peer->pods, &pod->labels)) &&
	       atom_port_holds(candidate->atom, pod);
}

static struct candidate candidate_of(struct atom *atom, const struct peer *peer)
{
	struct candidate candidate = { .atom = atom, .peer = peer };

	for (uint32_t i = 0; peer && i < peer->pods.nterms; i++) {
		const struct selector_term *term = &peer->pods.terms[i];

		if (term->op != SELECTOR_IN || term->nvalues != 1)
			continue;
		candidate.need = (struct label){ term->key, term->values[0] };
		break;
	}
	return candidate;
}

// ---- candidates of a namespace ---------------------------------------------------------------------------

static int by_need(const void *a, const void *b)
{
	const struct label *x = &((const struct candidate *)a)->need;
	const struct label *y = &((const struct candidate *)b)->need;

	if (x->key != y->key)
		return (uintptr_t)x->key < (uintptr_t)y->key ? -1 : 1;
	return (uintptr_t)x->value < (uintptr_t)y->value ? -1 : x->value != y->value;
}

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
			if (atom->peers[i]->kind == PEER_PODS && !is_wide(atom->peers[i]) &&
			    in_namespace(atom, atom->peers[i], ns))
				add_candidate(ns, atom, atom->peers[i]);
	}
}

struct nsent *cluster_ns(struct cluster *cluster, const char *name)
{
	struct nsent *ns = find_ns(cluster, name);

	if (ns)
		return ns;
	ns = must_new(sizeof(*ns));
	ns->name = must((void *)intern(name));
	ns->self = (struct label){ cluster->name_label, ns->name };
	must_ok(hash_add(&cluster->namespaces, hash_string(name), ns));
	list_candidates(cluster, ns);
	return ns;
}

void cluster_namespace(struct cluster *cluster, const struct namespace_ *before,
		       const struct namespace_ *after)
{
	const char *name = before ? before->object.name : after->object.name;
	struct nsent *ns = cluster_ns(cluster, name);

	if (after)
		object_get((struct object *)&after->object);
	if (ns->object)
		object_put((struct object *)&ns->object->object);
	ns->object = after;
	list_candidates(cluster, ns);
	vec_each(struct podent *, pod, &ns->pods)
		cluster_pod_touch(cluster, *pod);
	cluster_ns_drop(cluster, ns);
}

// ---- signatures -------------------------------------------------------------------------------------------

static void match_from(const candidate_list *list, size_t i, const struct pod *pod, atom_ids *out)
{
	struct label need = list->v[i].need;

	for (; i < list->n; i++) {
		const struct candidate *c = &list->v[i];

		if (c->need.key != need.key || c->need.value != need.value)
			break;
		if (matches(c, pod))
			must_push(out, c->atom->id);
	}
}

// The list is sorted by need, so only those are tested whose label the pod has.
static void match_pod(const candidate_list *list, const struct pod *pod, atom_ids *out)
{
	if (list->n && !list->v[0].need.key)
		match_from(list, 0, pod, out);
	for (uint32_t i = 0; i < pod->labels.n; i++) {
		struct candidate key = { .need = pod->labels.v[i] };
		size_t lo = 0, hi = list->n;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (by_need(&list->v[mid], &key) < 0)
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo < list->n && !by_need(&list->v[lo], &key))
			match_from(list, lo, pod, out);
	}
}

static void match_all(struct cluster *cluster, struct nsent *ns, const struct pod *pod,
		      atom_ids *out)
{
	if (!ns->sorted)
		vec_sort(&ns->candidates, by_need);
	if (!cluster->wide_sorted)
		vec_sort(&cluster->wide, by_need);
	ns->sorted = cluster->wide_sorted = true;
	match_pod(&ns->candidates, pod, out);
	match_pod(&cluster->wide, pod, out);
}

static void match_node(const struct cluster *cluster, const struct node *node, atom_ids *out)
{
	vec_each(struct candidate, c, &cluster->node_candidates)
		if (selector_match(&c->peer->nodes, &node->labels))
			must_push(out, c->atom->id);
}

// A pod's address is the pod's alone; a node's may be several nodes' only by mistake.
void cluster_signature(struct cluster *cluster, struct spot *spot, atom_ids *out)
{
	const struct podent *winner = spot_winner(spot);
	const struct pod *pod = winner ? winner->object : NULL;
	struct loc *above = space_live_above(spot, true);

	if (cluster->space.guarded || !above->want) {
		space_blocks(&cluster->space, spot, pod, out);
	} else {
		for (uint32_t i = 0; i < above->want->n; i++)
			must_push(out, above->want->sig[i]);
	}
	if (pod)
		match_all(cluster, winner->ns, pod, out);
	else if (spot->nodes.n)
		match_node(cluster, spot->nodes.v[0]->object, out);
	out->n = sig_sort(out->v, out->n);
}

// ---- atoms come and go ------------------------------------------------------------------------------------

// Candidates whose atoms come or go.
struct shifted {
	candidate_list wide, narrow;
};

// What they match in a namespace becomes dirty.
static void touch_matching(struct cluster *cluster, const struct nsent *ns,
			   const candidate_list *wide, const candidate_list *here)
{
	atom_ids hits = { 0 };

	vec_each(struct podent *const, pod, &ns->pods) {
		vec_clear(&hits);
		if ((*pod)->object) {
			match_pod(wide, (*pod)->object, &hits);
			match_pod(here, (*pod)->object, &hits);
		}
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

static void shift_wide(struct cluster *cluster, candidate_list *wide)
{
	bool gone = false;

	vec_sort(wide, by_need);
	vec_each(struct candidate, c, wide) {
		if (c->atom->in_force)
			must_push(&cluster->wide, *c);
		gone |= !c->atom->in_force;
	}
	cluster->wide_sorted &= !wide->n;
	if (gone)
		drop_gone(&cluster->wide);
}

static void shift_namespace(struct cluster *cluster, struct nsent *ns, const struct shifted *all)
{
	candidate_list here = { 0 };
	bool gone = false;

	for (size_t i = 0; i < all->narrow.n; i++) {
		const struct candidate *c = &all->narrow.v[i];

		if (!in_namespace(c->atom, c->peer, ns))
			continue;
		must_push(&here, *c);
		if (c->atom->in_force)
			add_candidate(ns, c->atom, c->peer);
		gone |= !c->atom->in_force;
	}
	if (gone)
		drop_gone(&ns->candidates);
	vec_sort(&here, by_need);
	if (here.n || all->wide.n)
		touch_matching(cluster, ns, &all->wide, &here);
	vec_fini(&here);
}

static void shift_pods(struct atom *atom, const struct peer *peer, struct shifted *out)
{
	must_push(is_wide(peer) ? &out->wide : &out->narrow, candidate_of(atom, peer));
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

static void shift_nodes(struct cluster *cluster, struct atom *atom, const struct peer *peer,
			bool on)
{
	vec_each(struct nodeent *, node, &cluster->node_list)
		for (uint32_t i = 0; i < (*node)->object->naddrs; i++)
			space_touch(&cluster->space,
				    space_get(&cluster->space,
					      &(struct bh_cidr){ 128, (*node)->object->addrs[i] }));
	if (on) {
		must_push(&cluster->node_candidates, (struct candidate){ { 0 }, atom, peer });
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
	struct nsent *ns;
	size_t at = 0;

	vec_each(struct atom *, atom, &cluster->atoms.changed) {
		(*atom)->queued = false;
		if ((*atom)->in_force != !!(*atom)->refs)
			shift_atom(cluster, *atom, !(*atom)->in_force, &shifted);
	}
	shift_wide(cluster, &shifted.wide);
	if (shifted.wide.n || shifted.narrow.n)
		while ((ns = hash_next(&cluster->namespaces, &at)))
			shift_namespace(cluster, ns, &shifted);
	vec_each(struct atom *, atom, &cluster->atoms.changed)
		if (!(*atom)->refs)
			atom_bury(&cluster->atoms, *atom);
	vec_clear(&cluster->atoms.changed);
	vec_fini(&shifted.wide);
	vec_fini(&shifted.narrow);
	space_sweep(&cluster->space);
}
