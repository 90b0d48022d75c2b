// SPDX-License-Identifier: Apache-2.0
#include "tests/apiserver/rbac.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "agent/source/yaml.h"

#define RBAC_BYTES (1u << 20)

static const char *text_at(struct json_object *json, const char *key)
{
	const char *text = json_object_get_string(json_object_object_get(json, key));

	return text ? text : "";
}

static const char *meta_at(struct json_object *json, const char *key)
{
	return text_at(json_object_object_get(json, "metadata"), key);
}

// ---- manifests ---------------------------------------------------------------------------------------------------
static int keep(void *arg, struct json_object *json, size_t line)
{
	struct rbac *rbac = arg;
	struct json_object *items = json_object_object_get(json, "items");

	for (size_t i = 0; items && i < json_object_array_length(items); i++)
		keep(rbac, json_object_array_get_idx(items, i), line);
	return json && !items ? vec_push(&rbac->documents, json_object_get(json)) : 0;
}

static struct json_object *find_role(const struct rbac *rbac, struct json_object *binding)
{
	struct json_object *ref = json_object_object_get(binding, "roleRef");

	vec_each(struct json_object *, json, &rbac->documents)
		if (!strcmp(text_at(*json, "kind"), text_at(ref, "kind")) &&
		    !strcmp(meta_at(*json, "name"), text_at(ref, "name")) &&
		    (strcmp(text_at(ref, "kind"), "Role") ||
		     !strcmp(meta_at(*json, "namespace"), meta_at(binding, "namespace"))))
			return *json;
	return NULL;
}

static int grant(struct rbac *rbac, struct json_object *subject, const char *ns,
		 struct json_object *rule)
{
	struct grant g = { .ns = ns ? strdup(ns) : NULL, .rule = rule };
	int n;

	if (!strcmp(text_at(subject, "kind"), "ServiceAccount"))
		n = asprintf(&g.subject, "User:system:serviceaccount:%s:%s",
			     text_at(subject, "namespace"), text_at(subject, "name"));
	else
		n = asprintf(&g.subject, "%s:%s", text_at(subject, "kind"),
			     text_at(subject, "name"));
	return n < 0 ? -ENOMEM : vec_push(&rbac->grants, g);
}

static int bind_role(struct rbac *rbac, struct json_object *binding, struct err *reterr)
{
	bool local = !strcmp(text_at(binding, "kind"), "RoleBinding");
	struct json_object *subjects = json_object_object_get(binding, "subjects");
	struct json_object *role = find_role(rbac, binding),
			   *rules = json_object_object_get(role, "rules");
	int r = 0;

	if (!role)
		return err_set(reterr, -EINVAL, "%s '%s' binds a role that is not there",
			       text_at(binding, "kind"), meta_at(binding, "name"));
	for (size_t s = 0; subjects && s < json_object_array_length(subjects); s++)
		for (size_t i = 0; rules && i < json_object_array_length(rules) && r == 0; i++)
			r = grant(rbac, json_object_array_get_idx(subjects, s),
				  local ? meta_at(binding, "namespace") : NULL,
				  json_object_array_get_idx(rules, i));
	return r;
}

int rbac_load(struct rbac *rbac, const char *path, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	size_t len, from = rbac->documents.n;
	int r = file_read(path, RBAC_BYTES, &text, &len);

	if (r < 0)
		return err_set(reterr, r, "%s: %s", path, strerror(-r));
	r = yaml_parse(text, len, keep, rbac, reterr);
	for (size_t i = from; r == 0 && i < rbac->documents.n; i++)
		if (strstr(text_at(rbac->documents.v[i], "kind"), "RoleBinding"))
			r = bind_role(rbac, rbac->documents.v[i], reterr);
	rbac->enabled = true;
	return r;
}

void rbac_fini(struct rbac *rbac)
{
	vec_each(struct grant, g, &rbac->grants) {
		free(g->subject);
		free(g->ns);
	}
	vec_each(struct json_object *, json, &rbac->documents)
		json_object_put(*json);
	vec_fini(&rbac->grants);
	vec_fini(&rbac->documents);
	vec_fini(&rbac->asked);
}

// ---- asking -------------------------------------------------------------------------------------------------------
static bool lists(struct json_object *rule, const char *key, const char *value)
{
	struct json_object *list = json_object_object_get(rule, key);

	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		const char *item = json_object_get_string(json_object_array_get_idx(list, i));

		if (!strcmp(item, value) || !strcmp(item, "*"))
			return true;
	}
	return false;
}

static const char *full_name(const struct target *target, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s%s%s", target->plural, *target->sub ? "/" : "", target->sub);
	return buf;
}

static bool is_subject(const struct grant *g, const struct identity *identity)
{
	if (!strncmp(g->subject, "User:", 5))
		return !strcmp(g->subject + 5, identity->user);
	for (size_t i = 0; i < ARRAY_SIZE(identity->groups); i++)
		if (!strncmp(g->subject, "Group:", 6) &&
		    !strcmp(g->subject + 6, identity->groups[i]))
			return true;
	return false;
}

static bool rule_allows(struct json_object *rule, const struct target *target)
{
	char name[128];

	return lists(rule, "verbs", target->verb) && lists(rule, "apiGroups", target->group) &&
	       lists(rule, "resources", full_name(target, name, sizeof(name))) &&
	       (!json_object_object_get(rule, "resourceNames") ||
		(*target->name && lists(rule, "resourceNames", target->name)));
}

static bool decide(const struct rbac *rbac, const struct identity *identity,
		   const struct target *target)
{
	if (!strcmp(identity->groups[0], "system:masters"))
		return true;
	if (!target->is_resource || !rbac->enabled ||
	    !strcmp(target->plural, "selfsubjectaccessreviews"))
		return strcmp(identity->user, "system:anonymous");
	vec_each(struct grant, g, &rbac->grants)
		if (is_subject(g, identity) && (!g->ns || !strcmp(g->ns, target->ns)) &&
		    rule_allows(g->rule, target))
			return true;
	return false;
}

static bool same(const struct asked *a, const struct identity *identity, const struct target *t)
{
	return !strcmp(a->user, identity->user) && !strcmp(a->target.verb, t->verb) &&
	       !strcmp(a->target.group, t->group) && !strcmp(a->target.plural, t->plural) &&
	       !strcmp(a->target.sub, t->sub) && !strcmp(a->target.ns, t->ns);
}

bool rbac_allows(struct rbac *rbac, const struct identity *identity, const struct target *target)
{
	struct asked note = { .target = *target,
			      .allowed = decide(rbac, identity, target),
			      .times = 1 };

	if (!target->is_resource)
		return note.allowed;
	snprintf(note.user, sizeof(note.user), "%s", identity->user);
	note.target.name[0] = 0;
	vec_each(struct asked, a, &rbac->asked)
		if (a->allowed == note.allowed && same(a, identity, target)) {
			a->times++;
			return note.allowed;
		}
	vec_push(&rbac->asked, note);
	return note.allowed;
}

// ---- reporting ----------------------------------------------------------------------------------------------------
struct json_object *rbac_asked(const struct rbac *rbac)
{
	struct json_object *list = json_object_new_array();
	char name[128];

	vec_each(struct asked, a, &rbac->asked) {
		struct json_object *item = json_object_new_object();

		json_object_object_add(item, "user", json_object_new_string(a->user));
		json_object_object_add(item, "verb", json_object_new_string(a->target.verb));
		json_object_object_add(item, "group", json_object_new_string(a->target.group));
		json_object_object_add(
			item, "resource",
			json_object_new_string(full_name(&a->target, name, sizeof(name))));
		json_object_object_add(item, "namespace", json_object_new_string(a->target.ns));
		json_object_object_add(item, "allowed", json_object_new_boolean(a->allowed));
		json_object_object_add(item, "times", json_object_new_int64((int64_t)a->times));
		json_object_array_add(list, item);
	}
	return list;
}

static bool was_asked(const struct rbac *rbac, const char *user, const char *verb,
		      const char *group, const char *resource)
{
	char name[128];

	vec_each(struct asked, a, &rbac->asked)
		if (!strcmp(a->user, user) && !strcmp(a->target.verb, verb) &&
		    !strcmp(a->target.group, group) &&
		    !strcmp(full_name(&a->target, name, sizeof(name)), resource))
			return true;
	return false;
}

static const char *nth(struct json_object *rule, const char *key, size_t i)
{
	struct json_object *list = json_object_object_get(rule, key);

	return list && i < json_object_array_length(list) ?
		       json_object_get_string(json_object_array_get_idx(list, i)) :
		       NULL;
}

struct json_object *rbac_unused(const struct rbac *rbac, const char *user)
{
	struct json_object *list = json_object_new_array();
	const char *verb, *group, *resource;
	char text[256];

	vec_each(struct grant, g, &rbac->grants) {
		if (strncmp(g->subject, "User:", 5) || strcmp(g->subject + 5, user))
			continue;
		for (size_t i = 0; (verb = nth(g->rule, "verbs", i)); i++)
			for (size_t j = 0; (group = nth(g->rule, "apiGroups", j)); j++)
				for (size_t k = 0; (resource = nth(g->rule, "resources", k)); k++) {
					if (was_asked(rbac, user, verb, group, resource))
						continue;
					snprintf(text, sizeof(text), "%s %s/%s", verb, group,
						 resource);
					json_object_array_add(list, json_object_new_string(text));
				}
	}
	return list;
}
