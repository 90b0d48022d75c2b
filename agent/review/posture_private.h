// SPDX-License-Identifier: Apache-2.0
// posture_private.h - what the survey found, for the controls that judge it.
//
// World: host, one thread. Pure: yes. Owns: nothing beyond a survey.
#pragma once

#include "agent/review/exposure.h"

struct link {
	uint32_t to; // index of a namespace, or of a block
	struct reach reach;
};

struct links { // ascending
	size_t n, cap;
	struct link *v;
};

// What passes in and out.
struct view {
	struct links realms[BH_DIR_MAX]; // the own namespace, too
	struct links blocks[BH_DIR_MAX];
};

void link_add(struct links *links, uint32_t to, const struct reach *reach); // places come in ascending order
void view_union(struct view *view, const struct view *other);
void view_fini(struct view *view);

struct workload {
	uint32_t realm;
	const char *kind;
	char name[256];
	const struct pod *pod; // one of them
	uint32_t npods;
	bool isolated[BH_DIR_MAX]; // all of its pods
	VEC(const struct cohort *) cohorts;
	struct view view;
};

struct survey {
	struct review *review;
	struct exposure *exposure;
	size_t nignored;
	const char *const *ignored;
	size_t ncohorts;
	const struct cohort *cohorts;
	struct view *views; // of cohorts
	uint32_t *realm_of; // cohorts
	VEC(struct workload) workloads; // by namespace and name
};

const struct realm *survey_realm(const struct survey *survey, uint32_t realm);
bool survey_ignores(const struct survey *survey, uint32_t realm);

struct json_object *survey_json(const struct survey *survey); // posture_json.c
struct json_object *controls_json(const struct survey *survey); // controls.c
