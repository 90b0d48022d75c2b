// SPDX-License-Identifier: Apache-2.0
// elect.c - the Lease over the wire: looked at, taken, renewed, given back.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/report/report_private.h"
#include "agent/report/stamp.h"

LOG_ROOM("report");

#define LEASES "leases.coordination.k8s.io"
#define CONFLICT_MS 1000

static void turn(struct report *report);

static void lease_path(const struct report *report, bool named, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "/apis/coordination.k8s.io/v1/namespaces/%.63s/leases%s",
		 report->config.namespace, named ? "/" LEASE_NAME : "");
}

bool elect_leads(const struct report *report)
{
	return lease_held(&report->elect.lease, stamp_now_ms());
}

static void tell(struct report *report)
{
	struct elect *elect = &report->elect;
	bool leads = elect_leads(report);

	if (leads == elect->leads)
		return;
	elect->leads = leads;
	log_info(leads ? "this agent reports for all: it holds Lease '%s/" LEASE_NAME "'" :
			 "this agent does not report for others any more: Lease '%s/" LEASE_NAME
			 "' is not its own",
		 report->config.namespace);
	conditions_leads(report, leads);
	notify_changed(report);
}

static void wait_next(struct report *report)
{
	int64_t wait = report->elect.lease.next_ms - stamp_now_ms();

	errand_in(&report->elect.errand, wait > 0 ? (unsigned)wait : 0);
}

static void settle(struct report *report, bool failed)
{
	struct lease *lease = &report->elect.lease;
	int64_t now = stamp_now_ms();

	lease_plan(lease, report_nodes(report), arc4random_uniform(1000), failed, now);
	tell(report);
	wait_next(report);
}

static void fail(struct report *report, const struct errand_answer *answer)
{
	report_problem(report, "report lease", answer->why);
	settle(report, true);
}

static void looked(void *arg, const struct errand_answer *answer)
{
	struct report *report = arg;
	int64_t now = stamp_now_ms();

	if (!answer->json && answer->status != 404) {
		fail(report, answer);
		return;
	}
	report_problem(report, "report lease", NULL);
	lease_seen(&report->elect.lease, answer->json, now);
	if (lease_step(&report->elect.lease, now) == LEASE_LOOK)
		settle(report, false);
	else
		turn(report);
}

// 404 of a write: the Lease or its namespace is gone; which one, the next look and write say.
static void written(void *arg, const struct errand_answer *answer)
{
	struct report *report = arg;
	struct elect *elect = &report->elect;

	if (answer->json) {
		report_problem(report, "report lease", NULL);
		lease_written(&elect->lease, answer->json, elect->sent_ms);
		settle(report, false);
		conditions_renewed(report);
		return;
	}
	if (answer->status != 409 && answer->status != 404) {
		fail(report, answer);
		return;
	}
	if (answer->status == 404)
		report_problem(report, "report lease", answer->why);
	lease_conflicted(&elect->lease, stamp_now_ms() + arc4random_uniform(CONFLICT_MS) +
						(answer->status == 404 ? report_pause_ms(0) : 0));
	tell(report);
	wait_next(report);
}

static void ask(struct report *report, const char *verb, struct json_object *body)
{
	struct elect *elect = &report->elect;
	char path[160];
	struct errand_request request = {
		.verb = verb,
		.resource = LEASES,
		.path = path,
		.body = body,
		.total_ms = report->config.lease_sec * 1000 / 3,
	};

	lease_path(report, strcmp(verb, "create") != 0, path, sizeof(path));
	elect->sent_ms = stamp_now_ms();
	if (errand_ask(&elect->errand, &request, body ? written : looked) < 0)
		settle(report, true);
}

static void turn(struct report *report)
{
	struct elect *elect = &report->elect;
	_cleanup_json_ struct json_object *body = NULL;
	enum lease_step step = lease_step(&elect->lease, stamp_now_ms());

	if (errand_busy(&elect->errand) || elect->leaving)
		return;
	if (step == LEASE_WAIT) {
		wait_next(report);
		return;
	}
	if (step == LEASE_LOOK) {
		ask(report, "get", NULL);
		return;
	}
	body = lease_body(&elect->lease, stamp_now_us());
	if (body)
		ask(report, step == LEASE_CREATE ? "create" : "update", body);
	else
		settle(report, true);
}

static void due(evutil_socket_t fd, short what, void *arg)
{
	tell(arg);
	turn(arg);
}

int elect_init(struct report *report)
{
	struct elect *elect = &report->elect;
	int r = errand_init(&elect->errand, report->base, report->http, due, report);

	if (r < 0)
		return r;
	elect->lease.identity = report->config.node;
	elect->lease.namespace = report->config.namespace;
	elect->lease.duration_sec = report->config.lease_sec;
	lease_begin(&elect->lease, report_nodes(report), arc4random_uniform(1000), stamp_now_ms());
	wait_next(report);
	return 0;
}

void elect_fini(struct report *report)
{
	errand_fini(&report->elect.errand);
	lease_fini(&report->elect.lease);
}

static void farewell_said(void *arg, const struct errand_answer *answer)
{
	struct report *report = arg;

	report->elect.left = true;
	if (!answer->json)
		log_info("the Lease ends by itself, as it could not be given back: %s",
			 answer->why);
}

static bool say_farewell(struct report *report)
{
	struct elect *elect = &report->elect;
	_cleanup_json_ struct json_object *body = lease_farewell(&elect->lease, stamp_now_us());
	char path[160];
	struct errand_request request = {
		.verb = "update",
		.resource = LEASES,
		.path = path,
		.body = body,
		.total_ms = REPORT_LEAVE_MS,
	};

	lease_path(report, true, path, sizeof(path));
	return body && errand_ask(&elect->errand, &request, farewell_said) >= 0;
}

// A second signal ends the waiting, too.
void elect_leave(struct report *report)
{
	struct elect *elect = &report->elect;
	bool ours = elect_leads(report);

	elect->leaving = true;
	errand_drop(&elect->errand);
	if (!ours || !say_farewell(report))
		return;
	while (!elect->left && event_base_loop(report->base, EVLOOP_ONCE) == 0 &&
	       !event_base_got_break(report->base))
		;
	elect->lease.renewed_ms = 0;
	elect->leads = false;
}
