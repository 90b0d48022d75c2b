// SPDX-License-Identifier: Apache-2.0
// service.c - Service: virtual addresses and ports; also the ports of EndpointSlices.
#include <errno.h>
#include <string.h>

#include "agent/object/kind.h"

static int read_target(const struct at *at, struct service_port *port, struct err *reterr)
{
	int64_t number = port->port;
	int r;

	if (json_object_is_type(at->json, json_type_string)) {
		r = at_intern(at, &port->target_name, reterr);
		return r < 0 ? r : 0;
	}
	r = at_int(at, 0, UINT16_MAX, &number, reterr);
	port->target = (uint16_t)(number ? number : port->port);
	return r;
}

static int read_port(const struct at *at, struct service_port *port, struct err *reterr)
{
	struct at name = at_field(at, "name");
	struct at protocol = at_field(at, "protocol");
	struct at number = at_field(at, "port");
	struct at node_port = at_field(at, "nodePort");
	struct at target = at_field(at, "targetPort");
	int64_t value = 0, node_value = 0;
	int r = at_object(at, reterr);

	if (r >= 0)
		r = protocol_read(&protocol, &port->protocol, reterr);
	if (r >= 0)
		r = at_int(&number, 0, UINT16_MAX, &value, reterr);
	if (r >= 0)
		r = at_int(&node_port, 0, UINT16_MAX, &node_value, reterr);
	if (r < 0)
		return r;
	port->port = (uint16_t)value;
	port->node_port = (uint16_t)node_value;
	r = read_target(&target, port, reterr);
	if (r < 0)
		return r;
	r = at_intern(&name, &port->name, reterr);
	if (port->name && !*port->name) { // the API's "" is no name
		intern_put(port->name);
		port->name = NULL;
	}
	return r;
}

int service_ports_read(const struct at *list, struct service_port **ret, uint32_t *retn,
		       struct err *reterr)
{
	uint32_t n = 0;
	int r = at_list(list, OBJECT_MAX_SERVICE_PORTS, &n, reterr);

	if (r < 0)
		return r;
	*ret = calloc((size_t)n + 1, sizeof(**ret));
	if (!*ret)
		return no_memory(reterr);
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_item(list, i);

		r = read_port(&item, &(*ret)[(*retn)++], reterr);
	}
	return r;
}

void service_ports_fini(struct service_port *ports, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		intern_put(ports[i].name);
		intern_put(ports[i].target_name);
	}
	free(ports);
}

bool service_ports_equal(const struct service_port *a, uint32_t na, const struct service_port *b,
			 uint32_t nb)
{
	if (na != nb)
		return false;
	for (uint32_t i = 0; i < na; i++)
		if (a[i].name != b[i].name || a[i].protocol != b[i].protocol ||
		    a[i].port != b[i].port || a[i].node_port != b[i].node_port ||
		    a[i].target_name != b[i].target_name || a[i].target != b[i].target)
			return false;
	return true;
}

typedef VEC(struct bh_addr) addr_vec;

// "None" and "" are no addresses. Twice the same address counts once.
static int add_addr(const struct at *at, addr_vec *addrs, struct err *reterr)
{
	const char *text = "";
	struct bh_addr addr;
	int r = at_string(at, &text, reterr);

	if (r < 0 || !*text || !strcmp(text, "None"))
		return r;
	if (addr_parse(text, &addr) < 0)
		return at_fail(at, reterr, "\"%.80s\" is no address", text);
	if (addrs->n == OBJECT_MAX_ADDRS)
		return at_fail(at, reterr, "a Service has at most %d addresses", OBJECT_MAX_ADDRS);
	vec_each (struct bh_addr, known, addrs)
		if (bh_addr_equal(known, &addr))
			return 0;
	return vec_push(addrs, addr) < 0 ? no_memory(reterr) : 0;
}

static int add_list(const struct at *spec, const char *field, addr_vec *addrs, struct err *reterr)
{
	struct at list = at_field(spec, field);
	uint32_t n = 0;
	int r = at_list(&list, OBJECT_MAX_ADDRS, &n, reterr);

	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_item(&list, i);

		r = add_addr(&item, addrs, reterr);
	}
	return r;
}

// With ipMode Proxy the address is the load balancer's own: packets to it are not translated here.
static int add_balancer(const struct at *item, addr_vec *addrs, struct err *reterr)
{
	struct at ip = at_field(item, "ip");
	struct at mode = at_field(item, "ipMode");
	const char *text = "";
	int r = at_object(item, reterr);

	if (r >= 0)
		r = at_string(&mode, &text, reterr);
	if (r < 0 || !strcmp(text, "Proxy"))
		return r;
	return add_addr(&ip, addrs, reterr);
}

static int add_balancers(const struct at *root, addr_vec *addrs, struct err *reterr)
{
	struct at status = at_field(root, "status");
	struct at balancer = at_field(&status, "loadBalancer");
	struct at list = at_field(&balancer, "ingress");
	uint32_t n = 0;
	int r = at_list(&list, OBJECT_MAX_ADDRS, &n, reterr);

	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_item(&list, i);

		r = add_balancer(&item, addrs, reterr);
	}
	return r;
}

// kube-proxy leaves such a Service to another proxy, which may not be there: nobody need translate anything.
static bool is_of_other_proxy(const struct at *root)
{
	struct at meta = at_field(root, "metadata");
	struct at labels = at_field(&meta, "labels");
	struct at name = at_field(&labels, "service.kubernetes.io/service-proxy-name");

	return name.json;
}

static bool has_family(const struct bh_addr *addrs, size_t n, const struct bh_addr *of)
{
	for (size_t i = 0; i < n; i++)
		if (bh_addr_is4(&addrs[i]) == bh_addr_is4(of))
			return true;
	return false;
}

// A proxy passes over a Service that has no ClusterIP of its family.
static void drop_other_families(addr_vec *addrs, size_t nclusterips)
{
	size_t kept = nclusterips;

	for (size_t i = nclusterips; i < addrs->n; i++)
		if (has_family(addrs->v, nclusterips, &addrs->v[i]))
			addrs->v[kept++] = addrs->v[i];
	addrs->n = kept;
}

static int read_addrs(const struct at *root, const struct at *spec, struct service *service,
		      struct err *reterr)
{
	struct at single = at_field(spec, "clusterIP");
	addr_vec addrs = {0};
	int r;

	r = add_addr(&single, &addrs, reterr);
	if (r >= 0)
		r = add_list(spec, "clusterIPs", &addrs, reterr);
	service->headless = !addrs.n || is_of_other_proxy(root);
	service->nclusterips = (uint32_t)addrs.n;
	if (r >= 0)
		r = add_list(spec, "externalIPs", &addrs, reterr);
	if (r >= 0)
		r = add_balancers(root, &addrs, reterr);
	drop_other_families(&addrs, service->nclusterips);
	service->naddrs = (uint32_t)addrs.n;
	service->addrs = TAKE_PTR(addrs.v);
	return r;
}

static int read_local(const struct at *spec, const char *field, bool *ret, struct err *reterr)
{
	struct at policy = at_field(spec, field);
	const char *text = "";
	int r = at_string(&policy, &text, reterr);

	*ret |= !strcmp(text, "Local");
	return r;
}

static int service_parse(struct json_object *json, struct object *object, struct err *reterr)
{
	struct service *service = (struct service *)object;
	struct at root = at_root(json);
	struct at spec = at_field(&root, "spec");
	struct at type = at_field(&spec, "type");
	struct at selector = at_field(&spec, "selector");
	struct at ports = at_field(&spec, "ports");
	const char *text = "";
	int r;

	r = at_object(&spec, reterr);
	if (r >= 0)
		r = at_string(&type, &text, reterr);
	if (r < 0)
		return r;
	service->external_name = !strcmp(text, "ExternalName");
	r = selector_read_map(&selector, &service->selector, reterr);
	service->has_selector = service->selector.nterms > 0;
	if (r >= 0)
		r = service_ports_read(&ports, &service->ports, &service->nports, reterr);
	if (r >= 0)
		r = read_local(&spec, "internalTrafficPolicy", &service->local, reterr);
	if (r >= 0)
		r = read_local(&spec, "externalTrafficPolicy", &service->local, reterr);
	if (r < 0 || service->external_name)
		return r;
	return read_addrs(&root, &spec, service, reterr);
}

static void service_fini(struct object *object)
{
	struct service *service = (struct service *)object;

	selector_fini(&service->selector);
	service_ports_fini(service->ports, service->nports);
	free(service->addrs);
}

static bool service_equal(const struct object *a, const struct object *b)
{
	const struct service *x = (const struct service *)a, *y = (const struct service *)b;

	return x->external_name == y->external_name && x->headless == y->headless &&
	       x->has_selector == y->has_selector && x->local == y->local &&
	       x->nclusterips == y->nclusterips &&
	       selector_equal(&x->selector, &y->selector) &&
	       addrs_equal(x->addrs, x->naddrs, y->addrs, y->naddrs) &&
	       service_ports_equal(x->ports, x->nports, y->ports, y->nports);
}

const struct kind_ops service_kind = {
	.name = "Service",
	.api_version = "v1",
	.plural = "services",
	.namespaced = true,
	.parse = service_parse,
	.fini = service_fini,
	.equal = service_equal,
	.size = sizeof(struct service),
};
