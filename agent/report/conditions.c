// SPDX-License-Identifier: Apache-2.0
// conditions.c - the holder's rounds: list ClusterNetworkPolicies, apply the condition where status does not say it.
//
// The list and not the store: there, status is noise that no agent needs, while the round needs generation and
// condition of the same moment. Nothing is remembered between rounds, so whatever happened to a status is mended.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/report/condition.h"
#include "agent/report/report_private.h"
#include "agent/report/stamp.h"

#define RESOURCE "clusternetworkpolicies.policy.networking.k8s.io"
#define STATUS "clusternetworkpolicies.policy.networking.k8s.io/status"
#define PATH "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies"
#define PAGE "20" // each may have a megabyte and a half
#define PAGE_BYTES (32u << 20)
#define GAP_MS 2000 // between two rounds
#define AGAIN_MS (10 * 60 * 1000) // though nothing changed: others may write into status

static void turn(struct report *report);

static void pending_clear(struct conditions *c)
{
	vec_each(struct pending, one, &c->pending) {
		free(one->path);
		json_object_put(one->body);
	}
	vec_clear(&c->pending);
	free(TAKE_PTR(c->page));
}

static void fail(struct report *report, const struct errand_answer *answer)
{
	struct conditions *c = &report->conditions;

	c->failures++;
	pending_clear(c);
	c->dirty = true;
	report_problem(report, "report conditions", answer->why);
	errand_in(&c->errand, report_pause_ms(answer->retry_after_sec));
}

// ---- comparing -----------------------------------------------------------------------------------------------------

struct refusal {
	const struct store *store;
	const char *name;
	char text[ERR_TEXT_BYTES];
};

// The object's own problem is told by the object.
static void refusal_of(void *arg, enum kind kind, const char *ns, const char *name,
		       const char *text)
{
	struct refusal *refusal = arg;
	const struct object *object;

	if (kind != KIND_CLUSTERNETPOL || strcmp(name, refusal->name) != 0)
		return;
	object = store_find(refusal->store, kind, NULL, name);
	if (!object || !object->problem || strcmp(object->problem, text) != 0)
		snprintf(refusal->text, sizeof(refusal->text), "%s", text);
}

static const char *name_of(struct json_object *item)
{
	struct json_object *meta = NULL, *name = NULL;

	json_object_object_get_ex(item, "metadata", &meta);
	json_object_object_get_ex(meta, "name", &name);
	return json_object_is_type(name, json_type_string) ? json_object_get_string(name) : NULL;
}

static int push(struct conditions *c, struct json_object *item, const struct condition *condition)
{
	_cleanup_free_ char *name = http_escape(name_of(item));
	struct pending pending = { 0 };

	if (!name ||
	    asprintf(&pending.path, PATH "/%s/status?fieldManager=bulkhead&force=true", name) < 0)
		return -ENOMEM;
	pending.body = condition_apply(item, condition, stamp_now_us());
	if (!pending.body || vec_push(&c->pending, pending) < 0) {
		free(pending.path);
		json_object_put(pending.body);
		return -ENOMEM;
	}
	return 0;
}

static int compare(struct report *report, struct json_object *item)
{
	struct refusal refusal = { .store = report->store, .name = name_of(item) };
	struct condition condition;

	if (!refusal.name)
		return 0;
	report->hooks.problems(report->hooks.arg, refusal_of, &refusal);
	if (!condition_of(item, *refusal.text ? refusal.text : NULL, report->config.node,
			  &condition))
		return -ENOMEM;
	return condition_is_said(item, &condition) ? 0 :
						     push(&report->conditions, item, &condition);
}

// ---- a round -------------------------------------------------------------------------------------------------------

static void take_page(struct conditions *c, struct json_object *list)
{
	struct json_object *meta = NULL, *page = NULL;
	const char *text;

	free(TAKE_PTR(c->page));
	json_object_object_get_ex(list, "metadata", &meta);
	json_object_object_get_ex(meta, "continue", &page);
	text = json_object_is_type(page, json_type_string) ? json_object_get_string(page) : "";
	c->page = *text ? strdup(text) : NULL;
}

static void listed(void *arg, const struct errand_answer *answer)
{
	struct report *report = arg;
	struct json_object *items = NULL;
	int r = 0;

	if (answer->status == 404) { // the CRD is not there: there is nothing to write to
		report_problem(report, "report conditions", NULL);
		turn(report);
		return;
	}
	if (!answer->json) {
		fail(report, answer);
		return;
	}
	take_page(&report->conditions, answer->json);
	if (json_object_object_get_ex(answer->json, "items", &items) &&
	    json_object_is_type(items, json_type_array))
		for (size_t i = 0; r >= 0 && i < json_object_array_length(items); i++)
			r = compare(report, json_object_array_get_idx(items, i));
	if (r < 0) {
		fail(report, &(struct errand_answer){ .why = "out of memory" });
		return;
	}
	report_problem(report, "report conditions", NULL);
	turn(report);
}

// 404: it is gone. 409: it is another one by now; the round is done again.
static void applied(void *arg, const struct errand_answer *answer)
{
	struct report *report = arg;
	struct conditions *c = &report->conditions;

	if (!answer->json && answer->status != 404 && answer->status != 409) {
		fail(report, answer);
		return;
	}
	c->writes += answer->json != NULL;
	c->dirty |= answer->status == 409;
	turn(report);
}

static void apply(struct report *report)
{
	struct conditions *c = &report->conditions;
	struct pending next = c->pending.v[c->pending.n - 1];
	struct errand_request request = {
		.verb = "patch",
		.resource = STATUS,
		.path = next.path,
		.body = next.body,
		.content_type = HTTP_APPLY_PATCH,
		.body_max = PAGE_BYTES,
	};

	c->pending.n--;
	if (errand_ask(&c->errand, &request, applied) < 0)
		fail(report, &(struct errand_answer){ .why = "out of memory" });
	free(next.path);
	json_object_put(next.body);
}

static void list(struct report *report)
{
	struct conditions *c = &report->conditions;
	_cleanup_free_ char *page = c->page ? http_escape(c->page) : NULL, *path = NULL;
	struct errand_request request = { .verb = "list",
					  .resource = RESOURCE,
					  .body_max = PAGE_BYTES };

	if (asprintf(&path, PATH "?limit=" PAGE "%s%s", page ? "&continue=" : "",
		     page ? page : "") < 0)
		path = NULL;
	request.path = path;
	if (!path || errand_ask(&c->errand, &request, listed) < 0)
		fail(report, &(struct errand_answer){ .why = "out of memory" });
}

static void begin(struct report *report)
{
	struct conditions *c = &report->conditions;

	c->dirty = false;
	c->rounds++;
	c->listed_ms = stamp_now_ms();
	list(report);
}

static void turn(struct report *report)
{
	struct conditions *c = &report->conditions;
	int64_t gone = stamp_now_ms() - c->listed_ms, wait = (c->dirty ? GAP_MS : AGAIN_MS) - gone;

	if (errand_busy(&c->errand))
		return;
	if (!elect_leads(report))
		pending_clear(c);
	else if (c->pending.n)
		apply(report);
	else if (c->page)
		list(report);
	else if (c->listed_ms && wait > 0)
		errand_in(&c->errand, (unsigned)wait);
	else
		begin(report);
}

static void due(evutil_socket_t fd, short what, void *arg)
{
	turn(arg);
}

// ---- what the others tell ------------------------------------------------------------------------------------------

void conditions_leads(struct report *report, bool leads)
{
	struct conditions *c = &report->conditions;

	errand_drop(&c->errand);
	pending_clear(c);
	c->listed_ms = 0;
	if (leads)
		turn(report);
	else
		report_problem(report, "report conditions", NULL);
}

void conditions_renewed(struct report *report)
{
	if (errand_idle(&report->conditions.errand))
		turn(report);
}

void conditions_changed(struct report *report)
{
	struct conditions *c = &report->conditions;

	if (c->dirty)
		return;
	c->dirty = true;
	if (elect_leads(report) && !errand_busy(&c->errand))
		errand_in(&c->errand, REPORT_SETTLE_MS);
}

int conditions_init(struct report *report)
{
	return errand_init(&report->conditions.errand, report->base, report->http, due, report);
}

void conditions_fini(struct report *report)
{
	errand_fini(&report->conditions.errand);
	pending_clear(&report->conditions);
	vec_fini(&report->conditions.pending);
}
