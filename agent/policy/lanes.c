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

// bh_cell holds the exceptions of old and new matrices while a plan runs.
static bool cells_fit(const struct policy *policy)
{
	uint64_t cells = 0;

	for (size_t i = 0; i < policy->matrices.n; i++)
		if (!policy->matrices.v[i]->hopeless)
			cells += policy->matrices.v[i]->sparse_cells;
	return cells <= policy->limits.sparse_cells;
}

static void give_up(struct policy *policy, struct matrix *matrix)
{
	ids_put(&policy->policy_ids, matrix->id);
	matrix->id = IDS_NONE;
	matrix->hopeless = true;
	vec_each(struct endpoint *, endpoint, &policy->slots)
		for (int dir = 0; *endpoint && dir < BH_DIR_MAX; dir++)
			if ((*endpoint)->next[dir] == matrix) {
				budget_starve(policy, *endpoint, dir);
				return;
			}
}

static void build(struct publish *pub, struct matrix *matrix)
{
	struct policy *policy = pub->policy;

	if (matrix->hopeless)
		return;
	matrix->id = ids_take(&policy->policy_ids);
	if (matrix->id == IDS_NONE)
		return;
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
	if (matrix->sparse && !cells_fit(policy))
		give_up(policy, matrix);
}

void lanes_fork(struct publish *pub)
{
	vec_each(struct matrix *, matrix, &pub->staying)
		fork_for_leavers(pub, *matrix);
}

void lanes_plan(struct publish *pub)
{
	vec_each(struct matrix *, matrix, &pub->staying)
		plan_staying(pub, *matrix);
	vec_each(struct matrix *, matrix, &pub->replaced)
		plan_replaced(pub, *matrix);
	vec_each(struct matrix *, matrix, &pub->fresh)
		build(pub, *matrix);
}
