// SPDX-License-Identifier: Apache-2.0
// scene.h - the product's way from objects to a verdict, without a daemon: store, compiler, plans, real tables,
// real programs, packets run through them.
//
// World: host, tests; root. Pure: no. Owns: all of that, pinned in a folder that scene_free() removes.
#pragma once

#include "agent/bpf/tables.h"
#include "agent/policy/policy.h"
#include "tests/diff/world.h"

// The first packet of a flow at one endpoint.
struct question {
	uint32_t slot; // of a local pod
	enum bh_dir dir;
	struct bh_addr remote;
	uint8_t proto;
	uint16_t port; // of the destination; protocols that have none: 0
	uint16_t other_port; // of the source; the id of an echo request
	bool from_host; // ingress: made by the host itself
};

struct scene;

// Tables with an endpoint for each local pod (mask: of those whose programs will be asked) and nothing
// in force but to allow.
int scene_new(const char *pin_dir, uint32_t mask, struct scene **ret, struct err *reterr);
void scene_free(struct scene *scene);
DEFINE_CLEANUP(struct scene *, scene_free)

// Takes over what changed in the world (all: everything), compiles and runs the plan.
int scene_apply(struct scene *scene, const struct world *world, bool all, struct err *reterr);

// As an agent that starts again: a new store and compiler, which adopt what the tables hold. sparse: all but
// the smallest matrices are kept as rows with exceptions.
int scene_restart(struct scene *scene, const struct world *world, bool sparse, struct err *reterr);

int scene_ask(struct scene *scene, const struct question *question, bool *retpass,
	      struct err *reterr);

// The same of the compiled matrices, with the rule that decided.
enum bh_reason scene_eval(const struct scene *scene, const struct question *question,
			  uint32_t *retrule);

const struct store *scene_store(const struct scene *scene);
const struct policy *scene_policy(const struct scene *scene);
struct tables *scene_tables(const struct scene *scene);

// Forgets connections and counters.
int scene_flush(struct scene *scene);
