// SPDX-License-Identifier: Apache-2.0
// traffic.h - real traffic between two pods of one node, under one engine of policy or another.
//
//   namespace a (pod) eth0 === ha  host namespace  hb === eth0 (pod) namespace b
//
// World: host, benchmark; root; net_private() first. Owns: beds live as long as the process, and nothing
// outlives it. Every failure ends it with a sentence.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <netinet/in.h>

#include "tests/bench/measure.h"

#define TRAFFIC_ENGINES_MAX 16
#define TRAFFIC_LOADS_MAX 8
#define TRAFFIC_ROUNDS_MAX 2000

#define POD_A "10.1.0.2"
#define POD_B "10.2.0.2"
#define STRANGER "10.2.0.77" // pod b has it, too; no policy lets pod a reach it

__attribute__((noreturn)) void traffic_die(const char *what);

// ---- bed.c: three namespaces of one engine, and sockets in the pods' --------------------------------------------
enum bed_end { BED_A, BED_B, BED_ENDS };

struct engine;
struct bed {
	const struct engine *engine;
	int host, ns[BED_ENDS]; // namespaces
	int udp[BED_ENDS], tcp[BED_ENDS]; // connected to each other
	int listener; // at b, for connections
	struct sockaddr_in at; // where it listens
	int programs[2 * BED_ENDS]; // at the hooks of both devices; 0: none
	struct live *live; // the product's tables; NULL: another engine
};

// Makes the namespaces, has the engine put itself there, connects. False: the engine cannot be had here.
bool bed_make(struct bed *bed, const struct engine *engine);

// ---- engine.c: what stands between the pods ------------------------------------------------------------------------
// What others are measured by.
enum engine_role {
	ENGINE_ANY,
	ENGINE_NONE, // no policy
	ENGINE_EMPTY, // programs that return
	ENGINE_FLOOR, // the least that a stateful filter can do
	ENGINE_FLOOR_READS, // the same, but a known flow's entry is not written
	ENGINE_OURS, // of which something is aimed at
};

struct engine {
	const char *name;
	enum engine_role role;
	// Runs in the host's namespace, before there is any traffic.
	bool (*put)(struct bed *bed, const struct engine *engine);
	const char *file; // an object with a program for all four hooks
	int way; // enum bh_attach
	bool open; // the product's programs for pods that no policy selects
	bool denies; // what no rule allows; tried when the bed is made
	bool timed, only_timed; // in the programs' own time; in nothing else
};

// What the agent does from time to time: removes what is over.
void engine_tidy(const struct bed *bed);

// dir: of the object files. The first one is ENGINE_NONE.
const struct engine *engine_list(const char *dir, int *retn);

// engine_netfilter.c
bool engine_put_nft_sets(struct bed *bed, const struct engine *engine);
bool engine_put_nft_line(struct bed *bed, const struct engine *engine);
bool engine_put_iptables(struct bed *bed, const struct engine *engine);

// ---- load.c: what goes between the pods ----------------------------------------------------------------------------
struct load {
	const char *name, *unit; // thousands of what slices tell
	int partner_cpu; // of pod b's end; pod a's is CPU 0
	int batch; // operations between two readings of the clock
	double per; // units in one operation
	bool aimed; // at a ratio to no policy
	bool shared; // two CPUs carry one flow, each its direction
	bool bulk; // a run of a program is for one packet or for forty
	void (*op)(const struct bed *bed, bool last); // at pod a
	void (*serve)(const struct bed *bed); // at pod b, until the last one
};

const struct load *load_list(int *retn);
const struct load *load_find(const char *name);

// ns per unit: what a quarter of the batches of `ms` milliseconds, but of their first tenth, are below. Whoever else
// uses the machine only adds to a batch.
double load_slice(const struct load *load, const struct bed *bed, double ms);

// ---- own.c: the programs' own time ----------------------------------------------------------------------------------
void own_count(void); // from now on, on the whole machine
double own_slice(const struct load *load, const struct bed *bed, double ms); // ns per run

// ---- traffic.c, report.c -------------------------------------------------------------------------------------------
// Some beds under some loads, every one of them in every round.
struct trial {
	const struct bed *beds[TRAFFIC_ENGINES_MAX];
	const struct load *loads[TRAFFIC_LOADS_MAX];
	int nbeds, nloads, rounds;
	double ms;
	double (*slice)(const struct load *load, const struct bed *bed, double ms);
	double values[TRAFFIC_LOADS_MAX][TRAFFIC_ENGINES_MAX][TRAFFIC_ROUNDS_MAX];
};

// Both want the bed that the others are measured by; without it there is nothing to tell.
void report_ratios(struct trial *trial); // to no policy
void report_own(struct trial *trial); // over the empty programs, and to the floor
