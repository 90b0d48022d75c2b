// SPDX-License-Identifier: Apache-2.0
// publish.c - the difference between what the tables show and what they should: moves, ids, lanes.
#include "agent/policy/publish.h"

#include <assert.h>

#include "agent/policy/must.h"

// ---- what every dirty location should be ----------------------------------------------------------------------

static void resolve_shown(struct policy *policy, struct loc *loc, const struct loc *above)
{
	if (!loc->cls && !loc->in_table && above)
		loc_show(&policy->classes, loc, above->cls);
}

static bool present(const struct loc *loc)
{
	return loc && (loc->live || loc->in_table || loc->cls);
}

static void want_prefix(struct policy *policy, struct spot *spot, atom_ids *scratch)
{
	vec_clear(scratch);
	space_blocks(&policy->cluster.space, spot, NULL, scratch);
	scratch->n = sig_sort(scratch->v, scratch->n);
	spot_loc(spot, false)->want = cls_get(&policy->classes, scratch->v, scratch->n);
}

static void want_exact(struct policy *policy, struct spot *spot, atom_ids *scratch)
{
	struct loc *loc = spot_loc(spot, true);

	if (!loc->live) {
		loc->want = space_live_above(spot, true)->want;
		return;
	}
	vec_clear(scratch);
	cluster_signature(&policy->cluster, spot, scratch);
	loc->want = cls_get(&policy->classes, scratch->v, scratch->n);
}

void publish_want(struct policy *policy)
{
	struct space *space = &policy->cluster.space;
	atom_ids scratch = { 0 };

	policy->lookups += space->dirty.n;
	// what a location shows must be known before any prefix of this plan counts
	vec_each(struct spot *, spot, &space->dirty) {
		struct loc *prefix = spot_loc(*spot, false), *exact = spot_loc(*spot, true);

		if (present(prefix))
			resolve_shown(policy, prefix, space_shown_above(*spot, false));
		if (present(exact))
			resolve_shown(policy, exact, space_shown_above(*spot, true));
	}
	vec_each(struct spot *, spot, &space->dirty) {
		const struct loc *prefix = spot_loc(*spot, false);

		if (prefix && prefix->live)
			want_prefix(policy, *spot, &scratch);
	}
	vec_each(struct spot *, spot, &space->dirty) {
		struct loc *prefix = spot_loc(*spot, false);

		if (present(prefix) && !prefix->live)
			prefix->want = space_live_above(*spot, false)->want;
		if (present(spot_loc(*spot, true)))
			want_exact(policy, *spot, &scratch);
	}
	vec_fini(&scratch);
}

static uint32_t count_move(struct shift *shift, struct loc *loc)
{
	if (!present(loc) || loc->cls == loc->want)
		return PAIR_NONE;
	return shift_add(shift, loc->cls, loc->want);
}

static void find_moves(struct publish *pub)
{
	struct space *space = &pub->policy->cluster.space;

	vec_each(struct spot *, spot, &space->dirty) {
		struct spot_move move = { .spot = *spot };

		move.prefix = count_move(&pub->peers, spot_loc(*spot, false));
		move.exact = count_move(&pub->peers, spot_loc(*spot, true));
		if (move.prefix != PAIR_NONE)
			pub->prefixes = true;
		must_push(&pub->spots, move);
	}
}

// ---- ports: both cuts of the port space, one over the other ------------------------------------------------------

static void overlay(struct publish *pub, uint32_t proto)
{
	const port_spans *shown = &pub->policy->ports.shown[proto];
	const port_spans *wanted = &pub->policy->ports.wanted[proto];
	uint32_t lo = 0;

	for (size_t i = 0, j = 0; i < shown->n && j < wanted->n;) {
		uint32_t hi = shown->v[i].hi < wanted->v[j].hi ? shown->v[i].hi : wanted->v[j].hi;

		must_push(&pub->port_moves, (struct port_move){ proto, lo, hi, shown->v[i].cls,
								wanted->v[j].cls, PAIR_NONE });
		lo = hi + 1;
		i += shown->v[i].hi == hi;
		j += wanted->v[j].hi == hi;
	}
}

static void find_port_moves(struct publish *pub)
{
	struct portset *ports = &pub->policy->ports;

	if (!ports->wanted[0].n)
		return;
	for (uint32_t proto = 0; proto < BH_PORT_PROTO_MAX; proto++) {
		overlay(pub, proto);
		vec_each(struct port_span, span, &ports->shown[proto])
			cls_leave(&ports->classes, span->cls);
	}
	// membership counts pieces while the plan is made
	vec_each(struct port_move, move, &pub->port_moves)
		cls_join(move->x);
	vec_each(struct port_move, move, &pub->port_moves)
		if (move->x != move->y)
			move->pair = shift_add(&pub->ports, move->x, move->y);
}

// taken: the plan is made, the tables are going to show what was wanted.
static void settle_ports(struct publish *pub, bool taken)
{
	struct portset *ports = &pub->policy->ports;

	if (!ports->wanted[0].n)
		return;
	vec_each(struct port_move, move, &pub->port_moves)
		cls_leave(&ports->classes, move->x);
	for (uint32_t proto = 0; proto < BH_PORT_PROTO_MAX; proto++) {
		if (taken) {
			vec_fini(&ports->shown[proto]);
			ports->shown[proto] = ports->wanted[proto];
			ports->wanted[proto] = (port_spans){ 0 };
		}
		vec_each(struct port_span, span, &ports->shown[proto])
			cls_join(span->cls);
	}
}

// ---- the state after the plan --------------------------------------------------------------------------------------

static void settle_loc(struct policy *policy, struct loc *loc)
{
	if (!present(loc))
		return;
	if (loc->cls != loc->want)
		loc_show(&policy->classes, loc, loc->want);
	if (loc->live || loc->in_table || !loc->cls)
		return;
	loc_show(&policy->classes, loc, NULL);
	loc->want = NULL;
}

static void settle_spots(struct publish *pub)
{
	struct space *space = &pub->policy->cluster.space;

	vec_each(struct spot_move, move, &pub->spots) {
		settle_loc(pub->policy, spot_loc(move->spot, false));
		settle_loc(pub->policy, spot_loc(move->spot, true));
	}
	vec_each(struct spot *, spot, &space->dirty) {
		(*spot)->dirty = false;
		space_put(space, *spot);
	}
	vec_fini(&space->dirty); // after the first list it held all of the cluster
}

static void settle_matrices(struct policy *policy)
{
	size_t kept = 0;

	policy->halfway = false;
	for (size_t i = 0; i < policy->matrices.n; i++) {
		struct matrix *matrix = policy->matrices.v[i];

		matrix->bump = false;
		if (matrix->users) {
			policy->matrices.v[kept++] = matrix;
			continue;
		}
		if (matrix->id != IDS_NONE)
			ids_put(&policy->policy_ids, matrix->id);
		matrix_drop(policy, matrix);
	}
	policy->matrices.n = kept;
}

// first: the plan may hold the steps of a round before.
static void settle_ids(struct policy *policy, const struct plan *plan, uint32_t first)
{
	bool ended = plan->nsteps > first && plan->steps[plan->nsteps - 1].kind == STEP_WAIT;
	bool waited = false;

	for (uint32_t i = first; i < plan->nsteps && !waited; i++)
		waited = plan->steps[i].kind == STEP_WAIT;
	ids_settle(&policy->classes.ids, waited, ended);
	ids_settle(&policy->ports.classes.ids, waited, ended);
	ids_settle(&policy->policy_ids, waited, ended);
	// atoms stand in no table
	ids_settle(&policy->cluster.atoms.ids, true, true);
	ids_settle(&policy->ports.atom_ids, true, true);
}

static void publish_fini(struct publish *pub)
{
	vec_fini(&pub->staying);
	vec_fini(&pub->replaced);
	vec_fini(&pub->fresh);
	vec_fini(&pub->spots);
	vec_fini(&pub->keys);
	vec_fini(&pub->port_moves);
}

// Nothing was said yet: what is wanted is still to be compared with what is shown.
static bool take_back(struct publish *pub)
{
	settle_ports(pub, false);
	svcmoves_settle(pub, false);
	shift_fini(&pub->peers);
	shift_fini(&pub->ports);
	publish_fini(pub);
	return false;
}

bool publish(struct policy *policy, struct plan *plan)
{
	struct publish pub = { .policy = policy, .plan = plan };
	uint32_t first = plan->nsteps;

	pub.peers.classes = &policy->classes;
	pub.ports.classes = &policy->ports.classes;
	pub.ports.ports = true;
	gen_renew(policy);
	find_moves(&pub);
	find_port_moves(&pub);
	lanes_sort(&pub);
	svcmoves_find(&pub);
	if (!lanes_weigh(&pub))
		return take_back(&pub);
	shift_inherit(&pub.peers, &pub.staying);
	shift_inherit(&pub.ports, &pub.staying);
	if (policy->adopting) {
		lanes_take_over(&pub);
		lanes_sort(&pub);
	}
	lanes_fork(&pub);
	shift_number(&pub.peers, &pub.replaced);
	shift_number(&pub.ports, &pub.replaced);
	lanes_plan(&pub);
	emit(&pub);
	settle_spots(&pub);
	svcmoves_settle(&pub, true);
	settle_ports(&pub, true);
	settle_matrices(policy);
	shift_fini(&pub.peers);
	shift_fini(&pub.ports);
	classes_sweep(&policy->classes);
	classes_sweep(&policy->ports.classes);
	settle_ids(policy, plan, first);
	publish_fini(&pub);
	policy->adopting = false;
	return true;
}
