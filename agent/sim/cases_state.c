// SPDX-License-Identifier: Apache-2.0
// cases_state.c - the state of a case: namespaces, nodes, pods, policies and Services of its line.
#include "agent/sim/cases.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/sim/cases_private.h"

// Which array of the line holds which kind.
static const struct section {
	const char *field;
	enum kind kind;
	bool required;
} sections[] = {
	{ "namespaces", KIND_NAMESPACE, true },
	{ "nodes", KIND_NODE, false },
	{ "pods", KIND_POD, true },
	{ "policies", KIND_NETPOL, false },
	{ "clusterPolicies", KIND_CLUSTERNETPOL, false },
	{ "services", KIND_SERVICE, false },
	{ "endpointSlices", KIND_ENDPOINTSLICE, false },
};

static int parse_ports(struct json_object *item, struct case_pod *pod, struct err *reterr)
{
	struct json_object *array;
	int r;

	r = case_field(item, "containerPorts", json_type_array, false, &array, reterr);
	if (r < 0 || !array)
		return r;
	pod->ports = calloc(json_object_array_length(array) + 1, sizeof(*pod->ports));
	if (!pod->ports)
		return err_set(reterr, -ENOMEM, "out of memory");
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *item_port = json_object_array_get_idx(array, i);
		struct case_port *port = &pod->ports[i];

		r = case_text(item_port, "name", false, &port->name, reterr);
		if (r == 0)
			r = case_port_get(item_port, &port->port, &port->protocol, reterr);
		if (r < 0) {
			err_wrap(reterr, "containerPorts[%zu]", i);
			return r;
		}
		pod->nports++;
	}
	return 0;
}

static int check_address(const char *field, const char *text, bool v4, struct err *reterr)
{
	struct bh_addr addr;

	if (text && (addr_parse(text, &addr) < 0 || !!bh_addr_is4(&addr) != v4))
		return err_set(reterr, -EBADMSG, "%s: '%s' is no such address", field, text);
	return 0;
}

static int parse_addresses(struct json_object *item, const char **ret4, const char **ret6,
			   struct err *reterr)
{
	int r;

	r = case_text(item, "ipv4", false, ret4, reterr);
	if (r == 0)
		r = case_text(item, "ipv6", false, ret6, reterr);
	if (r == 0)
		r = check_address("ipv4", *ret4, true, reterr);
	if (r == 0)
		r = check_address("ipv6", *ret6, false, reterr);
	return r;
}

static int parse_pod(struct sim_case *c, struct json_object *item, struct case_object *object,
		     struct err *reterr)
{
	struct case_pod *pod = &c->pods[c->npods++];
	int r;

	r = case_text(item, "ns", true, &pod->ns, reterr);
	if (r == 0)
		r = case_text(item, "name", true, &pod->name, reterr);
	if (r == 0)
		r = case_text(item, "node", false, &pod->node, reterr);
	if (r == 0)
		r = parse_addresses(item, &pod->ipv4, &pod->ipv6, reterr);
	if (r == 0)
		r = parse_ports(item, pod, reterr);
	if (r < 0)
		return r;
	object->ns = pod->ns;
	object->name = pod->name;
	object->json = case_pod_json(object, item, pod);
	return 0;
}

static int parse_node(struct sim_case *c, struct json_object *item, struct case_object *object,
		      struct err *reterr)
{
	struct case_node *node = &c->nodes[c->nnodes++];
	int r;

	r = case_text(item, "name", true, &node->name, reterr);
	if (r == 0)
		r = parse_addresses(item, &node->ipv4, &node->ipv6, reterr);
	if (r < 0)
		return r;
	object->name = node->name;
	object->json = case_node_json(object, item, node);
	return 0;
}

static int parse_namespace(struct json_object *item, struct case_object *object, struct err *reterr)
{
	int r = case_text(item, "name", true, &object->name, reterr);

	if (r == 0)
		object->json = case_manifest(object, item);
	return r;
}

// Policies and Services are whole objects already; only who they are is read.
static int parse_whole(struct json_object *item, struct case_object *object, struct err *reterr)
{
	bool namespaced = object_kind(object->kind)->namespaced;
	struct json_object *metadata;
	int r;

	r = case_field(item, "metadata", json_type_object, true, &metadata, reterr);
	if (r == 0)
		r = case_text(metadata, "name", true, &object->name, reterr);
	if (r == 0 && namespaced)
		r = case_text(metadata, "namespace", false, &object->ns, reterr);
	if (r < 0)
		return r;
	if (namespaced && !object->ns)
		object->ns = "default";
	object->json = json_object_get(item);
	return 0;
}

static int parse_item(struct sim_case *c, enum kind kind, struct json_object *item,
		      struct err *reterr)
{
	struct case_object *object = &c->objects[c->nobjects++];

	object->kind = kind;
	if (!json_object_is_type(item, json_type_object))
		return err_set(reterr, -EBADMSG, "is no object");
	switch (kind) {
	case KIND_POD:
		return parse_pod(c, item, object, reterr);
	case KIND_NODE:
		return parse_node(c, item, object, reterr);
	case KIND_NAMESPACE:
		return parse_namespace(item, object, reterr);
	default:
		return parse_whole(item, object, reterr);
	}
}

static int compare_objects(const void *a, const void *b)
{
	return case_object_compare(a, b);
}

static int sort_objects(struct sim_case *c, struct err *reterr)
{
	qsort(c->objects, c->nobjects, sizeof(*c->objects), compare_objects);
	for (size_t i = 1; i < c->nobjects; i++) {
		const struct case_object *object = &c->objects[i];

		if (case_object_compare(object - 1, object) == 0)
			return err_set(reterr, -EBADMSG, "%s '%s%s%s' is there twice",
				       object_kind(object->kind)->name,
				       object->ns ? object->ns : "", object->ns ? "/" : "",
				       object->name);
	}
	return 0;
}

int case_parse_state(struct sim_case *c, struct err *reterr)
{
	struct json_object *arrays[ARRAY_SIZE(sections)];
	size_t counts[ARRAY_SIZE(sections)], total = 0;
	int r;

	for (size_t s = 0; s < ARRAY_SIZE(sections); s++) {
		r = case_field(c->json, sections[s].field, json_type_array, sections[s].required,
			       &arrays[s], reterr);
		if (r < 0)
			return r;
		counts[s] = arrays[s] ? json_object_array_length(arrays[s]) : 0;
		total += counts[s];
	}
	c->objects = calloc(total + 1, sizeof(*c->objects));
	c->pods = calloc(total + 1, sizeof(*c->pods));
	c->nodes = calloc(total + 1, sizeof(*c->nodes));
	if (!c->objects || !c->pods || !c->nodes)
		return err_set(reterr, -ENOMEM, "out of memory");
	for (size_t s = 0; s < ARRAY_SIZE(sections); s++) {
		for (size_t i = 0; i < counts[s]; i++) {
			r = parse_item(c, sections[s].kind, json_object_array_get_idx(arrays[s], i),
				       reterr);
			if (r < 0) {
				err_wrap(reterr, "%s[%zu]", sections[s].field, i);
				return r;
			}
		}
	}
	return sort_objects(c, reterr);
}
