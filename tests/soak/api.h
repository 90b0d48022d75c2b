// SPDX-License-Identifier: Apache-2.0
// api.h - states by way of an API server that fails in every way it can.
//
// World: host, tests; in a sandbox. Pure: no. Owns: the stand-in server and what it was told.
#pragma once

#include "agent/base/vec.h"
#include "agent/sim/cases.h"
#include "tests/diff/rng.h"
#include "tests/harness/standin.h"

struct api_object {
	enum kind kind;
	char *ns, *name, *text;
	bool wanted; // the state that is being shown has it
};

#define API_TROUBLES 23 // kinds

struct api {
	struct standin standin;
	struct rng rng; // of troubles
	VEC(struct api_object) objects;
	uint64_t troubles, markers, ran[API_TROUBLES];
	unsigned int deck[API_TROUBLES], undealt; // which come before any comes again
	char marker[64];
};

// In this network namespace.
int api_open(struct api *api, int netns, uint64_t seed, struct err *reterr);
void api_close(struct api *api);

// Tells the server of each difference, with trouble before some.
void api_show(struct api *api, const struct sim_case *c, const char *default_node);
// Something breaks now, or with requests to come.
void api_trouble(struct api *api);
// One kind that was not made yet, or NULL.
const char *api_never_ran(const struct api *api);
// All troubles end. Returns when each kind's watch was sent everything, and last of all a Namespace of this name.
const char *api_calm(struct api *api);
// When it is calm: of each kind one more object. Returns when each was sent.
void api_ghosts(struct api *api);
// They go while nobody can see it; every kind is listed anew, late. Returns when each is watched again.
void api_list_again(struct api *api);
