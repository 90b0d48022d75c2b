// SPDX-License-Identifier: Apache-2.0
// kinds_test.c - the kinds that are no policies: Pod, Namespace, Node, Service, EndpointSlice.
#include "tests/unit/object/parse.h"

#include "agent/base/intern.h"

static void expect_addr(const struct bh_addr *addr, const char *want)
{
	char buf[64];

	assert_str(addr_format(addr, buf, sizeof(buf)), want);
}

static void pods_show_what_policy_needs(void **state)
{
	struct pod *pod = (struct pod *)parse(
		KIND_POD,
		"{'metadata':{'name':'web-0','namespace':'shop','uid':'u1','labels':{'b':'2','a':''},"
		"'deletionTimestamp':'2026-11-21T00:03:00Z','creationTimestamp':'2026-11-21T00:02:29Z',"
		"'ownerReferences':[{'kind':'Node','name':'x'},"
		"{'kind':'ReplicaSet','name':'web','controller':true}]},"
		"'spec':{'nodeName':'node-a','initContainers':["
		"{'ports':[{'name':'once','containerPort':1}]},"
		"{'restartPolicy':'Always','ports':[{'name':'side','containerPort':15090}]}],"
		"'containers':[{'ports':[{'name':'http','containerPort':8080,'hostPort':80},"
		"{'containerPort':53,'protocol':'UDP'}]},{}]},"
		"'status':{'phase':'Running','podIP':'10.244.1.2',"
		"'podIPs':[{'ip':'10.244.1.2'},{'ip':'fd00::2'}]}}");

	assert_str(pod->node, "node-a");
	assert_str(pod->owner_kind, "ReplicaSet");
	assert_str(pod->owner_name, "web");
	assert_int_equal(pod->created, 1795219349);
	assert_false(pod->finished || pod->host_network);
	assert_int_equal(pod->naddrs, 2);
	expect_addr(&pod->addrs[0], "10.244.1.2");
	expect_addr(&pod->addrs[1], "fd00::2");
	assert_int_equal(pod->nports, 2); // the one without a name is of no use
	assert_str(pod->ports[0].name, "http");
	assert_str(pod->ports[1].name, "side");
	assert_int_equal(pod->ports[1].port, 15090);
	assert_int_equal(pod->nhost_ports, 1);
	assert_int_equal(pod->labels.n, 2);
	assert_str(pod->labels.v[0].key, "a");
	assert_str(pod->labels.v[0].value, "");
	object_put(&pod->object);
}

static void pods_end_and_may_have_one_address(void **state)
{
	struct pod *pod = (struct pod *)parse(
		KIND_POD, "{'metadata':{'name':'p'},'spec':{'hostNetwork':true},"
			  "'status':{'phase':'Failed','podIP':'::1'}}");

	assert_true(pod->finished && pod->host_network);
	assert_int_equal(pod->naddrs, 1);
	assert_str(pod->object.ns, "default");
	object_put(&pod->object);
	pod = (struct pod *)parse(KIND_POD, "{'metadata':{'name':'p'}}");
	assert_int_equal(pod->naddrs, 0);
	assert_null(pod->node);
	object_put(&pod->object);
}

static void unreadable_pods_are_refused(void **state)
{
	refuse(KIND_POD, "{'metadata':{'name':'p','labels':{'a':1}}}",
	       "metadata.labels: the value of");
	refuse(KIND_POD, "{'metadata':{'name':'p','labels':[]}}", "metadata.labels: is a list");
	refuse(KIND_POD, "{'metadata':{'name':'p'},'spec':{'nodeName':7}}", "spec.nodeName: is an");
	refuse(KIND_POD, "{'metadata':{'name':'p'},'spec':{'containers':[{'ports':[{}]}]}}",
	       "spec.containers[0].ports[0].containerPort: is missing");
	refuse(KIND_POD,
	       "{'metadata':{'name':'p'},'spec':{'containers':[{'ports':[{'containerPort':-5}]}]}}",
	       "spec.containers[0].ports[0].containerPort: -5");
	refuse(KIND_POD,
	       "{'metadata':{'name':'p'},'status':{'podIPs':[{'ip':'10.0.0.1'},{'ip':'x'}]}}",
	       "status.podIPs[1].ip: \"x\" is no address");
	refuse(KIND_POD,
	       "{'metadata':{'name':'p'},'status':{'podIPs':[{'ip':'::1'},{'ip':'::2'},{'ip':'::3'},"
	       "{'ip':'::4'},{'ip':'::5'},{'ip':'::6'},{'ip':'::7'},{'ip':'::8'},{'ip':'::9'}]}}",
	       "status.podIPs[8].ip: a pod has at most 8 addresses");
	refuse(KIND_POD, "{'metadata':{'name':'a\\u0000b'}}", "metadata.name: has a NUL");
	refuse(KIND_POD, "{'metadata':{'name':'a/b'}}", "metadata.name: \"a/b\"");
}

static void pods_compare_by_what_matters(void **state)
{
	static const char text[] =
		"{'metadata':{'name':'p','uid':'1'},'status':{'podIP':'10.0.0.1'}}";
	static const char *const others[] = {
		"{'metadata':{'name':'p','uid':'2'},'status':{'podIP':'10.0.0.1'}}",
		"{'metadata':{'name':'p','uid':'1'},'status':{'podIP':'10.0.0.2'}}",
		"{'metadata':{'name':'p','uid':'1','labels':{'a':'b'}},'status':{'podIP':'10.0.0.1'}}",
		"{'metadata':{'name':'p','uid':'1'},'status':{'podIP':'10.0.0.1','phase':'Failed'}}",
		"{'metadata':{'name':'p','uid':'1'},'spec':{'containers':[{'ports':[{'name':'a','containerPort':1}]}]},"
		"'status':{'podIP':'10.0.0.1'}}",
	};
	struct object *a = parse(KIND_POD, text), *b;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		b = parse(KIND_POD, others[i]);
		assert_false(object_equal(a, b));
		object_put(b);
	}
	b = parse(KIND_POD,
		  "{'metadata':{'name':'p','uid':'1','resourceVersion':'5'},'status':"
		  "{'podIP':'10.0.0.1','phase':'Running','conditions':[{'type':'Ready'}]}}");
	assert_true(object_equal(a, b));
	object_put(b);
	object_put(a);
}

static void equal_labels_are_kept_once(void **state)
{
	struct pod *a = (struct pod *)parse(KIND_POD, "{'metadata':{'name':'a','labels':{'x':'1','y':'2'}}}");
	struct pod *b = (struct pod *)parse(KIND_POD, "{'metadata':{'name':'b','labels':{'y':'2','x':'1'}}}");
	struct pod *c = (struct pod *)parse(KIND_POD, "{'metadata':{'name':'c','labels':{'x':'1','y':'3'}}}");

	assert_ptr_equal(a->labels.v, b->labels.v);
	assert_ptr_not_equal(a->labels.v, c->labels.v);
	object_put(&a->object);
	assert_str(b->labels.v[1].value, "2");
	object_put(&b->object);
	object_put(&c->object);
}

static void namespaces_have_their_name_as_a_label(void **state)
{
	const char *key = intern("kubernetes.io/metadata.name");
	struct namespace_ *ns = (struct namespace_ *)parse(
		KIND_NAMESPACE,
		"{'metadata':{'name':'shop','labels':{'bulkhead.io/audit':'true'},"
		"'annotations':{'bulkhead.io/allowed-addresses':'10.0.0.0/8, ::/0'}}}");

	assert_null(ns->object.problem);
	assert_null(ns->object.ns);
	assert_true(ns->audit);
	assert_str(labels_find(&ns->labels, key), "shop");
	assert_str(ns->extra_addrs, "10.0.0.0/8, ::/0");
	object_put(&ns->object);

	ns = (struct namespace_ *)parse(
		KIND_NAMESPACE, "{'metadata':{'name':'shop','annotations':"
				"{'bulkhead.io/allowed-addresses':'10.0.0.0/8,nonsense'}}}");
	assert_str_contains(ns->object.problem, "\"nonsense\" is no CIDR");
	assert_false(ns->audit);
	object_put(&ns->object);
	refuse(KIND_NAMESPACE, "{'metadata':{'name':'a.b'}}", "metadata.name: \"a.b\"");
	intern_put(key);
}

static void nodes_have_addresses(void **state)
{
	struct node *node = (struct node *)parse(
		KIND_NODE,
		"{'metadata':{'name':'n1'},'status':{'addresses':["
		"{'type':'Hostname','address':'10.9.9.9'},{'type':'InternalIP','address':'192.0.2.1'},"
		"{'type':'ExternalIP','address':'2001:db8::1'},{'type':'InternalIP','address':'x'}]}}");

	assert_int_equal(node->naddrs, 2);
	expect_addr(&node->addrs[0], "192.0.2.1");
	expect_addr(&node->addrs[1], "2001:db8::1");
	object_put(&node->object);
	refuse(KIND_NODE, "{'metadata':{'name':'n1'},'status':{'addresses':7}}",
	       "status.addresses:");
}

static void host_ports_lead_to_containers(void **state)
{
	const char *text = "{'metadata':{'name':'p'},'spec':{'containers':[{'ports':["
			   "{'containerPort':8080,'hostPort':80},{'containerPort':53,'protocol':'UDP','hostPort':53,"
			   "'hostIP':'172.18.0.1'},{'containerPort':1,'hostPort':2,'hostIP':'%s'}]}]}}";
	char any[512], other[512];
	struct pod *a, *b;

	snprintf(any, sizeof(any), text, "0.0.0.0");
	snprintf(other, sizeof(other), text, "172.18.0.2");
	a = (struct pod *)parse(KIND_POD, any);
	b = (struct pod *)parse(KIND_POD, other);
	assert_int_equal(a->nhost_ports, 3);
	assert_true(bh_addr_equal(&a->host_ports[0].addr, &(struct bh_addr){ 0 }));
	assert_int_equal(a->host_ports[0].port, 80);
	assert_int_equal(a->host_ports[0].target, 8080);
	expect_addr(&a->host_ports[1].addr, "172.18.0.1");
	assert_int_equal(a->host_ports[1].protocol, PROTOCOL_UDP);
	assert_true(bh_addr_equal(&a->host_ports[2].addr, &(struct bh_addr){ 0 }));
	assert_false(object_equal(&a->object, &b->object));
	object_put(&a->object);
	object_put(&b->object);
	refuse(KIND_POD,
	       "{'metadata':{'name':'p'},'spec':{'containers':[{'ports':[{'containerPort':1,'hostPort':2,"
	       "'hostIP':'x'}]}]}}",
	       "spec.containers[0].ports[0].hostIP:");
}

static void services_have_addresses_and_ports(void **state)
{
	struct service *service = (struct service *)parse(
		KIND_SERVICE,
		"{'metadata':{'name':'web','namespace':'shop'},'spec':{'selector':{'app':'web'},"
		"'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1','fd00:96::1'],'externalIPs':['198.51.100.7'],"
		"'externalTrafficPolicy':'Local','ports':[{'name':'http','port':80,'targetPort':'http','nodePort':30080},"
		"{'name':'','port':53,'protocol':'UDP'},{'port':1,'targetPort':2}]},"
		"'status':{'loadBalancer':{'ingress':[{'ip':'203.0.113.5'},{'hostname':'x'},"
		"{'ip':'203.0.113.6','ipMode':'Proxy'}]}}}");

	assert_true(service->has_selector);
	assert_false(service->headless);
	assert_true(service->local);
	assert_int_equal(service->naddrs, 4);
	assert_int_equal(service->nclusterips, 2);
	expect_addr(&service->addrs[1], "fd00:96::1");
	expect_addr(&service->addrs[3], "203.0.113.5");
	assert_int_equal(service->nports, 3);
	assert_str(service->ports[0].target_name, "http");
	assert_int_equal(service->ports[0].node_port, 30080);
	assert_null(service->ports[1].name);
	assert_int_equal(service->ports[1].target, 53);
	assert_int_equal(service->ports[1].protocol, PROTOCOL_UDP);
	assert_int_equal(service->ports[2].target, 2);
	object_put(&service->object);

	service = (struct service *)parse(KIND_SERVICE,
					  "{'metadata':{'name':'h'},'spec':{'clusterIP':'None',"
					  "'clusterIPs':['None'],'selector':{}}}");
	assert_int_equal(service->naddrs, 0);
	assert_false(service->has_selector || service->external_name);
	assert_true(service->headless);
	object_put(&service->object);

	service = (struct service *)parse(
		KIND_SERVICE,
		"{'metadata':{'name':'s'},'spec':{'clusterIP':'fd00:96::1','internalTrafficPolicy':'Cluster',"
		"'externalIPs':['198.51.100.7','2001:db8::7']}}");
	assert_false(service->local);
	assert_int_equal(service->naddrs, 2); // nobody translates what is of a family without a ClusterIP
	expect_addr(&service->addrs[1], "2001:db8::7");
	object_put(&service->object);

	// another proxy's, which may not be there
	service = (struct service *)parse(
		KIND_SERVICE,
		"{'metadata':{'name':'p','labels':{'service.kubernetes.io/service-proxy-name':''}},"
		"'spec':{'clusterIP':'10.96.0.1','externalIPs':['198.51.100.7'],'ports':[{'port':80}]}}");
	assert_true(service->headless);
	object_put(&service->object);
	service = (struct service *)parse(
		KIND_SERVICE, "{'metadata':{'name':'x'},'spec':{'type':'ExternalName'}}");
	assert_true(service->external_name);
	object_put(&service->object);
	refuse(KIND_SERVICE, "{'metadata':{'name':'x'},'spec':{'clusterIP':'1.2'}}",
	       "spec.clusterIP:");
	refuse(KIND_SERVICE, "{'metadata':{'name':'x'},'spec':{'ports':[{'port':70000}]}}",
	       "spec.ports[0].port: 70000");
}

static void slices_default_their_conditions(void **state)
{
	struct endpointslice *slice = (struct endpointslice *)parse(
		KIND_ENDPOINTSLICE,
		"{'metadata':{'name':'s','namespace':'shop','labels':{'kubernetes.io/service-name':'web'}},"
		"'addressType':'IPv4','ports':[{'name':'http','port':8080},{}],'endpoints':["
		"{'addresses':['10.0.0.1'],'nodeName':'n1','targetRef':{'kind':'Pod','name':'p','namespace':'shop'}},"
		"{'addresses':['10.0.0.2','10.0.0.9'],'conditions':{'ready':false}},"
		"{'addresses':['10.0.0.3'],'conditions':{'ready':false,'serving':true,'terminating':true},"
		"'targetRef':{'kind':'Pod','name':'p','namespace':'other'}}]}");
	const struct slice_endpoint *e = slice->endpoints;

	assert_str(slice->service, "web");
	assert_int_equal(slice->nports, 2);
	assert_int_equal(slice->ports[1].port, 0);
	assert_int_equal(slice->nendpoints, 3);
	assert_true(e[0].ready && e[0].serving && !e[0].terminating);
	assert_str(e[0].pod, "p");
	assert_str(e[0].node, "n1");
	expect_addr(&e[1].addr, "10.0.0.2");
	assert_true(!e[1].ready && e[1].serving && !e[1].terminating);
	assert_true(!e[2].ready && e[2].serving && e[2].terminating);
	assert_null(e[2].pod);
	object_put(&slice->object);

	slice = (struct endpointslice *)parse(
		KIND_ENDPOINTSLICE, "{'metadata':{'name':'s'},'addressType':'FQDN','ports':null,"
				    "'endpoints':[{'addresses':['a.example']}]}");
	assert_false(slice->endpoints[0].has_addr);
	assert_null(slice->service);
	object_put(&slice->object);
}

static void kinds_are_found_by_name(void **state)
{
	assert_int_equal(object_kind_find("v1", "Pod"), KIND_POD);
	assert_int_equal(
		object_kind_find("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
		KIND_CLUSTERNETPOL);
	assert_int_equal(object_kind_find("v2", "Pod"), KIND_MAX);
	assert_int_equal(
		object_kind_find("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
		KIND_MAX);
	for (int i = 0; i < KIND_MAX; i++)
		assert_int_equal(
			object_kind_find(object_kind(i)->api_version, object_kind(i)->name), i);
}

static int nothing_is_left(void **state)
{
	size_t strings, bytes;

	intern_stats(&strings, &bytes);
	assert_int_equal(strings, 0);
	return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, nothing_is_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pods_show_what_policy_needs),
		TEST(pods_end_and_may_have_one_address),
		TEST(unreadable_pods_are_refused),
		TEST(pods_compare_by_what_matters),
		TEST(equal_labels_are_kept_once),
		TEST(namespaces_have_their_name_as_a_label),
		TEST(nodes_have_addresses),
		TEST(host_ports_lead_to_containers),
		TEST(services_have_addresses_and_ports),
		TEST(slices_default_their_conditions),
		TEST(kinds_are_found_by_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
