// SPDX-License-Identifier: Apache-2.0
// sim.h - ask a set of manifests what would happen, with no cluster and no kernel.
//
// World: host, one thread. Pure: reads files, nothing else. Owns: a store and a compiled policy in which
// every pod of the manifests is an endpoint. The same compiler and the same matrix reading as the agent.
#pragma once

#include <json-c/json.h>

#include "agent/base/err.h"
#include "agent/policy/policy.h"
#include "agent/source/source.h"

struct sim;

int sim_new(struct sim **ret);
void sim_free(struct sim *sim);
DEFINE_CLEANUP(struct sim *, sim_free)

// Adds files or directories of manifests; problems of objects are kept for sim_problem_each().
int sim_load(struct sim *sim, const char *path, struct err *reterr);
// Adds or replaces one object, removes one; takes a reference. The next question compiles.
int sim_put(struct sim *sim, struct object *object);
int sim_remove(struct sim *sim, enum kind kind, const char *ns, const char *name);
const struct store *sim_store(const struct sim *sim);

// One end of a question.
struct sim_end {
	const char *ns, *name; // a pod; NULL: only the address counts
	const char *node; // "node:NAME": the node's own traffic; own-node exemption for pods on it
	struct bh_addr addr; // all 0 for a pod: its address of the family asked for
};
// "NS/POD", "ADDRESS", "ip:ADDRESS" or "node:NAME".
int sim_end_parse(const struct sim *sim, const char *text, struct sim_end *ret, struct err *reterr);

struct sim_side { // egress of the source, ingress of the destination
	bool judged; // false: no pod at this end, nothing to judge
	enum bh_reason reason;
	struct bh_judgement judgement;
};
struct sim_answer {
	bool allow;
	struct sim_side side[BH_DIR_MAX];
};
// family: 4, 6 or 0 (the first both ends have).
int sim_ask(struct sim *sim, const struct sim_end *from, const struct sim_end *to, uint8_t proto,
	    uint16_t port, int family, struct sim_answer *ret, struct err *reterr);

// {"verdict","egress":{"verdict","policy","rule","reason",...},"ingress":{...}}: see docs/json.md.
struct json_object *sim_answer_json(struct sim *sim, const struct sim_answer *answer);
const struct policy *sim_policy(struct sim *sim); // compiled up to now
