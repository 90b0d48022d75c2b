// SPDX-License-Identifier: Apache-2.0
// moves.c - addresses, prefixes and ports go to their classes (c), and what is left over goes (e).
#include "agent/policy/publish.h"

static uint32_t id_of(const struct cls *cls)
{
	return cls && cls->id != IDS_NONE ? cls->id : BH_CLASS_NONE;
}

static void peer_step(struct publish *pub, enum step_kind kind, const struct spot *spot,
		      const struct cls *cls)
{
	struct step step = { .kind = kind };

	step.peer.cidr = (struct bh_cidr){ spot->len, spot->addr };
	step.peer.cls = kind == STEP_PEER_SET || kind == STEP_CIDR_SET ? id_of(cls) : 0;
	plan_add(pub->plan, step);
}

static bool needs_entry(struct spot *spot, bool exact)
{
	const struct loc *loc = spot_loc(spot, exact);
	const struct loc *above;

	if (!loc->live)
		return false;
	above = space_live_above(spot, exact);
	return !above || spot->len == 0 || above->want != loc->want ||
	       (!exact && spot->len == BH_V4_PREFIX && bh_addr_is4(&spot->addr));
}

static void move_location(struct publish *pub, struct spot *spot, bool exact, uint32_t pair)
{
	struct loc *loc = spot_loc(spot, exact);
	bool direct = exact && !pub->prefixes && !pub->replaced.n;
	const struct cls *p;

	if (!loc)
		return;
	p = pair == PAIR_NONE ? loc->cls : pub->peers.pairs.v[pair].p;
	if (!needs_entry(spot, exact)) {
		if (!loc->in_table)
			return;
		if (direct) {
			peer_step(pub, STEP_PEER_DEL, spot, NULL);
			loc->in_table = false;
			pub->policy->cluster.space.peers--;
		} else if (id_of(p) != id_of(loc->cls)) {
			peer_step(pub, exact ? STEP_PEER_SET : STEP_CIDR_SET, spot, p);
		}
		return;
	}
	if (!loc->in_table || id_of(p) != id_of(loc->cls))
		peer_step(pub, exact ? STEP_PEER_SET : STEP_CIDR_SET, spot, p);
	if (!loc->in_table)
		*(exact ? &pub->policy->cluster.space.peers : &pub->policy->cluster.space.cidrs) +=
			1;
	loc->in_table = true;
}

static void port_step(struct publish *pub, const struct port_move *move, const struct cls *cls)
{
	struct step step = { .kind = STEP_PORT_SET };

	step.port.proto = (uint8_t)move->proto;
	step.port.lo = (uint16_t)move->lo;
	step.port.hi = (uint16_t)move->hi;
	step.port.cls = (uint16_t)id_of(cls);
	plan_add(pub->plan, step);
}

// Exact addresses first: until they are set, prefixes that move must still answer for them.
void moves_run(struct publish *pub)
{
	vec_each(struct spot_move, move, &pub->spots)
		move_location(pub, move->spot, true, move->exact);
	vec_each(struct spot_move, move, &pub->spots)
		move_location(pub, move->spot, false, move->prefix);
	vec_each(struct port_move, move, &pub->port_moves)
		if (move->pair != PAIR_NONE &&
		    id_of(pub->ports.pairs.v[move->pair].p) != id_of(move->x))
			port_step(pub, move, pub->ports.pairs.v[move->pair].p);
}

static void merge_location(struct publish *pub, struct spot *spot, bool exact, uint32_t pair)
{
	const struct loc *loc = spot_loc(spot, exact);

	if (loc && loc->in_table && pair != PAIR_NONE && pub->peers.pairs.v[pair].p != loc->want &&
	    needs_entry(spot, exact))
		peer_step(pub, exact ? STEP_PEER_SET : STEP_CIDR_SET, spot, loc->want);
}

static void drop_location(struct publish *pub, struct spot *spot, bool exact)
{
	struct loc *loc = spot_loc(spot, exact);

	if (!loc || !loc->in_table || needs_entry(spot, exact))
		return;
	peer_step(pub, exact ? STEP_PEER_DEL : STEP_CIDR_DEL, spot, NULL);
	loc->in_table = false;
	*(exact ? &pub->policy->cluster.space.peers : &pub->policy->cluster.space.cidrs) -= 1;
}

void moves_clean(struct publish *pub)
{
	vec_each(struct port_move, move, &pub->port_moves)
		if (move->pair != PAIR_NONE && pub->ports.pairs.v[move->pair].p != move->y)
			port_step(pub, move, move->y);
	// what stays is set to its class before anything falls back to it
	vec_each(struct spot_move, move, &pub->spots) {
		merge_location(pub, move->spot, false, move->prefix);
		merge_location(pub, move->spot, true, move->exact);
	}
	vec_each(struct spot_move, move, &pub->spots)
		drop_location(pub, move->spot, true);
	vec_each(struct spot_move, move, &pub->spots)
		drop_location(pub, move->spot, false);
}
