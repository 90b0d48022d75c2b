// SPDX-License-Identifier: Apache-2.0
// emit.c - the steps of a plan, in the publishing order (plan.h says why).
#include <assert.h>
#include <string.h>

#include "agent/policy/must.h"
#include "agent/policy/publish.h"

static void wait_here(struct publish *pub)
{
	plan_add(pub->plan, (struct step){ .kind = STEP_WAIT });
}

// ---- matrices -----------------------------------------------------------------------------------------------

static void cell_step(struct publish *pub, enum step_kind kind, struct bh_cell_key key,
		      struct bh_cell cell)
{
	struct step step = { .kind = kind };

	step.cell.key = key;
	step.cell.cell = cell;
	plan_add(pub->plan, step);
}

static void set_cells(struct publish *pub, const struct matrix *matrix, uint32_t first)
{
	for (uint32_t row = first; matrix->sparse && row < matrix->rows.n; row++)
		for (uint32_t i = 0; i < matrix->rows.v[row]->n; i++) {
			const struct row_cell *cell = &matrix->rows.v[row]->v[i];

			cell_step(pub, STEP_CELL_SET,
				  (struct bh_cell_key){ matrix->id, (uint16_t)row,
							(uint16_t)cell->col },
				  cell->cell);
		}
}

static void install(struct publish *pub, struct matrix *matrix)
{
	struct step step = { .kind = STEP_MATRIX_NEW };
	size_t bytes = matrix->nunits * sizeof(*matrix->units);

	set_cells(pub, matrix, 0);
	step.matrix.policy = matrix->id;
	step.matrix.nunits = matrix->nunits;
	step.matrix.units = must(malloc(bytes));
	memcpy(step.matrix.units, matrix->units, bytes);
	plan_add(pub->plan, step);
	matrix->installed = true;
}

static void free_step(struct publish *pub, uint32_t id)
{
	struct step step = { .kind = STEP_MATRIX_FREE };

	step.matrix.policy = id;
	plan_add(pub->plan, step);
}

static void unit_step(struct publish *pub, const struct matrix *matrix, uint32_t index)
{
	struct step step = { .kind = STEP_MATRIX_UNIT };

	step.matrix.policy = matrix->id;
	step.matrix.index = index;
	step.matrix.unit = matrix->units[index];
	plan_add(pub->plan, step);
}

// Cells come after the maps in an image, so they are written first: from the end.
static void write_touched(struct publish *pub, struct matrix *matrix)
{
	matrix->touched.n = sig_sort(matrix->touched.v, matrix->touched.n);
	for (size_t i = matrix->touched.n; i--;)
		unit_step(pub, matrix, matrix->touched.v[i]);
	vec_clear(&matrix->touched);
}

static void endpoint_step(struct publish *pub, const struct endpoint *endpoint)
{
	struct step step = { .kind = STEP_ENDPOINT };

	step.endpoint.slot = endpoint->slot;
	memcpy(step.endpoint.policy, endpoint->policy, sizeof(endpoint->policy));
	memcpy(step.endpoint.gen, endpoint->gen, sizeof(endpoint->gen));
	plan_add(pub->plan, step);
}

// ---- before a: a matrix without room for the fresh ids gets a larger image of the same content ----------------------

static bool grow(struct publish *pub, struct matrix *matrix)
{
	struct policy *policy = pub->policy;
	uint32_t classes = (uint32_t)policy->classes.by_id.n;
	uint32_t port_classes = (uint32_t)policy->ports.classes.by_id.n;

	if (!matrix->forked && matrix_fits(matrix, classes, port_classes))
		return false;
	matrix_layout(matrix, classes, port_classes, policy->limits.dense_cells);
	vec_clear(&matrix->touched);
	install(pub, matrix);
	return true;
}

static void follow_forked(struct publish *pub)
{
	vec_each(struct endpoint *, at, &pub->policy->slots) {
		struct endpoint *endpoint = *at;
		bool moved = false;

		for (int dir = 0; endpoint && dir < BH_DIR_MAX; dir++) {
			const struct matrix *shown = endpoint->shown[dir];

			if (!shown || !shown->forked)
				continue;
			endpoint->policy[dir] = shown->id;
			moved = true;
		}
		if (moved)
			endpoint_step(pub, endpoint);
	}
}

static void grow_all(struct publish *pub)
{
	bool grown = false;

	vec_each(struct matrix *, matrix, &pub->staying)
		grown |= grow(pub, *matrix);
	vec_each(struct matrix *, matrix, &pub->replaced)
		grown |= grow(pub, *matrix);
	if (!grown)
		return;
	follow_forked(pub);
	wait_here(pub);
}

// ---- a: lanes for fresh ids --------------------------------------------------------------------------------------------

static void write_lanes(struct publish *pub, struct matrix *matrix)
{
	set_cells(pub, matrix, matrix->shown_rows);
	matrix_show_rows(matrix);
	vec_each(struct pending_lane, lane, &matrix->pending)
		matrix_set_row(matrix, lane->cls, lane->row);
	vec_clear(&matrix->pending);
	vec_each(struct cls *, cls, &pub->ports.born)
		if ((*cls)->from != IDS_NONE)
			matrix_set_col(matrix, (*cls)->id, matrix_col_of(matrix, (*cls)->from));
	write_touched(pub, matrix);
}

static void prepare(struct publish *pub)
{
	vec_each(struct matrix *, matrix, &pub->staying)
		write_lanes(pub, *matrix);
	vec_each(struct matrix *, matrix, &pub->replaced)
		write_lanes(pub, *matrix);
}

// ---- c: new matrices ---------------------------------------------------------------------------------------------------

// True: there are some, and with them came a grace period.
static bool install_fresh(struct publish *pub)
{
	bool some = false;

	vec_each(struct matrix *, matrix, &pub->fresh)
		if ((*matrix)->id != IDS_NONE) {
			install(pub, *matrix);
			some = true;
		}
	return some;
}

// ---- d: flips -------------------------------------------------------------------------------------------------------------

// Processors on which a program's loads are in the order of the program.
#if defined(__x86_64__) || defined(__i386__) || defined(__s390x__)
#define LOADS_KEEP_ORDER true
#else
#define LOADS_KEEP_ORDER false
#endif

static bool bumps(const struct publish *pub)
{
	vec_each(struct matrix *, matrix, &pub->staying)
		if ((*matrix)->bump)
			return true;
	return false;
}

// A reader whose loads overtake each other may have the class from before a move and the generation from after
// it: then nobody who has that class may be left when the generation is written. held: somebody may have it.
static void bump(struct publish *pub, bool held)
{
	if (held && bumps(pub) && (!LOADS_KEEP_ORDER || pub->policy->limits.loads_reorder))
		wait_here(pub);
	vec_each(struct matrix *, at, &pub->staying) {
		struct matrix *matrix = *at;

		if (!matrix->bump)
			continue;
		matrix_set_gen(matrix, gen_next(pub->policy));
		unit_step(pub, matrix, 0);
	}
}

// A matrix without an id: the table of policies is full, so nothing may pass.
static struct matrix *judge_of(struct policy *policy, const struct endpoint *endpoint, int dir)
{
	struct matrix *matrix = endpoint->next[dir];

	return matrix->id == IDS_NONE ? &policy->fixed[BH_POLICY_DENY] : matrix;
}

// *retswitch: a reader may still be under the matrix that the endpoint leaves.
static bool refresh(struct policy *policy, struct endpoint *endpoint, bool *retswitch)
{
	bool changed = false;

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		struct matrix *matrix = judge_of(policy, endpoint, dir);

		*retswitch |= endpoint->shown[dir] && endpoint->shown[dir] != matrix &&
			      !matrix_fixed(policy, endpoint->shown[dir]);
		changed |= endpoint->policy[dir] != matrix->id ||
			   (!endpoint->gone &&
			    (!endpoint->shown[dir] || endpoint->gen[dir] != matrix->gen));
		endpoint->shown[dir] = matrix;
		endpoint->policy[dir] = matrix->id;
		endpoint->gen[dir] = matrix->gen;
	}
	return changed;
}

// held: a reader may still have a class from before the moves.
static bool flip(struct publish *pub, bool held)
{
	struct policy *policy = pub->policy;
	VEC(struct endpoint *) list = { 0 };
	bool switches = false;

	bump(pub, held);
	vec_each(struct endpoint *, endpoint, &policy->slots)
		if (*endpoint && (*endpoint)->next[0] && refresh(policy, *endpoint, &switches))
			must_push(&list, *endpoint);
	if (switches && held)
		wait_here(pub);
	vec_each(struct endpoint *, endpoint, &list)
		endpoint_step(pub, *endpoint);
	vec_fini(&list);
	return switches;
}

// ---- e: what nobody can see any more ----------------------------------------------------------------------------------------

static void delete_cells(struct publish *pub, const struct matrix *matrix, uint32_t id,
			 uint32_t rows)
{
	for (uint32_t row = 0; row < rows; row++)
		for (uint32_t i = 0; i < matrix->rows.v[row]->n; i++)
			cell_step(pub, STEP_CELL_DEL,
				  (struct bh_cell_key){ id, (uint16_t)row,
							(uint16_t)matrix->rows.v[row]->v[i].col },
				  (struct bh_cell){ 0 });
}

static void free_matrices(struct publish *pub)
{
	vec_each(struct matrix *, at, &pub->policy->matrices) {
		struct matrix *matrix = *at;

		if (matrix->users || !matrix->installed)
			continue;
		free_step(pub, matrix->id);
		if (matrix->sparse)
			delete_cells(pub, matrix, matrix->id, matrix->shown_rows);
	}
}

// ---- before all: generations that may be in use somewhere go ---------------------------------------------------

static bool gives_generation(const struct publish *pub)
{
	if (bumps(pub))
		return true;
	vec_each(struct matrix *, matrix, &pub->fresh)
		if ((*matrix)->id != IDS_NONE)
			return true;
	return false;
}

// After the wait no program is left that might store another generation than those in force.
static void forget(struct publish *pub)
{
	if (!pub->policy->forget || !gives_generation(pub))
		return;
	wait_here(pub);
	plan_add(pub->plan, (struct step){ .kind = STEP_FORGET });
	pub->policy->forget = false;
}

static bool crowded(const struct policy *policy)
{
	return policy->idless || ids_crowded(&policy->classes.ids) || ids_crowded(&policy->ports.classes.ids) ||
	       ids_crowded(&policy->policy_ids);
}

// True if readers may hold something that a step since `from` has changed.
static bool moved_since(const struct plan *plan, uint32_t from)
{
	for (uint32_t i = from; i < plan->nsteps; i++)
		if (plan->steps[i].kind != STEP_CELL_SET && plan->steps[i].kind != STEP_RESOLVE)
			return true;
	return false;
}

static void finish(struct publish *pub, bool switched)
{
	struct plan *plan = pub->plan;
	uint32_t before = plan->nsteps;

	wait_here(pub);
	free_matrices(pub);
	moves_clean(pub);
	svcmoves_clean(pub);
	if (plan->nsteps == before + 1 && !switched)
		plan->nsteps = before; // nothing goes, nobody is left behind
	else if (plan->nsteps == before + 1)
		return;
	if (crowded(pub->policy))
		wait_here(pub);
}

void emit(struct publish *pub)
{
	bool held;
	uint32_t first;

	forget(pub);
	grow_all(pub);
	first = pub->plan->nsteps;
	prepare(pub);
	svcmoves_before(pub);
	moves_run(pub);
	svcmoves_run(pub);
	held = moved_since(pub->plan, first);
	held &= !install_fresh(pub);
	finish(pub, flip(pub, held));
}
