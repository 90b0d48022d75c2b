// SPDX-License-Identifier: Apache-2.0
// ops_policy.c - policy.list and policy.show.
#include <errno.h>
#include <string.h>

#include "agent/daemon/json.h"

struct view {
	const char *title;
	const char *ns; // NULL: a ClusterNetworkPolicy
	const char *name;
	const struct rules *rules; // by enum bh_dir
	bool isolates[BH_DIR_MAX];
};

static void view_init(struct view *view, const struct object *object, char *title, size_t bytes)
{
	*view = (struct view){ .ns = object->ns, .name = object->name };
	view->title = object_title(object, title, bytes);
	if (object->kind == KIND_NETPOL) {
		const struct netpol *policy = (const struct netpol *)object;

		view->rules = policy->rules;
		view->isolates[BH_INGRESS] = policy->isolates[BH_INGRESS];
		view->isolates[BH_EGRESS] = policy->isolates[BH_EGRESS];
	} else {
		const struct clusternetpol *policy = (const struct clusternetpol *)object;

		view->rules = policy->rules;
		view->isolates[BH_INGRESS] = policy->rules[BH_INGRESS].n > 0;
		view->isolates[BH_EGRESS] = policy->rules[BH_EGRESS].n > 0;
	}
}

struct selecting {
	const struct object *policy;
	bool found;
};

static void is_selecting(void *arg, const struct object *object)
{
	struct selecting *selecting = arg;

	selecting->found |= object == selecting->policy;
}

static void add_selected(struct json_object *json, struct daemon *daemon, const struct object *policy)
{
	struct json_object *list = add_array(json, "endpoints");
	const struct endpoint *e;
	char title[400];

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++) {
		struct selecting selecting = { policy, false };

		if (!e->enrolled)
			continue;
		for (enum bh_dir dir = 0; dir < BH_DIR_MAX; dir++)
			policy_selecting_each(daemon->policy, e->slot, dir, is_selecting, &selecting);
		if (!selecting.found)
			continue;
		snprintf(title, sizeof(title), "%s/%s", e->ns, e->name);
		json_object_array_add(list, json_object_new_string(title));
	}
}

struct problem_of {
	const struct object *object;
	struct json_object *json;
};

static void add_problem(void *arg, enum kind kind, const char *ns, const char *name,
			const char *text)
{
	struct problem_of *of = arg;

	if (kind != of->object->kind || strcmp(name, of->object->name) != 0 ||
	    (ns && of->object->ns && strcmp(ns, of->object->ns) != 0))
		return;
	add_text(of->json, "problem", text);
}

// By its own annotation, its namespace's label or the agent's mode.
static bool in_audit(const struct daemon *daemon, const struct object *object)
{
	const struct namespace_ *ns;

	if (daemon->config->policies_mode)
		return true;
	if (object->kind == KIND_CLUSTERNETPOL)
		return ((const struct clusternetpol *)object)->audit;
	ns = (const struct namespace_ *)store_find(daemon->store, KIND_NAMESPACE, NULL, object->ns);
	return ((const struct netpol *)object)->audit || (ns && ns->audit);
}

static struct json_object *policy_json(struct daemon *daemon, const struct object *object)
{
	struct json_object *json = json_object_new_object(), *part;
	struct problem_of of = { object, json };
	struct view view;
	char title[400];

	view_init(&view, object, title, sizeof(title));
	add_text(json, "kind", object_kind(object->kind)->name);
	add_text(json, "namespace", object->ns);
	add_text(json, "name", object->name);
	if (object->kind == KIND_CLUSTERNETPOL) {
		const struct clusternetpol *policy = (const struct clusternetpol *)object;

		add_text(json, "tier", policy->tier == TIER_ADMIN ? "Admin" : "Baseline");
		add_number(json, "priority", (uint64_t)policy->priority);
	}
	add_bool(json, "audit", in_audit(daemon, object));
	part = add_array(json, "directions");
	for (enum bh_dir dir = 0; dir < BH_DIR_MAX; dir++) {
		if (view.isolates[dir])
			json_object_array_add(part, json_object_new_string(dir_name(dir)));
	}
	part = add_object(json, "rules");
	for (enum bh_dir dir = 0; dir < BH_DIR_MAX; dir++)
		add_number(part, dir_name(dir), view.rules[dir].n);
	add_selected(json, daemon, object);
	add_text(json, "problem", object->problem);
	policy_problem_each(daemon->policy, add_problem, &of);
	return json;
}

struct listing {
	struct daemon *daemon;
	struct json_object *list;
};

static int list_one(void *arg, const struct object *object)
{
	struct listing *listing = arg;

	json_object_array_add(listing->list, policy_json(listing->daemon, object));
	return 0;
}

int op_policy_list(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	struct json_object *json = json_object_new_object();
	struct listing listing = { arg, add_array(json, "policies") };

	store_each(listing.daemon->store, KIND_CLUSTERNETPOL, NULL, list_one, &listing);
	store_each(listing.daemon->store, KIND_NETPOL, NULL, list_one, &listing);
	*ret = json;
	return 0;
}

// ---- policy.show ------------------------------------------------------------------------------------------

struct rule_sums {
	struct daemon *daemon;
	const char *title;
	enum rule_kind kind;
	struct json_object *list;
};

// One line per counter whose rule is this policy's, or whose default deny it takes part in.
static int sum_one(void *arg, const struct total_entry *entry)
{
	struct rule_sums *sums = arg;
	struct rule_info info;
	struct json_object *one;
	bool ours = false;

	if (!policy_rule_info(sums->daemon->policy, BH_CELL_RULE(entry->key.rule), &info))
		return 0;
	if (info.kind != sums->kind && info.kind != RULE_DEFAULT_DENY)
		return 0;
	for (uint32_t i = 0; i < info.npolicies; i++)
		ours |= strcmp(info.policies[i], sums->title) == 0;
	if (!ours || (info.kind == RULE_DEFAULT_DENY && sums->kind == RULE_CLUSTERNETPOL))
		return 0;
	one = json_object_new_object();
	add_text(one, "direction", dir_name(entry->key.dir));
	json_object_object_add(one, "rule",
			       rule_json(sums->daemon->policy, BH_CELL_RULE(entry->key.rule)));
	add_text(one, "reason", reason_name(entry->key.reason));
	add_number(one, "packets", entry->packets);
	add_number(one, "bytes", entry->bytes);
	json_object_array_add(sums->list, one);
	return 0;
}

int op_policy_show(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	struct daemon *daemon = arg;
	struct rule_sums sums = { .daemon = daemon };
	struct json_object *field = NULL;
	const struct object *object;
	const char *ns = NULL, *name;
	char title[400];
	int r;

	r = control_string(request, "name", &name, reterr);
	if (r < 0)
		return r;
	if (json_object_object_get_ex(request, "namespace", &field))
		ns = json_object_get_string(field);
	object = store_find(daemon->store, ns ? KIND_NETPOL : KIND_CLUSTERNETPOL, ns, name);
	if (!object)
		return err_set(reterr, -ENOENT, "no %s '%s%s%s': 'bulkhead policy list' names them",
			       ns ? "NetworkPolicy" : "ClusterNetworkPolicy", ns ? ns : "", ns ? "/" : "",
			       name);
	*ret = policy_json(daemon, object);
	sums.title = object_title(object, title, sizeof(title));
	sums.kind = ns ? RULE_NETPOL : RULE_CLUSTERNETPOL;
	sums.list = add_array(*ret, "rule_totals");
	tables_total_each(daemon->tables, sum_one, &sums);
	return 0;
}
