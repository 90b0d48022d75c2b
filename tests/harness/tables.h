// SPDX-License-Identifier: Apache-2.0
// tables.h - the tables of the datapath in memory: they run plans, and readers may stall between any two loads.
//
// World: host, tests. Pure: yes. Owns: what plans put in. Fails the test when a plan breaks a rule: a
// step on a matrix that is not there, a read of one that is freed after a grace period.
#pragma once

#include <bulkhead/policy.h>

#include "agent/base/hash.h"
#include "agent/base/vec.h"
#include "agent/policy/plan.h"

#define MEMTABLES_SLOTS 64

struct memmatrix {
	uint32_t policy, nunits;
	union bh_unit *units;
};

struct mempeer {
	struct bh_cidr cidr;
	uint32_t cls;
};

struct memservice {
	struct bh_service_key key;
	uint32_t word;
};

struct memself {
	struct bh_self_key key;
	uint32_t how;
};

struct memcell {
	struct bh_cell_key key;
	struct bh_cell cell;
};

struct memtables {
	struct hash peers; // struct mempeer
	VEC(struct mempeer) cidrs;
	struct bh_port *ports;
	VEC(struct memmatrix *) matrices; // by policy id
	VEC(struct memmatrix *) dying; // freed, readers may still hold them
	struct hash cells; // struct memcell
	struct hash services; // struct memservice
	struct hash selves; // struct memself
	bool (*is_host)(const struct bh_addr *addr); // bh_host; NULL: none is
	struct {
		uint32_t policy[BH_DIR_MAX], gen[BH_DIR_MAX];
	} endpoints[MEMTABLES_SLOTS];
	uint64_t waits, steps;
};

struct memtables *memtables_new(void);
void memtables_free(struct memtables *tables);
DEFINE_CLEANUP(struct memtables *, memtables_free)

// A STEP_WAIT ends the life of what was freed before it: readers must be finished first.
void memtables_step(struct memtables *tables, const struct step *step);
void memtables_run(struct memtables *tables, const struct plan *plan);

// Raw content, as tables_dump() would read it. The caller: policy_tables_fini().
void memtables_dump(const struct memtables *tables, struct policy_tables *ret);

// What a program reads now for a new flow, with the shared reading macro. Without bh_self and the own node.
enum bh_reason memtables_ask(const struct memtables *tables, uint32_t slot, enum bh_dir dir,
			     const struct bh_addr *remote, uint8_t proto, uint16_t port,
			     struct bh_judgement *ret);

// The same in single loads.
enum memread_stage {
	MEMREAD_ENDPOINT,
	MEMREAD_MATRIX,
	MEMREAD_HEAD,
	MEMREAD_SERVICE,
	MEMREAD_PEER,
	MEMREAD_CIDR,
	MEMREAD_PORT,
	MEMREAD_ROW,
	MEMREAD_COLUMN,
	MEMREAD_EXCEPTION,
	MEMREAD_CELL,
	MEMREAD_DONE,
};

struct memread {
	uint32_t slot;
	enum bh_dir dir;
	struct bh_addr remote;
	uint8_t proto;
	uint16_t port;
	enum memread_stage stage;
	uint32_t policy;
	const struct memmatrix *matrix;
	struct bh_matrix_head head;
	uint32_t cls, pcls, row, col;
	enum bh_reason reason; // when done
	struct bh_judgement judgement;
};

// One load. False: it was done before.
bool memread_step(const struct memtables *tables, struct memread *read);
