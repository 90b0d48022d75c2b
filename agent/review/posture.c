// SPDX-License-Identifier: Apache-2.0
// posture.c - cohorts to workloads and namespaces, and what passes between them.
#include "agent/review/posture.h"

#include <string.h>

#include "agent/policy/must.h"
#include "agent/review/posture_private.h"

// ---- links ---------------------------------------------------------------------------------------

// The last link is to this place, or none is: places come in ascending order.
static void link_add(struct links *links, uint32_t to, const struct reach *reach)
{
	if (!reach->n)
		return;
	if (!links->n || links->v[links->n - 1].to != to)
		must_push(links, (struct link){ .to = to });
	reach_union(&links->v[links->n - 1].reach, reach);
}

// Both ascend.
static void links_union(struct links *links, const struct links *other)
{
	for (size_t i = 0; i < other->n; i++) {
		const struct link *link = &other->v[i];
		size_t at = 0;

		while (at < links->n && links->v[at].to < link->to)
			at++;
		if (at == links->n || links->v[at].to != link->to) {
			must_push(links, (struct link){ .to = link->to });
			memmove(links->v + at + 1, links->v + at, (links->n - 1 - at) * sizeof(*links->v));
			links->v[at] = (struct link){ .to = link->to };
		}
		reach_union(&links->v[at].reach, &link->reach);
	}
}

static void links_fini(struct links *links)
{
	vec_each(struct link, link, links)
		reach_fini(&link->reach);
	vec_fini(links);
}

static void view_fini(struct view *view)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		links_fini(&view->realms[dir]);
		links_fini(&view->blocks[dir]);
	}
}

static void view_union(struct view *view, const struct view *other)
{
	for (int dir = 0; dir < BH_DIR_MAX; dir++) {
		links_union(&view->realms[dir], &other->realms[dir]);
		links_union(&view->blocks[dir], &other->blocks[dir]);
	}
}

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

// ---- JSON ----------------------------------------------------------------------------------------

static void put(struct json_object *json, const char *field, struct json_object *value)
{
	json_object_object_add(json, field, value);
}

static void put_text(struct json_object *json, const char *field, const char *text)
{
	put(json, field, json_object_new_string(text));
}

static void put_number(struct json_object *json, const char *field, size_t n)
{
	put(json, field, json_object_new_int64((int64_t)n));
}

static void put_reach(struct json_object *json, const struct reach *reach)
{
	char text[512];

	put_text(json, "ports", reach_text(reach, text, sizeof(text)));
	put(json, "whole", json_object_new_boolean(reach_is_whole(reach)));
}

static struct json_object *links_json(const struct survey *survey, const struct links *links, bool blocks)
{
	struct json_object *list = json_object_new_array();
	const struct block *block;
	char text[64];

	exposure_blocks(survey->exposure, &block);
	vec_each(struct link, link, links) {
		struct json_object *json = json_object_new_object();

		if (blocks)
			put_text(json, "block", cidr_format(&block[link->to].cidr, text, sizeof(text)));
		else
			put_text(json, "name", survey_realm(survey, link->to)->name);
		put_reach(json, &link->reach);
		json_object_array_add(list, json);
	}
	return list;
}


static void add_name(void *arg, const struct netpol *netpol)
{
	struct json_object *list = arg;

	for (size_t i = 0; i < json_object_array_length(list); i++)
		if (!strcmp(json_object_get_string(json_object_array_get_idx(list, i)), netpol->object.name))
			return;
	json_object_array_add(list, json_object_new_string(netpol->object.name));
}

static struct json_object *direction_json(const struct survey *survey, const struct workload *workload,
					  enum bh_dir dir)
{
	struct json_object *json = json_object_new_object(), *policies = json_object_new_array();

	put(json, "isolated", json_object_new_boolean(workload->isolated[dir]));
	vec_each(const struct cohort *const, cohort, &workload->cohorts)
		exposure_isolating(survey->exposure, *cohort, dir, add_name, policies);
	put(json, "policies", policies);
	put(json, "namespaces", links_json(survey, &workload->view.realms[dir], false));
	put(json, "blocks", links_json(survey, &workload->view.blocks[dir], true));
	return json;
}

static struct json_object *workload_json(const struct survey *survey, const struct workload *workload)
{
	struct json_object *json = json_object_new_object();

	put_text(json, "kind", workload->kind);
	put_text(json, "name", workload->name);
	put_number(json, "pods", workload->npods);
	put(json, "ingress", direction_json(survey, workload, BH_INGRESS));
	put(json, "egress", direction_json(survey, workload, BH_EGRESS));
	return json;
}

static struct json_object *realm_json(const struct survey *survey, uint32_t realm, size_t *at)
{
	struct json_object *json = json_object_new_object(), *list = json_object_new_array();
	size_t pods = 0;

	for (; *at < survey->workloads.n && survey->workloads.v[*at].realm == realm; (*at)++) {
		pods += survey->workloads.v[*at].npods;
		json_object_array_add(list, workload_json(survey, &survey->workloads.v[*at]));
	}
	put_text(json, "name", survey_realm(survey, realm)->name);
	put(json, "ignored", json_object_new_boolean(survey_ignores(survey, realm)));
	put_number(json, "policies", survey_realm(survey, realm)->policies.n);
	put_number(json, "pods", pods);
	put(json, "workloads", list);
	return json;
}

// Namespaces that are known by their name alone are left out.
static void put_realms(struct json_object *json, const struct survey *survey)
{
	const struct crowd *crowd = exposure_crowd(survey->exposure);
	struct json_object *list = json_object_new_array();
	size_t at = 0;

	for (uint32_t i = 0; i < crowd->realms.n; i++) {
		const struct realm *realm = crowd->realms.v[i];

		if (realm->object || realm->groups.n || realm->policies.n)
			json_object_array_add(list, realm_json(survey, i, &at));
	}
	put(json, "namespaces", list);
}

static void put_outside(struct json_object *list, const struct survey *survey, uint32_t realm,
			const struct links *links, enum bh_dir dir)
{
	struct json_object *json = json_object_new_object();
	struct reach reach = { 0 };

	vec_each(struct link, link, links)
		reach_union(&reach, &link->reach);
	put_text(json, "namespace", survey_realm(survey, realm)->name);
	put_text(json, "direction", dir == BH_INGRESS ? "ingress" : "egress");
	put_reach(json, &reach);
	if (reach.n)
		json_object_array_add(list, json);
	else
		json_object_put(json);
	reach_fini(&reach);
}

static void put_flows(struct json_object *flows, const struct survey *survey, uint32_t to,
		      const struct links *from)
{
	vec_each(struct link, link, from) {
		struct json_object *json = json_object_new_object();

		put_text(json, "from", survey_realm(survey, link->to)->name);
		put_text(json, "to", survey_realm(survey, to)->name);
		put_reach(json, &link->reach);
		json_object_array_add(flows, json);
	}
}

// What the picture shows: between namespaces, and between them and the outside.
static void put_picture(struct json_object *json, const struct survey *survey)
{
	struct json_object *flows = json_object_new_array(), *outside = json_object_new_array();

	for (size_t at = 0; at < survey->workloads.n;) {
		uint32_t realm = survey->workloads.v[at].realm;
		struct view view = { 0 };

		for (; at < survey->workloads.n && survey->workloads.v[at].realm == realm; at++)
			view_union(&view, &survey->workloads.v[at].view);
		put_flows(flows, survey, realm, &view.realms[BH_INGRESS]);
		for (int dir = 0; dir < BH_DIR_MAX; dir++)
			put_outside(outside, survey, realm, &view.blocks[dir], (enum bh_dir)dir);
		view_fini(&view);
	}
	put(json, "flows", flows);
	put(json, "outside", outside);
}

static void add_problem(struct json_object *list, const char *kind, const char *ns, const char *name,
			const char *text)
{
	struct json_object *json = json_object_new_object();
	char title[640];

	snprintf(title, sizeof(title), "%s%s%s%s%s", kind, *kind ? " " : "", ns ? ns : "", ns ? "/" : "", name);
	put_text(json, "object", title);
	put_text(json, "text", text);
	json_object_array_add(list, json);
}

static void compiler_problem(void *arg, enum kind kind, const char *ns, const char *name, const char *text)
{
	add_problem(arg, object_kind(kind)->name, ns, name, text);
}

static void put_problems(struct json_object *json, const struct survey *survey)
{
	struct json_object *list = json_object_new_array();
	const struct review_problem *problems;
	size_t n = review_problems(survey->review, &problems);

	for (size_t i = 0; i < n; i++) {
		if (problems[i].twice)
			continue;
		add_problem(list, problems[i].kind ? problems[i].kind : "", problems[i].ns,
			    problems[i].name ? problems[i].name : problems[i].path, problems[i].text);
	}
	exposure_problems(survey->exposure, compiler_problem, list);
	put(json, "problems", list);
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

static struct json_object *survey_json(const struct survey *survey)
{
	const struct crowd *crowd = exposure_crowd(survey->exposure);
	struct json_object *json = json_object_new_object();
	size_t pods = 0, policies = crowd->policies.n;

	for (size_t i = 0; i < survey->ncohorts; i++)
		pods += survey->cohorts[i].npods;
	vec_each(struct realm *const, realm, &crowd->realms)
		policies += (*realm)->policies.n;
	put_number(json, "pods", pods);
	put_number(json, "cohorts", survey->ncohorts);
	put_number(json, "policies", policies);
	put(json, "controls", controls_json(survey));
	put_problems(json, survey);
	put_realms(json, survey);
	put_picture(json, survey);
	return json;
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
