// SPDX-License-Identifier: Apache-2.0
// cases_manifest.c - objects of a case as the Kubernetes API would show them.
#include "agent/sim/cases.h"

#include "agent/sim/cases_private.h"

static void put(struct json_object *json, const char *field, struct json_object *value)
{
	json_object_object_add(json, field, value);
}

static void put_text(struct json_object *json, const char *field, const char *text)
{
	if (text)
		put(json, field, json_object_new_string(text));
}

// {"apiVersion","kind","metadata":{...}} with the labels of the case's item.
struct json_object *case_manifest(const struct case_object *object, struct json_object *item)
{
	struct json_object *json = json_object_new_object(), *metadata = json_object_new_object();
	const struct kind_ops *kind = object_kind(object->kind);
	struct json_object *labels;

	put_text(json, "apiVersion", kind->api_version);
	put_text(json, "kind", kind->name);
	put_text(metadata, "name", object->name);
	put_text(metadata, "namespace", object->ns);
	if (json_object_object_get_ex(item, "labels", &labels) && labels)
		put(metadata, "labels", json_object_get(labels));
	put(json, "metadata", metadata);
	return json;
}

static struct json_object *container_json(const struct case_pod *pod)
{
	struct json_object *container = json_object_new_object(), *ports = json_object_new_array();

	for (size_t i = 0; i < pod->nports; i++) {
		struct json_object *port = json_object_new_object();

		put_text(port, "name", pod->ports[i].name);
		put(port, "containerPort", json_object_new_int(pod->ports[i].port));
		put_text(port, "protocol", protocol_name(pod->ports[i].protocol));
		json_object_array_add(ports, port);
	}
	put_text(container, "name", "main");
	put(container, "ports", ports);
	return container;
}

static void add_address(struct json_object *list, const char *field, const char *type,
			const char *address)
{
	struct json_object *json;

	if (!address)
		return;
	json = json_object_new_object();
	put_text(json, "type", type);
	put_text(json, field, address);
	json_object_array_add(list, json);
}

struct json_object *case_pod_json(const struct case_object *object, struct json_object *item,
				  const struct case_pod *pod)
{
	struct json_object *json = case_manifest(object, item), *spec = json_object_new_object();
	struct json_object *status = json_object_new_object(), *ips = json_object_new_array();
	struct json_object *containers = json_object_new_array();

	json_object_array_add(containers, container_json(pod));
	put_text(spec, "nodeName", pod->node);
	put(spec, "containers", containers);
	put(json, "spec", spec);
	add_address(ips, "ip", NULL, pod->ipv4);
	add_address(ips, "ip", NULL, pod->ipv6);
	put_text(status, "phase", "Running");
	put_text(status, "podIP", pod->ipv4 ? pod->ipv4 : pod->ipv6);
	put(status, "podIPs", ips);
	put(json, "status", status);
	return json;
}

struct json_object *case_node_json(const struct case_object *object, struct json_object *item,
				   const struct case_node *node)
{
	struct json_object *json = case_manifest(object, item), *status = json_object_new_object();
	struct json_object *addresses = json_object_new_array();

	add_address(addresses, "address", "InternalIP", node->ipv4);
	add_address(addresses, "address", "InternalIP", node->ipv6);
	put(status, "addresses", addresses);
	put(json, "status", status);
	return json;
}
