// SPDX-License-Identifier: Apache-2.0
// taint.c - a node that comes is tainted so that no pod comes before this agent does; here the taint goes, once the
// agent is ready for the first time.
//
// Taints are one list, so all of them are written: with the resourceVersion of what was read, or not at all.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/report/report_private.h"

LOG_ROOM("report");

#define NODES "nodes"
#define LOOK_MS 500 // whether the agent is ready
#define CONFLICT_MS 1000

static void turn(struct report *report);

static struct json_object *at(struct json_object *json, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(json, json_type_object))
		json_object_object_get_ex(json, key, &value);
	return value;
}

static const char *text_at(struct json_object *json, const char *key)
{
	struct json_object *value = at(json, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

static void again(struct report *report, const struct errand_answer *answer)
{
	report_problem(report, "startup taint", answer->why);
	errand_in(&report->taint.errand, report_pause_ms(answer->retry_after_sec));
}

static void done(struct report *report)
{
	report->taint.state = TAINT_GONE;
	report_problem(report, "startup taint", NULL);
}

// All taints but ours, NULL when ours is not there.
static struct json_object *others(const struct report *report, struct json_object *node)
{
	struct json_object *taints = at(at(node, "spec"), "taints"), *keep;
	size_t n =
		json_object_is_type(taints, json_type_array) ? json_object_array_length(taints) : 0;

	keep = json_object_new_array();
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(taints, i);

		if (strcmp(text_at(one, "key"), report->config.taint) != 0)
			json_object_array_add(keep, json_object_get(one));
	}
	if (json_object_array_length(keep) < n)
		return keep;
	json_object_put(keep);
	return NULL;
}

static void patched(void *arg, const struct errand_answer *answer)
{
	struct report *report = arg;

	if (answer->json) {
		report->taint.removed++;
		log_info("the startup taint '%s' is off: pods may come", report->config.taint);
		done(report);
	} else if (answer->status == 409) {
		errand_in(&report->taint.errand, arc4random_uniform(CONFLICT_MS));
	} else {
		again(report, answer);
	}
}

static struct json_object *patch_of(struct json_object *node, struct json_object *keep)
{
	struct json_object *json = json_object_new_object(), *meta = json_object_new_object(),
			   *spec = json_object_new_object();

	json_object_object_add(
		meta, "resourceVersion",
		json_object_new_string(text_at(at(node, "metadata"), "resourceVersion")));
	json_object_object_add(json, "metadata", meta);
	json_object_object_add(spec, "taints",
			       json_object_array_length(keep) ? json_object_get(keep) : NULL);
	json_object_object_add(json, "spec", spec);
	return json;
}

static void node_path(const struct report *report, char *buf, size_t bytes)
{
	_cleanup_free_ char *name = http_escape(report->config.node);

	snprintf(buf, bytes, "/api/v1/nodes/%s", name ? name : "");
}

static void ask(struct report *report, struct errand_request *request, errand_done_fn fn)
{
	char path[800];

	node_path(report, path, sizeof(path));
	request->resource = NODES;
	request->path = path;
	if (errand_ask(&report->taint.errand, request, fn) < 0)
		again(report, &(struct errand_answer){ .why = "out of memory" });
}

static void looked(void *arg, const struct errand_answer *answer)
{
	_cleanup_json_ struct json_object *keep = NULL, *body = NULL;
	struct report *report = arg;

	if (!answer->json) {
		again(report, answer);
		return;
	}
	snprintf(report->taint.uid, sizeof(report->taint.uid), "%s",
		 text_at(at(answer->json, "metadata"), "uid"));
	keep = others(report, answer->json);
	if (!keep) {
		done(report);
		return;
	}
	body = patch_of(answer->json, keep);
	ask(report,
	    &(struct errand_request){
		    .verb = "patch", .body = body, .content_type = HTTP_MERGE_PATCH },
	    patched);
}

static void turn(struct report *report)
{
	struct taint *taint = &report->taint;

	if (taint->state != TAINT_WAITS || errand_busy(&taint->errand))
		return;
	if (!report->hooks.ready(report->hooks.arg))
		errand_in(&taint->errand, LOOK_MS);
	else
		ask(report, &(struct errand_request){ .verb = "get" }, looked);
}

static void due(evutil_socket_t fd, short what, void *arg)
{
	turn(arg);
}

// A Node that was registered anew may have it again.
void taint_node_changed(struct report *report)
{
	const struct object *node = store_find(report->store, KIND_NODE, NULL, report->config.node);

	if (report->taint.state != TAINT_GONE || !node || !node->uid ||
	    strcmp(node->uid, report->taint.uid) == 0)
		return;
	report->taint.state = TAINT_WAITS;
	turn(report);
}

int taint_init(struct report *report)
{
	int r = errand_init(&report->taint.errand, report->base, report->http, due, report);

	if (r < 0 || !report->config.taint)
		return r;
	report->taint.state = TAINT_WAITS;
	errand_in(&report->taint.errand, 0);
	return 0;
}

void taint_fini(struct report *report)
{
	errand_fini(&report->taint.errand);
}
