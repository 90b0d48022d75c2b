// SPDX-License-Identifier: Apache-2.0
// svcwant.c - what keys should be: the class of their backends, and the pods of this node among these.
#include <string.h>

#include "agent/policy/front.h"
#include "agent/policy/must.h"

bool spot_is_own_node(const struct policy *policy, const struct spot *spot)
{
	vec_each(struct nodeent *, node, &spot_more(spot)->nodes)
		if ((*node)->object->object.name == policy->node)
			return true;
	return false;
}

static const struct cls *wanted_class(struct spot *spot)
{
	const struct loc *exact = spot_loc(spot, true);

	return exact->live ? exact->want : space_live_above(spot, true)->want;
}

static bool is_refused(const struct front *front)
{
	return front->service && (front->service->refused || front->service->overgrown);
}

static void want_class(struct policy *policy, struct svckey *key, struct svcsig *draft,
		       atom_ids *scratch)
{
	vec_each(struct front *, front, &key->fronts) {
		if (is_refused(*front)) {
			svcsig_refuse(draft);
			continue;
		}
		vec_each(struct backend, backend, &(*front)->backends)
			if (svckey_has(&key->key, &backend->spot->addr))
				svcsig_add(draft, &policy->cluster.atoms,
					   wanted_class(backend->spot), &backend->target->sig,
					   spot_is_own_node(policy, backend->spot));
	}
	vec_clear(scratch);
	svcsig_finish(draft, scratch);
	key->loc.want = cls_get(&policy->classes, scratch->v, scratch->n);
}

static int by_slot(const void *a, const void *b)
{
	const struct svcself *x = a, *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void want_selves(struct svckey *key)
{
	size_t kept = 0;
	bool others = false;

	vec_clear(&key->wanted);
	vec_each(struct front *, front, &key->fronts)
		vec_each(struct backend, backend, &(*front)->backends) {
			const struct podent *pod = spot_winner(backend->spot);

			if (!svckey_has(&key->key, &backend->spot->addr))
				continue;
			if (pod && pod->endpoint)
				must_push(&key->wanted,
					  (struct svcself){ pod->endpoint->slot, BH_SELF_ONLY });
			else
				others = true;
		}
	vec_sort(&key->wanted, by_slot);
	for (size_t i = 0; i < key->wanted.n; i++)
		if (!kept || key->wanted.v[kept - 1].slot != key->wanted.v[i].slot)
			key->wanted.v[kept++] = key->wanted.v[i];
	key->wanted.n = kept;
	for (size_t i = 0; i < kept; i++)
		if (others || kept > 1)
			key->wanted.v[i].how = BH_SELF_ONE;
}

static bool same_sig(const atom_ids *a, const atom_ids *b)
{
	return a->n == b->n && (!a->n || !memcmp(a->v, b->v, a->n * sizeof(*a->v)));
}

static bool has_changed_target(const struct svckey *key)
{
	for (size_t i = 0; i < key->fronts.n; i++)
		for (size_t j = 0; j < key->fronts.v[i]->backends.n; j++)
			if (key->fronts.v[i]->backends.v[j].target->changed)
				return true;
	return false;
}

// Ports in other classes than before.
static void look_at_ports(struct policy *policy)
{
	struct services *services = &policy->services;
	atom_ids sig = { 0 };
	struct target *target;
	struct svckey *key;
	bool any = false;
	size_t at = 0;

	while ((target = hash_next(&services->targets, &at))) {
		vec_clear(&sig);
		svcsig_ports(&policy->ports,
			     portset_wanted(&policy->ports, target->protocol, target->port), &sig);
		if (same_sig(&sig, &target->sig))
			continue;
		vec_clear(&target->sig);
		vec_each(uint32_t, id, &sig)
			must_push(&target->sig, *id);
		target->changed = any = true;
	}
	vec_fini(&sig);
	for (at = 0; any && (key = hash_next(&services->keys, &at));)
		if (has_changed_target(key))
			svckey_touch(services, key);
	for (at = 0; any && (target = hash_next(&services->targets, &at));)
		target->changed = false;
}

void services_want(struct policy *policy)
{
	struct services *services = &policy->services;
	struct svcsig draft = { 0 };
	atom_ids scratch = { 0 };

	svcbudget_retry(policy);
	services_rehouse(policy);
	services_remake(policy);
	vec_each(struct spot *, spot, &policy->cluster.space.dirty)
		vec_each(struct front *, front, &spot_more(*spot)->fronts)
			front_touch_keys(services, *front);
	if (policy->ports.wanted[0].n)
		look_at_ports(policy);
	vec_each(struct svckey *, at, &services->dirty_keys) {
		struct svckey *key = *at;

		key->loc.live = key->fronts.n > 0;
		want_selves(key);
		if (key->loc.live)
			want_class(policy, key, &draft, &scratch);
	}
	svcsig_fini(&draft);
	vec_fini(&scratch);
}
