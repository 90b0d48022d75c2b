// SPDX-License-Identifier: Apache-2.0
// fade.c - atoms that lost their last rule leave every signature that holds them, class by class.
//
// A signature is a set of atoms, so one that goes is only taken out of it, whatever else is in it and wherever it
// matched: no address is looked at. A class whose signature is then no other's keeps its id and its members, and no
// step is needed: no live list refers to the atom, so no matrix that stays had a row for it, and one that is
// replaced keeps the row of the id. Where two classes come to the same signature, the locations of one move.
#include "agent/policy/must.h"
#include "agent/policy/room.h"
#include "agent/policy/svcsig.h"

typedef VEC(struct cls *) cls_list;

static bool any_fades(const struct atoms *atoms, const struct portset *ports)
{
	for (size_t i = 0; ports->changed && i < ports->atoms.n; i++)
		if (ports->atoms.v[i] && !ports->atoms.v[i]->refs)
			return true;
	for (size_t i = 0; i < atoms->changed.n; i++)
		if (atoms->changed.v[i]->in_force && !atoms->changed.v[i]->refs)
			return true;
	return false;
}

static bool has_faded(const struct atoms *atoms, const struct cls *cls)
{
	for (uint32_t i = 0; i < cls->n; i++)
		if (!atoms->by_id.v[cls->sig[i]]->refs)
			return true;
	return false;
}

static void strip(const struct atoms *atoms, struct cls *cls)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < cls->n; i++)
		if (atoms->by_id.v[cls->sig[i]]->refs)
			cls->sig[kept++] = cls->sig[i];
	cls->n = kept;
}

static void touch_list(struct space *space, struct loc *loc)
{
	for (; loc; loc = loc->next)
		space_touch(space, spot_of(loc));
}

// Below a prefix that moves, any exact address may come to need no entry of its own, or to need one.
static void touch_members(struct space *space, const struct cls *cls)
{
	touch_list(space, cls->locs[LOC_EXACT]);
	for (struct loc *loc = cls->locs[LOC_PREFIX]; loc; loc = loc->next)
		space_stir(space, spot_of(loc));
}

// How much of the space moves with a class: all below its widest prefix.
static uint32_t narrowness(const struct cls *cls)
{
	uint32_t least = UINT32_MAX;

	for (struct loc *loc = cls->locs[LOC_PREFIX]; loc; loc = loc->next)
		if (spot_of(loc)->len < least)
			least = spot_of(loc)->len;
	return least;
}

static bool outweighs(const struct cls *a, const struct cls *b)
{
	uint32_t x = narrowness(a), y = narrowness(b);

	return x != y ? x < y : a->members > b->members;
}

static void merge(struct policy *policy, struct cls *cls, struct cls *other)
{
	struct cls *loser = outweighs(cls, other) ? other : cls;

	touch_members(&policy->cluster.space, loser);
	if (loser == cls)
		return;
	cls_unintern(&policy->classes, other);
	cls_intern(&policy->classes, cls);
}

// Without members: wanted by locations that are dirty still; nobody finds it any more.
static void settle(struct policy *policy, struct cls *cls)
{
	struct cls *other = cls_find(&policy->classes, cls->sig, cls->n);

	if (!cls->members)
		return;
	if (other)
		merge(policy, cls, other);
	else
		cls_intern(&policy->classes, cls);
}

// A Service's class is left by all keys, which find what they are without the atom.
static bool service_has_faded(const struct policy *policy, const struct cls *cls)
{
	struct svcpart part;
	uint32_t at = 0;

	while (svcsig_next(cls, &at, &part)) {
		for (uint32_t i = 0; i < part.npeers; i++)
			if (!policy->cluster.atoms.by_id.v[part.peers[i]]->refs)
				return true;
		for (uint32_t i = 0; i < part.nports; i++)
			if (!policy->ports.atoms.v[part.ports[i]]->refs)
				return true;
	}
	return false;
}

static void touch_services(struct policy *policy, const struct cls *cls)
{
	for (struct loc *loc = cls->locs[LOC_SERVICE]; loc; loc = loc->next)
		svckey_touch(&policy->services, svckey_of(loc));
}

void fade(struct policy *policy)
{
	const struct atoms *atoms = &policy->cluster.atoms;
	cls_list list = { 0 };
	struct cls *cls;
	size_t at = 0;

	if (!any_fades(atoms, &policy->ports))
		return;
	while ((cls = hash_next(&policy->classes.by_sig, &at)))
		if (cls_is_service(cls) ? service_has_faded(policy, cls) : has_faded(atoms, cls))
			must_push(&list, cls);
	vec_each(struct cls *, c, &list) {
		cls_unintern(&policy->classes, *c);
		if (cls_is_service(*c))
			touch_services(policy, *c);
		else
			strip(atoms, *c);
	}
	vec_each(struct cls *, c, &list)
		if (!cls_is_service(*c))
			settle(policy, *c);
	vec_fini(&list);
}
