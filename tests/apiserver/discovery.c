// SPDX-License-Identifier: Apache-2.0
// discovery.c - /api, /apis, /version and the health pages.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/apiserver/apiserver.h"

static void add(struct json_object *json, const char *key, const char *text)
{
	json_object_object_add(json, key, json_object_new_string(text));
}

static struct json_object *object(const char *kind)
{
	struct json_object *json = json_object_new_object();

	add(json, "kind", kind);
	add(json, "apiVersion", "v1");
	return json;
}

static bool present(const struct apiserver *server, const struct resource *r)
{
	return server->db.present[resource_index(r)];
}

static void answer_api(struct call *call)
{
	struct json_object *json = object("APIVersions"), *versions = json_object_new_array();

	json_object_array_add(versions, json_object_new_string("v1"));
	json_object_object_add(json, "versions", versions);
	answer_json(call, 200, json);
}

static struct json_object *version_of(const struct resource *r)
{
	struct json_object *json = json_object_new_object();
	char api[96];

	add(json, "groupVersion", resource_api(r, api, sizeof(api)));
	add(json, "version", r->version);
	return json;
}

// The group in the list, made when it is not there yet.
static struct json_object *group(struct json_object *groups, const struct resource *r)
{
	struct json_object *json;

	for (size_t i = 0; i < json_object_array_length(groups); i++) {
		json = json_object_array_get_idx(groups, i);
		if (!strcmp(json_object_get_string(json_object_object_get(json, "name")), r->group))
			return json;
	}
	json = json_object_new_object();
	add(json, "name", r->group);
	json_object_object_add(json, "versions", json_object_new_array());
	json_object_object_add(json, "preferredVersion", version_of(r));
	json_object_array_add(groups, json);
	return json;
}

static void answer_groups(struct call *call)
{
	struct json_object *json = object("APIGroupList"), *groups = json_object_new_array();
	const struct resource *before = NULL;

	for (const struct resource *r = resources; r->group; r++) {
		if (!*r->group || !present(call->server, r))
			continue;
		if (!before || strcmp(before->group, r->group) ||
		    strcmp(before->version, r->version))
			json_object_array_add(json_object_object_get(group(groups, r), "versions"),
					      version_of(r));
		before = r;
	}
	json_object_object_add(json, "groups", groups);
	answer_json(call, 200, json);
}

static void add_resource(struct json_object *list, const struct resource *r, const char *sub,
			 const char *verbs)
{
	struct json_object *json = json_object_new_object();
	char name[128];

	snprintf(name, sizeof(name), "%s%s", r->plural, sub);
	add(json, "name", name);
	add(json, "singularName", "");
	json_object_object_add(json, "namespaced", json_object_new_boolean(r->namespaced));
	add(json, "kind", r->kind);
	json_object_object_add(json, "verbs", json_tokener_parse(verbs));
	json_object_array_add(list, json);
}

// False: nothing of this group and version is served.
static bool answer_resources(struct call *call, const char *api)
{
	struct json_object *json = object("APIResourceList"), *list = json_object_new_array();
	char own[96];

	add(json, "groupVersion", api);
	for (const struct resource *r = resources; r->group; r++) {
		if (!present(call->server, r) || strcmp(resource_api(r, own, sizeof(own)), api))
			continue;
		add_resource(
			list, r, "",
			"[\"create\",\"delete\",\"get\",\"list\",\"patch\",\"update\",\"watch\"]");
		if (r->status)
			add_resource(list, r, "/status", "[\"get\",\"patch\",\"update\"]");
	}
	json_object_object_add(json, "resources", list);
	if (!json_object_array_length(list)) {
		json_object_put(json);
		return false;
	}
	answer_json(call, 200, json);
	return true;
}

static void answer_text(struct call *call, int code, const char *text)
{
	conn_reply(call->conn, code, "text/plain; charset=utf-8",
		   "X-Content-Type-Options: nosniff\r\n", text, strlen(text));
}

void answer_discovery(struct call *call)
{
	const char *path = call->request->path;

	if (!strcmp(path, "/api"))
		answer_api(call);
	else if (!strcmp(path, "/apis"))
		answer_groups(call);
	else if (!strcmp(path, "/version"))
		answer_json(
			call, 200,
			json_tokener_parse(
				"{\"major\":\"1\",\"minor\":\"36\",\"gitVersion\":\"v1.36.2\"}"));
	else if (!strcmp(path, "/livez") || !strcmp(path, "/readyz") || !strcmp(path, "/healthz"))
		answer_text(call, 200, "ok");
	else if (!((!strncmp(path, "/apis/", 6) && answer_resources(call, path + 6)) ||
		   (!strncmp(path, "/api/", 5) && answer_resources(call, path + 5))))
		answer_text(call, 404, "404 page not found\n");
}
