// SPDX-License-Identifier: Apache-2.0
// api.c - objects into a stand-in API server, and its troubles.
#include "tests/soak/api.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/sandbox.h"

#define TROUBLE_PERCENT 35 // of the changes
#define DOWN_MS 400
#define DELAY_MS 150

int api_open(struct api *api, int netns, uint64_t seed, struct err *reterr)
{
	_cleanup_close_ int here = sandbox_here();
	char text[24];
	int r;

	*api = (struct api){ .rng = { .state = seed * 77 + 5 } };
	snprintf(text, sizeof(text), "%llu", (unsigned long long)seed);
	setenv("TMPDIR", "/run", 1);
	r = sandbox_enter(netns);
	if (r < 0)
		return err_set(reterr, r, "the node's namespace: %s", strerror(-r));
	standin_start(&api->standin, "--seed", text, "--bookmark-sec", "1", NULL);
	r = sandbox_enter(here);
	return r < 0 ? err_set(reterr, r, "back: %s", strerror(-r)) : 0;
}

static void object_fini(struct api_object *object)
{
	free(object->ns);
	free(object->name);
	free(object->text);
}

void api_close(struct api *api)
{
	if (api->standin.pid)
		standin_stop(&api->standin);
	vec_each(struct api_object, object, &api->objects)
		object_fini(object);
	vec_fini(&api->objects);
	api->standin.pid = 0;
}

// ---- troubles ---------------------------------------------------------------------------------------------------
static uint32_t some(struct api *api, uint32_t below)
{
	return (uint32_t)rng_below(&api->rng, below);
}

static void plain(struct api *api, const char *op)
{
	standin_do(&api->standin, "%s", op);
}

// Watches cannot go on, so that all is listed anew; the first answers take time or break.
static void list_again(struct api *api, const char *fields)
{
	standin_do(&api->standin, "{'op':'fault','on':'list *','times':%u,%s}", KIND_MAX + some(api, KIND_MAX),
		   fields);
	standin_do(&api->standin, "{'op':'compact'}");
	standin_do(&api->standin, "{'op':'drop'}");
}

static void restart(struct api *api, const char *arg)
{
	standin_do(&api->standin, "{'op':'down','up_ms':%u}", some(api, DOWN_MS));
}

static void pace(struct api *api, const char *arg)
{
	standin_do(&api->standin, "{'op':'set','slice':%u,'delay_ms':%u}", some(api, 60), some(api, 20));
}

static void end_watches(struct api *api, const char *how)
{
	static const char *const on[] = { "*", "watch pods", "watch networkpolicies", "watch namespaces" };

	standin_do(&api->standin, "{'op':'end','on':'%s','how':'%s'}", on[some(api, ARRAY_SIZE(on))], how);
}

// Of some requests to come.
static void fault(struct api *api, const char *fields)
{
	static const char *const on[] = { "watch *", "list *", "* *", "watch pods", "* networkpolicies" };

	standin_do(&api->standin, "{'op':'fault','on':'%s','times':%u,%s}", on[some(api, ARRAY_SIZE(on))],
		   1 + some(api, 3), fields);
}

static void fault_status(struct api *api, const char *arg)
{
	static const unsigned int statuses[] = { 429, 500, 503, 504 };
	char text[64];

	snprintf(text, sizeof(text), "'status':%u%s", statuses[some(api, ARRAY_SIZE(statuses))],
		 some(api, 4) ? "" : ",'retry_after':1");
	fault(api, text);
}

static void fault_cut(struct api *api, const char *rst)
{
	char text[64];

	snprintf(text, sizeof(text), "'cut':%u,'rst':%s", 1 + some(api, 20000), rst);
	fault(api, text);
}

static void fault_no_end(struct api *api, const char *arg)
{
	char text[64];

	snprintf(text, sizeof(text), "'no_end':true,'slice':%u", some(api, 100));
	fault(api, text);
}

static void fault_delay(struct api *api, const char *arg)
{
	char text[64];

	snprintf(text, sizeof(text), "'delay_ms':%u", 1 + some(api, DELAY_MS));
	fault(api, text);
}

static const struct trouble {
	const char *name;
	void (*make)(struct api *api, const char *arg);
	const char *arg;
} troubles[] = {
	{ "all connections are reset", plain, "{'op':'drop'}" },
	{ "compacted", plain, "{'op':'compact'}" },
	{ "lists again, late", list_again, "'delay_ms':300" },
	{ "lists again, after an error", list_again, "'status':503" },
	{ "lists again, after half a list", list_again, "'cut':2000,'rst':false" },
	{ "it restarts", restart },
	{ "slow, in pieces", pace },
	{ "bookmarks", plain, "{'op':'bookmark'}" },
	{ "another token that nobody has", plain, "{'op':'token','write':false}" },
	{ "another token", plain, "{'op':'token','write':true}" },
	{ "streaming lists", plain, "{'op':'set','watchlist':true}" },
	{ "no streaming lists", plain, "{'op':'set','watchlist':false}" },
	{ "watches end", end_watches, "clean" },
	{ "watches are cut", end_watches, "cut" },
	{ "watches are reset", end_watches, "reset" },
	{ "watches go silent", end_watches, "silent" },
	{ "an error", fault_status },
	{ "an answer is cut", fault_cut, "false" },
	{ "an answer is cut by a reset", fault_cut, "true" },
	{ "an answer without its end", fault_no_end },
	{ "late answers", fault_delay },
	{ "chunks break off", fault, "'then':'break'" },
	{ "chunks end in a reset", fault, "'then':'reset'" },
};
_Static_assert(ARRAY_SIZE(troubles) == API_TROUBLES, "api.h counts them");

// Each once, in an order that is never the same; then again.
void api_trouble(struct api *api)
{
	unsigned int at, which;

	if (!api->undealt) {
		for (unsigned int i = 0; i < API_TROUBLES; i++)
			api->deck[i] = i;
		api->undealt = API_TROUBLES;
	}
	at = some(api, api->undealt--);
	which = api->deck[at];
	api->deck[at] = api->deck[api->undealt];
	troubles[which].make(api, troubles[which].arg);
	api->ran[which]++;
	api->troubles++;
}

const char *api_never_ran(const struct api *api)
{
	for (unsigned int i = 0; i < API_TROUBLES; i++)
		if (!api->ran[i])
			return troubles[i].name;
	return NULL;
}

static void await_watches(struct api *api)
{
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		standin_do(&api->standin, "{'op':'await','watches':'watch %s'}",
			   object_kind(kind)->plural);
}

// One of each kind, that concerns nobody.
static const struct ghost {
	enum kind kind;
	const char *ns, *version, *text;
} ghosts[] = {
	{ KIND_NAMESPACE, "", "v1", "" },
	{ KIND_NODE, "", "v1", "" },
	{ KIND_POD, "ghost", "v1", ",'spec':{'nodeName':'n1'},'status':{'phase':'Running'}" },
	{ KIND_NETPOL, "ghost", "networking.k8s.io/v1", ",'spec':{'podSelector':{}}" },
	{ KIND_CLUSTERNETPOL, "", "policy.networking.k8s.io/v1alpha2",
	  ",'spec':{'tier':'Admin','priority':999,'subject':{'namespaces':{'matchLabels':{'nobody':'has-it'}}}}" },
	{ KIND_SERVICE, "ghost", "v1", ",'spec':{'clusterIP':'10.96.9.9'}" },
	{ KIND_ENDPOINTSLICE, "ghost", "discovery.k8s.io/v1", ",'addressType':'IPv4','endpoints':[]" },
};
_Static_assert(ARRAY_SIZE(ghosts) == KIND_MAX, "one of each kind");

void api_ghosts(struct api *api)
{
	for (size_t i = 0; i < ARRAY_SIZE(ghosts); i++)
		standin_do(&api->standin,
			   "{'op':'put','object':{'apiVersion':'%s','kind':'%s','metadata':{'name':'ghost'%s,"
			   "'labels':{'kubernetes.io/service-name':'ghost'}}%s}}",
			   ghosts[i].version, object_kind(ghosts[i].kind)->name,
			   *ghosts[i].ns ? ",'namespace':'ghost'" : "", ghosts[i].text);
	await_watches(api);
}

void api_list_again(struct api *api)
{
	const struct standin *standin = &api->standin;

	standin_do(standin, "{'op':'down'}");
	for (size_t i = 0; i < ARRAY_SIZE(ghosts); i++)
		standin_do(standin, "{'op':'delete','resource':'%s','namespace':'%s','name':'ghost'}",
			   object_kind(ghosts[i].kind)->plural, ghosts[i].ns);
	standin_do(standin, "{'op':'compact'}");
	standin_do(standin, "{'op':'fault','on':'list *','times':%u,'delay_ms':300}", KIND_MAX);
	standin_do(standin, "{'op':'up'}");
	await_watches(api);
}

const char *api_calm(struct api *api)
{
	const struct standin *standin = &api->standin;

	standin_do(standin, "{'op':'clear'}");
	standin_do(standin, "{'op':'set','slice':0,'delay_ms':0}");
	standin_do(standin, "{'op':'token','write':true}");
	standin_do(standin, "{'op':'up'}");
	standin_do(standin, "{'op':'drop'}"); // a connection that is silent stays so
	await_watches(api);
	snprintf(api->marker, sizeof(api->marker), "api-step-%llu",
		 (unsigned long long)++api->markers);
	standin_do(
		standin,
		"{'op':'put','object':{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'%s'}}}",
		api->marker);
	standin_do(standin, "{'op':'delete','resource':'namespaces','name':'%s'}", api->marker);
	standin_do(
		standin,
		"{'op':'put','object':{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'%s'}}}",
		api->marker);
	return api->marker;
}

// ---- objects ----------------------------------------------------------------------------------------------------
static bool same(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

static struct api_object *find(struct api *api, const struct case_object *object)
{
	vec_each(struct api_object, one, &api->objects)
		if (one->kind == object->kind && same(one->ns, object->ns) &&
		    same(one->name, object->name))
			return one;
	return NULL;
}

static void send_object(struct api *api, struct json_object *json)
{
	struct json_object *request = json_object_new_object(), *answer = NULL;
	char path[PATH_MAX];
	struct err err = { 0 };

	json_object_object_add(request, "op", json_object_new_string("put"));
	json_object_object_add(request, "object", json_object_get(json));
	if (control_call(standin_path(&api->standin, "control.sock", path), request, 30, &answer,
			 &err) < 0) {
		fprintf(stderr, "the stand-in server: %s\n", err.text);
		abort();
	}
	json_object_put(request);
	json_object_put(answer);
}

static void put(struct api *api, const struct case_object *object, const char *default_node)
{
	struct api_object *known = find(api, object),
			  fresh = { .kind = object->kind, .wanted = true };
	struct json_object *spec;
	const char *text;

	if (object->kind == KIND_POD && json_object_object_get_ex(object->json, "spec", &spec) &&
	    !json_object_object_get_ex(spec, "nodeName", NULL))
		json_object_object_add(spec, "nodeName", json_object_new_string(default_node));
	text = json_object_to_json_string_ext(object->json, JSON_C_TO_STRING_PLAIN);
	if (known) {
		known->wanted = true;
		if (!strcmp(known->text, text))
			return;
		free(known->text);
		known->text = strdup(text);
	} else {
		fresh.ns = object->ns ? strdup(object->ns) : NULL;
		fresh.name = strdup(object->name);
		fresh.text = strdup(text);
		vec_push(&api->objects, fresh);
	}
	if (rng_chance(&api->rng, TROUBLE_PERCENT))
		api_trouble(api);
	send_object(api, object->json);
}

static void drop_unwanted(struct api *api)
{
	for (size_t i = api->objects.n; i-- > 0;) {
		struct api_object *object = &api->objects.v[i];

		if (object->wanted)
			continue;
		if (rng_chance(&api->rng, TROUBLE_PERCENT))
			api_trouble(api);
		standin_do(&api->standin,
			   "{'op':'delete','resource':'%s','namespace':'%s','name':'%s'}",
			   object_kind(object->kind)->plural, object->ns ? object->ns : "",
			   object->name);
		object_fini(object);
		vec_drop(&api->objects, i);
	}
}

void api_show(struct api *api, const struct sim_case *c, const char *default_node)
{
	vec_each(struct api_object, object, &api->objects)
		object->wanted = false;
	for (size_t i = 0; i < c->nobjects; i++)
		put(api, &c->objects[i], default_node);
	drop_unwanted(api);
}
