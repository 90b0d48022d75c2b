// SPDX-License-Identifier: Apache-2.0
// exposure_private.h - cohorts with what they are found by and asked with.
//
// World: host, one thread. Pure: yes. Owns: nothing beyond an exposure.
//
//   policies ──► keys and blocks that they mention ──► cohorts of pods (cohort.c) ──► cuts of their ports (cut.c) ──► asked (exposure.c)
#pragma once

#include "agent/review/exposure.h"

typedef VEC(uint32_t) cut_list; // proto << 16 | first port, ascending

struct member { // what a cohort is found by
	struct cohort cohort;
	uint64_t hash;
	const struct pod *lone; // a pod that shares an address with another: a cohort of its own
	const struct block *in[2];
	cut_list cuts[BH_DIR_MAX];
	VEC(struct reach *) rows[BH_DIR_MAX]; // what passes by each row of its matrix; NULL: not asked yet
};

// A compiled policy in which some cohorts are endpoints, and under which classes it knows the addresses of all.
struct judge {
	struct policy *policy;
	uint32_t (*classes)[2];
};

struct exposure {
	struct review *review;
	struct crowd crowd;
	VEC(struct judge) judges; // each with as many cohorts as a node has endpoints, in the order of their numbers
	struct hash keys; // labels' keys that selectors of pods mention: interned strings
	struct hash by_content;
	struct blocks blocks;
	VEC(struct member *) members;
	VEC(struct cohort) cohorts; // the same, for those who ask
	VEC(const struct cohort *) cohort_of; // of pods, by their index in `pods`
	VEC(const struct pod *) pods; // by namespace and name
};

// cohort.c
void cohorts_find(struct exposure *exposure); // reads pods and policies; gives addresses where there are none
void cohorts_fini(struct exposure *exposure);

// cut.c
void cuts_find(const struct exposure *exposure, struct member *member); // and what isolates it
