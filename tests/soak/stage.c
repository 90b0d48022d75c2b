// SPDX-License-Identifier: Apache-2.0
// stage.c - states into namespaces and files, and what the agent makes of them.
#include "tests/soak/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/conformance/sandbox.h"

#define MANIFESTS "/run/manifests"
#define MANIFESTS_TEMP "/run/manifests.new"
#define AGENT_LOG "/run/node1.log"
#define RUN_DIR "/run/node1"
#define WAIT_MS 20000
#define AGAIN_MS 10

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int stage_open(struct stage *stage, const char *bulkheadd, const char *options, bool verbose,
	       struct err *reterr)
{
	int r;

	*stage = (struct stage){
		.config = { .bulkheadd = bulkheadd, .agent_options = options, .verbose = verbose },
	};
	r = prober_new(0, &stage->prober, reterr);
	if (r == 0)
		r = rig_new(&stage->rig, reterr);
	if (r == 0 && (mkdir(MANIFESTS, 0755) < 0 || mkdir(MANIFESTS_TEMP, 0755) < 0))
		r = err_set(reterr, -errno, MANIFESTS ": %s", strerror(errno));
	if (r == 0)
		r = feed_new(MANIFESTS, MANIFESTS_TEMP, &stage->feed, reterr);
	return r;
}

void stage_close(struct stage *stage)
{
	agent_free(TAKE_PTR(stage->agent));
	feed_free(TAKE_PTR(stage->feed));
	rig_free(TAKE_PTR(stage->rig));
	prober_free(TAKE_PTR(stage->prober));
}

// ---- showing ----------------------------------------------------------------------------------------------------

// What somebody may leave in the folder by mistake. It tells of no object.
static int show_garbage(struct stage *stage, struct err *reterr)
{
	static const char *const texts[] = {
		"kind: [",   "{\"kind\":\"Pod\"",
		"\xff\xfe",  "apiVersion: v1\nkind: Pod\n",
		"- - - -\n", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n",
		"",
	};
	const char *text = texts[stage->garbage++ % ARRAY_SIZE(texts)];
	_cleanup_fclose_ FILE *f = fopen(MANIFESTS_TEMP "/garbage.yaml", "we");

	if (!f || fputs(text, f) < 0 || fflush(f) ||
	    rename(MANIFESTS_TEMP "/garbage.yaml", MANIFESTS "/garbage.yaml") < 0)
		return err_set(reterr, -errno, MANIFESTS ": %s", strerror(errno));
	return 0;
}

int stage_show(struct stage *stage, const struct state *shown, struct err *reterr)
{
	int r = rig_set(stage->rig, NULL, &shown->c, reterr);

	if (r == 0 && stage->api) {
		api_show(stage->api, &shown->c, CAST_NODE);
		return 0;
	}
	if (r == 0)
		r = show_garbage(stage, reterr);
	if (r == 0)
		r = feed_apply(stage->feed, &shown->c, CAST_NODE, &stage->marker, reterr);
	return r;
}

// ---- what the agent says ----------------------------------------------------------------------------------------

static const char *text_of(struct json_object *json, const char *name)
{
	struct json_object *value;

	return json_object_object_get_ex(json, name, &value) ? json_object_get_string(value) : "";
}

int stage_live(struct stage *stage, struct live **ret, size_t *retn, struct err *reterr)
{
	_cleanup_json_ struct json_object *answer = NULL;
	struct json_object *list, *slot;
	struct live *all;
	int r = agent_ask(stage->agent, "endpoint.list", &answer, reterr);

	if (r < 0)
		return r;
	if (!json_object_object_get_ex(answer, "endpoints", &list))
		return err_set(reterr, -EPROTO, "no list of endpoints");
	*retn = json_object_array_length(list);
	all = calloc(*retn + 1, sizeof(*all));
	if (!all)
		return err_set(reterr, -ENOMEM, "out of memory");
	for (size_t i = 0; i < *retn; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		snprintf(all[i].ns, sizeof(all[i].ns), "%s", text_of(one, "namespace"));
		snprintf(all[i].name, sizeof(all[i].name), "%s", text_of(one, "name"));
		snprintf(all[i].state, sizeof(all[i].state), "%s", text_of(one, "state"));
		if (json_object_object_get_ex(one, "slot", &slot))
			all[i].slot = (uint32_t)json_object_get_int(slot);
	}
	*ret = all;
	return 0;
}

static bool is_wanted(char (*want)[128], size_t n, const struct live *live)
{
	char title[130];

	snprintf(title, sizeof(title), "%s/%s", live->ns, live->name);
	for (size_t i = 0; i < n; i++)
		if (!strcmp(want[i], title))
			return true;
	return false;
}

// 1: exactly the wanted ones are enforced (or open); 0: not yet, reterr says what is.
static int live_is(struct stage *stage, char (*want)[128], size_t n, struct err *reterr)
{
	_cleanup_free_ struct live *live = NULL;
	char text[200] = "";
	size_t nlive, enforced = 0, wanted = 0, len = 0;
	int r = stage_live(stage, &live, &nlive, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < nlive; i++) {
		bool is = !strcmp(live[i].state, "open") || !strcmp(live[i].state, "enforce");

		enforced += is;
		wanted += is && is_wanted(want, n, &live[i]);
		if (len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, " %s/%s=%s",
						live[i].ns, live[i].name, live[i].state);
	}
	if (enforced == n && wanted == n)
		return 1;
	err_set(reterr, -ETIMEDOUT, "%zu pods are enforced, not %zu:%s", enforced, n, text);
	return 0;
}

int stage_sync(struct stage *stage, char (*want)[128], size_t n, struct err *reterr)
{
	int64_t end = now_ms() + WAIT_MS;
	int r;

	if (stage->api)
		stage->marker = api_calm(stage->api);
	do {
		r = agent_sync(stage->agent, stage->marker, 0, reterr);
		if (r == 0)
			r = live_is(stage, want, n, reterr);
		if (r != 0)
			return r < 0 ? r : 0;
		poll(NULL, 0, AGAIN_MS);
	} while (now_ms() < end);
	return -ETIMEDOUT;
}

int stage_problems(struct stage *stage, char *retfirst, size_t bytes, struct err *reterr)
{
	_cleanup_json_ struct json_object *answer = NULL;
	struct json_object *list;
	int n = 0, r = agent_ask(stage->agent, "status", &answer, reterr);

	if (r < 0)
		return r;
	json_object_object_get_ex(answer, "problems", &list);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		if (strstr(text_of(one, "where"), "garbage"))
			continue;
		if (!n++)
			snprintf(retfirst, bytes, "%s: %s", text_of(one, "where"),
				 text_of(one, "text"));
	}
	return n;
}

void stage_tell(struct stage *stage, const char *ns, const char *name)
{
	_cleanup_json_ struct json_object *request = json_object_new_object(), *answer = NULL;
	struct err err = { 0 };

	json_object_object_add(request, "op", json_object_new_string("endpoint.get"));
	json_object_object_add(request, "namespace", json_object_new_string(ns));
	json_object_object_add(request, "name", json_object_new_string(name));
	if (!stage->agent || agent_call(stage->agent, request, &answer, &err) < 0)
		printf("      no agent tells of '%s/%s'\n", ns, name);
	else
		printf("      %s\n",
		       json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN));
}

// ---- its process ------------------------------------------------------------------------------------------------

struct rig_node *stage_node(struct stage *stage)
{
	for (size_t i = 0; i < rig_nodes(stage->rig); i++)
		if (!strcmp(rig_node(stage->rig, i)->name, CAST_NODE))
			return rig_node(stage->rig, i);
	return NULL;
}

int stage_agent_start(struct stage *stage, struct err *reterr)
{
	const struct rig_node *node = stage_node(stage);

	return agent_start(&stage->config, node->name, 1, node->netns, MANIFESTS, &stage->agent,
			   reterr);
}

int stage_agent_end(struct stage *stage, int signal)
{
	int status = agent_end(stage->agent, signal);

	agent_free(TAKE_PTR(stage->agent));
	return status;
}

int stage_agent_cleanup(struct stage *stage)
{
	const struct rig_node *node = stage_node(stage);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (sandbox_enter(node->netns) == 0)
			execl(stage->config.bulkheadd, stage->config.bulkheadd, "--cleanup",
			      "--node", CAST_NODE, "--pin-dir", STAGE_PINS, "--run-dir", RUN_DIR,
			      "--state-dir", RUN_DIR, NULL);
		_exit(127);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid ? -1 : status;
}

size_t stage_complaints(char *retfirst, size_t bytes)
{
	_cleanup_fclose_ FILE *f = fopen(AGENT_LOG, "re");
	char line[1024];
	size_t n = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (!strstr(line, " error ") && !strstr(line, "Sanitizer") &&
		    !strstr(line, "runtime error:"))
			continue;
		if (!n++)
			snprintf(retfirst, bytes, "%s", line);
	}
	return n;
}

// ---- packets ----------------------------------------------------------------------------------------------------

int stage_probe(struct stage *stage, struct probe *probes, const bool *wants, size_t n,
		struct err *reterr)
{
	int64_t end = now_ms() + WAIT_MS;
	size_t missing;
	int r;

	do {
		for (size_t i = 0; i < n; i++)
			if (probes[i].flow.source_port >= PROBE_PORT_FIRST)
				probes[i].flow.source_port = 0; // a new flow again
		r = probe_run(stage->prober, probes, n, reterr);
		if (r < 0)
			return r;
		missing = 0;
		for (size_t i = 0; i < n; i++) {
			if (!wants[i] && probes[i].delivered)
				return 0; // wrong, and nothing makes it right
			missing += wants[i] && !probes[i].delivered;
		}
	} while (missing && now_ms() < end);
	return 0;
}
