// SPDX-License-Identifier: Apache-2.0
// template.c - workloads to pods.
#include "agent/review/template.h"

#include <ctype.h>
#include <string.h>

#include "agent/base/vec.h"
#include "agent/policy/must.h"

static const struct workload {
	const char *kind, *group; // what its apiVersion begins with
	const char *way[5];
} workloads[] = {
	{ "Deployment", "apps/", { "spec", "template" } },
	{ "StatefulSet", "apps/", { "spec", "template" } },
	{ "DaemonSet", "apps/", { "spec", "template" } },
	{ "ReplicaSet", "apps/", { "spec", "template" } },
	{ "ReplicationController", "v1", { "spec", "template" } },
	{ "Job", "batch/", { "spec", "template" } },
	{ "CronJob", "batch/", { "spec", "jobTemplate", "spec", "template" } },
};

static struct json_object *field(struct json_object *json, const char *name)
{
	return json_object_is_type(json, json_type_object) ? json_object_object_get(json, name) : NULL;
}

struct json_object *template_find(const char *api_version, const char *kind, struct json_object *json)
{
	for (size_t i = 0; i < ARRAY_SIZE(workloads); i++) {
		const struct workload *workload = &workloads[i];

		if (strcmp(workload->kind, kind) ||
		    strncmp(workload->group, api_version, strlen(workload->group)))
			continue;
		for (const char *const *name = workload->way; *name; name++)
			json = field(json, *name);
		return json_object_is_type(json, json_type_object) ? json : NULL;
	}
	return NULL;
}

static void add(struct json_object *json, const char *name, struct json_object *borrowed)
{
	if (borrowed)
		json_object_object_add(json, name, json_object_get(borrowed));
}

static struct json_object *owner(const char *kind, const char *name)
{
	struct json_object *list = json_object_new_array(), *json = json_object_new_object();

	json_object_object_add(json, "controller", json_object_new_boolean(true));
	json_object_object_add(json, "kind", json_object_new_string(kind));
	json_object_object_add(json, "name", json_object_new_string(name));
	json_object_array_add(list, json);
	return list;
}

struct json_object *template_pod(const char *kind, struct json_object *workload,
				 struct json_object *template)
{
	struct json_object *pod = json_object_new_object(), *meta = json_object_new_object();
	struct json_object *from = field(workload, "metadata");
	const char *name = json_object_get_string(field(from, "name"));
	char text[512];
	int n = snprintf(text, sizeof(text), "%s.%s", name ? name : "", kind);

	for (char *c = text + (n < (int)sizeof(text) ? n - (int)strlen(kind) : 0); *c; c++)
		*c = (char)tolower(*c);
	json_object_object_add(meta, "name", json_object_new_string(text));
	json_object_object_add(meta, "ownerReferences", owner(kind, name ? name : ""));
	add(meta, "namespace", field(from, "namespace"));
	add(meta, "labels", field(field(template, "metadata"), "labels"));
	json_object_object_add(pod, "metadata", meta);
	add(pod, "spec", field(template, "spec"));
	return pod;
}

typedef VEC(struct container_port) port_list;

static void read_ports(struct json_object *container, port_list *ports)
{
	struct json_object *list = field(container, "ports");

	if (!json_object_is_type(list, json_type_array))
		return;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *json = json_object_array_get_idx(list, i);
		struct json_object *protocol = field(json, "protocol");
		struct container_port port = { .protocol = PROTOCOL_TCP };
		int64_t number = json_object_get_int64(field(json, "containerPort"));

		if (number < 1 || number > UINT16_MAX)
			continue;
		if (protocol && protocol_parse(json_object_get_string(protocol), &port.protocol) < 0)
			continue;
		port.port = (uint16_t)number;
		must_push(ports, port);
	}
}

uint32_t template_ports(struct json_object *spec, struct container_port **ret)
{
	static const char *const lists[] = { "containers", "initContainers" };
	port_list ports = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct json_object *list = field(spec, lists[i]);

		if (!json_object_is_type(list, json_type_array))
			continue;
		for (size_t k = 0; k < json_object_array_length(list); k++)
			read_ports(json_object_array_get_idx(list, k), &ports);
	}
	*ret = ports.v;
	return (uint32_t)ports.n;
}
