// SPDX-License-Identifier: Apache-2.0
// image.c - a matrix as the kernel holds it: head, row map, column map, cells; with slack.
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/policy/matrix.h"
#include "agent/policy/must.h"

#define THIN 32 // cells for each exception: an element of bh_cell takes the room of about ten
#define SLACK_CLASSES 64
#define LANES 8

static uint32_t with_slack(uint32_t n, uint32_t least)
{
	return n + (n / 4 > least ? n / 4 : least);
}

static uint32_t units_for(uint32_t n, uint32_t per_unit)
{
	return (n + per_unit - 1) / per_unit;
}

static void touch(struct matrix *matrix, uint32_t unit)
{
	if (matrix->installed)
		must_push(&matrix->touched, unit);
}

static void put_cell(struct matrix *matrix, uint32_t index, struct bh_cell cell)
{
	uint32_t unit = matrix->units->head.cell_off + index / 2;

	matrix->units[unit].cell[index & 1] = cell;
	touch(matrix, unit);
}

void matrix_show_rows(struct matrix *matrix)
{
	for (; matrix->shown_rows < matrix->rows.n; matrix->shown_rows++) {
		uint32_t row = matrix->shown_rows;

		if (matrix->sparse) {
			put_cell(matrix, row, matrix->rows.v[row]->def);
			matrix->sparse_cells += matrix->rows.v[row]->n;
			continue;
		}
		for (uint32_t col = 0; col < matrix->ncols; col++)
			put_cell(matrix, row * matrix->ncols + col,
				 row_cell(matrix->rows.v[row], col));
	}
}

static void put_lane(struct matrix *matrix, uint32_t off, uint32_t cls, uint32_t value)
{
	matrix->units[off + cls / LANES].lane[cls % LANES] = (uint16_t)value;
	touch(matrix, off + cls / LANES);
}

static uint64_t all_cells(const struct matrix *matrix)
{
	return (uint64_t)matrix->rows.n * matrix->ncols;
}

static uint64_t exceptions(const struct matrix *matrix)
{
	uint64_t cells = 0;

	for (size_t i = 0; i < matrix->rows.n; i++)
		cells += matrix->rows.v[i]->n;
	return cells;
}

static bool is_shown(const struct matrix *matrix) // or a copy of what is
{
	return matrix->installed || matrix->forked;
}

// What is shown changes its form only when it must.
static bool will_be_sparse(const struct matrix *matrix, uint32_t dense_cells)
{
	uint64_t cells = all_cells(matrix);

	if (cells > dense_cells || (is_shown(matrix) && matrix->sparse))
		return true;
	return !is_shown(matrix) && cells > MATRIX_SMALL_CELLS &&
	       exceptions(matrix) * THIN <= cells;
}

static void choose_form(struct matrix *matrix, uint32_t dense_cells)
{
	uint32_t rows = (uint32_t)matrix->rows.n;
	bool sparse = will_be_sparse(matrix, dense_cells);

	matrix->row_cap = with_slack(rows, LANES);
	matrix->sparse = sparse || (uint64_t)matrix->row_cap * matrix->ncols > dense_cells;
	if (matrix->sparse && !sparse && rows) {
		matrix->sparse = false;
		matrix->row_cap = dense_cells / matrix->ncols;
	}
	if (matrix->row_cap > BH_ROW_NONE)
		matrix->row_cap = BH_ROW_NONE;
}

uint64_t matrix_cells(const struct matrix *matrix, uint32_t dense_cells)
{
	return will_be_sparse(matrix, dense_cells) ? exceptions(matrix) : 0;
}

uint64_t matrix_dense(const struct matrix *matrix, uint32_t dense_cells)
{
	return will_be_sparse(matrix, dense_cells) ? 0 : all_cells(matrix);
}

static uint32_t map_units(uint32_t classes, size_t lanes)
{
	uint32_t n = with_slack(classes < lanes ? (uint32_t)lanes : classes, SLACK_CLASSES);

	return units_for(n < BH_MAX_CLASSES ? n : BH_MAX_CLASSES, LANES);
}

void matrix_layout(struct matrix *matrix, uint32_t classes, uint32_t port_classes,
		   uint32_t dense_cells)
{
	uint32_t row_units = map_units(classes, matrix->row_of.n);
	uint32_t col_units = map_units(port_classes, matrix->col_of.n);
	uint64_t cells;

	choose_form(matrix, dense_cells);
	cells = matrix->sparse ? matrix->row_cap : (uint64_t)matrix->row_cap * matrix->ncols;
	matrix->nunits = 1 + row_units + col_units + units_for((uint32_t)cells, 2);
	free(matrix->units);
	matrix->units = must_new(matrix->nunits * sizeof(*matrix->units));
	memset(matrix->units + 1, 0xff, (row_units + col_units) * sizeof(*matrix->units));
	matrix->units->head = (struct bh_matrix_head){
		.gen = matrix->gen,
		.columns = matrix->ncols | (matrix->sparse ? BH_MATRIX_SPARSE : 0),
		.col_off = 1 + row_units,
		.cell_off = 1 + row_units + col_units,
	};
	matrix->shown_rows = matrix->sparse_cells = 0;
	matrix_show_rows(matrix);
	for (uint32_t i = 0; i < matrix->row_of.n; i++)
		put_lane(matrix, 1, i, matrix->row_of.v[i]);
	for (uint32_t i = 0; i < matrix->col_of.n; i++)
		put_lane(matrix, matrix->units->head.col_off, i, matrix->col_of.v[i]);
}

bool matrix_fits(const struct matrix *matrix, uint32_t classes, uint32_t port_classes)
{
	const struct bh_matrix_head *head = &matrix->units->head;

	return matrix->rows.n <= matrix->row_cap && classes <= (head->col_off - 1) * LANES &&
	       port_classes <= (head->cell_off - head->col_off) * LANES;
}

// Before the layout lanes are only remembered.
void matrix_set_row(struct matrix *matrix, uint32_t cls, uint32_t row)
{
	while (matrix->row_of.n <= cls)
		must_push(&matrix->row_of, BH_ROW_NONE);
	if (matrix->row_of.v[cls] == row)
		return;
	matrix->row_of.v[cls] = (uint16_t)row;
	if (matrix->units)
		put_lane(matrix, 1, cls, row);
}

void matrix_set_col(struct matrix *matrix, uint32_t cls, uint32_t col)
{
	while (matrix->col_of.n <= cls)
		must_push(&matrix->col_of, BH_ROW_NONE);
	if (matrix->col_of.v[cls] == col)
		return;
	matrix->col_of.v[cls] = (uint16_t)col;
	if (matrix->units)
		put_lane(matrix, matrix->units->head.col_off, cls, col);
}

void matrix_set_gen(struct matrix *matrix, uint32_t gen)
{
	matrix->gen = gen;
	if (matrix->units)
		matrix->units->head.gen = gen;
}

uint32_t matrix_row_of(const struct matrix *matrix, uint32_t cls)
{
	return cls < matrix->row_of.n ? matrix->row_of.v[cls] : BH_ROW_NONE;
}

uint32_t matrix_col_of(const struct matrix *matrix, uint32_t cls)
{
	return cls < matrix->col_of.n ? matrix->col_of.v[cls] : BH_ROW_NONE;
}

struct matrix *matrix_fork(const struct matrix *matrix)
{
	struct matrix *fork = matrix_new();
	struct bh_cell *cells = must_new(matrix->ncols * sizeof(*cells));

	fork->forked = true;
	fork->sparse = matrix->sparse;
	fork->gen = matrix->gen;
	fork->ncols = matrix->ncols;
	for (uint32_t row = 0; row < matrix->shown_rows; row++) {
		for (uint32_t col = 0; col < matrix->ncols; col++)
			cells[col] = row_cell(matrix->rows.v[row], col);
		matrix_row_load(fork, cells);
	}
	free(cells);
	for (uint32_t i = 0; i < matrix->row_of.n; i++)
		matrix_set_row(fork, i, matrix->row_of.v[i]);
	for (uint32_t i = 0; i < matrix->col_of.n; i++)
		matrix_set_col(fork, i, matrix->col_of.v[i]);
	return fork;
}

// ---- reading back -------------------------------------------------------------------------------------

static int read_head(struct matrix *matrix, const union bh_unit *units, uint32_t nunits)
{
	const struct bh_matrix_head *head = &units->head;

	if (nunits < 4 || !head->gen || head->col_off < 2 || head->cell_off <= head->col_off ||
	    head->cell_off >= nunits || !(head->columns & 0xffff))
		return -EBADMSG;
	matrix->gen = head->gen;
	matrix->ncols = head->columns & 0xffff;
	matrix->sparse = head->columns & BH_MATRIX_SPARSE;
	matrix->row_cap = (nunits - head->cell_off) * 2 / (matrix->sparse ? 1 : matrix->ncols);
	return 0;
}

static uint32_t read_lanes(struct matrix *matrix, const union bh_unit *units)
{
	const struct bh_matrix_head *head = &units->head;
	uint32_t rows = 0;

	for (uint32_t i = 0; i < (head->col_off - 1) * LANES; i++) {
		uint16_t row = units[1 + i / LANES].lane[i % LANES];

		must_push(&matrix->row_of, row);
		if (row != BH_ROW_NONE && row >= rows)
			rows = row + 1u;
	}
	for (uint32_t i = 0; i < (head->cell_off - head->col_off) * LANES; i++)
		must_push(&matrix->col_of, units[head->col_off + i / LANES].lane[i % LANES]);
	while (matrix->row_of.n && matrix->row_of.v[matrix->row_of.n - 1] == BH_ROW_NONE)
		matrix->row_of.n--;
	while (matrix->col_of.n && matrix->col_of.v[matrix->col_of.n - 1] == BH_ROW_NONE)
		matrix->col_of.n--;
	return rows;
}

static void read_row(struct matrix *matrix, uint32_t row, const struct policy_tables_cell *cells,
		     uint32_t ncells)
{
	const union bh_unit *at = matrix->units + matrix->units->head.cell_off;
	struct bh_cell *out = must_new(matrix->ncols * sizeof(*out));

	for (uint32_t col = 0; col < matrix->ncols; col++) {
		uint32_t index = matrix->sparse ? row : row * matrix->ncols + col;

		out[col] = at[index / 2].cell[index & 1];
	}
	for (uint32_t i = 0; i < ncells; i++)
		if (cells[i].key.col < matrix->ncols)
			out[cells[i].key.col] = cells[i].cell;
	matrix_row_load(matrix, out);
	free(out);
}

int matrix_read(struct matrix *matrix, const union bh_unit *units, uint32_t nunits,
		const struct policy_tables_cell *cells, uint32_t ncells)
{
	uint32_t rows, at = 0;
	int r = read_head(matrix, units, nunits);

	if (r < 0)
		return r;
	matrix->nunits = nunits;
	matrix->units = must_new(nunits * sizeof(*units));
	memcpy(matrix->units, units, nunits * sizeof(*units));
	rows = read_lanes(matrix, units);
	if (rows > matrix->row_cap)
		return -EBADMSG;
	for (uint32_t row = 0; row < rows; row++) {
		uint32_t first = at;

		while (at < ncells && cells[at].key.row == row)
			at++;
		read_row(matrix, row, cells + first, at - first);
		matrix->sparse_cells += matrix->sparse ? matrix->rows.v[row]->n : 0;
	}
	matrix->shown_rows = rows;
	matrix->installed = true;
	return 0;
}
