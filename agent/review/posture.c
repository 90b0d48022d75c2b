// SPDX-License-Identifier: Apache-2.0
// posture.c - cohorts to workloads, and what passes between them.
#include "agent/review/posture.h"

#include <string.h>

#include "agent/policy/must.h"
#include "agent/review/posture_private.h"

// ---- cohorts -------------------------------------------------------------------------------------

static void ask_pair(struct survey *survey, const struct cohort *from, const struct cohort *to)
{
	struct reach reach = { 0 };

	if (from == to && from->npods == 1)
		return;
	for (int family = 0; family < 2; family++)
		exposure_pair(survey->exposure, from, to, family, &reach);
	link_add(&survey->views[to->index].realms[BH_INGRESS], survey->realm_of[from->index], &reach);
	link_add(&survey->views[from->index].realms[BH_EGRESS], survey->realm_of[to->index], &reach);
	reach_fini(&reach);
}

static void ask_outside(struct survey *survey, const struct cohort *cohort)
{
	const struct block *blocks;
	size_t n = exposure_blocks(survey->exposure, &blocks);

	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		for (size_t i = 0; i < n; i++) {
			struct reach reach = { 0 };

			exposure_outside(survey->exposure, cohort, (enum bh_dir)dir, &blocks[i], &reach);
			link_add(&survey->views[cohort->index].blocks[dir], (uint32_t)i, &reach);
			reach_fini(&reach);
		}
	}
}

static uint32_t realm_index(const struct survey *survey, const struct realm *realm)
{
	const struct crowd *crowd = exposure_crowd(survey->exposure);
	size_t lo = 0, hi = crowd->realms.n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(crowd->realms.v[mid]->name, realm->name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}

// Cohorts are numbered by namespace, so links to namespaces come in ascending order.
static void ask_all(struct survey *survey)
{
	for (size_t i = 0; i < survey->ncohorts; i++)
		survey->realm_of[i] = realm_index(survey, survey->cohorts[i].realm);
	for (size_t i = 0; i < survey->ncohorts; i++) {
		for (size_t k = 0; k < survey->ncohorts; k++)
			ask_pair(survey, &survey->cohorts[k], &survey->cohorts[i]);
		ask_outside(survey, &survey->cohorts[i]);
	}
}

// ---- workloads -----------------------------------------------------------------------------------

static void add_cohort(struct survey *survey, struct workload *workload, const struct cohort *cohort)
{
	vec_each(const struct cohort *const, known, &workload->cohorts)
		if (*known == cohort)
			return;
	must_push(&workload->cohorts, cohort);
	view_union(&workload->view, &survey->views[cohort->index]);
	for (int dir = 0; dir < BH_DIR_MAX; dir++)
		workload->isolated[dir] &= cohort->isolated[dir];
}

static int add_pod(void *arg, const struct object *object)
{
	const struct pod *pod = (const struct pod *)object;
	struct survey *survey = arg;
	const struct cohort *cohort;

	if (pod->host_network || pod->finished)
		return 0;
	cohort = exposure_cohort(survey->exposure, pod);
	struct workload model = { .realm = survey->realm_of[cohort->index], .isolated = { true, true } };

	model.kind = review_workload(pod, model.name, sizeof(model.name));
	model.pod = pod;
	must_push(&survey->workloads, model);
	return 0;
}

static int compare_workloads(const void *a, const void *b)
{
	const struct workload *x = a, *y = b;
	int r;

	if (x->realm != y->realm)
		return x->realm < y->realm ? -1 : 1;
	r = strcmp(x->name, y->name);
	return r ? r : strcmp(x->kind, y->kind);
}

// One for each pod, sorted and folded into one for each workload.
static void find_workloads(struct survey *survey)
{
	size_t n = 0;

	store_each(review_store(survey->review), KIND_POD, NULL, add_pod, survey);
	vec_sort(&survey->workloads, compare_workloads);
	for (size_t i = 0; i < survey->workloads.n; i++) {
		struct workload *next = &survey->workloads.v[i];
		struct workload *last = n ? &survey->workloads.v[n - 1] : NULL;

		if (!last || compare_workloads(last, next)) {
			last = &survey->workloads.v[n++];
			*last = *next;
		}
		last->npods++;
		add_cohort(survey, last, exposure_cohort(survey->exposure, next->pod));
	}
	survey->workloads.n = n;
}

// ---- the survey ------------------------------------------------------------------------------------

const struct realm *survey_realm(const struct survey *survey, uint32_t realm)
{
	return exposure_crowd(survey->exposure)->realms.v[realm];
}

bool survey_ignores(const struct survey *survey, uint32_t realm)
{
	for (size_t i = 0; i < survey->nignored; i++)
		if (!strcmp(survey->ignored[i], survey_realm(survey, realm)->name))
			return true;
	return false;
}

static void survey_fini(struct survey *survey)
{
	for (size_t i = 0; i < survey->ncohorts; i++)
		view_fini(&survey->views[i]);
	vec_each(struct workload, workload, &survey->workloads) {
		view_fini(&workload->view);
		vec_fini(&workload->cohorts);
	}
	vec_fini(&survey->workloads);
	free(survey->views);
	free(survey->realm_of);
	exposure_free(survey->exposure);
}

struct json_object *posture(struct review *review, size_t nignored, const char *const *ignored)
{
	struct survey survey = { .review = review, .nignored = nignored, .ignored = ignored };
	struct json_object *json;

	survey.exposure = exposure_new(review);
	survey.ncohorts = exposure_cohorts(survey.exposure, &survey.cohorts);
	survey.views = must_new(survey.ncohorts * sizeof(*survey.views));
	survey.realm_of = must_new(survey.ncohorts * sizeof(*survey.realm_of));
	ask_all(&survey);
	find_workloads(&survey);
	json = survey_json(&survey);
	survey_fini(&survey);
	return json;
}

int posture_severity(struct json_object *json)
{
	struct json_object *controls = json_object_object_get(json, "controls");
	int worst = json_object_array_length(json_object_object_get(json, "problems")) ? SEVERITY_ERROR : -1;

	for (size_t i = 0; i < json_object_array_length(controls); i++) {
		struct json_object *control = json_object_array_get_idx(controls, i);
		const char *status = json_object_get_string(json_object_object_get(control, "status"));
		const char *text = json_object_get_string(json_object_object_get(control, "severity"));

		for (int severity = 0; severity < SEVERITY_MAX && !strcmp(status, "fail"); severity++)
			if (severity > worst && !strcmp(severity_name((enum severity)severity), text))
				worst = severity;
	}
	return worst;
}
