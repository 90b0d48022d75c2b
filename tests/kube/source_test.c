// SPDX-License-Identifier: Apache-2.0
// source_test.c - the source as the agent has it: what it leaves out unread is not missed, over HTTP/2, as a pod and
// by a client certificate.
#include "tests/harness/test.h"

#include <bulkhead/policy.h>

#include "agent/base/log.h"
#include "agent/kube/reflect.h"
#include "agent/source/source.h"
#include "tests/kube/mirror.h"
#include "tests/kube/proxy.h"

#define UNTIL_MS 20000

static struct standin standin;

struct rig {
	struct event_base *base;
	struct store *store;
	struct source *source;
};

static void open_source(struct rig *rig, const char *spec, const char *service_account)
{
	const struct source_events events = { .server = { .service_account = service_account,
							  .pause_sec = 1 } };
	struct timeval tick = { 0, 5000 };
	int64_t end = reflect_now_ms() + UNTIL_MS;
	struct err err = { 0 };

	rig->base = event_base_new();
	assert_ok(store_new(&rig->store));
	assert_ok_err(source_open(spec, rig->base, rig->store, &events, &rig->source, &err), &err);
	while (!source_synced(rig->source) && reflect_now_ms() < end) {
		event_base_loopexit(rig->base, &tick);
		event_base_dispatch(rig->base);
	}
	assert_true(source_synced(rig->source));
}

static void close_source(struct rig *rig)
{
	source_close(rig->source);
	store_free(rig->store);
	event_base_free(rig->base);
}

static void open_by(struct rig *rig, const char *kubeconfig)
{
	char path[PATH_MAX], spec[PATH_MAX + 8];

	snprintf(spec, sizeof(spec), "kube:%s", standin_path(&standin, kubeconfig, path));
	open_source(rig, spec, NULL);
}

// ---- what is read of objects ----------------------------------------------------------------------------------------
static int same_as_whole(void *arg, const struct object *object)
{
	_cleanup_json_ struct json_object *json = standin_ask(
		&standin, "{'op':'get','resource':'%s','namespace':'%s','name':'%s'}",
		object_kind(object->kind)->plural, object->ns ? object->ns : "", object->name);
	_cleanup_(object_putp) struct object *whole = NULL;
	unsigned int *n = arg;
	struct err err = { 0 };
	char title[512];

	assert_ok_err(object_parse(object->kind, json, &whole, &err), &err);
	if (!object_equal(object, whole))
		fail_msg("%s '%s' lacks something", object_kind(object->kind)->name,
			 object_title(object, title, sizeof(title)));
	if (!whole->problem != !object->problem)
		fail_msg("'%s' has another problem", object_title(object, title, sizeof(title)));
	++*n;
	return 0;
}

static void what_is_left_out_is_not_missed(void **state)
{
	unsigned int n = 0;
	struct rig rig;

	open_by(&rig, "kubeconfig");
	for (enum kind kind = 0; kind < KIND_MAX; kind++) {
		unsigned int before = n;

		assert_ok(store_each(rig.store, kind, NULL, same_as_whole, &n));
		if (n == before)
			fail_msg("no %s was read", object_kind(kind)->name);
	}
	close_source(&rig);
}

// Older servers let these be stored; what they mean is shown in tests/unit/object/fixtures_test.c.
static void blocks_that_strict_servers_refuse_are_taken(void **state)
{
	static const char *const names[] = { "cidr-hostbits", "cidr-leading-zero", "v4mapped-v6",
					     "v6-uncompressed" };
	struct rig rig;

	open_by(&rig, "kubeconfig");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char name[64], text[64];
		const struct object *object;
		const struct bh_cidr *cidr;

		snprintf(name, sizeof(name), "bad-nonstrict-%s", names[i]);
		object = store_find(rig.store, KIND_NETPOL, "shop", name);
		assert_non_null(object);
		assert_null(object->problem);
		cidr = &((const struct netpol *)object)->rules[BH_INGRESS].v[0].peers[0].cidr;
		assert_str(cidr_format(cidr, text, sizeof(text)),
			   i < 3 ? "10.0.0.0/8" : "2001:db8::/64");
	}
	close_source(&rig);
}

// ---- who asks ---------------------------------------------------------------------------------------------------------
static void a_client_certificate_is_enough(void **state)
{
	struct rig rig;

	open_by(&rig, "admin.kubeconfig");
	assert_non_null(store_find(rig.store, KIND_NETPOL, "shop", "web-ingress"));
	close_source(&rig);
}

static void as_a_pod_of_the_cluster(void **state)
{
	char folder[PATH_MAX], port[16];
	struct rig rig;

	snprintf(port, sizeof(port), "%u", standin.port);
	setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", port, 1);
	open_source(&rig, "kube", standin_path(&standin, "serviceaccount", folder));
	assert_non_null(store_find(rig.store, KIND_NETPOL, "shop", "web-ingress"));
	close_source(&rig);
}

// ---- HTTP/2 -------------------------------------------------------------------------------------------------------------
static void over_http2(void **state)
{
	_cleanup_free_ char *log = NULL;
	unsigned int n = 0;
	struct proxy proxy;
	struct rig rig;

	// Lists end, and so are logged.
	standin_do(&standin, "{'op':'set','watchlist':false}");
	proxy_open(&proxy, &standin);
	open_by(&rig, "proxy.kubeconfig");
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		assert_ok(store_each(rig.store, kind, NULL, same_as_whole, &n));
	assert_true(n > 20);
	close_source(&rig);
	log = proxy_close(&proxy);
	assert_str_contains(log, "h2 200");
	assert_str_lacks(log, "http/1.1");
	standin_do(&standin, "{'op':'set','watchlist':true}");
}

static const enum kind changing[] = { KIND_NAMESPACE, KIND_NETPOL, KIND_POD };

// In each round an object of each kind comes, the one before it changes, and the one before that goes.
static void change(unsigned int round)
{
	static const char *const objects[] = {
		"{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'r-%u','labels':{'round':'%u'}}}",
		"{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy','metadata':{'namespace':'shop',"
		"'name':'r-%u'},'spec':{'podSelector':{'matchLabels':{'round':'%u'}}}}",
		"{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'shop','name':'r-%u','labels':{'round':"
		"'%u'}},'spec':{'nodeName':'node-a','containers':[]}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(objects); i++) {
		const struct kind_ops *kind = object_kind(changing[i]);

		for (unsigned int n = round ? round - 1 : 0; n <= round; n++) {
			char object[400];

			snprintf(object, sizeof(object), objects[i], n, round);
			standin_do(&standin, "{'op':'put','object':%s}", object);
		}
		if (round >= 2)
			standin_do(&standin, "{'op':'delete','resource':'%s','namespace':'%s','name':'r-%u'}",
				   kind->plural, kind->namespaced ? "shop" : "", round - 2);
	}
}

static bool is_whole(const struct rig *rig, enum kind kind)
{
	_cleanup_json_ struct json_object *list =
		standin_ask(&standin, "{'op':'list','resource':'%s'}", object_kind(kind)->plural);
	struct json_object *items = json_object_object_get(list, "items");
	size_t n = 0;

	for (size_t i = 0; i < json_object_array_length(items); i++) {
		_cleanup_(object_putp) struct object *want = NULL;
		const struct object *held;
		struct err err = { 0 };

		assert_ok_err(object_parse(kind, json_object_array_get_idx(items, i), &want, &err), &err);
		if (kind == KIND_POD && ((const struct pod *)want)->finished)
			continue;
		held = store_find(rig->store, kind, want->ns, want->name);
		if (!held || !object_equal(held, want))
			return false;
		n++;
	}
	return n == store_count(rig->store, kind);
}

static bool holds_what_the_server_has(const struct rig *rig)
{
	for (size_t i = 0; i < ARRAY_SIZE(changing); i++)
		if (!is_whole(rig, changing[i]))
			return false;
	return true;
}

static const char *text_at(struct json_object *json, const char *key)
{
	return json_object_get_string(json_object_object_get(json, key));
}

// All that is watched is told of as not readable.
static bool is_cut_off(const struct rig *rig)
{
	_cleanup_json_ struct json_object *now = rig->source->ops->describe(rig->source);
	struct json_object *resources = json_object_object_get(now, "resources");
	const char *problems = json_object_get_string(json_object_object_get(now, "problems"));

	for (size_t i = 0; i < json_object_array_length(resources); i++) {
		struct json_object *one = json_object_array_get_idx(resources, i);
		char where[128];

		snprintf(where, sizeof(where), "\"where\": \"%s\"", text_at(one, "name"));
		if (strcmp(text_at(one, "state"), "absent") && !strstr(problems, where))
			return false;
	}
	return true;
}

static void until(struct rig *rig, const char *what, bool (*fn)(const struct rig *rig))
{
	struct timeval tick = { 0, 5000 };
	int64_t end = reflect_now_ms() + UNTIL_MS;

	while (!fn(rig)) {
		if (reflect_now_ms() > end)
			fail_msg("%s: not within %d s", what, UNTIL_MS / 1000);
		event_base_loopexit(rig->base, &tick);
		event_base_dispatch(rig->base);
	}
}

static void may_leave(void *arg, const struct object *before, const struct object *after)
{
	if (!after && strcmp(before->name, arg))
		fail_msg("'%s' left the store, though it was there all the time", before->name);
}

static void changes_over_http2(void **state)
{
	char leaves[16] = "";
	_cleanup_free_ char *log = NULL;
	unsigned int round = 0;
	struct proxy proxy;
	struct rig rig;

	proxy_open(&proxy, &standin);
	open_by(&rig, "proxy.kubeconfig");
	assert_ok(store_subscribe(rig.store, may_leave, leaves));
	for (; round < 4; round++) {
		snprintf(leaves, sizeof(leaves), "r-%d", (int)round - 2);
		change(round);
		until(&rig, "changes while it is watched", holds_what_the_server_has);
	}
	proxy_kill(&proxy);
	*leaves = '\0';
	until(&rig, "the connection breaks", is_cut_off); // nothing left
	snprintf(leaves, sizeof(leaves), "r-%u", round - 2);
	change(round++);
	proxy_start(&proxy);
	until(&rig, "changes while nothing was heard", holds_what_the_server_has);
	snprintf(leaves, sizeof(leaves), "r-%u", round - 2);
	change(round++);
	until(&rig, "changes after that", holds_what_the_server_has);
	standin_do(&standin, "{'op':'end','on':'*','how':'clean'}"); // watches that end are logged
	snprintf(leaves, sizeof(leaves), "r-%u", round - 2);
	change(round++);
	until(&rig, "changes after watches ended", holds_what_the_server_has);
	close_source(&rig);
	log = proxy_close(&proxy);
	assert_str_contains(log, "h2 200 GET /api/v1/pods?watch=true");
	assert_str_lacks(log, "http/1.1");
}

// One of several watches on a connection, that is: it goes on by another one, and the others lose nothing either.
static void a_watch_that_falls_silent_over_http2(void **state)
{
	struct reflect_status status;
	struct mirror pods, policies;
	struct proxy proxy;

	change(0);
	change(1);
	proxy_open(&proxy, &standin);
	mirror_open(&pods, &standin, "proxy.kubeconfig");
	mirror_beside(&policies, &pods);
	mirror_start(&pods, "Pod");
	mirror_start(&policies, "NetworkPolicy");
	mirror_until(&pods, "synced", mirror_synced, NULL);
	mirror_until(&policies, "synced", mirror_synced, NULL);
	standin_do(&standin, "{'op':'end','on':'watch pods','how':'silent'}");
	change(2);
	pods.stays = objects_of_standin(&standin, "pods");
	policies.stays = objects_of_standin(&standin, "networkpolicies");
	mirror_until(&policies, "what is beside it goes on", mirror_holds, policies.stays);
	mirror_until(&pods, "what was silent", mirror_holds, pods.stays);
	reflect_status(pods.reflect, &status);
	assert_str_contains(status.error, "the server has gone silent");
	assert_int_equal(pods.lists, 1);
	assert_int_equal(policies.lists, 1);
	mirror_close(&policies);
	mirror_close(&pods);
	free(proxy_close(&proxy));
}

static int setup(void **state)
{
	static const char *const paths[] = {
		"fixtures/apiserver/input",
		"fixtures/apiserver/list/pods.json",
		"fixtures/apiserver/list/nodes.json",
		"fixtures/apiserver/list/services.json",
		"fixtures/apiserver/list/endpointslices.json",
		"fixtures/apiserver/invalid/nonstrict-cidr-hostbits.json",
		"fixtures/apiserver/invalid/nonstrict-cidr-leading-zero.json",
		"fixtures/apiserver/invalid/nonstrict-v4mapped-v6.json",
		"fixtures/apiserver/invalid/nonstrict-v6-uncompressed.json"
	};
	char path[PATH_MAX];

	log_set_levels("error");
	test_shared(path, paths[0]);
	standin_start(&standin, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		standin_do(&standin, "{'op':'load','path':'%s'}", test_shared(path, paths[i]));
	return 0;
}

static int teardown(void **state)
{
	standin_stop(&standin);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_is_not_missed),
		cmocka_unit_test(blocks_that_strict_servers_refuse_are_taken),
		cmocka_unit_test(a_client_certificate_is_enough),
		cmocka_unit_test(as_a_pod_of_the_cluster),
		cmocka_unit_test(over_http2),
		cmocka_unit_test(changes_over_http2),
		cmocka_unit_test(a_watch_that_falls_silent_over_http2),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
