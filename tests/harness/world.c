// SPDX-License-Identifier: Apache-2.0
// world.c - random objects from small pools, so that they overlap, nest and contradict each other.
#include "tests/harness/test.h"

#include "tests/harness/world.h"

#define BLOCKS 12

static const char *const namespaces[WORLD_NAMESPACES] = { "a", "b", "c" };
static const char *const blocks[BLOCKS][4] = {
	{ "0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/28", "128.0.0.0/1" },
	{ "10.0.0.0/8", "10.0.0.0/24", "10.0.0.4/30", "10.0.1.0/24" },
	{ "10.0.0.0/24", "10.0.0.0/28", "10.0.0.8/29", "10.0.0.3/32" },
	{ "10.0.0.0/28", "10.0.0.4/30", "10.0.0.5/32", "10.0.0.0/30" },
	{ "10.0.0.8/29", "10.0.0.8/30", "10.0.0.12/31", "10.0.0.15/32" },
	{ "10.0.0.5/32", NULL, NULL, NULL },
	{ "172.18.0.0/16", "172.18.0.2/32", "172.18.0.0/30", "172.18.1.0/24" },
	{ "::/0", "fd00::/64", "fd00::/124", "8000::/1" },
	{ "fd00::/64", "fd00::/120", "fd00::4/126", "fd00::5/128" },
	{ "fd00::/124", "fd00::4/126", "fd00::8/125", "fd00::/126" },
	{ "fd00::7/128", NULL, NULL, NULL },
	{ "0.0.0.0/1", "10.0.0.0/28", "0.0.0.0/2", "10.0.0.6/32" },
};
static const char *const labels[] = { "'k':'x'", "'k':'y'", "'k':'x','t':'1'", "'k':'y','t':'2'",
				      "" };
static const char *const selectors[] = {
	"{}",
	"{'matchLabels':{'k':'x'}}",
	"{'matchLabels':{'k':'y'}}",
	"{'matchLabels':{'t':'1'}}",
	"{'matchExpressions':[{'key':'k','operator':'NotIn','values':['x']}]}",
	"{'matchExpressions':[{'key':'t','operator':'DoesNotExist'}]}",
	"{'matchExpressions':[{'key':'k','operator':'In','values':['x','z']}]}",
	"{'matchExpressions':[{'key':'k','operator':'Exists'}]}",
};
static const uint16_t numbers[] = { 53, 80, 81, 443, 8080, 8081 };
static const char *const protocols[] = { "TCP", "UDP", "SCTP" };
static const char *const service_ports[] = { "", "web", "dns" }; // names

uint32_t world_below(struct world *world, uint32_t n)
{
	world->random = world->random * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((world->random >> 33) % n);
}

#define PICK(world, array) ((array)[world_below(world, ARRAY_SIZE(array))])

static bool chance(struct world *world, uint32_t percent)
{
	return world_below(world, 100) < percent;
}

const char *world_pod_ns(uint32_t pod)
{
	return namespaces[pod % WORLD_NAMESPACES];
}

const char *world_pod_name(uint32_t pod, char buf[16])
{
	snprintf(buf, 16, "p%u", pod);
	return buf;
}

static bool is_local(void *arg, const struct pod *pod)
{
	char name[16];

	for (uint32_t i = 0; i < WORLD_LOCAL; i++)
		if (!strcmp(pod->object.name, world_pod_name(i, name)) &&
		    !strcmp(pod->object.ns, world_pod_ns(i)))
			return true;
	return false;
}

bool world_is_host(const struct bh_addr *addr)
{
	static const char *const own[] = { "172.18.0.1", "fc00::1" };
	struct bh_addr host;

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (addr_parse(own[i], &host) == 0 && bh_addr_equal(&host, addr))
			return true;
	return false;
}

static bool is_host(void *arg, const struct bh_addr *addr)
{
	return world_is_host(addr);
}

struct world *world_new(uint64_t seed, store_changed_fn fn, void *arg)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->random = seed * 0x9e3779b97f4a7c15ull + 1;
	assert_ok(store_new(&world->store));
	if (fn)
		assert_ok(store_subscribe(world->store, fn, arg));
	world->naive = (struct naive){ .store = world->store, .local = is_local, .host = is_host,
				       .node = WORLD_OWN_NODE };
	world->netpols = 7;
	world->cnps = 4;
	return world;
}

void world_free(struct world *world)
{
	if (!world)
		return;
	store_free(world->store);
	free(world);
}

static void put_json(struct store *store, enum kind kind, const char *text)
{
	_cleanup_json_ struct json_object *json = test_json(text);
	struct object *object;
	struct err err = { 0 };

	assert_ok_err(object_parse(kind, json, &object, &err), &err);
	assert_ok(store_put(store, object));
}

void world_put(struct store *store, enum kind kind, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;

	va_start(args, fmt);
	assert_true(vasprintf(&text, fmt, args) > 0);
	va_end(args);
	put_json(store, kind, text);
}

// ---- objects --------------------------------------------------------------------------------------------------

static void put_namespace(struct world *world, const char *name)
{
	world_put(
		world->store, KIND_NAMESPACE,
		"{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'%s','labels':{%s%s%s}}}",
		name, chance(world, 10) ? "'bulkhead.io/audit':'true'" : "'z':'z'", ",",
		chance(world, 50) ? "'k':'x'" : "'k':'y'");
}

static void put_node(struct world *world, uint32_t i)
{
	world_put(world->store, KIND_NODE,
		  "{'apiVersion':'v1','kind':'Node','metadata':{'name':'n%u','labels':{%s}},"
		  "'status':{'addresses':[{'type':'InternalIP','address':'172.18.0.%u'},"
		  "{'type':'InternalIP','address':'fc00::%u'}]}}",
		  i, PICK(world, labels), i + 1 + world_below(world, 2) * 4, i + 1);
}

static void print_ports(struct world *world, FILE *out)
{
	static const char *const names[] = { "web", "dns", "web" };
	uint32_t n = world_below(world, 4);

	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s{'name':'%s','containerPort':%u,'protocol':'%s'%s%s}", i ? "," : "",
			PICK(world, names), PICK(world, numbers), PICK(world, protocols),
			chance(world, 10) ? ",'hostPort':81" : "",
			chance(world, 30) ? ",'hostIP':'172.18.0.1'" : "");
}

static void put_pod(struct world *world, uint32_t i)
{
	char name[16], *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	uint32_t addr = chance(world, 85) ? i : world_below(world, 16);

	fprintf(out,
		"{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'%s','name':'%s',"
		"'creationTimestamp':'2026-01-01T00:%02u:%02uZ','labels':{%s}},"
		"'spec':{'nodeName':'n0','hostNetwork':%s,'containers':[{'name':'c','ports':[",
		world_pod_ns(i), world_pod_name(i, name), world_below(world, 60), i,
		PICK(world, labels), chance(world, 6) ? "true" : "false");
	print_ports(world, out);
	fprintf(out, "]}]},'status':{'phase':'%s','podIPs':[{'ip':'10.0.0.%u'}",
		chance(world, 6) ? "Succeeded" : "Running", addr);
	if (chance(world, 80))
		fprintf(out, ",{'ip':'fd00::%x'}", addr);
	fputs("]}}", out);
	fclose(out);
	put_json(world->store, KIND_POD, text);
	free(text);
}

static void print_block(struct world *world, FILE *out)
{
	const char *const *block = blocks[world_below(world, BLOCKS)];
	uint32_t n = block[1] ? world_below(world, 3) : 0;

	fprintf(out, "{'ipBlock':{'cidr':'%s'", block[0]);
	if (n)
		fprintf(out, ",'except':['%s'%s%s%s]", block[1], n > 1 ? ",'" : "",
			n > 1 ? block[2 + world_below(world, 2)] : "", n > 1 ? "'" : "");
	fputs("}}", out);
}

static void print_netpol_rule(struct world *world, FILE *out, const char *side)
{
	uint32_t npeers = world_below(world, 4), nports = world_below(world, 4);

	fprintf(out, "{'%s':[", side);
	for (uint32_t i = 0; i < npeers; i++) {
		fputs(i ? "," : "", out);
		switch (world_below(world, 4)) {
		case 0:
			fprintf(out, "{'podSelector':%s}", PICK(world, selectors));
			break;
		case 1:
			fprintf(out, "{'namespaceSelector':%s,'podSelector':%s}",
				PICK(world, selectors), PICK(world, selectors));
			break;
		case 2:
			fprintf(out, "{'namespaceSelector':%s}", PICK(world, selectors));
			break;
		default:
			print_block(world, out);
		}
	}
	fputs("],'ports':[", out);
	for (uint32_t i = 0; i < nports; i++) {
		uint16_t lo = PICK(world, numbers);

		fprintf(out, "%s{'protocol':'%s'", i ? "," : "", PICK(world, protocols));
		if (chance(world, 30))
			fprintf(out, ",'port':'%s'", chance(world, 60) ? "web" : "dns");
		else if (chance(world, 80))
			fprintf(out, ",'port':%u", lo);
		else
			fprintf(out, ",'port':%u,'endPort':%u", lo, lo + world_below(world, 400));
		fputs("}", out);
	}
	fputs("]}", out);
}

static void put_netpol(struct world *world, uint32_t i)
{
	static const char *const types[] = { "'Ingress'", "'Egress'", "'Ingress','Egress'" };
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fprintf(out,
		"{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy','metadata':{"
		"'namespace':'%s','name':'np%u'%s},'spec':{'podSelector':%s,'policyTypes':[%s]",
		namespaces[i % WORLD_NAMESPACES], i,
		chance(world, 10) ? ",'annotations':{'bulkhead.io/audit':'true'}" : "",
		PICK(world, selectors), PICK(world, types));
	for (int dir = 0; dir < 2; dir++) {
		uint32_t n = world_below(world, 4);

		fprintf(out, ",'%s':[", dir ? "egress" : "ingress");
		for (uint32_t j = 0; j < n; j++) {
			fputs(j ? "," : "", out);
			print_netpol_rule(world, out, dir ? "to" : "from");
		}
		fputs("]", out);
	}
	fputs("}}", out);
	fclose(out);
	put_json(world->store, KIND_NETPOL, text);
	free(text);
}

static void print_cnp_peers(struct world *world, FILE *out, bool egress)
{
	uint32_t n = 1 + world_below(world, 2);

	for (uint32_t i = 0; i < n; i++) {
		fputs(i ? "," : "", out);
		switch (world_below(world, egress ? 4 : 2)) {
		case 0:
			fprintf(out, "{'namespaces':%s}", PICK(world, selectors));
			break;
		case 1:
			fprintf(out, "{'pods':{'namespaceSelector':%s,'podSelector':%s}}",
				PICK(world, selectors), PICK(world, selectors));
			break;
		case 2:
			fprintf(out, "{'networks':['%s']}", blocks[world_below(world, BLOCKS)][0]);
			break;
		default:
			fprintf(out, "{'nodes':%s}", PICK(world, selectors));
		}
	}
}

static void print_cnp_ports(struct world *world, FILE *out)
{
	static const char *const keys[] = { "tcp", "udp", "sctp" };
	uint32_t n = 1 + world_below(world, 2);

	for (uint32_t i = 0; i < n; i++) {
		uint16_t lo = PICK(world, numbers);

		fputs(i ? "," : "", out);
		if (chance(world, 40))
			fprintf(out, "{'%s':{'destinationPort':{'number':%u}}}", PICK(world, keys),
				lo);
		else if (chance(world, 60))
			fprintf(out, "{'%s':{'destinationPort':{'range':{'start':%u,'end':%u}}}}",
				PICK(world, keys), lo, lo + 1 + world_below(world, 400));
		else
			fprintf(out, "{'destinationNamedPort':'%s'}",
				chance(world, 60) ? "web" : "dns");
	}
}

static void put_cnp(struct world *world, uint32_t i)
{
	static const char *const actions[] = { "Accept", "Deny", "Pass" };
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fprintf(out,
		"{'apiVersion':'policy.networking.k8s.io/v1alpha2','kind':'ClusterNetworkPolicy',"
		"'metadata':{'name':'cnp%u'%s},'spec':{'tier':'%s','priority':%u,'subject':",
		i, chance(world, 10) ? ",'annotations':{'bulkhead.io/audit':'true'}" : "",
		chance(world, 50) ? "Admin" : "Baseline", world_below(world, 3));
	if (chance(world, 50))
		fprintf(out, "{'namespaces':%s}", PICK(world, selectors));
	else
		fprintf(out, "{'pods':{'namespaceSelector':%s,'podSelector':%s}}",
			PICK(world, selectors), PICK(world, selectors));
	for (int dir = 0; dir < 2; dir++) {
		uint32_t n = world_below(world, 4);

		fprintf(out, ",'%s':[", dir ? "egress" : "ingress");
		for (uint32_t j = 0; j < n; j++) {
			fprintf(out, "%s{'action':'%s','%s':[", j ? "," : "", PICK(world, actions),
				dir ? "to" : "from");
			print_cnp_peers(world, out, dir);
			fputs("]", out);
			if (chance(world, 50)) {
				fputs(",'protocols':[", out);
				print_cnp_ports(world, out);
				fputs("]", out);
			}
			fputs("}", out);
		}
		fputs("]", out);
	}
	fputs("}}", out);
	fclose(out);
	put_json(world->store, KIND_CLUSTERNETPOL, text);
	free(text);
}

// ---- Services ---------------------------------------------------------------------------------------------------

// Port i of Service s has its name and protocol in all its slices, whatever is rolled.
static const char *port_name(uint32_t s, uint32_t i)
{
	return service_ports[(s + i) % ARRAY_SIZE(service_ports)];
}

static const char *port_protocol(uint32_t s, uint32_t i)
{
	return protocols[(s / 2 + i) % 2];
}

static void put_service(struct world *world, uint32_t s)
{
	uint32_t n = 1 + world_below(world, 2);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fprintf(out,
		"{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'%s','name':'s%u'},'spec':{",
		namespaces[s % WORLD_NAMESPACES], s);
	if (chance(world, 8))
		fputs("'clusterIP':'None'", out);
	else
		fprintf(out, chance(world, 60) ? "'clusterIPs':['10.96.0.%u','fd96::%x']" :
						 "'clusterIPs':['10.96.0.%u']",
			s, s);
	if (chance(world, 30)) // two Services may claim it
		fputs(",'externalIPs':['10.97.0.1','2001:db8::97']", out);
	if (chance(world, 30))
		fputs(",'internalTrafficPolicy':'Local'", out);
	fputs(",'ports':[", out);
	for (uint32_t i = 0; i < n; i++) {
		fprintf(out, "%s{'name':'%s','protocol':'%s','port':%u", i ? "," : "",
			port_name(s, i), port_protocol(s, i), PICK(world, numbers));
		if (chance(world, 30))
			fprintf(out, ",'nodePort':%u", 30000 + world_below(world, 3));
		fputs("}", out);
	}
	fputs("]}}", out);
	fclose(out);
	put_json(world->store, KIND_SERVICE, text);
	free(text);
}

static void print_endpoint(struct world *world, FILE *out, bool v6)
{
	static const char *const others4[] = { "172.18.0.1", "172.18.0.2", "8.8.8.8", "10.0.1.7" };
	static const char *const others6[] = { "fc00::1", "fc00::2", "2001:db8::1", "fd00::99" };

	fputs("{'addresses':['", out);
	if (chance(world, 25))
		fputs(v6 ? PICK(world, others6) : PICK(world, others4), out);
	else
		fprintf(out, v6 ? "fd00::%x" : "10.0.0.%u", world_below(world, 17));
	if (chance(world, 10)) // means nothing
		fputs(v6 ? "','fd00::1" : "','10.0.0.1", out);
	fprintf(out, "'],'nodeName':'%s','conditions':{'ready':%s,'serving':%s,'terminating':%s}}",
		chance(world, 50) ? WORLD_OWN_NODE : "other", chance(world, 60) ? "true" : "false", chance(world, 60) ? "true" : "false",
		chance(world, 40) ? "true" : "false");
}

static void put_slice(struct world *world, uint32_t s, uint32_t slice)
{
	bool v6 = chance(world, 35);
	uint32_t nports = 1 + world_below(world, 2), n = world_below(world, 4);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fprintf(out,
		"{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','metadata':{'namespace':'%s',"
		"'name':'s%u-%u','labels':{'kubernetes.io/service-name':'s%u'}},'addressType':'%s','ports':[",
		namespaces[s % WORLD_NAMESPACES], s, slice, s, v6 ? "IPv6" : "IPv4");
	for (uint32_t i = 0; i < nports; i++)
		fprintf(out, "%s{'name':'%s','protocol':'%s','port':%u}", i ? "," : "",
			port_name(s, i), port_protocol(s, i), PICK(world, numbers));
	fputs("],'endpoints':[", out);
	for (uint32_t i = 0; i < n; i++) {
		fputs(i ? "," : "", out);
		print_endpoint(world, out, v6);
	}
	fputs("]}", out);
	fclose(out);
	put_json(world->store, KIND_ENDPOINTSLICE, text);
	free(text);
}

static void change_service(struct world *world)
{
	uint32_t s = world_below(world, WORLD_SERVICES), slice = world_below(world, WORLD_SLICES);
	const char *ns = namespaces[s % WORLD_NAMESPACES];
	char name[24];

	if (chance(world, 75)) {
		snprintf(name, sizeof(name), "s%u-%u", s, slice);
		if (chance(world, 80))
			put_slice(world, s, slice);
		else
			store_remove(world->store, KIND_ENDPOINTSLICE, ns, name);
		return;
	}
	snprintf(name, sizeof(name), "s%u", s);
	if (chance(world, 70))
		put_service(world, s);
	else
		store_remove(world->store, KIND_SERVICE, ns, name);
}

// ---- the whole --------------------------------------------------------------------------------------------------

void world_fill(struct world *world)
{
	for (uint32_t i = 0; i < WORLD_NAMESPACES; i++)
		put_namespace(world, namespaces[i]);
	for (uint32_t i = 0; i < 2; i++)
		put_node(world, i);
	for (uint32_t i = 0; i < WORLD_PODS; i++)
		put_pod(world, i);
	for (uint32_t i = 0; i < world->netpols; i += 2)
		put_netpol(world, i);
	for (uint32_t i = 0; i < world->cnps; i += 2)
		put_cnp(world, i);
	for (uint32_t i = 0; i < WORLD_SERVICES; i++)
		put_service(world, i);
	for (uint32_t i = 0; i < WORLD_SERVICES * WORLD_SLICES; i += 2)
		put_slice(world, i / WORLD_SLICES, i % WORLD_SLICES);
}

static void change_policy(struct world *world)
{
	char name[32];
	uint32_t i;

	if (chance(world, 60)) {
		i = world_below(world, world->netpols);
		snprintf(name, sizeof(name), "np%u", i);
		if (chance(world, 70))
			put_netpol(world, i);
		else
			store_remove(world->store, KIND_NETPOL, namespaces[i % WORLD_NAMESPACES],
				     name);
		return;
	}
	i = world_below(world, world->cnps);
	snprintf(name, sizeof(name), "cnp%u", i);
	if (chance(world, 70))
		put_cnp(world, i);
	else
		store_remove(world->store, KIND_CLUSTERNETPOL, NULL, name);
}

static void change_pod(struct world *world)
{
	uint32_t i = world_below(world, WORLD_PODS);
	char name[16];

	if (chance(world, 80))
		put_pod(world, i);
	else
		store_remove(world->store, KIND_POD, world_pod_ns(i), world_pod_name(i, name));
}

void world_change(struct world *world, unsigned int kinds)
{
	unsigned int kind;

	do
		kind = 1u << world_below(world, 5);
	while (!(kind & kinds));
	switch (kind) {
	case WORLD_POLICY:
		change_policy(world);
		break;
	case WORLD_POD:
		change_pod(world);
		break;
	case WORLD_NAMESPACE:
		if (chance(world, 85))
			put_namespace(world, namespaces[world_below(world, WORLD_NAMESPACES)]);
		else
			store_remove(world->store, KIND_NAMESPACE, NULL,
				     namespaces[world_below(world, WORLD_NAMESPACES)]);
		break;
	case WORLD_SERVICE:
		change_service(world);
		break;
	default:
		put_node(world, world_below(world, 2));
	}
}

struct world_flow world_flow(struct world *world)
{
	static const uint8_t protos[] = { 6, 6, 17, 132, 1 };
	static const char *const outside[] = { "8.8.8.8",    "10.0.1.7",   "10.0.0.200",
					       "172.18.0.1", "172.18.0.2", "172.18.1.9",
					       "fc00::1",    "fd00::99",   "2001:db8::1",
					       "9000::1",    "200.1.1.1",  "172.18.0.5" };
	struct world_flow flow = { .slot = world_below(world, WORLD_LOCAL),
				   .dir = world_below(world, 2),
				   .proto = PICK(world, protos) };
	char text[32];

	if (chance(world, 25))
		snprintf(text, sizeof(text), "10.96.0.%u", world_below(world, WORLD_SERVICES));
	else if (chance(world, 15))
		snprintf(text, sizeof(text), "fd96::%x", world_below(world, WORLD_SERVICES));
	else if (chance(world, 8))
		snprintf(text, sizeof(text), "10.97.0.1");
	else if (chance(world, 30))
		snprintf(text, sizeof(text), "%s", PICK(world, outside));
	else if (chance(world, 65))
		snprintf(text, sizeof(text), "10.0.0.%u", world_below(world, 17));
	else
		snprintf(text, sizeof(text), "fd00::%x", world_below(world, 17));
	assert_ok(addr_parse(text, &flow.remote));
	if (flow.proto != 1 && world_is_host(&flow.remote) && chance(world, 50)) {
		flow.port = (uint16_t)(30000 + world_below(world, 3));
		return flow;
	}
	flow.port = chance(world, 80) ? PICK(world, numbers) :
					(uint16_t)(PICK(world, numbers) + world_below(world, 400));
	return flow;
}

enum bh_verdict world_naive(const struct world *world, const struct world_flow *flow, bool shadow)
{
	char name[16];

	return naive_verdict(&world->naive, world_pod_ns(flow->slot),
			     world_pod_name(flow->slot, name), flow->dir, &flow->remote,
			     flow->proto, flow->port, shadow);
}
