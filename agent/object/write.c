// SPDX-License-Identifier: Apache-2.0
// write.c - objects as manifests again: what is kept of them, in the words of the API.
#include "agent/object/write.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/object/kind.h"
#include "agent/object/write_private.h"

void write_cidr(struct jsonw *w, const char *key, const struct bh_cidr *cidr)
{
	char text[64];

	jsonw_text(w, key, cidr_format(cidr, text, sizeof(text)));
}

static void write_addr(struct jsonw *w, const char *key, const struct bh_addr *addr)
{
	char text[64];

	jsonw_text(w, key, addr_format(addr, text, sizeof(text)));
}

void write_selector(struct jsonw *w, const char *key, const struct selector *selector)
{
	static const char *const operators[] = {
		[SELECTOR_IN] = "In",
		[SELECTOR_NOT_IN] = "NotIn",
		[SELECTOR_EXISTS] = "Exists",
		[SELECTOR_NOT_EXISTS] = "DoesNotExist",
	};

	jsonw_open(w, key, '{');
	if (selector->nterms)
		jsonw_open(w, "matchExpressions", '[');
	for (uint32_t i = 0; i < selector->nterms; i++) {
		const struct selector_term *term = &selector->terms[i];

		jsonw_open(w, NULL, '{');
		jsonw_text(w, "key", term->key);
		jsonw_text(w, "operator", operators[term->op]);
		if (term->nvalues)
			jsonw_open(w, "values", '[');
		for (uint32_t k = 0; k < term->nvalues; k++)
			jsonw_text(w, NULL, term->values[k]);
		if (term->nvalues)
			jsonw_close(w, ']');
		jsonw_close(w, '}');
	}
	if (selector->nterms)
		jsonw_close(w, ']');
	jsonw_close(w, '}');
}

// ---- metadata ------------------------------------------------------------------------------------

static const struct labels *labels_of(const struct object *object)
{
	switch (object->kind) {
	case KIND_POD:
		return &((const struct pod *)object)->labels;
	case KIND_NAMESPACE:
		return &((const struct namespace_ *)object)->labels;
	case KIND_NODE:
		return &((const struct node *)object)->labels;
	default:
		return NULL;
	}
}

static void write_labels(struct jsonw *w, const struct labels *labels)
{
	if (!labels || !labels->n)
		return;
	jsonw_open(w, "labels", '{');
	for (uint32_t i = 0; i < labels->n; i++)
		jsonw_text(w, labels->v[i].key, labels->v[i].value);
	jsonw_close(w, '}');
}

static void write_annotation(struct jsonw *w, const char *key, const char *value)
{
	jsonw_open(w, "annotations", '{');
	jsonw_text(w, key, value);
	jsonw_close(w, '}');
}

static void write_annotations(struct jsonw *w, const struct object *object)
{
	const char *extra = object->kind == KIND_NAMESPACE ? ((const struct namespace_ *)object)->extra_addrs : NULL;

	if (extra)
		write_annotation(w, EXTRA_ANNOTATION, extra);
	if ((object->kind == KIND_NETPOL && ((const struct netpol *)object)->audit) ||
	    (object->kind == KIND_CLUSTERNETPOL && ((const struct clusternetpol *)object)->audit))
		write_annotation(w, AUDIT_KEY, "true");
}

static void write_owner(struct jsonw *w, const struct pod *pod)
{
	char text[32];
	struct tm tm;

	if (pod->owner_kind || pod->owner_name) {
		jsonw_open(w, "ownerReferences", '[');
		jsonw_open(w, NULL, '{');
		jsonw_bool(w, "controller", true);
		jsonw_text(w, "kind", pod->owner_kind);
		jsonw_text(w, "name", pod->owner_name);
		jsonw_close(w, '}');
		jsonw_close(w, ']');
	}
	if (pod->created && gmtime_r(&pod->created, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		jsonw_text(w, "creationTimestamp", text);
}

static void write_meta(struct jsonw *w, const struct object *object)
{
	jsonw_open(w, "metadata", '{');
	jsonw_text(w, "name", object->name);
	jsonw_text(w, "namespace", object->ns);
	jsonw_text(w, "uid", object->uid);
	write_labels(w, labels_of(object));
	write_annotations(w, object);
	if (object->kind == KIND_POD)
		write_owner(w, (const struct pod *)object);
	jsonw_close(w, '}');
}

// ---- kinds ---------------------------------------------------------------------------------------

static void write_ports(struct jsonw *w, const struct pod *pod)
{
	jsonw_open(w, "containers", '[');
	jsonw_open(w, NULL, '{');
	jsonw_open(w, "ports", '[');
	for (uint32_t i = 0; i < pod->nports; i++) {
		jsonw_open(w, NULL, '{');
		jsonw_text(w, "name", pod->ports[i].name);
		jsonw_number(w, "containerPort", pod->ports[i].port);
		jsonw_text(w, "protocol", protocol_name(pod->ports[i].protocol));
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
	jsonw_close(w, '}');
	jsonw_close(w, ']');
}

static void write_pod(struct jsonw *w, const struct object *object)
{
	const struct pod *pod = (const struct pod *)object;

	jsonw_open(w, "spec", '{');
	jsonw_text(w, "nodeName", pod->node);
	if (pod->host_network)
		jsonw_bool(w, "hostNetwork", true);
	if (pod->nports)
		write_ports(w, pod);
	jsonw_close(w, '}');
	jsonw_open(w, "status", '{');
	if (pod->finished)
		jsonw_text(w, "phase", "Succeeded");
	jsonw_open(w, "podIPs", '[');
	for (uint32_t i = 0; i < pod->naddrs; i++) {
		jsonw_open(w, NULL, '{');
		write_addr(w, "ip", &pod->addrs[i]);
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
	jsonw_close(w, '}');
}

static void write_node(struct jsonw *w, const struct object *object)
{
	const struct node *node = (const struct node *)object;

	jsonw_open(w, "status", '{');
	jsonw_open(w, "addresses", '[');
	for (uint32_t i = 0; i < node->naddrs; i++) {
		jsonw_open(w, NULL, '{');
		jsonw_text(w, "type", "InternalIP");
		write_addr(w, "address", &node->addrs[i]);
		jsonw_close(w, '}');
	}
	jsonw_close(w, ']');
	jsonw_close(w, '}');
}

static void write_nothing(struct jsonw *w, const struct object *object)
{
}

static void (*const writers[KIND_MAX])(struct jsonw *w, const struct object *object) = {
	[KIND_POD] = write_pod,
	[KIND_NAMESPACE] = write_nothing, // but its metadata
	[KIND_NODE] = write_node,
	[KIND_NETPOL] = write_netpol,
	[KIND_CLUSTERNETPOL] = write_clusternetpol,
};

bool object_writes(enum kind kind)
{
	return writers[kind];
}

void object_write(struct jsonw *w, const struct object *object)
{
	const struct kind_ops *ops = object_kind(object->kind);

	assert(writers[object->kind]);

	jsonw_open(w, NULL, '{');
	jsonw_text(w, "apiVersion", ops->api_version);
	jsonw_text(w, "kind", ops->name);
	write_meta(w, object);
	writers[object->kind](w, object);
	jsonw_text(w, "problem", object->problem);
	jsonw_close(w, '}');
}

// ---- and back --------------------------------------------------------------------------------------

static const char *text_of(struct json_object *json, const char *field)
{
	struct json_object *value = json_object_object_get(json, field);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

int object_read(struct json_object *json, struct object **ret, struct err *reterr)
{
	const char *api_version, *name, *problem;
	struct object *object;
	enum kind kind;
	int r;

	if (!json_object_is_type(json, json_type_object))
		return err_set(reterr, -EBADMSG, "is no object");
	api_version = text_of(json, "apiVersion");
	name = text_of(json, "kind");
	problem = text_of(json, "problem");
	kind = api_version && name ? object_kind_find(api_version, name) : KIND_MAX;
	if (kind == KIND_MAX)
		return err_set(reterr, -EBADMSG, "is of a kind that is not known");
	r = object_parse(kind, json, &object, reterr);
	if (r < 0)
		return r;
	// What was wrong with it as written was said when it was read first: this is what was made of it.
	free((void *)object->problem);
	object->problem = NULL;
	if (problem && object_set_problem(object, problem) < 0) {
		object_put(object);
		return no_memory(reterr);
	}
	*ret = object;
	return 0;
}
