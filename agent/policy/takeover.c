// SPDX-License-Identifier: Apache-2.0
// takeover.c - a list of rules recognises its image in one that was read from the kernel.
#include <string.h>

#include "agent/policy/combine.h"
#include "agent/policy/matrix.h"
#include "agent/policy/memo.h"
#include "agent/policy/must.h"
#include "agent/policy/svcsig.h"

// Gives a port class the column that it has in the image. Two signatures in one column, or one in two,
// are not this list's work.
static bool claim_col(struct matrix *matrix, const struct cls *cls, uint32_t col, uint8_t *claimed)
{
	atom_ids sig = { 0 };
	uint32_t known;
	bool fits;

	sig_restrict(cls->sig, cls->n, matrix->port_atoms.v, matrix->port_atoms.n, &sig);
	known = memo_find(&matrix->col_memo, &sig);
	fits = known == MEMO_NONE ? col < matrix->ncols && !claimed[col] : known == col;
	if (fits && known == MEMO_NONE) {
		claimed[col] = 1;
		matrix_col_add(matrix, &sig, col);
	}
	vec_fini(&sig);
	return fits;
}

static bool claim_row(struct matrix *matrix, const struct matrix *read, const struct cls *cls,
		      const uint8_t *claimed, struct bh_cell *cells)
{
	uint32_t row = matrix_row_of(read, cls->id), known;
	atom_ids sig = { 0 };
	bool fits = row != BH_ROW_NONE;

	sig_restrict(cls->sig, cls->n, matrix->atoms.v, matrix->atoms.n, &sig);
	known = memo_find(&matrix->row_memo, &sig);
	if (fits && known != row) {
		matrix_compute(matrix, &sig, cells);
		for (uint32_t col = 0; fits && col < matrix->ncols; col++) {
			struct bh_cell have = row_cell(read->rows.v[row], col);

			fits = !claimed[col] || (have.verdict == cells[col].verdict &&
						 have.shadow == cells[col].shadow);
		}
	}
	if (fits && known == MEMO_NONE)
		memo_add(&matrix->row_memo, &sig, row);
	vec_fini(&sig);
	return fits;
}

// The cell of one backend: out of a row that was claimed already, else as it would be.
static struct bh_cell part_cell(const struct matrix *matrix, const struct matrix *read,
				const struct svcpart *part, struct bh_cell *cells)
{
	atom_ids peers = { 0 }, ports = { 0 };
	struct bh_cell cell = { 0 };
	uint32_t row, col;

	sig_restrict(part->peers, part->npeers, matrix->atoms.v, matrix->atoms.n, &peers);
	sig_restrict(part->ports, part->nports, matrix->port_atoms.v, matrix->port_atoms.n, &ports);
	row = memo_find(&matrix->row_memo, &peers);
	col = memo_find(&matrix->col_memo, &ports);
	if (row == MEMO_NONE)
		matrix_compute(matrix, &peers, cells);
	if (col != MEMO_NONE)
		cell = row == MEMO_NONE ? cells[col] : row_cell(read->rows.v[row], col);
	vec_fini(&peers);
	vec_fini(&ports);
	return cell;
}

static bool claim_service(const struct matrix *matrix, const struct matrix *read,
			  const struct cls *cls, const uint8_t *claimed, struct bh_cell *cells)
{
	uint32_t row = matrix_row_of(read, cls->id), at = 0;
	struct combine sum = { 0 };
	struct svcpart part;
	struct bh_cell want;

	if (matrix->dir != BH_EGRESS || row == BH_ROW_NONE)
		return matrix->dir != BH_EGRESS && row == BH_ROW_NONE;
	while (svcsig_next(cls, &at, &part)) {
		if (part.refused)
			combine_refuse(&sum);
		else
			combine_add(&sum, part_cell(matrix, read, &part, cells), part.own_node);
	}
	want = combine_end(&sum, matrix_cell_of_none(matrix));
	for (uint32_t col = 0; col < matrix->ncols; col++) {
		struct bh_cell have = row_cell(read->rows.v[row], col);

		if (claimed[col] && (have.verdict != want.verdict || have.shadow != want.shadow))
			return false;
	}
	return true;
}

// Addresses first: Services are made of what they have.
static bool claim_rows(struct matrix *matrix, const struct matrix *read, const struct classes *peers,
		       const uint8_t *claimed, struct bh_cell *cells)
{
	for (int services = 0; services < 2; services++)
		for (size_t i = 0; i < peers->by_id.n; i++) {
			const struct cls *cls = peers->by_id.v[i];

			if (!cls || cls->adopted || cls_is_service(cls) != services)
				continue;
			if (!(services ? claim_service(matrix, read, cls, claimed, cells) :
					 claim_row(matrix, read, cls, claimed, cells)))
				return false;
		}
	return true;
}

static void forget_index(struct matrix *matrix)
{
	vec_fini(&matrix->atoms);
	vec_fini(&matrix->first);
	vec_fini(&matrix->order);
	vec_fini(&matrix->port_atoms);
	vec_each(atom_ids, cols, &matrix->cols_of)
		vec_fini(cols);
	vec_fini(&matrix->cols_of);
	memo_fini(&matrix->col_memo);
	memo_fini(&matrix->row_memo);
	for (int i = 0; i < VIEW_MAX * SECTION_MAX; i++) {
		free(matrix->base[i / SECTION_MAX][i % SECTION_MAX]);
		matrix->base[i / SECTION_MAX][i % SECTION_MAX] = NULL;
	}
	matrix->ncols = 0;
}

#define TAKE(field)                                                                                \
	do {                                                                                       \
		matrix->field = read->field;                                                       \
		memset(&read->field, 0, sizeof(read->field));                                      \
	} while (0)

static void take_image(struct matrix *matrix, struct matrix *read)
{
	TAKE(gen);
	TAKE(rows);
	TAKE(mixed);
	TAKE(row_table);
	TAKE(row_of);
	TAKE(col_of);
	TAKE(row_cap);
	TAKE(sparse);
	TAKE(sparse_cells);
	TAKE(nunits);
	TAKE(units);
	TAKE(shown_rows);
	TAKE(installed);
	matrix->id = read->id;
	read->id = IDS_NONE;
	matrix->indexed = true;
}

bool matrix_take_over(struct matrix *matrix, struct matrix *read, const struct col_claim *claims,
		      size_t nclaims, const struct classes *peers)
{
	struct bh_cell *cells = must_new(read->ncols * sizeof(*cells));
	uint8_t *claimed = must_new(read->ncols);
	bool fits = true;

	matrix_index_lists(matrix);
	matrix->ncols = read->ncols;
	for (size_t i = 0; fits && i < nclaims; i++)
		fits = claim_col(matrix, claims[i].cls, matrix_col_of(read, claims[i].id), claimed);
	if (fits) {
		matrix_index_base(matrix);
		fits = claim_rows(matrix, read, peers, claimed, cells);
	}
	if (fits)
		take_image(matrix, read);
	else
		forget_index(matrix);
	free(claimed);
	free(cells);
	return fits;
}
