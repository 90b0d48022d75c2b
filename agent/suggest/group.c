// SPDX-License-Identifier: Apache-2.0
// group.c - selectors for workloads: the labels that their pods share, and what keeps other pods out.
#include "agent/suggest/suggest_private.h"

#include <string.h>

void group_free(struct group *group)
{
	vec_fini(&group->pods);
	vec_fini(&group->common);
	vec_fini(&group->exclusions);
	vec_each(char *, workload, &group->workloads)
		free(*workload);
	vec_fini(&group->workloads);
	free(group->policy);
	free(group);
}

// ---- labels --------------------------------------------------------------------------------------------------------

static const char *label_of(const struct pod_seen *pod, const char *key)
{
	for (uint32_t i = 0; i < pod->card->nlabels; i++) {
		if (!strcmp(pod->card->labels[i].key, key))
			return pod->card->labels[i].value;
	}
	return NULL;
}

static bool has_label(const struct pod_seen *pod, const struct label *label)
{
	const char *value = label_of(pod, label->key);

	return value && !strcmp(value, label->value);
}

static bool excludes(const struct exclusion *exclusion, const struct pod_seen *pod)
{
	const char *value = label_of(pod, exclusion->key);

	return value && (!exclusion->value || !strcmp(value, exclusion->value));
}

static bool selects(const struct group *group, const struct pod_seen *pod)
{
	if (strcmp(group->ns, pod->card->ns))
		return false;
	vec_each(const struct label, label, &group->common) {
		if (!has_label(pod, label))
			return false;
	}
	vec_each(const struct exclusion, exclusion, &group->exclusions) {
		if (excludes(exclusion, pod))
			return false;
	}
	return true;
}

static bool any_excluded(const struct group *group, const struct exclusion *exclusion)
{
	vec_each(struct pod_seen *, pod, &group->pods) {
		if (excludes(exclusion, *pod))
			return true;
	}
	return false;
}

// ---- selectors -----------------------------------------------------------------------------------------------------

static int find_common(struct group *group)
{
	const struct pod_seen *first = group->pods.v[0];

	vec_clear(&group->common);
	for (uint32_t i = 0; i < first->card->nlabels; i++) {
		const struct label *label = &first->card->labels[i];
		bool all = true;

		vec_each(struct pod_seen *, pod, &group->pods)
			all &= has_label(*pod, label);
		if (all && vec_push(&group->common, *label) < 0)
			return -ENOMEM;
	}
	return 0;
}

// 1: the group's selector leaves the pod out now; 0: no expression can.
static int exclude(struct group *group, const struct pod_seen *pod)
{
	for (int by_value = 0; by_value < 2; by_value++) {
		for (uint32_t i = 0; i < pod->card->nlabels; i++) {
			const struct label *label = &pod->card->labels[i];
			struct exclusion exclusion = { label->key, by_value ? label->value : NULL };

			if (!any_excluded(group, &exclusion))
				return vec_push(&group->exclusions, exclusion) < 0 ? -ENOMEM : 1;
		}
	}
	return 0;
}

static int compare_exclusions(const void *a, const void *b)
{
	const struct exclusion *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order ? order : compare_text(x->value, y->value);
}

// *retother: a group that has a pod which nothing can tell from ours.
static int find_selector(const struct suggest *suggest, struct group *group, struct group **retother)
{
	int r = find_common(group);

	vec_clear(&group->exclusions);
	for (size_t i = 0; r >= 0 && i < suggest->pods.n; i++) {
		const struct pod_seen *pod = suggest->pods.v[i];

		if (pod->group == group || !selects(group, pod))
			continue;
		r = exclude(group, pod);
		if (r == 0) {
			*retother = pod->group;
			return 0;
		}
	}
	vec_sort(&group->exclusions, compare_exclusions);
	return r < 0 ? r : 0;
}

// ---- groups --------------------------------------------------------------------------------------------------------

static const char *workload_kind(const struct flow_card *card)
{
	return card->workload_name ? card->workload_kind : "Pod";
}

static const char *workload_name(const struct flow_card *card)
{
	return card->workload_name ? card->workload_name : card->name;
}

static int compare_workloads(const struct flow_card *a, const struct flow_card *b)
{
	int order = compare_text(a->ns, b->ns);

	if (!order)
		order = compare_text(workload_kind(a), workload_kind(b));
	return order ? order : compare_text(workload_name(a), workload_name(b));
}

static int by_workload(const void *a, const void *b)
{
	const struct pod_seen *x = *(struct pod_seen *const *)a, *y = *(struct pod_seen *const *)b;
	int order = compare_workloads(x->card, y->card);

	return order ? order : compare_pods(x, y);
}

static struct group *new_group(struct suggest *suggest, const struct flow_card *card)
{
	struct group *group = calloc(1, sizeof(*group));
	char *title = NULL;

	if (!group || vec_push(&suggest->groups, group) < 0) {
		free(group);
		return NULL;
	}
	if (asprintf(&title, "%s/%s", workload_kind(card) ?: "workload", workload_name(card)) < 0 ||
	    vec_push(&group->workloads, title) < 0)
		return NULL;
	group->place = suggest->groups.n - 1;
	group->ns = card->ns;
	group->kind = workload_kind(card);
	group->name = workload_name(card);
	return group;
}

// Pods of one workload stand together once they are sorted.
static int group_pods(struct suggest *suggest)
{
	struct group *group = NULL;

	vec_sort(&suggest->pods, by_workload);
	vec_each(struct pod_seen *, at, &suggest->pods) {
		struct pod_seen *pod = *at;

		if (!group || compare_workloads(group->pods.v[0]->card, pod->card))
			group = new_group(suggest, pod->card);
		if (!group || vec_push(&group->pods, pod) < 0)
			return -ENOMEM;
		pod->group = group;
		group->told |= pod->told;
	}
	return 0;
}

static int merge(struct group *into, struct group *from)
{
	if (vec_reserve(&into->pods, from->pods.n) < 0 || vec_reserve(&into->workloads, from->workloads.n) < 0)
		return -ENOMEM;
	vec_each(char *, workload, &from->workloads)
		vec_push(&into->workloads, *workload);
	vec_clear(&from->workloads);
	vec_each(struct pod_seen *, pod, &from->pods) {
		(*pod)->group = into;
		vec_push(&into->pods, *pod);
	}
	into->told |= from->told;
	from->into = into;
	vec_clear(&from->pods);
	return 0;
}

// Each merge may change what other groups must keep out: until none is left.
static int settle(struct suggest *suggest, bool *retmerged)
{
	*retmerged = false;
	vec_each(struct group *, at, &suggest->groups) {
		struct group *group = *at, *other = NULL;
		int r = group->into ? 0 : find_selector(suggest, group, &other);

		if (r == 0 && other) {
			*retmerged = true;
			r = group->place < other->place ? merge(group, other) : merge(other, group);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int suggest_groups(struct suggest *suggest)
{
	bool merged = true;
	int r = group_pods(suggest);

	while (r == 0 && merged)
		r = settle(suggest, &merged);
	return r;
}

// ---- as JSON -------------------------------------------------------------------------------------------------------

// Expressions of one key stand together: they are sorted.
static struct json_object *expressions(const struct group *group)
{
	struct json_object *list = json_object_new_array(), *values = NULL;

	for (size_t i = 0; i < group->exclusions.n; i++) {
		const struct exclusion *exclusion = &group->exclusions.v[i];
		bool same = values && i && !strcmp(exclusion[-1].key, exclusion->key);
		struct json_object *json;

		if (!exclusion->value || !same) {
			json = json_object_new_object();
			put_text(json, "key", exclusion->key);
			put_text(json, "operator", exclusion->value ? "NotIn" : "DoesNotExist");
			values = exclusion->value ? json_object_new_array() : NULL;
			if (values)
				put(json, "values", values);
			json_object_array_add(list, json);
		}
		if (exclusion->value)
			json_object_array_add(values, json_object_new_string(exclusion->value));
	}
	return list;
}

bool group_selects_all(const struct group *group)
{
	return !group->common.n && !group->exclusions.n;
}

struct json_object *group_selector(const struct group *group)
{
	struct json_object *json = json_object_new_object(), *labels = json_object_new_object();

	vec_each(const struct label, label, &group->common)
		put_text(labels, label->key, label->value);
	if (group->common.n)
		put(json, "matchLabels", labels);
	else
		json_object_put(labels);
	if (group->exclusions.n)
		put(json, "matchExpressions", expressions(group));
	return json;
}
