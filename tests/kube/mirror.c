// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/test.h"

#include "agent/kube/prune.h"
#include "tests/kube/mirror.h"

#include "agent/base/vec.h"
#include "agent/source/yaml.h"

#define UNTIL_MS 20000

static const struct reflect_resource kinds[] = {
	{ "v1", "Pod", "/api/v1/pods", "pods" },
	{ "v1", "Namespace", "/api/v1/namespaces", "namespaces" },
	{ "v1", "Node", "/api/v1/nodes", "nodes" },
	{ "v1", "Service", "/api/v1/services", "services" },
	{ "discovery.k8s.io/v1", "EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices",
	  "endpointslices.discovery.k8s.io" },
	{ "networking.k8s.io/v1", "NetworkPolicy", "/apis/networking.k8s.io/v1/networkpolicies",
	  "networkpolicies.networking.k8s.io" },
	{ "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy",
	  "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
	  "clusternetworkpolicies.policy.networking.k8s.io", .optional = true },
	{ "policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy",
	  "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies",
	  "adminnetworkpolicies.policy.networking.k8s.io", .optional = true },
	{ "policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy",
	  "/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies",
	  "baselineadminnetworkpolicies.policy.networking.k8s.io", .optional = true },
};

// As the agent's, but for pauses: a test waits for nothing that it did not ask for.
static const struct reflect_times times = {
	.pause_min_ms = 2,
	.pause_max_ms = 20,
	.watch_sec = 300,
	.head_ms = 10000,
	.idle_ms = 10000,
	.page_ms = 20000,
	.silence_ms = 1500,
	.absent_ms = 30,
};

const struct reflect_resource *mirror_resource(const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i].kind, kind))
			return &kinds[i];
	fail_msg("no resource of kind '%s'", kind);
	return NULL;
}

// ---- maps of objects --------------------------------------------------------------------------------------------
static const char *meta(struct json_object *json, const char *key)
{
	struct json_object *map = json_object_object_get(json, "metadata");
	const char *text = json_object_get_string(json_object_object_get(map, key));

	return text ? text : "";
}

static const char *name_of(struct json_object *json, char buf[static 512])
{
	snprintf(buf, 512, "%s/%s", meta(json, "namespace"), meta(json, "name"));
	return buf;
}

struct json_object *objects_of_list(struct json_object *list, struct json_object *into)
{
	struct json_object *items = json_object_object_get(list, "items");
	char name[512];

	for (size_t i = 0; i < json_object_array_length(items); i++) {
		struct json_object *item = json_object_array_get_idx(items, i);

		json_object_object_add(into, name_of(item, name), json_object_get(item));
	}
	return into;
}

void objects_apply(struct json_object *objects, const char *lines)
{
	_cleanup_free_ char *copy = strdup(lines);
	char *save = NULL, name[512];

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		_cleanup_json_ struct json_object *event = json_tokener_parse(line);
		struct json_object *object = json_object_object_get(event, "object");
		const char *type = json_object_get_string(json_object_object_get(event, "type"));

		assert_non_null(type);
		if (!strcmp(type, "DELETED"))
			json_object_object_del(objects, name_of(object, name));
		else if (!strcmp(type, "ADDED") || !strcmp(type, "MODIFIED"))
			json_object_object_add(objects, name_of(object, name),
					       json_object_get(object));
	}
}

struct json_object *objects_of_standin(const struct standin *standin, const char *plural)
{
	_cleanup_json_ struct json_object *list =
		standin_ask(standin, "{'op':'list','resource':'%s'}", plural);

	return objects_of_list(list, json_object_new_object());
}

// Items of lists lack what an event's object has, and the client what nobody reads (agent/kube/prune.h).
static struct json_object *bare(struct json_object *json)
{
	struct json_object *copy;
	const int plain = JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE;
	size_t len;
	const char *text = json_object_to_json_string_length(json, plain, &len);
	_cleanup_free_ char *pruned = calloc(1, len + 1);

	assert_true(prune(text, len, pruned) > 0);
	copy = json_tokener_parse(pruned);
	json_object_object_del(copy, "kind");
	json_object_object_del(copy, "apiVersion");
	return copy;
}

static bool same(struct json_object *a, struct json_object *b)
{
	_cleanup_json_ struct json_object *x = a ? bare(a) : NULL, *y = b ? bare(b) : NULL;

	return x && y && json_object_equal(x, y);
}

const char *objects_differ(struct json_object *a, struct json_object *b)
{
	json_object_object_foreach(a, key, value)
	{
		if (!same(value, json_object_object_get(b, key)))
			return key;
	}
	json_object_object_foreach(b, other, content)
	{
		if (content && !json_object_object_get(a, other))
			return other;
	}
	return NULL;
}

// ---- what the reflector says ------------------------------------------------------------------------------------
static void on_listing(void *arg)
{
	struct mirror *mirror = arg;

	json_object_put(mirror->listed);
	mirror->listed = json_object_new_object();
}

static void must_stay(const struct mirror *mirror, const char *name)
{
	if (mirror->stays && json_object_object_get(mirror->stays, name))
		fail_msg("'%s' went, though it was there all the time", name);
}

static int on_listed(void *arg)
{
	struct mirror *mirror = arg;
	struct json_object_iterator it = json_object_iter_begin(mirror->objects);
	struct json_object_iterator end = json_object_iter_end(mirror->objects);
	VEC(const char *) stale = { 0 };

	mirror->lists++;
	for (; !json_object_iter_equal(&it, &end); json_object_iter_next(&it))
		if (!json_object_object_get_ex(mirror->listed, json_object_iter_peek_name(&it),
					       NULL))
			vec_push(&stale, json_object_iter_peek_name(&it));
	vec_each(const char *, name, &stale) {
		must_stay(mirror, *name);
		json_object_object_del(mirror->objects, *name);
	}
	vec_fini(&stale);
	return 0;
}

static int on_put(void *arg, struct json_object *json)
{
	struct mirror *mirror = arg;
	char name[512];

	name_of(json, name);
	if (mirror->known && !json_object_object_get(mirror->known, name))
		fail_msg("'%s' was put, though it is nowhere", name);
	mirror->events++;
	json_object_object_add(mirror->objects, name, json_object_get(json));
	if (mirror->listed)
		json_object_object_add(mirror->listed, name, json_object_new_boolean(true));
	return 0;
}

static int on_gone(void *arg, struct json_object *json)
{
	struct mirror *mirror = arg;
	char name[512];

	must_stay(mirror, name_of(json, name));
	mirror->events++;
	json_object_object_del(mirror->objects, name);
	return 0;
}

static void on_problem(void *arg, const char *text)
{
	struct mirror *mirror = arg;

	if (!text)
		return;
	mirror->problems++;
	snprintf(mirror->problem, sizeof(mirror->problem), "%s", text);
}

// ---- the rig ------------------------------------------------------------------------------------------------------
static int keep_document(void *arg, struct json_object *json, size_t line)
{
	*(struct json_object **)arg = json_object_get(json);
	return 0;
}

void mirror_open(struct mirror *mirror, struct standin *standin, const char *kubeconfig)
{
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_free_ char *text = NULL;
	struct kube_config *config;
	struct err err = { 0 };
	char path[PATH_MAX];
	size_t len;

	*mirror = (struct mirror){ .standin = standin,
				   .base = event_base_new(),
				   .objects = json_object_new_object() };
	text = test_read(standin_path(standin, kubeconfig, path), &len);
	assert_ok_err(yaml_parse(text, len, keep_document, &json, &err), &err);
	assert_ok_err(kube_config_read(json, standin->dir, &config, &err), &err);
	assert_ok_err(http_new(mirror->base, config, &mirror->http, &err), &err);
}

void mirror_beside(struct mirror *mirror, const struct mirror *other)
{
	*mirror = (struct mirror){ .standin = other->standin,
				   .base = other->base,
				   .http = other->http,
				   .is_guest = true,
				   .objects = json_object_new_object() };
}

void mirror_close(struct mirror *mirror)
{
	mirror_stop(mirror);
	json_object_put(mirror->objects);
	if (mirror->is_guest)
		return;
	http_free(mirror->http);
	event_base_free(mirror->base);
}

void mirror_start(struct mirror *mirror, const char *kind)
{
	struct reflect_events events = {
		mirror, on_listing, on_listed, on_put, on_gone, on_problem
	};

	mirror_stop(mirror);
	json_object_put(mirror->objects);
	mirror->objects = json_object_new_object();
	mirror->lists = mirror->events = mirror->problems = 0;
	*mirror->problem = 0;
	assert_ok(reflect_new(mirror->base, mirror->http, mirror_resource(kind), &times, &events,
			      &mirror->reflect));
}

static void forget(struct json_object **map)
{
	json_object_put(*map);
	*map = NULL;
}

void mirror_stop(struct mirror *mirror)
{
	reflect_free(TAKE_PTR(mirror->reflect));
	forget(&mirror->listed);
	forget(&mirror->stays);
	forget(&mirror->known);
}

void mirror_until(struct mirror *mirror, const char *what, mirror_fn fn, void *arg)
{
	struct timeval tick = { 0, 2000 };
	int64_t end = reflect_now_ms() + UNTIL_MS;

	while (!fn(mirror, arg)) {
		if (reflect_now_ms() > end)
			fail_msg("%s: not within %d s; last problem: %s", what, UNTIL_MS / 1000,
				 mirror->problem);
		event_base_loopexit(mirror->base, &tick);
		event_base_dispatch(mirror->base);
	}
}

bool mirror_synced(struct mirror *mirror, void *arg)
{
	struct reflect_status status;

	reflect_status(mirror->reflect, &status);
	return status.synced;
}

bool mirror_played(struct mirror *mirror, void *arg)
{
	return !standin_number(mirror->standin, "status", "faults");
}

bool mirror_holds(struct mirror *mirror, void *arg)
{
	return !objects_differ(mirror->objects, arg);
}
