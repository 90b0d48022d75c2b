// SPDX-License-Identifier: Apache-2.0
// row.c - rows as a default and exceptions, one of each content.
#include <string.h>

#include "agent/policy/matrix.h"
#include "agent/policy/must.h"

#define COUNTERS 256 // cells that a row is searched for; a row of more keeps a frequent one

static bool cell_equal(const struct bh_cell *a, const struct bh_cell *b)
{
	return a->verdict == b->verdict && a->shadow == b->shadow;
}

// The most frequent cell: a function of the row's content alone.
static struct bh_cell frequent(const struct bh_cell *cells, uint32_t n)
{
	struct {
		struct bh_cell cell;
		uint32_t count;
	} seen[COUNTERS] = { 0 };
	uint32_t best = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (cells[i].verdict * 0x9e3779b1u ^ cells[i].shadow) % COUNTERS;

		if (!seen[at].count)
			seen[at].cell = cells[i];
		else if (!cell_equal(&seen[at].cell, &cells[i]))
			continue;
		if (++seen[at].count > seen[best].count)
			best = at;
	}
	return seen[best].cell;
}

static uint64_t row_hash(const struct row *row)
{
	return hash_mix(hash_bytes(&row->def, sizeof(row->def)),
			hash_bytes(row->v, row->n * sizeof(*row->v)));
}

static struct row *pack(const struct bh_cell *cells, uint32_t n)
{
	struct bh_cell def = frequent(cells, n);
	struct row *row;
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += !cell_equal(&cells[i], &def);
	row = must_new(sizeof(*row) + count * sizeof(*row->v));
	row->def = def;
	for (uint32_t i = 0; i < n; i++)
		if (!cell_equal(&cells[i], &def))
			row->v[row->n++] = (struct row_cell){ cells[i], i };
	row->hash = row_hash(row);
	return row;
}

// Table items are 1 + the row's number, as NULL is no item.
struct row_key {
	const struct matrix *matrix;
	const struct row *row;
};

static bool is_row(const void *item, const void *arg)
{
	const struct row_key *key = arg;
	const struct row *a = key->matrix->rows.v[(uintptr_t)item - 1], *b = key->row;

	return a->n == b->n && cell_equal(&a->def, &b->def) &&
	       !memcmp(a->v, b->v, a->n * sizeof(*a->v));
}

static void note_mixed(struct matrix *matrix, const struct row *row)
{
	matrix->mixed |= !row->n && BH_CELL_VERDICT(row->def.verdict) == BH_VERDICT_MIXED;
}

// Takes over the row.
static uint32_t add_row(struct matrix *matrix, struct row *row)
{
	struct row_key key = { matrix, row };
	void *found = hash_find(&matrix->row_table, row->hash, is_row, &key);

	if (found) {
		free(row);
		return (uint32_t)((uintptr_t)found - 1);
	}
	must_push(&matrix->rows, row);
	must_ok(hash_add(&matrix->row_table, row->hash, (void *)(uintptr_t)matrix->rows.n));
	note_mixed(matrix, row);
	return (uint32_t)matrix->rows.n - 1;
}

uint32_t matrix_row_add(struct matrix *matrix, const struct bh_cell *cells)
{
	return add_row(matrix, pack(cells, matrix->ncols));
}

uint32_t matrix_row_same(struct matrix *matrix, struct bh_cell cell)
{
	struct row *row = must_new(sizeof(*row));

	row->def = cell;
	row->hash = row_hash(row);
	return add_row(matrix, row);
}

void matrix_row_load(struct matrix *matrix, const struct bh_cell *cells)
{
	struct row *row = pack(cells, matrix->ncols);
	struct row_key key = { matrix, row };
	bool known = hash_find(&matrix->row_table, row->hash, is_row, &key);

	must_push(&matrix->rows, row);
	note_mixed(matrix, row);
	if (!known)
		must_ok(hash_add(&matrix->row_table, row->hash, (void *)(uintptr_t)matrix->rows.n));
}

struct bh_cell row_cell(const struct row *row, uint32_t col)
{
	uint32_t lo = 0, hi = row->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (row->v[mid].col < col)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < row->n && row->v[lo].col == col ? row->v[lo].cell : row->def;
}

int cell_freedom(uint32_t word)
{
	switch (BH_CELL_VERDICT(word)) {
	case BH_VERDICT_ALLOW:
		return 3;
	case BH_VERDICT_MIXED:
		return 2;
	case BH_VERDICT_DENY:
		return 1;
	default:
		return 0;
	}
}

bool matrix_tightens(const struct matrix *matrix, uint32_t from, uint32_t to)
{
	if (from == to || from == BH_ROW_NONE)
		return false;
	for (uint32_t col = 0; col < matrix->ncols; col++)
		if (cell_freedom(row_cell(matrix->rows.v[to], col).verdict) <
		    cell_freedom(row_cell(matrix->rows.v[from], col).verdict))
			return true;
	return false;
}
