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

static void some_fault(struct api *api)
{
	static const char *const on[] = { "watch *", "list *", "* *", "watch pods",
					  "* networkpolicies" };
	static const unsigned int statuses[] = { 429, 500, 503, 504 };
	const char *which = on[some(api, ARRAY_SIZE(on))];
	unsigned int times = 1 + some(api, 3);

	switch (some(api, 5)) {
	case 0:
		standin_do(&api->standin, "{'op':'fault','on':'%s','times':%u,'status':%u%s}",
			   which, times, statuses[some(api, ARRAY_SIZE(statuses))],
			   some(api, 4) ? "" : ",'retry_after':1");
		break;
	case 1:
		standin_do(&api->standin, "{'op':'fault','on':'%s','times':%u,'cut':%u,'rst':%s}",
			   which, times, 1 + some(api, 20000), some(api, 2) ? "true" : "false");
		break;
	case 2:
		standin_do(&api->standin,
			   "{'op':'fault','on':'%s','times':%u,'no_end':true,'slice':%u}", which,
			   times, some(api, 100));
		break;
	case 3:
		standin_do(&api->standin, "{'op':'fault','on':'%s','times':%u,'delay_ms':%u}",
			   which, times, 1 + some(api, DELAY_MS));
		break;
	case 4:
		standin_do(&api->standin, "{'op':'fault','on':'%s','times':%u,'then':'%s'}", which,
			   times, some(api, 2) ? "break" : "reset");
		break;
	}
}

static void some_end(struct api *api)
{
	static const char *const hows[] = { "clean", "cut", "reset", "silent" };
	static const char *const on[] = { "*", "watch pods", "watch networkpolicies",
					  "watch namespaces" };

	standin_do(&api->standin, "{'op':'end','on':'%s','how':'%s'}",
		   on[some(api, ARRAY_SIZE(on))], hows[some(api, ARRAY_SIZE(hows))]);
}

void api_trouble(struct api *api)
{
	const struct standin *standin = &api->standin;

	api->troubles++;
	switch (some(api, 10)) {
	case 0:
		standin_do(standin, "{'op':'drop'}");
		break;
	case 1:
		standin_do(standin, "{'op':'compact'}");
		break;
	case 2:
		standin_do(standin, "{'op':'down','up_ms':%u}", some(api, DOWN_MS));
		break;
	case 3:
		standin_do(standin, "{'op':'set','slice':%u,'delay_ms':%u}", some(api, 60),
			   some(api, 20));
		break;
	case 4:
		standin_do(standin, "{'op':'bookmark'}");
		break;
	case 5:
		standin_do(standin, "{'op':'token','write':%s}", some(api, 2) ? "true" : "false");
		break;
	case 6:
		standin_do(standin, "{'op':'set','watchlist':%s}", some(api, 2) ? "true" : "false");
		break;
	case 7:
		some_end(api);
		break;
	default:
		some_fault(api);
		break;
	}
}

const char *api_calm(struct api *api)
{
	const struct standin *standin = &api->standin;

	standin_do(standin, "{'op':'clear'}");
	standin_do(standin, "{'op':'set','slice':0,'delay_ms':0}");
	standin_do(standin, "{'op':'token','write':true}");
	standin_do(standin, "{'op':'up'}");
	standin_do(standin, "{'op':'drop'}"); // a connection that is silent stays so
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		standin_do(standin, "{'op':'await','watches':'watch %s'}",
			   object_kind(kind)->plural);
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
