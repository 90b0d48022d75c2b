// SPDX-License-Identifier: Apache-2.0
// matrix.c - keys, indexes, rows and columns.
#include "agent/policy/matrix.h"

#include <assert.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/policy/combine.h"
#include "agent/policy/memo.h"
#include "agent/policy/must.h"
#include "agent/policy/svcsig.h"

#define RULE_NEVER UINT32_MAX

uint64_t matrix_key_hash(const struct matrix_key *key)
{
	uint64_t hash = hash_mix((uintptr_t)key->deny[0], (uintptr_t)key->deny[1]);

	return hash_mix(hash, hash_bytes(key->entries.v, key->entries.n * sizeof(struct entry)));
}

bool matrix_key_equal(const struct matrix_key *a, const struct matrix_key *b)
{
	return a->deny[0] == b->deny[0] && a->deny[1] == b->deny[1] &&
	       a->entries.n == b->entries.n &&
	       (!a->entries.n ||
		!memcmp(a->entries.v, b->entries.v, a->entries.n * sizeof(struct entry)));
}

struct matrix *matrix_new(void)
{
	struct matrix *matrix = must_new(sizeof(*matrix));

	matrix->id = IDS_NONE;
	return matrix;
}

void matrix_free(struct matrix *matrix)
{
	if (!matrix)
		return;
	vec_fini(&matrix->key.entries);
	vec_fini(&matrix->atoms);
	vec_fini(&matrix->first);
	vec_fini(&matrix->order);
	for (int i = 0; i < VIEW_MAX * SECTION_MAX; i++)
		free(matrix->base[i / SECTION_MAX][i % SECTION_MAX]);
	vec_fini(&matrix->port_atoms);
	vec_each(atom_ids, cols, &matrix->cols_of)
		vec_fini(cols);
	vec_fini(&matrix->cols_of);
	memo_fini(&matrix->col_memo);
	memo_fini(&matrix->row_memo);
	vec_each(struct row *, row, &matrix->rows)
		free(*row);
	vec_fini(&matrix->rows);
	hash_fini(&matrix->row_table);
	vec_fini(&matrix->row_of);
	vec_fini(&matrix->col_of);
	vec_fini(&matrix->touched);
	vec_fini(&matrix->pending);
	free(matrix->units);
	intern_put(matrix->ns);
	free(matrix);
}

// ---- indexes ----------------------------------------------------------------------------------------------

struct use {
	uint32_t atom, entry;
};

static int by_atom(const void *a, const void *b)
{
	const struct use *x = a, *y = b;

	if (x->atom != y->atom)
		return x->atom < y->atom ? -1 : 1;
	return x->entry < y->entry ? -1 : x->entry > y->entry;
}

static void index_peers(struct matrix *matrix)
{
	VEC(struct use) uses = { 0 };

	for (size_t i = 0; i < matrix->key.entries.n; i++)
		if (matrix->key.entries.v[i].peer)
			must_push(&uses,
				  (struct use){ matrix->key.entries.v[i].peer->id, (uint32_t)i });
	vec_sort(&uses, by_atom);
	for (size_t i = 0; i < uses.n; i++) {
		if (!i || uses.v[i].atom != uses.v[i - 1].atom) {
			must_push(&matrix->atoms, uses.v[i].atom);
			must_push(&matrix->first, (uint32_t)i);
		}
		must_push(&matrix->order, uses.v[i].entry);
	}
	must_push(&matrix->first, (uint32_t)uses.n);
	vec_fini(&uses);
}

static void index_ports(struct matrix *matrix)
{
	vec_each(struct entry, entry, &matrix->key.entries)
		if (entry->ports)
			must_push(&matrix->port_atoms, entry->ports->id);
	matrix->port_atoms.n = sig_sort(matrix->port_atoms.v, matrix->port_atoms.n);
	for (size_t i = 0; i < matrix->port_atoms.n; i++)
		must_push(&matrix->cols_of, (atom_ids){ 0 });
}

void matrix_index_lists(struct matrix *matrix)
{
	index_peers(matrix);
	index_ports(matrix);
}

void matrix_col_add(struct matrix *matrix, const atom_ids *sig, uint32_t col)
{
	memo_add(&matrix->col_memo, sig, col);
	vec_each(const uint32_t, at, sig)
		must_push(&matrix->cols_of.v[*at], col);
}

uint32_t matrix_col(struct matrix *matrix, const struct cls *cls)
{
	atom_ids sig = { 0 };
	uint32_t col;

	sig_restrict(cls->sig, cls->n, matrix->port_atoms.v, matrix->port_atoms.n, &sig);
	col = memo_find(&matrix->col_memo, &sig);
	if (col == MEMO_NONE) {
		col = matrix->ncols++;
		matrix_col_add(matrix, &sig, col);
	}
	vec_fini(&sig);
	return col;
}

static void apply(const struct matrix *matrix, uint32_t *first, uint32_t index)
{
	const struct entry *entry = &matrix->key.entries.v[index];
	const atom_ids *cols = NULL;
	uint32_t n = matrix->ncols;

	if (entry->ports) {
		cols = &matrix->cols_of.v[sig_position(matrix->port_atoms.v, matrix->port_atoms.n,
						       entry->ports->id)];
		n = (uint32_t)cols->n;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint32_t col = cols ? cols->v[i] : i;

		if (index < first[col])
			first[col] = index;
	}
}

static void apply_views(const struct matrix *matrix, uint32_t *first[VIEW_MAX][SECTION_MAX],
			uint32_t index)
{
	const struct entry *entry = &matrix->key.entries.v[index];

	if (!entry->audit)
		apply(matrix, first[VIEW_ENFORCED][entry->section], index);
	if (matrix->split)
		apply(matrix, first[VIEW_SHADOW][entry->section], index);
}

void matrix_index_base(struct matrix *matrix)
{
	matrix->split = matrix->key.deny[0] != matrix->key.deny[1];
	vec_each(struct entry, entry, &matrix->key.entries)
		matrix->split |= entry->audit;
	for (int i = 0; i < VIEW_MAX * SECTION_MAX; i++) {
		uint32_t **base = &matrix->base[i / SECTION_MAX][i % SECTION_MAX];

		*base = must_new(matrix->ncols * sizeof(**base));
		memset(*base, 0xff, matrix->ncols * sizeof(**base));
	}
	for (size_t i = 0; i < matrix->key.entries.n; i++)
		if (!matrix->key.entries.v[i].peer)
			apply_views(matrix, matrix->base, (uint32_t)i);
}

void matrix_index(struct matrix *matrix, const struct portset *ports)
{
	struct cls *cls;
	size_t at = 0;

	matrix_index_lists(matrix);
	matrix_col(matrix, ports->none);
	vec_each(struct cls *, known, &ports->classes.by_id)
		if (*known && !(*known)->adopted)
			matrix_col(matrix, *known);
	while ((cls = hash_next(&ports->classes.by_sig, &at)))
		matrix_col(matrix, cls);
	matrix_index_base(matrix);
	matrix->indexed = true;
}

// ---- rows -------------------------------------------------------------------------------------------------

static uint32_t word_of(const struct entry *entry)
{
	enum bh_verdict verdict =
		entry->action == ACTION_ACCEPT ? BH_VERDICT_ALLOW : BH_VERDICT_DENY_CLUSTER;

	return BH_CELL_WORD(verdict, entry->rule->id);
}

// Admin, then NetworkPolicy if it isolates, then Baseline, then allow. Pass goes to the next tier.
static uint32_t resolve(const struct matrix *matrix, enum view view,
			uint32_t *first[VIEW_MAX][SECTION_MAX], uint32_t col)
{
	const struct ruleid *deny = matrix->key.deny[view];
	const struct entry *entries = matrix->key.entries.v;
	uint32_t at = first[view][SECTION_ADMIN][col];

	if (at != RULE_NEVER && entries[at].action != ACTION_PASS)
		return word_of(&entries[at]);
	at = first[view][SECTION_NETPOL][col];
	if (deny)
		return at != RULE_NEVER ? word_of(&entries[at]) :
					  BH_CELL_WORD(BH_VERDICT_DENY, deny->id);
	at = first[view][SECTION_BASELINE][col];
	if (at != RULE_NEVER && entries[at].action != ACTION_PASS)
		return word_of(&entries[at]);
	return BH_CELL_WORD(BH_VERDICT_ALLOW, BH_RULE_NONE);
}

void matrix_compute(const struct matrix *matrix, const atom_ids *sig, struct bh_cell *cells)
{
	size_t bytes = matrix->ncols * sizeof(uint32_t);
	uint32_t *first[VIEW_MAX][SECTION_MAX], *scratch = must_new(VIEW_MAX * SECTION_MAX * bytes);

	for (int i = 0; i < VIEW_MAX * SECTION_MAX; i++) {
		first[i / SECTION_MAX][i % SECTION_MAX] = scratch + (size_t)i * matrix->ncols;
		memcpy(scratch + (size_t)i * matrix->ncols,
		       matrix->base[i / SECTION_MAX][i % SECTION_MAX], bytes);
	}
	vec_each(const uint32_t, at, sig)
		for (uint32_t i = matrix->first.v[*at]; i < matrix->first.v[*at + 1]; i++)
			apply_views(matrix, first, matrix->order.v[i]);
	for (uint32_t col = 0; col < matrix->ncols; col++) {
		cells[col].verdict = resolve(matrix, VIEW_ENFORCED, first, col);
		cells[col].shadow = matrix->split ? resolve(matrix, VIEW_SHADOW, first, col) :
						    cells[col].verdict;
	}
	free(scratch);
}

static uint32_t add_row(struct matrix *matrix, const atom_ids *sig)
{
	struct bh_cell *cells = must_new(matrix->ncols * sizeof(*cells));
	uint32_t row;

	matrix_compute(matrix, sig, cells);
	row = matrix_row_add(matrix, cells);
	free(cells);
	return row;
}

static uint32_t row_of_atoms(struct matrix *matrix, const uint32_t *atoms, size_t n)
{
	atom_ids sig = { 0 };
	uint32_t row;

	sig_restrict(atoms, n, matrix->atoms.v, matrix->atoms.n, &sig);
	row = memo_find(&matrix->row_memo, &sig);
	if (row == MEMO_NONE) {
		row = add_row(matrix, &sig);
		memo_add(&matrix->row_memo, &sig, row);
	}
	vec_fini(&sig);
	return row;
}

static uint32_t col_of_atoms(const struct matrix *matrix, const uint32_t *atoms, size_t n)
{
	atom_ids sig = { 0 };
	uint32_t col;

	sig_restrict(atoms, n, matrix->port_atoms.v, matrix->port_atoms.n, &sig);
	col = memo_find(&matrix->col_memo, &sig);
	vec_fini(&sig);
	assert(col != MEMO_NONE); // every intersection of its port atoms has a column
	return col;
}

static uint32_t word_of_none(const struct matrix *matrix, enum view view)
{
	return BH_CELL_WORD(matrix->key.deny[view] ? BH_VERDICT_DENY : BH_VERDICT_ALLOW,
			    BH_RULE_NONE);
}

struct bh_cell matrix_cell_of_none(const struct matrix *matrix)
{
	return (struct bh_cell){ word_of_none(matrix, VIEW_ENFORCED),
				 word_of_none(matrix, VIEW_SHADOW) };
}

static struct bh_cell part_cell(struct matrix *matrix, const struct svcpart *part)
{
	uint32_t row = row_of_atoms(matrix, part->peers, part->npeers);
	uint32_t col = col_of_atoms(matrix, part->ports, part->nports);

	return row_cell(matrix->rows.v[row], col);
}

// Ingress has no use for it.
static uint32_t service_row(struct matrix *matrix, const struct cls *cls)
{
	struct combine sum = { 0 };
	struct svcpart part;
	uint32_t at = 0;

	if (matrix->dir != BH_EGRESS)
		return BH_ROW_NONE;
	while (svcsig_next(cls, &at, &part)) {
		if (part.refused)
			combine_refuse(&sum);
		else
			combine_add(&sum, part_cell(matrix, &part), part.own_node);
	}
	return matrix_row_same(matrix, combine_end(&sum, matrix_cell_of_none(matrix)));
}

uint32_t matrix_row(struct matrix *matrix, const struct cls *cls)
{
	if (cls_is_service(cls))
		return service_row(matrix, cls);
	return row_of_atoms(matrix, cls->sig, cls->n);
}
