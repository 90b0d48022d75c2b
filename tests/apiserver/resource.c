// SPDX-License-Identifier: Apache-2.0
#include "tests/apiserver/resource.h"

#include <errno.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/cleanup.h"

#define POLICY "policy.networking.k8s.io"

const struct resource resources[] = {
	{ "", "v1", "pods", "Pod", .namespaced = true, .status = true },
	{ "", "v1", "namespaces", "Namespace", .status = true },
	{ "", "v1", "nodes", "Node", .status = true },
	{ "", "v1", "services", "Service", .namespaced = true, .status = true },
	{ "", "v1", "events", "Event", .namespaced = true },
	{ "discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", .namespaced = true },
	{ "networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", .namespaced = true },
	{ "coordination.k8s.io", "v1", "leases", "Lease", .namespaced = true },
	{ "events.k8s.io", "v1", "events", "Event", .namespaced = true },
	{ "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview" },
	{ "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition" },
	{ POLICY, "v1alpha2", "clusternetworkpolicies", "ClusterNetworkPolicy", .custom = true,
	  .status = true },
	{ POLICY, "v1alpha1", "adminnetworkpolicies", "AdminNetworkPolicy", .custom = true,
	  .status = true },
	{ POLICY, "v1alpha1", "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy",
	  .custom = true, .status = true },
	{ NULL },
};
_Static_assert(ARRAY_SIZE(resources) <= RESOURCES_MAX + 1, "the table has grown");

size_t resource_index(const struct resource *resource)
{
	return (size_t)(resource - resources);
}

const char *resource_api(const struct resource *resource, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s%s%s", resource->group, *resource->group ? "/" : "",
		 resource->version);
	return buf;
}

const struct resource *resource_named(const char *group, const char *plural)
{
	for (const struct resource *r = resources; r->group; r++)
		if (!strcmp(r->plural, plural) && (!group || !strcmp(r->group, group)))
			return r;
	return NULL;
}

const struct resource *resource_of(const char *api_version, const char *kind)
{
	char api[96];

	for (const struct resource *r = resources; r->group; r++)
		if (!strcmp(r->kind, kind) &&
		    !strcmp(resource_api(r, api, sizeof(api)), api_version))
			return r;
	return NULL;
}

static void find(struct target *t)
{
	for (const struct resource *r = resources; r->group; r++) {
		if (strcmp(r->group, t->group))
			continue;
		t->group_known = t->group_known || !r->custom;
		if (!strcmp(r->version, t->version) && !strcmp(r->plural, t->plural))
			t->resource = r;
	}
}

static bool asked(const struct evkeyvalq *query, const char *name)
{
	const char *value = evhttp_find_header(query, name);

	return value && (!strcmp(value, "true") || !strcmp(value, "1"));
}

static void set_verb(struct target *t, const char *method, const struct evkeyvalq *query)
{
	static const struct {
		const char *method, *one, *many;
	} verbs[] = {
		{ "GET", "get", "list" },       { "HEAD", "get", "list" },
		{ "POST", "create", "create" }, { "PUT", "update", "update" },
		{ "PATCH", "patch", "patch" },  { "DELETE", "delete", "deletecollection" },
	};
	const char *selector = evhttp_find_header(query, "fieldSelector");

	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].method, method))
			snprintf(t->verb, sizeof(t->verb), "%s",
				 *t->name ? verbs[i].one : verbs[i].many);
	if (!strcmp(t->verb, "list") && asked(query, "watch"))
		strcpy(t->verb, "watch");
	// A list of one object by its name is authorized as that object.
	if (selector && !*t->name && !strncmp(selector, "metadata.name=", 14) &&
	    !strchr(selector, ','))
		snprintf(t->name, sizeof(t->name), "%s", selector + 14);
}

// Puts the decoded parts of the path behind each other into buf; their number, at most max.
static size_t split(const char *path, char *buf, size_t bytes, char *parts[], size_t max)
{
	_cleanup_free_ char *copy = strdup(path);
	char *save = NULL;
	size_t n = 0;

	for (char *part = strtok_r(copy, "/", &save); part && n < max;
	     part = strtok_r(NULL, "/", &save)) {
		_cleanup_free_ char *plain = evhttp_uridecode(part, 0, NULL);
		size_t len = strlen(plain) + 1;

		if (len > bytes)
			break;
		memcpy(buf, plain, len);
		parts[n++] = buf;
		buf += len;
		bytes -= len;
	}
	return n;
}

static void set(char *to, size_t bytes, const char *text)
{
	snprintf(to, bytes, "%s", text);
}

int target_parse(const char *method, const char *path, const struct evkeyvalq *query,
		 struct target *ret)
{
	char buf[1024], *parts[8];
	size_t n = split(path, buf, sizeof(buf), parts, ARRAY_SIZE(parts)), at;

	*ret = (struct target){ 0 };
	for (size_t i = 0; method[i] && i < sizeof(ret->verb) - 1; i++)
		ret->verb[i] = (char)(method[i] | 0x20);
	if (n > 2 && !strcmp(parts[0], "api")) {
		at = 2;
		set(ret->version, sizeof(ret->version), parts[1]);
	} else if (n > 3 && !strcmp(parts[0], "apis")) {
		at = 3;
		set(ret->group, sizeof(ret->group), parts[1]);
		set(ret->version, sizeof(ret->version), parts[2]);
	} else {
		return 0;
	}
	ret->is_resource = true;
	if (n - at > 2 && !strcmp(parts[at], "namespaces") && strcmp(parts[at + 2], "status") &&
	    strcmp(parts[at + 2], "finalize")) {
		set(ret->ns, sizeof(ret->ns), parts[at + 1]);
		at += 2;
	}
	set(ret->plural, sizeof(ret->plural), parts[at]);
	if (n - at > 1)
		set(ret->name, sizeof(ret->name), parts[at + 1]);
	if (n - at > 2)
		set(ret->sub, sizeof(ret->sub), parts[at + 2]);
	// A namespace itself is authorized in itself.
	if (!*ret->group && *ret->name && !strcmp(ret->plural, "namespaces"))
		set(ret->ns, sizeof(ret->ns), parts[at + 1]);
	find(ret);
	set_verb(ret, method, query);
	return n - at > 3 ? -EINVAL : 0;
}
