// SPDX-License-Identifier: Apache-2.0
// posture_json.c - a survey as JSON: the shape that posture.h says.
#include <string.h>

#include "agent/policy/must.h"
#include "agent/review/posture.h"
#include "agent/review/posture_private.h"

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

static int compare_problems(const void *a, const void *b)
{
	struct json_object *const *x = a, *const *y = b;
	int r = strcmp(json_object_get_string(json_object_object_get(*x, "object")),
		       json_object_get_string(json_object_object_get(*y, "object")));

	return r ? r : strcmp(json_object_get_string(json_object_object_get(*x, "text")),
			      json_object_get_string(json_object_object_get(*y, "text")));
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
	json_object_array_sort(list, compare_problems);
	put(json, "problems", list);
}

struct json_object *survey_json(const struct survey *survey)
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
