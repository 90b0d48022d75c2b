// SPDX-License-Identifier: Apache-2.0
// room.h - what the files of this room share: the compiler's state.
//
// World: host, one thread. Pure: yes. Owns: see each struct.
#pragma once

#include "agent/policy/matrix.h"
#include "agent/policy/service.h"

// A rule of a policy, lowered: its atoms are known. A rule with named ports has several parts.
struct lowered {
	struct atom *peer; // NULL: every address
	struct port_atom *ports; // NULL: every protocol and port, or named
	const struct rule
		*named; // ingress: its ports are resolved per pod; the policy's object owns it
	struct ruleid *rule;
	enum action action;
};

// What a policy asks of the tables.
struct usage {
	uint32_t cidrs, port_classes;
};

enum refusal { REFUSAL_NONE, REFUSAL_ACCEPTS, REFUSAL_ALL };

// What only shows to be too much when everything is put together.
enum scarce { SCARCE_CLASSES, SCARCE_PEERS, SCARCE_CIDRS, SCARCE_PORT_CLASSES, SCARCE_CELLS, SCARCE_DENSE, SCARCE_MAX };

// When a policy was refused by an overflow. It is tried again when enough is gone since.
struct shortage {
	enum scarce scarce;
	bool noted; // used and pods are those of the tables without it
	uint64_t excess; // how much too much it was; 0: with others, or what goes: alone it may fit at once
	uint64_t used;
	size_t pods;
};

// A policy: the object as last told, and its rules while it selects an endpoint.
struct polent {
	const struct object *object; // reference; NULL: removed
	const struct object *source; // reference: what the rules were lowered from
	enum kind kind;
	const char *ns, *name; // interned
	uint32_t users; // endpoint directions that it selects
	bool dirty;
	bool lowered;
	enum refusal refusal;
	enum refusal forced; // refused at least so far since the tables overflowed, whatever its share
	struct shortage shortage; // why
	uint64_t retried_in; // the compile that tried it again last
	char *problem; // why it is refused
	struct usage usage; // counted while lowered
	VEC(struct lowered) rules[BH_DIR_MAX];
	VEC(const char *) names; // named ports of its egress rules (borrowed from source)
};

struct endpoint {
	uint32_t slot;
	bool gone; // removed: its slot falls back to deny-all
	bool dirty;
	struct podent *pod;
	front_list fronts; // hostPorts
	VEC(struct polent *) selecting[BH_DIR_MAX];
	struct matrix *next[BH_DIR_MAX]; // what it is to be judged by
	struct matrix *shown[BH_DIR_MAX]; // what the tables say; NULL: nothing written yet
	uint32_t policy[BH_DIR_MAX], gen[BH_DIR_MAX]; // the words in the tables
};

struct policy {
	const struct store *store;
	struct policy_limits limits;
	struct cluster cluster;
	struct portset ports;
	struct classes classes; // of peers
	struct ruleids ruleids;
	struct services services;
	const char *node; // the own Node's name, interned; NULL: not known

	struct hash polents;
	VEC(struct polent *) admin, baseline; // by priority, name
	VEC(struct polent *) dirty_polents;
	VEC(struct polent *) refused;
	VEC(struct polent *) idle; // may have lost their last endpoint
	VEC(struct polent *) named; // lowered, with port names
	struct hash ns_usage;
	struct usage usage;

	VEC(struct endpoint *) slots; // by slot
	VEC(struct endpoint *) dirty_endpoints;

	struct matrix fixed[2]; // by BH_POLICY_DENY, BH_POLICY_ALLOW
	struct hash by_key;
	VEC(struct matrix *) matrices; // but the fixed ones
	struct ids policy_ids;
	bool idless; // a matrix found no id
	uint32_t last_gen;
	VEC(uint32_t) held_gens; // ascending: connections may carry them, so they are not given
	bool halfway; // what was adopted is: all that is taken over gets a new generation
	bool forget; // connections may carry others, too: before one is given, they forget
	uint64_t compiles, lookups;
	bool adopting; // the first plan after policy_adopt()
	bool room_came; // a policy in force went or shrank: refused ones may fit
	struct polent *retried; // refused by an overflow, let in again by this compile
	bool retry_failed; // in vain: no further one in this compile
};

static inline bool matrix_fixed(const struct policy *policy, const struct matrix *matrix)
{
	return matrix == &policy->fixed[0] || matrix == &policy->fixed[1];
}

// ---- polent.c ---------------------------------------------------------------------------------------------
void polent_changed(struct policy *policy, const struct object *before, const struct object *after);
void polent_free(struct polent *polent);
uint64_t polent_hash(const struct polent *polent);
void polent_touch(struct policy *policy, struct polent *polent);
bool polent_selects(const struct polent *polent, const struct podent *pod, enum bh_dir dir);
void polent_lower(struct policy *policy, struct polent *polent); // makes its rules; nothing if made
void polent_forget(struct policy *policy, struct polent *polent); // drops its rules
bool polent_audit(const struct policy *policy, const struct polent *polent, const struct nsent *ns);

// ---- budget.c: shares --------------------------------------------------------------------------------------
// Counts what a policy asks for and says what of it may be lowered (sets polent->refusal, problem).
void budget_admit(struct policy *policy, struct polent *polent);
void budget_leave(struct policy *policy, struct polent *polent);
// Marks refused policies that fit since others left; true if there is one.
bool budget_retry(struct policy *policy);
void budget_fini(struct policy *policy);
// Refuses a policy for the whole's sake and marks it; false: nothing is left to refuse.
bool budget_force(struct policy *policy, struct polent *polent, enum scarce scarce, uint64_t excess);

// ---- overflow.c: the whole ------------------------------------------------------------------------------------
// Called once all locations and ports know what they should be. If the tables could not hold it, policies of
// the tenant who takes most are refused and marked: true, compile again.
bool overflow_check(struct policy *policy);
// A policy that an overflow refused and that may fit now is let in again and marked: true, compile again.
bool overflow_retry(struct policy *policy);
// The cells of all matrices, sparse or dense, are too many: the largest policies of the tenant who takes most are
// refused. needs[] by position in policy->matrices.
void overflow_cells(struct policy *policy, const uint64_t *needs, enum scarce scarce,
		    uint64_t excess);
// There is no room for this matrix: the largest policy of one of its endpoints is refused.
bool overflow_starve(struct policy *policy, const struct matrix *matrix, enum scarce scarce,
		     uint64_t excess);
uint64_t overflow_cells_used(const struct policy *policy);

// ---- compile.c ---------------------------------------------------------------------------------------------
void endpoint_touch(struct policy *policy, struct endpoint *endpoint);
void endpoint_compile(struct policy *policy, struct endpoint *endpoint);
void endpoint_free(struct policy *policy, struct endpoint *endpoint);
// Atoms of matrices that no endpoint is to use are given back.
void matrices_release(struct policy *policy);
void matrix_drop(struct policy *policy, struct matrix *matrix); // frees it and its rule ids

// ---- gen.c -------------------------------------------------------------------------------------------------
uint32_t gen_next(struct policy *policy);
// From here on only what is in force may be carried by connections, once they have forgotten the rest.
void gen_hold(struct policy *policy);
// Begins anew when one plan might not find enough generations.
void gen_renew(struct policy *policy);

// ---- fade.c ------------------------------------------------------------------------------------------------
// Takes atoms without rules out of all signatures; before cluster_atoms() forgets them.
void fade(struct policy *policy);

// ---- publish.c, shift.c, emit.c --------------------------------------------------------------------------------
// What every dirty location should be; may be called again after more became dirty.
void publish_want(struct policy *policy);
// False: nothing was added, as it would not fit; a policy was refused and marked, compile again.
bool publish(struct policy *policy, struct plan *plan);
// A matrix that found no id would find one now: publish again.
bool lanes_ids_came(const struct policy *policy);
