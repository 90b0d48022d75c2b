// SPDX-License-Identifier: Apache-2.0
// flows.c - the recorder beside the daemon: what it is told, what it asks, and the operation `flows`.
#include <errno.h>
#include <string.h>

#include "agent/daemon/json.h"
#include "agent/recorder/recorder.h"

#define FLOWS_MAX 1000 // records in one answer, unless the request says fewer
#define FLOWS_WAIT_MS 30000 // the longest that a request waits for some

// A request that waits: answered once there is a record that it asked for, or when its time is over.
struct flows_request {
	struct daemon *daemon;
	struct control_deferred *answer;
	char *filter;
	uint64_t after, lost;
	uint32_t max;
	bool anew;
	struct event *late;
};

// ---- what rules are called ---------------------------------------------------------------------------------------

static enum flow_policy_kind kind_of(enum rule_kind kind)
{
	static const enum flow_policy_kind kinds[] = {
		[RULE_NONE] = FLOW_POLICY_NONE,
		[RULE_NETPOL] = FLOW_POLICY_NETPOL,
		[RULE_CLUSTERNETPOL] = FLOW_POLICY_CLUSTERNETPOL,
		[RULE_DEFAULT_DENY] = FLOW_POLICY_DEFAULT_DENY,
		[RULE_UNKNOWN] = FLOW_POLICY_UNKNOWN,
	};

	return kinds[kind];
}

// On the recorder's thread.
static struct flow_policy *rule_name(void *arg, uint32_t rule)
{
	struct daemon *daemon = arg;
	struct flow_policy *policy = NULL;
	struct rule_info info;

	pthread_mutex_lock(&daemon->naming);
	if (policy_rule_info(daemon->policy, rule, &info)) {
		struct flow_policy model = { .id = rule, .kind = kind_of(info.kind), .dir = info.dir,
					     .npolicies = info.npolicies, .policies = info.policies,
					     .index = info.index, .rule_name = info.name };

		if (info.kind == RULE_CLUSTERNETPOL)
			model.tier = info.tier == TIER_ADMIN ? "Admin" : "Baseline";
		policy = flow_policy_new(&model);
	}
	pthread_mutex_unlock(&daemon->naming);
	return policy;
}

// ---- the operation -------------------------------------------------------------------------------------------------

static struct json_object *page_json(const struct recorder_page *page, uint64_t lost, bool anew)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "records", page->records);
	add_number(json, "next", page->next);
	add_number(json, "lost", lost);
	add_number(json, "oldest", page->oldest);
	add_number(json, "newest", page->newest);
	add_bool(json, "anew", anew);
	return json;
}

static void request_free(struct flows_request *request)
{
	if (request->late)
		event_free(request->late);
	free(request->filter);
	free(request);
}

// Looks for records, and goes on behind those that the filter did not let through. 1: there is an answer.
static int request_look(struct flows_request *request, bool last, struct json_object **ret, struct err *reterr)
{
	struct recorder_page page;
	int r = recorder_read(request->daemon->recorder, request->filter, request->after, request->max, &page, reterr);

	if (r < 0)
		return r;
	request->after = page.next;
	request->lost += page.lost;
	request->anew |= page.anew;
	if (!page.n && !last) {
		json_object_put(page.records);
		return 0;
	}
	*ret = page_json(&page, request->lost, request->anew);
	return 1;
}

// True: it is answered, and gone.
static bool request_answer(struct flows_request *request, bool last)
{
	struct json_object *json = NULL;
	struct err err = { 0 };
	int r = request_look(request, last, &json, &err);

	if (r == 0)
		return false;
	control_answer(request->answer, r < 0 ? NULL : json, &err);
	request_free(request);
	return true;
}

static void request_late(evutil_socket_t fd, short what, void *arg)
{
	struct flows_request *request = arg;
	struct daemon *daemon = request->daemon;

	for (size_t i = 0; i < daemon->flows.n; i++)
		if (daemon->flows.v[i] == request)
			vec_drop(&daemon->flows, i--);
	request_answer(request, true);
}

static void records_ready(evutil_socket_t fd, short what, void *arg)
{
	struct daemon *daemon = arg;

	recorder_woken(daemon->recorder);
	for (size_t i = 0; i < daemon->flows.n; i++)
		if (request_answer(daemon->flows.v[i], false))
			vec_drop(&daemon->flows, i--);
	if (daemon->flows.n)
		recorder_await(daemon->recorder);
}

static int request_wait(struct flows_request *request, int64_t wait_ms, struct err *reterr)
{
	struct timeval delay = { wait_ms / 1000, wait_ms % 1000 * 1000 };
	struct daemon *daemon = request->daemon;

	request->late = evtimer_new(daemon->base, request_late, request);
	if (!request->late || event_add(request->late, &delay) < 0 || vec_reserve(&daemon->flows, 1) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	request->answer = control_defer(daemon->control);
	if (!request->answer)
		return err_set(reterr, -ENOMEM, "out of memory");
	vec_push(&daemon->flows, request);
	recorder_await(daemon->recorder);
	return -EINPROGRESS;
}

static int request_parse(struct json_object *json, struct flows_request *request, int64_t *retwait_ms,
			 struct err *reterr)
{
	int64_t after, max;
	const char *filter;
	int r;

	r = control_number(json, "after", 0, INT64_MAX, 0, &after, reterr);
	if (r >= 0)
		r = control_number(json, "max", 1, FLOWS_MAX, FLOWS_MAX, &max, reterr);
	if (r >= 0)
		r = control_number(json, "wait_ms", 0, FLOWS_WAIT_MS, 0, retwait_ms, reterr);
	if (r >= 0)
		r = control_string_or(json, "filter", "", &filter, reterr);
	if (r < 0)
		return r;
	request->after = (uint64_t)after;
	request->max = (uint32_t)max;
	request->filter = strdup(filter);
	return request->filter ? 0 : err_set(reterr, -ENOMEM, "out of memory");
}

int op_flows(void *arg, struct json_object *json, struct json_object **ret, struct err *reterr)
{
	struct daemon *daemon = arg;
	struct flows_request *request;
	int64_t wait_ms = 0;
	int r;

	if (!daemon->recorder)
		return err_set(reterr, -EOPNOTSUPP, "flows are not recorded: the agent runs with --flows off");
	request = calloc(1, sizeof(*request));
	if (!request)
		return err_set(reterr, -ENOMEM, "out of memory");
	request->daemon = daemon;
	r = request_parse(json, request, &wait_ms, reterr);
	if (r >= 0)
		r = request_look(request, !wait_ms, ret, reterr);
	if (r == 0)
		r = request_wait(request, wait_ms, reterr);
	if (r != -EINPROGRESS)
		request_free(request);
	return r > 0 ? 0 : r;
}

// ---- life --------------------------------------------------------------------------------------------------------

int daemon_flows_open(struct daemon *daemon, struct err *reterr)
{
	const struct config *c = daemon->config;
	struct recorder_config config = {
		.tables = daemon->tables,
		.node = c->node,
		.sinks = c->flow_sinks,
		.history = (uint32_t)c->flow_history,
		.update_sec = (uint32_t)c->flow_update_sec,
		.labels = (uint32_t)c->flow_labels,
		.hurry = &daemon->hurry,
		.policy = rule_name,
		.arg = daemon,
	};
	int r;

	if (c->flows == FLOWS_OFF) {
		tables_ring_off(daemon->tables);
		return 0;
	}
	r = recorder_new(&config, &daemon->recorder, reterr);
	if (r < 0)
		return r;
	tables_on_gone(daemon->tables, recorder_gone, daemon->recorder);
	tables_on_denied_gone(daemon->tables, recorder_denied_gone, daemon->recorder);
	tables_on_left(daemon->tables, recorder_left, daemon->recorder);
	daemon->flows_event = event_new(daemon->base, recorder_fd(daemon->recorder), EV_READ | EV_PERSIST,
					records_ready, daemon);
	if (!daemon->flows_event || event_add(daemon->flows_event, NULL) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	return 0;
}

void daemon_flows_refuse(struct daemon *daemon)
{
	struct err err = { 0 };

	err_set(&err, -ECANCELED, "the agent is leaving");
	vec_each(struct flows_request *, request, &daemon->flows) {
		control_answer((*request)->answer, NULL, &err);
		request_free(*request);
	}
	vec_fini(&daemon->flows);
}

void daemon_flows_close(struct daemon *daemon)
{
	if (daemon->flows_event)
		event_free(daemon->flows_event);
	daemon->flows_event = NULL;
	if (daemon->tables) {
		tables_on_gone(daemon->tables, NULL, NULL);
		tables_on_denied_gone(daemon->tables, NULL, NULL);
		tables_on_left(daemon->tables, NULL, NULL);
	}
	recorder_free(daemon->recorder);
	daemon->recorder = NULL;
}
