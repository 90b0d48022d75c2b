// SPDX-License-Identifier: Apache-2.0
// held.c - two lists of texts, sorted.
#include "tests/soak/held.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/object/write.h"

#define WAIT_MS 10000
#define AGAIN_MS 50

struct texts {
	VEC(char *) lines;
};

static void texts_fini(struct texts *texts)
{
	vec_each(char *, line, &texts->lines)
		free(*line);
	vec_fini(&texts->lines);
}

static void add(struct texts *texts, const char *line)
{
	vec_push(&texts->lines, strdup(line));
}

static void add_all(struct texts *texts, struct json_object *list)
{
	for (size_t i = 0; i < json_object_array_length(list); i++)
		add(texts, json_object_to_json_string_ext(json_object_array_get_idx(list, i),
							  JSON_C_TO_STRING_PLAIN));
}

static void add_count(struct texts *texts, enum kind kind, int64_t n)
{
	char line[64];

	snprintf(line, sizeof(line), "%s: %lld", object_kind(kind)->plural, (long long)n);
	add(texts, line);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

// ---- what the server has -----------------------------------------------------------------------------------------

static const char *text_at(struct json_object *json, const char *outer, const char *inner)
{
	struct json_object *in, *value;

	return json_object_object_get_ex(json, outer, &in) &&
			       json_object_object_get_ex(in, inner, &value) ?
		       json_object_get_string(value) :
		       "";
}

static bool has_label(struct json_object *json, const char *label)
{
	struct json_object *metadata, *labels;

	return json_object_object_get_ex(json, "metadata", &metadata) &&
	       json_object_object_get_ex(metadata, "labels", &labels) &&
	       json_object_object_get_ex(labels, label, NULL);
}

// The selectors of agent/source/kube.c in words of their own.
static bool is_watched(enum kind kind, struct json_object *json)
{
	switch (kind) {
	case KIND_POD:
		return strcmp(text_at(json, "status", "phase"), "Succeeded") &&
		       strcmp(text_at(json, "status", "phase"), "Failed");
	case KIND_SERVICE:
		return strcmp(text_at(json, "spec", "clusterIP"), "None") &&
		       strcmp(text_at(json, "spec", "type"), "ExternalName");
	case KIND_ENDPOINTSLICE:
		return has_label(json, "kubernetes.io/service-name") &&
		       !has_label(json, "service.kubernetes.io/headless");
	default:
		return true;
	}
}

static int write_one(struct jsonw *w, enum kind kind, struct json_object *json, struct err *reterr)
{
	struct object *object;
	int r = object_parse(kind, json, &object, reterr);

	if (r < 0)
		return r;
	object_write(w, object);
	object_put(object);
	return 0;
}

static int server_kind(const struct standin *standin, enum kind kind, struct texts *ret, struct err *reterr)
{
	_cleanup_json_ struct json_object *answer =
		standin_ask(standin, "{'op':'list','resource':'%s'}", object_kind(kind)->plural);
	_cleanup_json_ struct json_object *text = NULL, *written = NULL;
	struct json_object *items = json_object_object_get(answer, "items");
	struct jsonw w;
	int64_t n = 0;
	int r = 0;

	jsonw_init(&w);
	jsonw_open(&w, NULL, '[');
	for (size_t i = 0; r == 0 && i < json_object_array_length(items); i++) {
		struct json_object *one = json_object_array_get_idx(items, i);

		if (!is_watched(kind, one))
			continue;
		n++;
		if (object_writes(kind))
			r = write_one(&w, kind, one, reterr);
	}
	jsonw_close(&w, ']');
	text = jsonw_json(&w);
	jsonw_fini(&w);
	written = json_tokener_parse(json_object_to_json_string(text));
	add_count(ret, kind, n);
	if (written)
		add_all(ret, written);
	return r;
}

static int server_has(const struct stage *stage, struct texts *ret, struct err *reterr)
{
	int r = 0;

	for (enum kind kind = 0; r == 0 && kind < KIND_MAX; kind++)
		r = server_kind(&stage->api->standin, kind, ret, reterr);
	vec_sort(&ret->lines, by_text);
	return r;
}

// ---- what the agent holds ----------------------------------------------------------------------------------------

// "networkpolicies.networking.k8s.io" is of the kind networkpolicies.
static bool is_resource(struct json_object *one, enum kind kind)
{
	const char *name = json_object_get_string(json_object_object_get(one, "name"));
	const char *plural = object_kind(kind)->plural;
	size_t len = strlen(plural);

	return name && !strncmp(name, plural, len) && (!name[len] || name[len] == '.');
}

static int agent_counts(struct stage *stage, struct texts *ret, struct err *reterr)
{
	_cleanup_json_ struct json_object *answer = NULL;
	struct json_object *source, *list;
	int r = agent_ask(stage->agent, "status", &answer, reterr);

	if (r < 0)
		return r;
	if (!json_object_object_get_ex(answer, "source", &source) ||
	    !json_object_object_get_ex(source, "resources", &list))
		return err_set(reterr, -EPROTO, "no list of resources");
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *one = json_object_array_get_idx(list, i);

			if (is_resource(one, kind))
				add_count(ret, kind,
					  json_object_get_int64(json_object_object_get(one, "objects")));
		}
	return 0;
}

static int agent_page(struct stage *stage, int64_t *snapshot, int64_t *after, int64_t *rettotal,
		      struct texts *ret, struct err *reterr)
{
	_cleanup_json_ struct json_object *request = json_object_new_object(), *answer = NULL;
	int r;

	json_object_object_add(request, "op", json_object_new_string("objects"));
	json_object_object_add(request, "snapshot", json_object_new_int64(*snapshot));
	json_object_object_add(request, "after", json_object_new_int64(*after));
	r = agent_call(stage->agent, request, &answer, reterr);
	if (r < 0)
		return r;
	*snapshot = json_object_get_int64(json_object_object_get(answer, "snapshot"));
	*after = json_object_get_int64(json_object_object_get(answer, "next"));
	*rettotal = json_object_get_int64(json_object_object_get(answer, "total"));
	add_all(ret, json_object_object_get(answer, "objects"));
	return 0;
}

static int agent_holds(struct stage *stage, struct texts *ret, struct err *reterr)
{
	int64_t snapshot = 0, after = 0, total = 1;
	int r = agent_counts(stage, ret, reterr);

	while (r == 0 && after < total)
		r = agent_page(stage, &snapshot, &after, &total, ret, reterr);
	vec_sort(&ret->lines, by_text);
	return r;
}

// ---- both --------------------------------------------------------------------------------------------------------

static bool same(const struct texts *server, const struct texts *agent, char *retfirst, size_t bytes)
{
	size_t n = server->lines.n < agent->lines.n ? server->lines.n : agent->lines.n, i = 0;

	while (i < n && !strcmp(server->lines.v[i], agent->lines.v[i]))
		i++;
	if (i == server->lines.n && i == agent->lines.n)
		return true;
	snprintf(retfirst, bytes, "the server has %.240s; the agent has %.240s",
		 i < server->lines.n ? server->lines.v[i] : "no more",
		 i < agent->lines.n ? agent->lines.v[i] : "no more");
	return false;
}

static int compare_once(struct stage *stage, struct held *ret, struct err *reterr)
{
	struct texts server = { 0 }, agent = { 0 };
	int r = server_has(stage, &server, reterr);

	if (r == 0)
		r = agent_holds(stage, &agent, reterr);
	if (r == 0) {
		ret->objects = server.lines.n - KIND_MAX;
		ret->same = same(&server, &agent, ret->first, sizeof(ret->first));
	}
	texts_fini(&server);
	texts_fini(&agent);
	return r;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int held_compare(struct stage *stage, struct held *ret, struct err *reterr)
{
	int64_t end = now_ms() + WAIT_MS;
	int r;

	*ret = (struct held){ 0 };
	while ((r = compare_once(stage, ret, reterr)) == 0 && !ret->same && now_ms() < end)
		poll(NULL, 0, AGAIN_MS);
	return r;
}
