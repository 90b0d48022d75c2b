// SPDX-License-Identifier: Apache-2.0
// notify.c - Events over the wire: what is wrong is looked at after changes, said one at a time.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/hash.h"
#include "agent/report/report_private.h"
#include "agent/report/stamp.h"

#define EVENTS "events"

static void turn(struct report *report);

// ---- what is wrong -------------------------------------------------------------------------------------------------

struct walk {
	struct report *report;
	int64_t now_ms;
	uint64_t refusals;
	bool leads;
};

static int64_t spread_ms(const struct report *report)
{
	return (int64_t)(report_nodes(report) * 1000 / LEASE_LOOKS_PER_SEC *
			 arc4random_uniform(1000) / 1000);
}

static void walk_one(void *arg, enum kind kind, const char *ns, const char *name, const char *text)
{
	struct walk *walk = arg;
	struct report *report = walk->report;
	const struct object *object = store_find(report->store, kind, ns, name);
	struct notice notice = {
		.kind = kind,
		.ns = (char *)ns,
		.name = (char *)name,
		.uid = object ? (char *)object->uid : NULL,
		.text = (char *)text,
		.local = !object || !object->problem || strcmp(object->problem, text) != 0,
	};

	if (notice.local && kind == KIND_CLUSTERNETPOL)
		walk->refusals += hash_mix(hash_string(name), hash_string(text)); // in no order
	if (notice.local || walk->leads)
		notices_mark(&report->notify.notices, &notice, walk->now_ms,
			     notice.local ? spread_ms(report) : 0);
}

static void walk_all(struct report *report)
{
	struct notify *notify = &report->notify;
	struct walk walk = { report, stamp_now_ms(), 0, elect_leads(report) };

	notify->dirty = false;
	notices_begin(&notify->notices);
	report->hooks.problems(report->hooks.arg, walk_one, &walk);
	notices_end(&notify->notices);
	if (walk.refusals != report->conditions.refusals)
		conditions_changed(report);
	report->conditions.refusals = walk.refusals;
}

// ---- saying it -----------------------------------------------------------------------------------------------------

static void fail(struct report *report, const struct errand_answer *answer)
{
	struct notify *notify = &report->notify;

	notify->failures++;
	notice_put_off(notify->asked, stamp_now_ms());
	report_problem(report, "report events", answer->why);
	errand_in(&notify->errand, report_pause_ms(answer->retry_after_sec));
}

// 404 of a change: the server has forgotten the Event, it is created anew. 409 of a creation: another node has said
// it. 404 and 403 of a namespace that ends: nobody will read it.
static void said(void *arg, const struct errand_answer *answer)
{
	struct report *report = arg;
	struct notify *notify = &report->notify;
	int64_t now = stamp_now_ms();

	if (answer->json) {
		notice_said(&notify->notices, notify->asked, now, stamp_now_us());
	} else if (answer->status == 404 && notify->again) {
		notify->asked->count = 0;
		notify->asked->due_ms = now;
	} else if (answer->status == 409 || answer->status == 404 ||
		   (answer->status == 403 && strstr(answer->why, "being terminated"))) {
		notice_said_elsewhere(&notify->notices, notify->asked, now);
	} else {
		fail(report, answer);
		return;
	}
	report_problem(report, "report events", NULL);
	turn(report);
}

static void say(struct report *report, struct notice *notice)
{
	struct notify *notify = &report->notify;
	_cleanup_json_ struct json_object *body = NULL;
	char path[400], name[254];
	struct errand_request request = { .resource = EVENTS, .path = path };

	notify->asked = notice;
	notify->again = notice->count > 0;
	notice_event_name(notice, name);
	snprintf(path, sizeof(path), "/api/v1/namespaces/%.63s/events%s%s",
		 notice_event_namespace(notice), notify->again ? "/" : "",
		 notify->again ? name : "");
	body = notify->again ? notice_again(notice, stamp_now_us()) :
			       notice_event(notice, report->config.node, stamp_now_us());
	request.body = body;
	request.verb = notify->again ? "patch" : "create";
	request.content_type = notify->again ? HTTP_MERGE_PATCH : NULL;
	if (errand_ask(&notify->errand, &request, said) < 0)
		fail(report, &(struct errand_answer){ .why = "out of memory" });
}

static void turn(struct report *report)
{
	struct notify *notify = &report->notify;
	struct notice *notice;
	int64_t wait;

	if (errand_busy(&notify->errand))
		return;
	if (notify->dirty)
		walk_all(report);
	notice = notices_due(&notify->notices, stamp_now_ms(), &wait);
	if (notice)
		say(report, notice);
	else if (wait >= 0)
		errand_in(&notify->errand, (unsigned)wait);
}

static void due(evutil_socket_t fd, short what, void *arg)
{
	turn(arg);
}

void notify_changed(struct report *report)
{
	struct notify *notify = &report->notify;

	if (notify->dirty)
		return;
	notify->dirty = true;
	if (!errand_busy(&notify->errand))
		errand_in(&notify->errand, REPORT_SETTLE_MS);
}

int notify_init(struct report *report)
{
	notices_init(&report->notify.notices, (int64_t)report->config.repeat_sec * 1000,
		     stamp_now_ms());
	return errand_init(&report->notify.errand, report->base, report->http, due, report);
}

void notify_fini(struct report *report)
{
	errand_fini(&report->notify.errand);
	notices_fini(&report->notify.notices);
}
