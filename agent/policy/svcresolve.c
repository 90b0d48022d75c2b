// SPDX-License-Identifier: Apache-2.0
// svcresolve.c - which flows must know their backend before they are judged anew.
#include "agent/policy/must.h"
#include "agent/policy/publish.h"

// An endpoint goes from one to the other.
struct change {
	struct matrix *from, *to; // from NULL: judged by none
};
typedef VEC(struct change) changes;

static void list_changes(const struct publish *pub, changes *out)
{
	const struct policy *policy = pub->policy;

	for (size_t i = 0; i < policy->slots.n; i++) {
		const struct endpoint *endpoint = policy->slots.v[i];
		struct change change;
		size_t at = 0;

		if (!endpoint || !matrix_is_real(policy, endpoint->next[BH_EGRESS]) ||
		    endpoint->next[BH_EGRESS]->id == IDS_NONE ||
		    endpoint->next[BH_EGRESS] == endpoint->shown[BH_EGRESS])
			continue;
		change = (struct change){ endpoint->shown[BH_EGRESS], endpoint->next[BH_EGRESS] };
		if (!matrix_is_real(policy, change.from))
			change.from = NULL;
		while (at < out->n &&
		       (out->v[at].from != change.from || out->v[at].to != change.to))
			at++;
		if (at == out->n)
			must_push(out, change);
	}
}

// With no policy before only mixed rows matter: of a denied one no backend is allowed.
static bool restricts(uint32_t from, uint32_t to, bool judged)
{
	return cell_freedom(to) < cell_freedom(from) &&
	       (judged || BH_CELL_VERDICT(to) == BH_VERDICT_MIXED);
}

static bool change_restricts(const struct change *change, const struct cls *x, uint32_t to)
{
	uint32_t from = BH_CELL_WORD(BH_VERDICT_ALLOW, BH_RULE_NONE);

	if (change->from)
		from = x ? service_word_at(change->from, x) : 0;
	return restricts(from, to, change->from);
}

static void mark_class(const struct cls *cls, const changes *list)
{
	bool marked = false;

	for (size_t i = 0; i < list->n && !marked; i++)
		marked = change_restricts(&list->v[i], cls, service_word_at(list->v[i].to, cls));
	for (struct loc *loc = cls->locs[LOC_SERVICE]; marked && loc; loc = loc->next)
		svckey_of(loc)->resolve = true;
}

static void mark_moving(struct publish *pub, struct svckey *key, const changes *list)
{
	const struct cls *x = key->loc.cls, *y = key->loc.want;

	vec_each(struct matrix *, matrix, &pub->staying)
		if ((*matrix)->dir == BH_EGRESS && x && !key->resolve)
			key->resolve =
				restricts(service_word_at(*matrix, x),
					  service_word(*matrix, matrix_row(*matrix, y)), true);
	for (size_t i = 0; i < list->n && !key->resolve; i++)
		key->resolve = change_restricts(
			&list->v[i], x, service_word(list->v[i].to, matrix_row(list->v[i].to, y)));
}

static void resolve_step(struct publish *pub, struct svckey *key)
{
	struct step step = { .kind = STEP_RESOLVE };

	if (!key->resolve || !key->loc.in_table)
		return;
	key->resolve = false;
	step.service.key = key->key;
	plan_add(pub->plan, step);
}

static bool judges_services(const struct policy *policy)
{
	for (size_t i = 0; i < policy->matrices.n; i++)
		if (policy->matrices.v[i]->users && policy->matrices.v[i]->dir == BH_EGRESS)
			return true;
	return false;
}

void svcmoves_resolve(struct publish *pub)
{
	changes list = { 0 };

	if (!judges_services(pub->policy))
		return;
	list_changes(pub, &list);
	vec_each(struct key_move, move, &pub->keys) {
		move->key->resolve |= move->key->lost;
		if (move->pair != PAIR_NONE)
			mark_moving(pub, move->key, &list);
		resolve_step(pub, move->key);
	}
	vec_each(struct cls *, cls, &pub->policy->classes.by_id) {
		if (!list.n || !*cls || !(*cls)->locs[LOC_SERVICE])
			continue;
		mark_class(*cls, &list);
		for (struct loc *loc = (*cls)->locs[LOC_SERVICE]; loc; loc = loc->next)
			resolve_step(pub, svckey_of(loc));
	}
	vec_fini(&list);
}
