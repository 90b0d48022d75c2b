// SPDX-License-Identifier: Apache-2.0
// plan.h - an ordered list of table writes that takes the kernel from one compiled state to the next.
//
// World: host. Pure: yes. Owns: a plan its steps and the matrices they carry. Made by policy_compile() on
// the loop's thread, run by bpf/apply on the helper thread, run by tests against tables in memory.
//
// THE PUBLISHING ORDER. A reader takes endpoint -> matrix -> head -> classes -> cell, in this order, and
// may stall anywhere. Every (endpoint, direction, address, port) must be judged wholly by the old or
// wholly by the new policy, and each endpoint's switch is one store. So:
//   a. Every live matrix gets rows and columns for fresh classes: an old matrix that this plan replaces
//      gets the row of the class that the address comes from, a matrix that stays gets the row the
//      address goes to.
//   b. Addresses, prefixes and ports move to their new classes one by one: under a replaced matrix no
//      verdict changes; under one that stays only what truly changed (a relabel) changes. An address
//      whose old row and new row could not be served by one class id gets a fragment: an id of its own
//      for this (old class, new class) pair.
//   c. New matrices are installed under policy ids that no endpoint uses.
//   -  One RCU grace period: that which STEP_MATRIX_NEW ends with, else a STEP_WAIT.
//   d. Endpoints flip: one 64-bit store of policy[], then one of gen[]. Where a move changed a verdict
//      under a matrix that stays, its head and then its endpoints get a new generation.
//   -  STEP_WAIT.
//   e. What nobody can see any more goes: replaced matrices, prefixes equal to their parent, exact
//      addresses equal to what bh_cidr answers, fragments (merged by moves between equal rows). Ids are
//      free for reuse only after one more STEP_WAIT.
// A connection is a hit when it carries its endpoint's generation, so a generation is given once only. The
// counter's end, and a restart (which tells the generations in force, not those given before), are mended by
// a STEP_WAIT and a STEP_FORGET in front of the first plan that gives one: from then on connections carry
// only what is in force, which gen_next() leaves out until the next time. Nobody notices: such a connection
// is judged at its next packet with or without.
//
// Services. A key in bh_service (address, port, protocol) is a location as an address is, read at the same place of
// the order: after endpoint, matrix and head, and in the place of the address's and the port's class. Its class's row is
// one cell for every column, computed from the rows of its backends. So a key moves as an address does (a: the
// fresh class has its row, from the old class under a matrix that is replaced; b: one store of the word that holds class
// and BH_SERVICE_EMPTY; d: a new generation where the row lets less pass than it did; e: fragments are
// merged), and a reader that stalls has either class, each with a row under the matrix that it holds. What differs:
//   - A key that comes or goes changes what its address is judged as, which no row of a replaced matrix says. So while
//     endpoints leave a matrix it waits: the plan has a second round for it, after the first one's last STEP_WAIT, when
//     nobody is left there. To a reader that is the policy's change and then the Service's. What the address was or will be
//     judged as is not compared: matrices get a new generation unless the row that comes allows or that goes denies.
//   - A STEP_RESOLVE comes before any key moves and any endpoint flips, for each key that loses a backend and
//     each that gets less free for a pod: its flows learn their real backend first, so that the generation
//     cuts those whose own backend is forbidden and no other.
//   - bh_self is asked after a row has denied. What it lets pass less goes before the keys move, with a new
//     generation; what it lets pass more comes after them.
//
// A plan without d (a pod event under matrices that stay) waits for nothing before it is in force.
//
// Three cases beside the order:
//   - A matrix without room for the fresh ids first gets, before a, a larger image of the same content under the
//     same id and generation: STEP_MATRIX_NEW, STEP_WAIT. Nothing has moved yet, so a reader of either is right.
//   - An endpoint that is to leave a matrix which stays for others, while an address moves that this
//     matrix judges, first moves to a copy of it under another id: STEP_MATRIX_NEW, STEP_ENDPOINT of its
//     users, STEP_WAIT. It must not see the old policy with the new address. The copy is one of the replaced.
//   - A plan in which an endpoint leaves a matrix ends with a STEP_WAIT even if nothing is to go: its
//     readers must be gone before the next plan changes what the matrix says.
// A STEP_ENDPOINT may therefore come twice for one slot; the last one is the new policy.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/abi.h>
#include <bulkhead/addr.h>
#include <bulkhead/policy.h>
#include <bulkhead/service.h>

#include "agent/base/cleanup.h"

enum step_kind {
	STEP_WAIT, // grace period for every program that runs now
	STEP_MATRIX_NEW, // install units[] as matrix `policy`, or in the place of its smaller image; a run of them ends with a grace period
	STEP_MATRIX_UNIT, // replace the unit at `index` of matrix `policy` (one lane or the head changes)
	STEP_MATRIX_FREE, // empty slot `policy`
	STEP_CELL_SET, // bh_cell[cell_key] = cell
	STEP_CELL_DEL,
	STEP_PEER_SET, // bh_peer[addr] = cls
	STEP_PEER_DEL,
	STEP_CIDR_SET, // bh_cidr[cidr] = cls
	STEP_CIDR_DEL,
	STEP_PORT_SET, // bh_port[lo..hi].cls[proto] = cls
	STEP_ENDPOINT, // bh_endpoint[slot].policy = policies, then .gen = gens
	STEP_SERVICE_SET, // bh_service[key] = word
	STEP_SERVICE_DEL,
	STEP_SELF_SET, // bh_self[{slot, key}] = how
	STEP_SELF_DEL,
	STEP_RESOLVE, // this node's flows to the key get their real backend in bh_backend
	STEP_FORGET, // connections not judged under their endpoint's generation lose the one they have
	STEP_MAX,
};

struct step {
	enum step_kind kind;
	union {
		struct {
			uint32_t policy;
			uint32_t index; // STEP_MATRIX_UNIT
			uint32_t nunits; // STEP_MATRIX_NEW
			union bh_unit *units; // STEP_MATRIX_NEW: owned by the plan
			union bh_unit unit; // STEP_MATRIX_UNIT
		} matrix;
		struct {
			struct bh_cell_key key;
			struct bh_cell cell;
		} cell;
		struct {
			struct bh_cidr cidr; // STEP_PEER_*: prefixlen 128
			uint32_t cls;
		} peer;
		struct {
			uint16_t lo, hi, cls;
			uint8_t proto; // enum bh_port_proto
		} port;
		struct {
			uint32_t slot;
			uint32_t policy[BH_DIR_MAX];
			uint32_t gen[BH_DIR_MAX];
		} endpoint;
		struct {
			struct bh_service_key key;
			uint32_t word; // STEP_SERVICE_SET: class id, BH_SERVICE_EMPTY
			uint32_t slot, how; // STEP_SELF_*; enum bh_self_how
		} service;
	};
};

struct plan {
	uint64_t generation; // store_generation() that this plan brings into force
	uint32_t nsteps;
	uint32_t capacity;
	struct step *steps;
	bool mixed; // after it some Service is mixed for a pod: the netfilter program is needed before it runs
	// A Service's class changes under a policy: for a while packets may still be translated as before, or not at
	// all. The netfilter program, where it can be had, is there before and for its grace.
	bool unsettled;
};

// Appends a step; what it carries is the plan's.
void plan_add(struct plan *plan, struct step step);

void plan_free(struct plan *plan);
DEFINE_CLEANUP(struct plan *, plan_free)

const char *step_kind_name(enum step_kind kind);

// Raw content of the tables, as bpf/tables reads it from the kernel and policy_adopt() takes it.
struct policy_tables {
	bool halfway; // a plan on the way to them never ended: an address may judge otherwise, and no generation says so
	uint32_t npeers;
	struct policy_tables_peer {
		struct bh_cidr cidr;
		uint32_t cls;
	} *peers; // exact addresses (prefixlen 128) of bh_peer
	uint32_t ncidrs;
	struct policy_tables_peer *cidrs;
	struct bh_port *ports; // 65536 elements
	uint32_t nmatrices;
	struct policy_tables_matrix {
		uint32_t policy, nunits;
		union bh_unit *units;
	} *matrices;
	uint32_t ncells;
	struct policy_tables_cell {
		struct bh_cell_key key;
		struct bh_cell cell;
	} *cells;
	uint32_t nservices;
	struct policy_tables_service {
		struct bh_service_key key;
		uint32_t word;
	} *services;
	uint32_t nselves;
	struct policy_tables_self {
		struct bh_self_key key;
		uint32_t how;
	} *selves;
	uint32_t nendpoints;
	struct policy_tables_endpoint {
		uint32_t slot, policy[BH_DIR_MAX], gen[BH_DIR_MAX];
	} *endpoints;
};

void policy_tables_fini(struct policy_tables *tables); // frees the arrays, all malloc'd (ports too)
