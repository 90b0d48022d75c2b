// SPDX-License-Identifier: Apache-2.0
// report.c - what agent/report is told and asked, when there is an API server to write to.
#include "agent/report/report.h"

#include <errno.h>
#include <string.h>

#include "agent/daemon/report.h"

#define DEFAULT_NAMESPACE "bulkhead-system" // where the manifests put the agent

static void problems(void *arg, report_problem_fn fn, void *fn_arg)
{
	const struct daemon *daemon = arg;

	policy_problem_each(daemon->policy, fn, fn_arg);
	// Not one Service's: what the node lacks concerns all whose backends policies tell apart.
	vec_each(const struct problem, p, &daemon->problems) {
		if (strcmp(p->where, DAEMON_PROBLEM_HOOK) == 0)
			fn(fn_arg, KIND_NODE, NULL, daemon->config->node, p->text);
	}
}

static bool ready(void *arg)
{
	return daemon_ready(arg);
}

static void problem(void *arg, const char *where, const char *text)
{
	daemon_problem(arg, where, text);
}

static const char *or_null(const char *text)
{
	return text && *text ? text : NULL;
}

int daemon_report_open(struct daemon *daemon)
{
	const struct report_hooks hooks = { daemon, problems, ready, problem };
	const struct config *c = daemon->config;
	struct http *http = source_http(daemon->source);
	struct report_config config = { .node = c->node,
					.lease_sec = (unsigned)c->report_lease_sec,
					.repeat_sec = (unsigned)c->report_repeat_sec };

	if (!http || !c->report)
		return 0;
	config.taint = or_null(c->startup_taint);
	config.namespace = or_null(c->report_namespace);
	if (!config.namespace)
		config.namespace = or_null(http_config(http)->namespace);
	if (!config.namespace)
		config.namespace = DEFAULT_NAMESPACE;
	return report_new(daemon->base, http, daemon->store, &config, &hooks, &daemon->report);
}

void daemon_report_policy(struct daemon *daemon)
{
	if (daemon->report)
		report_policy_changed(daemon->report);
}

void daemon_report_compiled(struct daemon *daemon)
{
	if (daemon->report)
		report_compiled(daemon->report);
}
