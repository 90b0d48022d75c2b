// SPDX-License-Identifier: Apache-2.0
// room.h - what the files of this room share: the compiler's state.
//
// World: host, one thread. Pure: yes. Owns: see each struct.
#pragma once

#include "agent/policy/matrix.h"

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
	bool forced; // refused since the tables overflowed, whatever its share
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

	struct hash polents;
	VEC(struct polent *) admin, baseline; // by priority, name
	VEC(struct polent *) dirty_polents;
	VEC(struct polent *) refused;
	struct hash ns_usage;
	struct usage usage;

	VEC(struct endpoint *) slots; // by slot
	VEC(struct endpoint *) dirty_endpoints;

	struct matrix fixed[2]; // by BH_POLICY_DENY, BH_POLICY_ALLOW
	struct hash by_key;
	VEC(struct matrix *) matrices; // but the fixed ones
	struct ids policy_ids;
	uint32_t last_gen;
	VEC(uint32_t) held_gens; // ascending: connections may carry them, so they are not given
	bool forget; // connections may carry others, too: before one is given, they forget
	uint64_t compiles;
	bool adopting; // the first plan after policy_adopt()
	bool reselected; // policies may have lost their last endpoint
	bool starved; // a matrix did not fit: compile again
	bool room_came; // a policy in force went or shrank: refused ones may fit
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
bool polent_audit(const struct polent *polent, const struct nsent *ns);

// ---- budget.c: shares --------------------------------------------------------------------------------------
// Counts what a policy asks for and says what of it may be lowered (sets polent->refusal, problem).
void budget_admit(struct policy *policy, struct polent *polent);
void budget_leave(struct policy *policy, struct polent *polent);
// Marks refused policies that fit since others left; true if there is one.
bool budget_retry(struct policy *policy);
// Called once all locations know what they should be. If the tables could not hold it, the largest policy is
// refused and marked: true, compile again.
bool budget_overflow(struct policy *policy);
// A matrix of this endpoint needs more of bh_cell than there is: its largest policy is refused.
void budget_starve(struct policy *policy, const struct endpoint *endpoint, enum bh_dir dir);
void budget_fini(struct policy *policy);

// ---- compile.c ---------------------------------------------------------------------------------------------
void endpoint_touch(struct policy *policy, struct endpoint *endpoint);
void endpoint_compile(struct policy *policy, struct endpoint *endpoint);
void endpoint_free(struct endpoint *endpoint);
// Atoms of matrices that no endpoint is to use are given back.
void matrices_release(struct policy *policy);
void matrix_drop(struct policy *policy, struct matrix *matrix); // frees it and its rule ids

// ---- gen.c -------------------------------------------------------------------------------------------------
uint32_t gen_next(struct policy *policy);
// From here on only what is in force may be carried by connections, once they have forgotten the rest.
void gen_hold(struct policy *policy);
// Begins anew when one plan might not find enough generations.
void gen_renew(struct policy *policy);

// ---- publish.c, shift.c, emit.c --------------------------------------------------------------------------------
// What every dirty location should be; may be called again after more became dirty.
void publish_want(struct policy *policy);
void publish(struct policy *policy, struct plan *plan);
