// SPDX-License-Identifier: Apache-2.0
// pod.c - Pod: labels, addresses, named ports, and whose it is.
#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/object/kind.h"

#define OWNER_BYTES 253 // of an owner's kind, and of its name

typedef VEC(struct container_port) container_port_vec;
typedef VEC(struct host_port) host_port_vec;

struct ports {
	uint32_t n; // whether kept or not
	container_port_vec named;
	host_port_vec host;
};

// hostIP "", "0.0.0.0" and "::" are every address.
static int read_host_addr(const struct at *at, struct host_port *ret, struct err *reterr)
{
	const char *text = "";
	int r = at_string(at, &text, reterr);

	if (r < 0 || !*text || !strcmp(text, "0.0.0.0") || !strcmp(text, "::"))
		return r;
	if (addr_parse(text, &ret->addr) < 0)
		return at_fail(at, reterr, "\"%.80s\" is no address", text);
	return 0;
}

static int read_host_port(const struct at *at, const struct container_port *own, struct ports *ports,
			  struct err *reterr)
{
	struct at number = at_field(at, "hostPort");
	struct at addr = at_field(at, "hostIP");
	struct host_port host = { .target = own->port, .protocol = own->protocol };
	int64_t port = 0;
	int r = at_int(&number, 0, UINT16_MAX, &port, reterr);

	if (r < 0 || !port)
		return r;
	host.port = (uint16_t)port;
	r = read_host_addr(&addr, &host, reterr);
	if (r < 0)
		return r;
	return vec_push(&ports->host, host) < 0 ? no_memory(reterr) : 0;
}

static int read_container_port(const struct at *at, struct container_port *ret, struct err *reterr)
{
	struct at number = at_field(at, "containerPort");
	struct at protocol = at_field(at, "protocol");
	struct at name = at_field(at, "name");
	int64_t port = 0;
	int r = at_object(at, reterr);

	if (r >= 0)
		r = protocol_read(&protocol, &ret->protocol, reterr);
	if (r >= 0)
		r = at_int(&number, 1, UINT16_MAX, &port, reterr);
	if (r < 0)
		return r;
	if (!port)
		return at_fail(&number, reterr, "is missing");
	ret->port = (uint16_t)port;
	return at_intern(&name, &ret->name, reterr);
}

// Named ports must not be resolved by halves: one that cannot be read refuses the pod. A port without a name says
// nothing to a policy.
static int read_container(const struct at *at, struct ports *ports, struct err *reterr)
{
	struct at list = at_field(at, "ports");
	uint32_t n = 0;
	int r = at_list(&list, OBJECT_MAX_CONTAINER_PORTS, &n, reterr);

	if (r < 0)
		return r;
	ports->n += n;
	if (ports->n > OBJECT_MAX_CONTAINER_PORTS)
		return at_fail(&list, reterr, "the pod has more than %d ports",
			       OBJECT_MAX_CONTAINER_PORTS);
	for (uint32_t i = 0; i < n; i++) {
		struct at item = at_item(&list, i);
		struct container_port port = {0};

		r = read_container_port(&item, &port, reterr);
		if (r < 0)
			return r;
		if (port.name && vec_push(&ports->named, port) < 0) {
			intern_put(port.name);
			return no_memory(reterr);
		}
		r = read_host_port(&item, &port, ports, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_sidecar(const struct at *container)
{
	struct at policy = at_field(container, "restartPolicy");
	const char *text = NULL;

	return at_string(&policy, &text, NULL) > 0 && !strcmp(text, "Always");
}

static int read_containers(const struct at *spec, const char *field, bool sidecars,
			   struct ports *ports, struct err *reterr)
{
	struct at list = at_field(spec, field);
	uint32_t n = 0;
	int r = at_list(&list, OBJECT_MAX_CONTAINERS, &n, reterr);

	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_item(&list, i);

		r = at_object(&item, reterr);
		if (r > 0 && (!sidecars || is_sidecar(&item)))
			r = read_container(&item, ports, reterr);
	}
	return r;
}

static void names_put(const struct container_port *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		intern_put(v[i].name);
}

static void ports_fini(struct ports *ports)
{
	names_put(ports->named.v, ports->named.n);
	vec_fini(&ports->named);
	vec_fini(&ports->host);
}

// Pods of one owner have the same ports.
static int keep_named(container_port_vec *named, struct pod *pod)
{
	const void *kept;

	if (!named->n)
		return 0;
	kept = intern_n((const char *)named->v, named->n * sizeof(*named->v));
	if (!kept)
		return -ENOMEM;
	pod->ports = kept;
	pod->nports = (uint16_t)named->n;
	vec_clear(named);
	return 0;
}

static int read_ports(const struct at *spec, struct pod *pod, struct err *reterr)
{
	_cleanup_(ports_fini) struct ports ports = {0};
	int r;

	r = read_containers(spec, "containers", false, &ports, reterr);
	if (r >= 0)
		r = read_containers(spec, "initContainers", true, &ports, reterr);
	if (r < 0)
		return r;
	pod->nhost_ports = (uint16_t)ports.host.n;
	pod->host_ports = TAKE_PTR(ports.host.v);
	return keep_named(&ports.named, pod) < 0 ? no_memory(reterr) : 0;
}

static int read_addr(const struct at *at, struct pod *pod, struct err *reterr)
{
	const char *text = NULL;
	int r = at_string(at, &text, reterr);

	if (r < 0)
		return r;
	if (!text || !*text)
		return 0;
	if (pod->naddrs == POD_ADDRS_MAX)
		return at_fail(at, reterr, "a pod has at most %d addresses", POD_ADDRS_MAX);
	if (addr_parse(text, &pod->addrs[pod->naddrs]) < 0)
		return at_fail(at, reterr, "\"%.80s\" is no address", text);
	pod->naddrs++;
	return 0;
}

static int read_addrs(const struct at *status, struct pod *pod, struct err *reterr)
{
	struct at single = at_field(status, "podIP");
	struct at list = at_field(status, "podIPs");
	uint32_t n = 0;
	int r = at_list(&list, UINT32_MAX, &n, reterr);

	if (r < 0)
		return r;
	pod->addrs = calloc(n < 1 ? 1 : n > POD_ADDRS_MAX ? POD_ADDRS_MAX : n, sizeof(*pod->addrs));
	if (!pod->addrs)
		return no_memory(reterr);
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_item(&list, i);
		struct at ip = at_field(&item, "ip");

		r = at_object(&item, reterr);
		if (r > 0)
			r = read_addr(&ip, pod, reterr);
	}
	return r >= 0 && !n ? read_addr(&single, pod, reterr) : r;
}

static int read_status(const struct at *root, struct pod *pod, struct err *reterr)
{
	struct at status = at_field(root, "status");
	struct at phase = at_field(&status, "phase");
	const char *text = "";
	int r = at_object(&status, reterr);

	if (r <= 0)
		return r;
	r = at_string(&phase, &text, reterr);
	if (r < 0)
		return r;
	pod->finished = !strcmp(text, "Succeeded") || !strcmp(text, "Failed");
	return read_addrs(&status, pod, reterr);
}

// The API bounds neither; names of objects are no longer. Records bear it, policy does not ask for it.
static void drop_long_owner(struct pod *pod)
{
	if ((!pod->owner_kind || strlen(pod->owner_kind) <= OWNER_BYTES) &&
	    (!pod->owner_name || strlen(pod->owner_name) <= OWNER_BYTES))
		return;
	intern_put(pod->owner_kind);
	intern_put(pod->owner_name);
	pod->owner_kind = pod->owner_name = NULL;
}

static int read_owner(const struct at *meta, struct pod *pod, struct err *reterr)
{
	struct at list = at_field(meta, "ownerReferences");
	uint32_t n = 0;
	int r = at_list(&list, UINT32_MAX, &n, reterr);

	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		struct at item = at_item(&list, i);
		struct at controller = at_field(&item, "controller");
		struct at kind = at_field(&item, "kind");
		struct at name = at_field(&item, "name");
		bool controls = false;

		r = at_bool(&controller, &controls, reterr);
		if (r < 0 || !controls)
			continue;
		r = at_intern(&kind, &pod->owner_kind, reterr);
		if (r >= 0)
			r = at_intern(&name, &pod->owner_name, reterr);
		if (r >= 0)
			drop_long_owner(pod);
		return r;
	}
	return r;
}

static int read_created(const struct at *meta, struct pod *pod, struct err *reterr)
{
	struct at at = at_field(meta, "creationTimestamp");
	const char *text = NULL, *end;
	struct tm tm = {0};
	int r = at_string(&at, &text, reterr);

	if (r <= 0)
		return r;
	end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end || (*end != 'Z' && *end != '.'))
		return at_fail(&at, reterr, "\"%.40s\" is no time such as 2026-11-21T00:02:29Z",
			       text);
	pod->created = timegm(&tm);
	return 0;
}

bool pod_outranks(const struct pod *a, const struct pod *b)
{
	int r;

	if (a->created != b->created)
		return a->created > b->created;
	r = strcmp(a->object.name, b->object.name);
	return r ? r > 0 : strcmp(a->object.ns, b->object.ns) > 0;
}

static int pod_parse(struct json_object *json, struct object *object, struct err *reterr)
{
	struct pod *pod = (struct pod *)object;
	struct at root = at_root(json);
	struct at meta = at_field(&root, "metadata");
	struct at labels = at_field(&meta, "labels");
	struct at spec = at_field(&root, "spec");
	struct at node = at_field(&spec, "nodeName");
	struct at host = at_field(&spec, "hostNetwork");
	int r;

	r = labels_read(&labels, &pod->labels, reterr);
	if (r >= 0)
		r = read_owner(&meta, pod, reterr);
	if (r >= 0)
		r = read_created(&meta, pod, reterr);
	if (r >= 0)
		r = at_object(&spec, reterr);
	if (r >= 0)
		r = at_intern(&node, &pod->node, reterr);
	if (r >= 0)
		r = at_bool(&host, &pod->host_network, reterr);
	if (r >= 0)
		r = read_ports(&spec, pod, reterr);
	return r < 0 ? r : read_status(&root, pod, reterr);
}

static int copy_parts(struct pod *copy, const struct pod *pod, const struct bh_addr *addrs)
{
	labels_copy(&copy->labels, &pod->labels);
	copy->addrs = calloc(copy->naddrs ? copy->naddrs : 1, sizeof(*copy->addrs));
	copy->host_ports = calloc(pod->nhost_ports ? pod->nhost_ports : 1, sizeof(*copy->host_ports));
	if (!copy->addrs || !copy->host_ports)
		return -ENOMEM;
	for (uint32_t i = 0; i < copy->naddrs; i++)
		copy->addrs[i] = addrs[i];
	for (uint32_t i = 0; i < pod->nports; i++)
		intern_get(pod->ports[i].name);
	copy->ports = (const void *)intern_get((const char *)pod->ports);
	copy->nports = pod->nports;
	for (; copy->nhost_ports < pod->nhost_ports; copy->nhost_ports++)
		copy->host_ports[copy->nhost_ports] = pod->host_ports[copy->nhost_ports];
	return 0;
}

struct object *pod_with_addrs(const struct pod *pod, const struct bh_addr *addrs, uint32_t naddrs, bool lent)
{
	_cleanup_(object_putp) struct object *object = object_copy(&pod->object);
	struct pod *copy = (struct pod *)object;

	if (!copy)
		return NULL;
	copy->node = intern_get(pod->node);
	copy->owner_kind = intern_get(pod->owner_kind);
	copy->owner_name = intern_get(pod->owner_name);
	copy->created = pod->created;
	copy->host_network = pod->host_network;
	copy->finished = pod->finished;
	copy->naddrs = (uint8_t)naddrs;
	copy->lent = lent;
	return copy_parts(copy, pod, addrs) < 0 ? NULL : TAKE_PTR(object);
}

static void pod_fini(struct object *object)
{
	struct pod *pod = (struct pod *)object;

	labels_fini(&pod->labels);
	intern_put(pod->node);
	intern_put(pod->owner_kind);
	intern_put(pod->owner_name);
	names_put(pod->ports, pod->nports);
	intern_put((const char *)pod->ports);
	free(pod->host_ports);
	free(pod->addrs);
}

static bool ports_equal(const struct pod *a, const struct pod *b)
{
	if (a->nports != b->nports || a->nhost_ports != b->nhost_ports)
		return false;
	for (uint32_t i = 0; i < a->nports; i++)
		if (a->ports[i].name != b->ports[i].name || a->ports[i].port != b->ports[i].port ||
		    a->ports[i].protocol != b->ports[i].protocol)
			return false;
	for (uint32_t i = 0; i < a->nhost_ports; i++) {
		const struct host_port *x = &a->host_ports[i], *y = &b->host_ports[i];

		if (x->port != y->port || x->target != y->target || x->protocol != y->protocol ||
		    !bh_addr_equal(&x->addr, &y->addr))
			return false;
	}
	return true;
}

static bool pod_equal(const struct object *a, const struct object *b)
{
	const struct pod *x = (const struct pod *)a, *y = (const struct pod *)b;

	return x->node == y->node && x->owner_kind == y->owner_kind &&
	       x->owner_name == y->owner_name && x->created == y->created &&
	       x->host_network == y->host_network && x->finished == y->finished && x->lent == y->lent &&
	       addrs_equal(x->addrs, x->naddrs, y->addrs, y->naddrs) && ports_equal(x, y) &&
	       labels_equal(&x->labels, &y->labels);
}

const struct kind_ops pod_kind = {
	.name = "Pod",
	.api_version = "v1",
	.plural = "pods",
	.namespaced = true,
	.parse = pod_parse,
	.fini = pod_fini,
	.equal = pod_equal,
	.size = sizeof(struct pod),
};
