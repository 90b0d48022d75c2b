// SPDX-License-Identifier: Apache-2.0
// match.c - which atoms match which addresses.
#include "agent/policy/match.h"

#include "agent/policy/must.h"

bool peer_in_namespace(const struct atom *atom, const struct peer *peer, const struct nsent *ns)
{
	struct labels labels = nsent_labels(ns);

	if (!peer)
		return true;
	if (peer->own_namespace)
		return atom->ns == ns->name;
	return selector_match(&peer->namespaces, &labels);
}

bool peer_is_wide(const struct peer *peer)
{
	return !peer || (!peer->own_namespace && !peer->namespaces.nterms);
}

static bool matches(const struct candidate *candidate, const struct pod *pod)
{
	return (!candidate->peer || selector_match(&candidate->peer->pods, &pod->labels)) &&
	       atom_port_holds(candidate->atom, pod);
}

struct candidate candidate_of(struct atom *atom, const struct peer *peer)
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

int candidate_by_need(const void *a, const void *b)
{
	const struct label *x = &((const struct candidate *)a)->need;
	const struct label *y = &((const struct candidate *)b)->need;

	if (x->key != y->key)
		return (uintptr_t)x->key < (uintptr_t)y->key ? -1 : 1;
	return (uintptr_t)x->value < (uintptr_t)y->value ? -1 : x->value != y->value;
}

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

void match_pod(const candidate_list *list, const struct pod *pod, atom_ids *out)
{
	if (list->n && !list->v[0].need.key)
		match_from(list, 0, pod, out);
	for (uint32_t i = 0; i < pod->labels.n; i++) {
		struct candidate key = { .need = pod->labels.v[i] };
		size_t lo = 0, hi = list->n;

		while (lo < hi) {
			size_t mid = (lo + hi) / 2;

			if (candidate_by_need(&list->v[mid], &key) < 0)
				lo = mid + 1;
			else
				hi = mid;
		}
		if (lo < list->n && !candidate_by_need(&list->v[lo], &key))
			match_from(list, lo, pod, out);
	}
}

static void match_all(struct cluster *cluster, struct nsent *ns, const struct pod *pod,
		      atom_ids *out)
{
	if (!ns->sorted)
		vec_sort(&ns->candidates, candidate_by_need);
	if (!cluster->wide_sorted)
		vec_sort(&cluster->wide, candidate_by_need);
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
	else if (spot_more(spot)->nodes.n)
		match_node(cluster, spot_more(spot)->nodes.v[0]->object, out);
	out->n = sig_sort(out->v, out->n);
}
