// SPDX-License-Identifier: Apache-2.0
// endpointslice.c - EndpointSlice: where a Service's packets go.
#include <errno.h>
#include <string.h>

#include "agent/object/kind.h"

#define SERVICE_LABEL "kubernetes.io/service-name"

// nil ready and nil serving are true, nil terminating is false: the API's words, and what proxies go by.
static int read_conditions(const struct at *at, struct slice_endpoint *endpoint, struct err *reterr)
{
	struct at conditions = at_field(at, "conditions");
	struct at ready = at_field(&conditions, "ready");
	struct at serving = at_field(&conditions, "serving");
	struct at terminating = at_field(&conditions, "terminating");
	int r = at_object(&conditions, reterr);

	endpoint->ready = endpoint->serving = true;
	if (r >= 0)
		r = at_bool(&ready, &endpoint->ready, reterr);
	if (r >= 0)
		r = at_bool(&serving, &endpoint->serving, reterr);
	return r < 0 ? r : at_bool(&terminating, &endpoint->terminating, reterr);
}

static int read_addr(const struct at *at, struct slice_endpoint *endpoint, struct err *reterr)
{
	struct at list = at_field(at, "addresses");
	struct at item = at_item(&list, 0);
	const char *text = "";
	uint32_t n = 0;
	int r = at_list(&list, OBJECT_MAX_ADDRS, &n, reterr);

	if (r <= 0 || !n)
		return r;
	r = at_string(&item, &text, reterr);
	if (r < 0)
		return r;
	if (addr_parse(text, &endpoint->addr) < 0)
		return at_fail(&item, reterr, "\"%.80s\" is no address", text);
	endpoint->has_addr = true;
	return 0;
}

static int read_pod(const struct at *at, const char *ns, struct slice_endpoint *endpoint,
		    struct err *reterr)
{
	struct at ref = at_field(at, "targetRef");
	struct at kind = at_field(&ref, "kind");
	struct at ref_ns = at_field(&ref, "namespace");
	struct at name = at_field(&ref, "name");
	const char *kind_text = "", *ns_text = ns;
	int r = at_object(&ref, reterr);

	if (r > 0)
		r = at_string(&kind, &kind_text, reterr);
	if (r >= 0)
		r = at_string(&ref_ns, &ns_text, reterr);
	if (r < 0 || strcmp(kind_text, "Pod") || (*ns_text && strcmp(ns_text, ns)))
		return r;
	return at_intern(&name, &endpoint->pod, reterr);
}

static int read_endpoint(const struct at *at, bool fqdn, const char *ns,
			 struct slice_endpoint *endpoint, struct err *reterr)
{
	struct at node = at_field(at, "nodeName");
	int r = at_object(at, reterr);

	if (r >= 0 && !fqdn)
		r = read_addr(at, endpoint, reterr);
	if (r >= 0)
		r = read_conditions(at, endpoint, reterr);
	if (r >= 0)
		r = at_intern(&node, &endpoint->node, reterr);
	return r < 0 ? r : read_pod(at, ns, endpoint, reterr);
}

static int read_endpoints(const struct at *root, struct endpointslice *slice, struct err *reterr)
{
	struct at list = at_field(root, "endpoints");
	struct at type = at_field(root, "addressType");
	const char *type_text = "";
	uint32_t n = 0;
	int r = at_list(&list, OBJECT_MAX_ENDPOINTS, &n, reterr);

	if (r >= 0)
		r = at_string(&type, &type_text, reterr);
	if (r < 0)
		return r;
	slice->endpoints = calloc((size_t)n + 1, sizeof(*slice->endpoints));
	if (!slice->endpoints)
		return no_memory(reterr);
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_item(&list, i);

		r = read_endpoint(&item, !strcmp(type_text, "FQDN"), slice->object.ns,
				  &slice->endpoints[slice->nendpoints++], reterr);
	}
	return r;
}

static int endpointslice_parse(struct json_object *json, struct object *object, struct err *reterr)
{
	struct endpointslice *slice = (struct endpointslice *)object;
	struct at root = at_root(json);
	struct at meta = at_field(&root, "metadata");
	struct at labels = at_field(&meta, "labels");
	struct at service = at_field(&labels, SERVICE_LABEL);
	struct at ports = at_field(&root, "ports");
	int r;

	r = at_object(&labels, reterr);
	if (r >= 0)
		r = at_intern(&service, &slice->service, reterr);
	if (r >= 0)
		r = service_ports_read(&ports, &slice->ports, &slice->nports, reterr);
	return r < 0 ? r : read_endpoints(&root, slice, reterr);
}

static void endpointslice_fini(struct object *object)
{
	struct endpointslice *slice = (struct endpointslice *)object;

	for (uint32_t i = 0; i < slice->nendpoints; i++) {
		intern_put(slice->endpoints[i].node);
		intern_put(slice->endpoints[i].pod);
	}
	free(slice->endpoints);
	service_ports_fini(slice->ports, slice->nports);
	intern_put(slice->service);
}

static bool endpoint_equal(const struct slice_endpoint *a, const struct slice_endpoint *b)
{
	return a->ready == b->ready && a->serving == b->serving &&
	       a->terminating == b->terminating && a->node == b->node && a->pod == b->pod &&
	       a->has_addr == b->has_addr && bh_addr_equal(&a->addr, &b->addr);
}

static bool endpointslice_equal(const struct object *a, const struct object *b)
{
	const struct endpointslice *x = (const struct endpointslice *)a;
	const struct endpointslice *y = (const struct endpointslice *)b;

	if (x->service != y->service || x->nendpoints != y->nendpoints ||
	    !service_ports_equal(x->ports, x->nports, y->ports, y->nports))
		return false;
	for (uint32_t i = 0; i < x->nendpoints; i++)
		if (!endpoint_equal(&x->endpoints[i], &y->endpoints[i]))
			return false;
	return true;
}

const struct kind_ops endpointslice_kind = {
	.name = "EndpointSlice",
	.api_version = "discovery.k8s.io/v1",
	.plural = "endpointslices",
	.namespaced = true,
	.parse = endpointslice_parse,
	.fini = endpointslice_fini,
	.equal = endpointslice_equal,
	.size = sizeof(struct endpointslice),
};
