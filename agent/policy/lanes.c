// SPDX-License-Identifier: Apache-2.0
// lanes.c - which matrices stay, go and come with a plan, and what each must say of the classes that change.
#include "agent/policy/must.h"
#include "agent/policy/publish.h"

void lanes_sort(struct publish *pub)
{
	vec_clear(&pub->staying);
	vec_clear(&pub->replaced);
	vec_clear(&pub->fresh);
	vec_each(struct matrix *, matrix, &pub->policy->matrices) {
		if ((*matrix)->installed)
			must_push((*matrix)->users ? &pub->staying : &pub->replaced, *matrix);
		else if ((*matrix)->users)
			must_push(&pub->fresh, *matrix);
	}
}

typedef VEC(struct col_claim) col_claims;

static void take_over(struct policy *policy, struct endpoint *endpoint, enum bh_dir dir,
		      const col_claims *claims)
{
	struct matrix *want = endpoint->next[dir], *have = endpoint->shown[dir];

	if (!have || have->keyed || !have->installed || want->installed)
		return;
	if (!matrix_take_over(want, have, claims->v, claims->n, &policy->classes))
		return;
	want->bump = policy->halfway;
	vec_each(struct endpoint *, other, &policy->slots)
		for (int d = 0; *other && d < BH_DIR_MAX; d++)
			if ((*other)->shown[d] == have)
				(*other)->shown[d] = want;
}

// Each interval of ports keeps its column: what it was shown as, for what it is.
void lanes_take_over(struct publish *pub)
{
	struct policy *policy = pub->policy;
	col_claims claims = { 0 };

	must_push(&claims, (struct col_claim){ policy->ports.none, BH_PORT_CLASS_NONE });
	vec_each(struct pair, pair, &pub->ports.pairs)
		must_push(&claims, (struct col_claim){ pair->y, pair->x->id });
	vec_each(struct endpoint *, endpoint, &policy->slots)
		for (int dir = 0; *endpoint && dir < BH_DIR_MAX; dir++)
			if ((*endpoint)->next[dir])
				take_over(policy, *endpoint, dir, &claims);
	vec_fini(&claims);
}

// ---- endpoints that leave a matrix which stays for others ---------------------------------------------------------

static bool leaves(const struct endpoint *endpoint, const struct matrix *matrix)
{
	for (int dir = 0; endpoint && dir < BH_DIR_MAX; dir++)
		if (endpoint->shown[dir] == matrix && endpoint->next[dir] != matrix)
			return true;
	return false;
}

static bool judges_anew(const struct publish *pub, struct matrix *matrix)
{
	vec_each(const struct pair, pair, &pub->peers.pairs)
		if (pair->x && pair->x->id != IDS_NONE &&
		    matrix_row_of(matrix, pair->x->id) != matrix_row(matrix, pair->y))
			return true;
	return false;
}

// Under a matrix that stays an address that moves is judged anew at once. An endpoint that is to leave
// it must not see that: the old policy with the new address was never asked for.
static void fork_for_leavers(struct publish *pub, struct matrix *matrix)
{
	struct policy *policy = pub->policy;
	struct matrix *fork = NULL;

	vec_each(struct endpoint *, at, &policy->slots) {
		struct endpoint *endpoint = *at;

		if (!leaves(endpoint, matrix))
			continue;
		if (!fork && !judges_anew(pub, matrix))
			return;
		if (!fork) {
			fork = matrix_fork(matrix);
			fork->id = ids_take(&policy->policy_ids);
			must_push(&policy->matrices, fork);
		}
		for (int dir = 0; dir < BH_DIR_MAX; dir++)
			if (endpoint->shown[dir] == matrix && endpoint->next[dir] != matrix &&
			    fork->id != IDS_NONE)
				endpoint->shown[dir] = fork;
	}
	if (!fork || fork->id == IDS_NONE)
		return;
	must_push(&pub->replaced, fork);
}

static void pend(struct matrix *matrix, uint32_t cls, uint32_t row)
{
	if (matrix_row_of(matrix, cls) != row)
		must_push(&matrix->pending, (struct pending_lane){ cls, row });
}

// A matrix that stays judges a class by what it is now.
static void plan_staying(struct publish *pub, struct matrix *matrix)
{
	vec_each(struct pair, pair, &pub->peers.pairs)
		if (pair->x && pair->x->id != IDS_NONE && !matrix->bump)
			matrix->bump = matrix_tightens(matrix, matrix_row_of(matrix, pair->x->id),
						       matrix_row(matrix, pair->y));
	matrix->bump = matrix->bump || svcmoves_tighten(pub, matrix);
	vec_each(struct cls *, cls, &pub->peers.born)
		pend(matrix, (*cls)->id, matrix_row(matrix, *cls));
}

// A matrix that goes judges it as what it was.
static void plan_replaced(struct publish *pub, struct matrix *matrix)
{
	vec_each(struct cls *, cls, &pub->peers.born)
		if ((*cls)->from != IDS_NONE)
			pend(matrix, (*cls)->id, matrix_row_of(matrix, (*cls)->from));
}

// ---- bh_cell holds the exceptions of old and new matrices while a plan runs ----------------------------------------

struct cells {
	uint64_t sparse, dense;
};

// Rows of Services are few, as each is one cell.
static uint64_t bound_of_fresh(const struct policy *policy, const struct matrix *matrix)
{
	uint64_t services = policy->classes.services, rules = matrix->key.entries.n + 2;
	uint64_t rows = policy->classes.by_sig.n - services;

	rows += services < rules * BH_VERDICT_MIXED ? services : rules * BH_VERDICT_MIXED;
	return rows * policy->ports.classes.by_sig.n;
}

static struct cells cells_of(const struct policy *policy, const struct matrix *matrix)
{
	return (struct cells){
		.sparse = matrix_cells(matrix, policy->limits.dense_cells),
		.dense = matrix_dense(matrix, policy->limits.dense_cells),
	};
}

// What a matrix would have which does not exist yet: by a copy, as ids are given later. exact: a bound is
// not enough.
static struct cells cells_of_fresh(const struct policy *policy, const struct matrix *matrix,
				   bool exact)
{
	uint64_t bound = bound_of_fresh(policy, matrix);
	struct matrix *trial;
	struct cells cells;
	struct cls *cls;
	size_t at = 0;

	if (!exact && bound <= policy->limits.dense_cells && bound <= MATRIX_SMALL_CELLS)
		return (struct cells){ .dense = bound }; // dense for certain
	trial = matrix_new();
	trial->key = matrix->key; // borrowed
	trial->dir = matrix->dir;
	matrix_index(trial, &policy->ports);
	while ((cls = hash_next(&policy->classes.by_sig, &at)))
		matrix_row(trial, cls);
	cells = cells_of(policy, trial);
	trial->key = (struct matrix_key){ 0 };
	matrix_free(trial);
	return cells;
}

// Rows that a matrix which stays is going to have, beside those it shows.
static struct cells cells_of_staying(struct publish *pub, struct matrix *matrix)
{
	vec_each(struct pair, pair, &pub->peers.pairs)
		matrix_row(matrix, pair->y);
	return cells_of(pub->policy, matrix);
}

static struct cells weigh(struct publish *pub, struct matrix *matrix, bool exact)
{
	if (matrix->hopeless)
		return (struct cells){ 0 };
	if (matrix->users && matrix->installed && matrix->keyed)
		return cells_of_staying(pub, matrix);
	if (matrix->users && !matrix->installed)
		return cells_of_fresh(pub->policy, matrix, exact);
	return (struct cells){ .sparse = matrix->sparse_cells };
}

static uint64_t over(uint64_t sum, uint64_t limit)
{
	return sum > limit ? sum - limit : 0;
}

// What every matrix needs, by its position, and all together.
struct needs {
	VEC(uint64_t) sparse, dense;
	struct cells sum;
	uint64_t lasting; // of sum.sparse: of those that stay
};

static void needs_fini(struct needs *needs)
{
	vec_fini(&needs->sparse);
	vec_fini(&needs->dense);
	*needs = (struct needs){ 0 };
}

static void weigh_all(struct publish *pub, bool exact, struct needs *needs)
{
	needs_fini(needs);
	vec_each(struct matrix *, matrix, &pub->policy->matrices) {
		struct cells cells = weigh(pub, *matrix, exact);

		must_push(&needs->sparse, cells.sparse);
		must_push(&needs->dense, cells.dense);
		needs->sum.sparse += cells.sparse;
		needs->sum.dense += cells.dense;
		needs->lasting += (*matrix)->users ? cells.sparse : 0;
	}
}

bool lanes_weigh(struct publish *pub)
{
	struct policy *policy = pub->policy;
	const struct policy_limits *limits = &policy->limits;
	struct needs needs = { 0 };
	bool fits = true;

	if (policy->adopting)
		return true; // most of it is in the tables already; build() looks again
	weigh_all(pub, false, &needs);
	if (needs.sum.dense > limits->dense_total)
		weigh_all(pub, true, &needs);
	if (needs.sum.sparse > limits->sparse_cells) {
		fits = false;
		overflow_cells(policy, needs.sparse.v, SCARCE_CELLS,
			       over(needs.lasting, limits->sparse_cells));
	} else if (needs.sum.dense > limits->dense_total) {
		fits = false;
		overflow_cells(policy, needs.dense.v, SCARCE_DENSE,
			       over(needs.sum.dense, limits->dense_total));
	}
	needs_fini(&needs);
	return fits;
}

static void give_up(struct policy *policy, struct matrix *matrix)
{
	ids_put(&policy->policy_ids, matrix->id);
	matrix->id = IDS_NONE;
	matrix->hopeless = true;
	overflow_starve(policy, matrix, SCARCE_CELLS, 1);
}

// ---- ids ------------------------------------------------------------------------------------------------------------

// The last quarter of the ids is for tenants that have no more than their share.
static bool may_take_id(const struct policy *policy, const struct matrix *matrix)
{
	const struct ids *ids = &policy->policy_ids;
	uint64_t own = 0;

	if (ids->max - ids->used > ids->max / 4)
		return true;
	if (ids->used >= ids->max)
		return false;
	for (size_t i = 0; i < policy->matrices.n; i++)
		own += policy->matrices.v[i]->ns == matrix->ns &&
		       policy->matrices.v[i]->id != IDS_NONE;
	return own * 100 <= (uint64_t)ids->max * policy->limits.namespace_share;
}

static bool waits_for_id(const struct matrix *matrix)
{
	return matrix->users && !matrix->installed && !matrix->hopeless && matrix->id == IDS_NONE;
}

bool lanes_ids_came(const struct policy *policy)
{
	for (size_t i = 0; policy->idless && i < policy->matrices.n; i++)
		if (waits_for_id(policy->matrices.v[i]) && may_take_id(policy, policy->matrices.v[i]))
			return true;
	return false;
}

static void build(struct publish *pub, struct matrix *matrix)
{
	struct policy *policy = pub->policy;

	if (matrix->hopeless)
		return;
	if (may_take_id(policy, matrix))
		matrix->id = ids_take(&policy->policy_ids);
	if (matrix->id == IDS_NONE) {
		policy->idless = true;
		return;
	}
	matrix->gen = gen_next(policy);
	matrix_index(matrix, &policy->ports);
	vec_each(struct cls *, cls, &policy->classes.by_id)
		if (*cls && !(*cls)->adopted)
			matrix_set_row(matrix, (*cls)->id, matrix_row(matrix, *cls));
	vec_each(struct cls *, cls, &policy->ports.classes.by_id)
		if (*cls && !(*cls)->adopted)
			matrix_set_col(matrix, (*cls)->id, matrix_col(matrix, *cls));
	matrix_layout(matrix, (uint32_t)policy->classes.by_id.n,
		      (uint32_t)policy->ports.classes.by_id.n, policy->limits.dense_cells);
	if (matrix->sparse && overflow_cells_used(policy) > policy->limits.sparse_cells)
		give_up(policy, matrix);
}

void lanes_fork(struct publish *pub)
{
	vec_each(struct matrix *, matrix, &pub->staying)
		fork_for_leavers(pub, *matrix);
}

void lanes_plan(struct publish *pub)
{
	pub->policy->idless = false;
	vec_each(struct matrix *, matrix, &pub->staying)
		plan_staying(pub, *matrix);
	vec_each(struct matrix *, matrix, &pub->replaced)
		plan_replaced(pub, *matrix);
	vec_each(struct matrix *, matrix, &pub->fresh)
		build(pub, *matrix);
}
