// SPDX-License-Identifier: Apache-2.0
// soak.h - a long run: what it is made of, and how its results are told.
//
// World: host, tests; in a sandbox. Pure: no. Owns: all of it.
#pragma once

#include "tests/soak/census.h"
#include "tests/soak/compare.h"
#include "tests/soak/forbidden.h"
#include "tests/soak/held.h"
#include "tests/soak/keeper.h"
#include "tests/soak/kernel_ids.h"

struct flags {
	uint64_t seconds, seed, cycles, every;
	const char *bulkheadd, *traffic, *agent_options;
	bool verbose, api;
};

struct soak {
	struct flags flags;
	struct rng rng; // of questions and restarts; the cast has one of its own
	struct cast cast;
	struct stage stage;
	struct keeper keeper;
	struct api api;
	struct forbidden forbidden;
	struct kernel_ids seen;
	int64_t start_ms;
	uint64_t rounds, checks, compared, questions, probes, stops, kills, cycles, pods, links, passed, failed;
	bool calm; // what was shown last is in force
	int64_t told_ms;
};

// One result; a failure is told with its seed and round, the first one with the objects in force.
void soak_result(struct soak *soak, const char *what, bool good, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
int64_t soak_ms(const struct soak *soak); // since the start
void soak_progress(struct soak *soak, bool now);

// round.c. Everything returns -errno with a sentence only when the run cannot go on.
int round_show(struct soak *soak, struct err *reterr);
int round_sync(struct soak *soak, struct err *reterr);
int round_check(struct soak *soak, struct err *reterr);
int round_run(struct soak *soak, bool may_restart, struct err *reterr);

// packets.c: real packets, as the fresh compile judges them.
int packets_check(struct soak *soak, const struct state *force, const struct fresh *fresh,
		  struct err *reterr);
// What the keepers may always and may never. Also while no agent runs.
int packets_keepers(struct soak *soak, struct err *reterr);
