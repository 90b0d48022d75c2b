// SPDX-License-Identifier: Apache-2.0
// matrix.h - one direction of one compiled policy: the list of rules, and the cells they come to.
//
// World: host, one thread. Pure: yes. Owns: its cells, its image, references on atoms and rule ids.
// A row is a pure function of a peer signature and the list, a column of a port signature and the list;
// classes that the list cannot tell apart share a row or column.
#pragma once

#include "agent/policy/cluster.h"
#include "agent/policy/portset.h"
#include "agent/policy/ruleid.h"

enum section { SECTION_ADMIN, SECTION_NETPOL, SECTION_BASELINE, SECTION_MAX };

// What is enforced, and what would be if policies in audit mode were, too.
enum view { VIEW_ENFORCED, VIEW_SHADOW, VIEW_MAX };

// One rule, or the part of it that has one peer atom and one port atom.
struct entry {
	struct atom *peer; // NULL: every address
	struct port_atom *ports; // NULL: every protocol and port
	struct ruleid *rule;
	uint32_t section; // enum section
	uint16_t action; // enum action
	uint16_t audit;
};

// The compiled list. Equal keys are the same matrix.
struct matrix_key {
	struct ruleid
		*deny[VIEW_MAX]; // default deny; NULL: the NetworkPolicy tier does not isolate
	VEC(struct entry) entries; // in the order of resolution
};

struct row {
	uint64_t hash;
	struct bh_cell def; // the most frequent cell
	uint32_t n;
	struct row_cell {
		struct bh_cell cell;
		uint32_t col;
	} v[]; // those that differ, by column
};

struct matrix {
	uint32_t id, gen;
	enum bh_dir dir; // of the endpoints that use it; not known of one read from the kernel
	const char *ns; // of the endpoint that it was made for: its tenant; NULL: read from the kernel
	uint32_t users; // directions of endpoints that are to use it
	bool keyed; // false: read from the kernel, its list is not known
	bool installed;
	bool indexed; // rules below are filled
	bool hopeless; // there is no room for it: its users are denied
	bool released; // lost its last user: its atoms are given back
	uint64_t hash;
	struct matrix_key key;

	// Rules by peer atom.
	VEC(uint32_t) atoms; // ids, ascending
	VEC(uint32_t) first; // of atoms[i] in `order`; one more at the end
	VEC(uint32_t) order; // indexes of entries
	uint32_t
		*base[VIEW_MAX][SECTION_MAX]; // per column: first rule that holds for every address
	bool split; // the views differ

	// Columns: signatures of port atoms of this list.
	uint32_t ncols;
	VEC(uint32_t) port_atoms; // ids, ascending
	VEC(atom_ids) cols_of; // per port atom: its columns
	struct hash col_memo, row_memo; // restricted signature -> number

	VEC(struct row *) rows;
	struct hash row_table;
	bool mixed; // a row of Services is mixed

	// What the kernel holds.
	VEC(uint16_t) row_of, col_of; // per class id
	uint32_t row_cap; // rows that fit
	bool sparse;
	uint32_t sparse_cells;
	uint32_t nunits;
	union bh_unit *units;
	VEC(uint32_t) touched; // units to write
	bool bump; // gets a new generation at the end of the plan
	bool forked; // a copy for the endpoints that leave a matrix which stays
	VEC(struct pending_lane {
		uint32_t cls;
		uint32_t row;
	})
	pending;
	uint32_t shown_rows; // rows that the image holds
};

uint64_t matrix_key_hash(const struct matrix_key *key);
bool matrix_key_equal(const struct matrix_key *a, const struct matrix_key *b);

struct matrix *matrix_new(void);
void matrix_free(struct matrix *matrix);

// Builds the indexes from the key. ports: cut as the tables are going to show it.
void matrix_index(struct matrix *matrix, const struct portset *ports);

// What a port class is shown as in a matrix that was read.
struct col_claim {
	const struct cls *cls;
	uint32_t id;
};

// Tries to take over the image, id and generation of a matrix that was read from the kernel: succeeds
// when every peer class that has an id, and every claim, has the same cells there. The other matrix is
// then empty.
bool matrix_take_over(struct matrix *matrix, struct matrix *read, const struct col_claim *claims,
		      size_t nclaims, const struct classes *peers);

// The parts of it: rules by peer and port atom; one column of a restricted signature; what holds for every
// address, once the columns are known. Then cells[ncols] of a restricted signature of peers.
void matrix_index_lists(struct matrix *matrix);
void matrix_col_add(struct matrix *matrix, const atom_ids *sig, uint32_t col);
void matrix_index_base(struct matrix *matrix);
void matrix_compute(const struct matrix *matrix, const atom_ids *sig, struct bh_cell *cells);

// The column of a port signature, made when it is new.
uint32_t matrix_col(struct matrix *matrix, const struct cls *cls);

// The row of a peer signature, computed when it is new.
uint32_t matrix_row(struct matrix *matrix, const struct cls *cls);

// Adds a row if there is none of the same content; cells has ncols elements.
uint32_t matrix_row_add(struct matrix *matrix, const struct bh_cell *cells);
// What a Service without backends is: denied where NetworkPolicies isolate.
struct bh_cell matrix_cell_of_none(const struct matrix *matrix);

// The row that has this cell in every column.
uint32_t matrix_row_same(struct matrix *matrix, struct bh_cell cell);
// Adds a row under the next number, whatever there is.
void matrix_row_load(struct matrix *matrix, const struct bh_cell *cells);
struct bh_cell row_cell(const struct row *row, uint32_t col);

// How much a verdict lets pass: 0 (a ClusterNetworkPolicy denies) to 3 (allowed).
int cell_freedom(uint32_t word);

// A flow that row `from` passes, row `to` would not (or not always).
bool matrix_tightens(const struct matrix *matrix, uint32_t from, uint32_t to);

// ---- image.c: layout -------------------------------------------------------------------------------------

// Lays out the image with room for more rows and classes than there are. dense_cells: the most that a
// dense matrix may have; a large one with few exceptions is sparse all the same.
void matrix_layout(struct matrix *matrix, uint32_t classes, uint32_t port_classes,
		   uint32_t dense_cells);

// The exceptions in bh_cell that its rows come to when it is laid out; 0: it will be dense.
uint64_t matrix_cells(const struct matrix *matrix, uint32_t dense_cells);

// The cells that its rows come to when it is dense; 0: it will be sparse.
uint64_t matrix_dense(const struct matrix *matrix, uint32_t dense_cells);

// Up to so many cells a matrix that may be dense is, however few exceptions it has.
#define MATRIX_SMALL_CELLS 65536

// A copy of the rows and lanes that are shown, without a list, id or image.
struct matrix *matrix_fork(const struct matrix *matrix);

// True if the image has room for these.
bool matrix_fits(const struct matrix *matrix, uint32_t classes, uint32_t port_classes);

void matrix_set_row(struct matrix *matrix, uint32_t cls, uint32_t row);
void matrix_set_col(struct matrix *matrix, uint32_t cls, uint32_t col);
void matrix_set_gen(struct matrix *matrix, uint32_t gen);
uint32_t matrix_row_of(const struct matrix *matrix, uint32_t cls); // BH_ROW_NONE
uint32_t matrix_col_of(const struct matrix *matrix, uint32_t cls); // BH_ROW_NONE

// Writes the cells of rows that the image does not hold yet.
void matrix_show_rows(struct matrix *matrix);

// Reads rows and lanes back out of an image; cells: its own ones of bh_cell, by row and column.
// -EBADMSG: it is none.
int matrix_read(struct matrix *matrix, const union bh_unit *units, uint32_t nunits,
		const struct policy_tables_cell *cells, uint32_t ncells);
