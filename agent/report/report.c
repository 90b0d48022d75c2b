// SPDX-License-Identifier: Apache-2.0
// report.c - the parts together.
#include <errno.h>
#include <stdlib.h>

#include "agent/kube/pause.h"
#include "agent/report/report_private.h"
#include "agent/report/stamp.h"

void report_problem(struct report *report, const char *where, const char *text)
{
	report->hooks.problem(report->hooks.arg, where, text);
}

size_t report_nodes(const struct report *report)
{
	size_t n = store_count(report->store, KIND_NODE);

	return n ? n : 1;
}

unsigned report_pause_ms(long retry_after_sec)
{
	if (retry_after_sec > 0)
		return (unsigned)pause_asked(retry_after_sec);
	return REPORT_PAUSE_MS + arc4random_uniform(REPORT_PAUSE_MS);
}

int report_new(struct event_base *base, struct http *http, const struct store *store,
	       const struct report_config *config, const struct report_hooks *hooks,
	       struct report **ret)
{
	_cleanup_(report_freep) struct report *report = calloc(1, sizeof(*report));

	if (!report)
		return -ENOMEM;
	report->base = base;
	report->http = http;
	report->store = store;
	report->config = *config;
	report->hooks = *hooks;
	if (conditions_init(report) < 0 || notify_init(report) < 0 || taint_init(report) < 0 ||
	    elect_init(report) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(report);
	return 0;
}

void report_free(struct report *report)
{
	if (!report)
		return;
	elect_fini(report);
	conditions_fini(report);
	notify_fini(report);
	taint_fini(report);
	free(report);
}

void report_policy_changed(struct report *report)
{
	conditions_changed(report);
	notify_changed(report);
}

void report_compiled(struct report *report)
{
	notify_changed(report);
	taint_node_changed(report);
}

void report_leave(struct report *report)
{
	errand_drop(&report->conditions.errand);
	errand_drop(&report->notify.errand);
	errand_drop(&report->taint.errand);
	elect_leave(report);
}

// ---- status --------------------------------------------------------------------------------------------------------

static void add(struct json_object *json, const char *key, uint64_t value)
{
	json_object_object_add(json, key, json_object_new_uint64(value));
}

static struct json_object *describe_conditions(const struct conditions *c)
{
	struct json_object *json = json_object_new_object();

	add(json, "rounds", c->rounds);
	add(json, "writes", c->writes);
	add(json, "failures", c->failures);
	if (c->listed_ms)
		add(json, "age_sec", (uint64_t)(stamp_now_ms() - c->listed_ms) / 1000);
	return json;
}

static struct json_object *describe_events(const struct notify *notify)
{
	struct json_object *json = json_object_new_object();

	add(json, "lasting", notify->notices.v.n);
	add(json, "sent", notify->notices.sent);
	add(json, "dropped", notify->notices.dropped);
	add(json, "failures", notify->failures);
	return json;
}

struct json_object *report_describe(const struct report *report)
{
	static const char *const taints[] = {
		[TAINT_OFF] = "off", [TAINT_WAITS] = "waits", [TAINT_GONE] = "gone"
	};
	const struct lease *lease = &report->elect.lease;
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "leader", json_object_new_string(lease_holder(lease)));
	json_object_object_add(json, "leading", json_object_new_boolean(elect_leads(report)));
	if (lease->since_ms)
		add(json, "lease_age_sec", (uint64_t)(stamp_now_ms() - lease->since_ms) / 1000);
	json_object_object_add(json, "conditions", describe_conditions(&report->conditions));
	json_object_object_add(json, "events", describe_events(&report->notify));
	json_object_object_add(json, "startup_taint",
			       json_object_new_string(taints[report->taint.state]));
	return json;
}
