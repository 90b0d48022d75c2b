// SPDX-License-Identifier: Apache-2.0
// watch.c - the watchdog: programs that were taken off a device, or hidden behind somebody else's, and pins that are
// gone are noticed and put back.
//
// It looks at all from time to time, and at one device at once when the kernel says that its filters changed. Who takes
// programs off again and again is answered at that pace only.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/daemon/cycle.h"
#include "agent/daemon/health.h"

LOG_ROOM("watch");

#define AGAIN_MS 1000 // an endpoint that was repaired so shortly before is looked at when this has passed

struct watch_one {
	uint32_t slot, ident;
	int ifindex;
	enum bh_attach attach;
	int r;
	struct err err;
};

// The device of a pod that is not known yet: nothing but the CNI plugin's quarantine is on it.
struct watch_shut {
	int ifindex, r;
	char container[ATTACHMENT_CONTAINER_BYTES];
	struct err err;
};

struct watch_job {
	struct daemon *daemon;
	struct tables *tables;
	VEC(struct watch_one) all;
	VEC(struct watch_shut) shut;
	bool whole; // a look at everything
	const bool *hurry;
	bool gave_way; // some were not looked at
	uint32_t hook_grace_sec;
	bool hook_repaired;
	int hook_r, pins_r;
	struct err hook_err, pins_err;
};

static void watch_run(void *arg)
{
	struct watch_job *job = arg;
	bool well = true;

	if (job->whole) {
		job->pins_r = tables_repin(job->tables, &job->pins_err);
		program_forget_gone(job->tables);
		job->hook_r = hook_watch(job->tables, job->hook_grace_sec, &job->hook_repaired, &job->hook_err);
	}
	vec_each(struct watch_shut, shut, &job->shut)
		shut->r = program_keep_shut(shut->ifindex, &shut->err);
	vec_each(struct watch_one, one, &job->all) {
		job->gave_way = job->hurry && __atomic_load_n(job->hurry, __ATOMIC_RELAXED);
		if (job->gave_way)
			return;
		one->r = program_check(job->tables, one->slot, one->ifindex, one->attach, &one->err);
		well &= one->r >= 0;
	}
	if (job->whole && well && !job->pins_r && job->hook_r >= 0 && !job->hook_repaired)
		tables_repinned(job->tables);
}

static void note_repair(struct daemon *daemon, const char *what, const char *why)
{
	log_warn("%s: %s: put back", what, why);
	daemon->watchdog_repairs++;
	snprintf(daemon->repair.what, sizeof(daemon->repair.what), "%s", what);
	snprintf(daemon->repair.why, sizeof(daemon->repair.why), "%s", why);
	daemon->repair.ms = daemon_now_ms();
}

// A missing or hidden program is put back at the head by the next cycle, even while plans are held.
static void repair(struct daemon *daemon, struct endpoint *e, const struct watch_one *one)
{
	char what[sizeof(daemon->repair.what)];

	snprintf(what, sizeof(what), "endpoint %s/%s", e->ns, e->name);
	note_repair(daemon, what, one->err.text);
	e->repaired_ms = daemon->repair.ms;
	e->refresh = e->missing = true;
	daemon->dirty = true;
}

static void tell_all(struct daemon *daemon, const struct watch_job *job)
{
	daemon_problem(daemon, "pins", job->pins_r < 0 ? job->pins_err.text : NULL);
	if (job->pins_r > 0)
		note_repair(daemon, "tables", "their pins were gone");
	daemon_hook_told(daemon, job->hook_r, &job->hook_err);
	if (job->hook_repaired)
		note_repair(daemon, "netfilter program", "it was gone");
}

static void tell_shut(struct daemon *daemon, const struct watch_shut *shut)
{
	char what[sizeof(daemon->repair.what)];

	if (!shut->r)
		return;
	snprintf(what, sizeof(what), "container %.64s", shut->container);
	if (shut->r == -ENODEV) {
		endpoints_devices_changed(daemon->endpoints);
	} else if (shut->r < 0) {
		log_error("%s: %s", what, shut->err.text);
	} else {
		note_repair(daemon, what, "the quarantine of its start was gone");
		daemon->reshut_ms = daemon->repair.ms;
	}
}

static void watch_start(struct daemon *daemon, bool whole);

static bool shut_is_due(const struct daemon *daemon)
{
	return daemon->shut_suspect && daemon_now_ms() - daemon->reshut_ms >= AGAIN_MS;
}

static bool any_suspect(const struct daemon *daemon)
{
	const struct endpoint *e;

	if (shut_is_due(daemon))
		return true;

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++)
		if (e->suspect)
			return true;
	return false;
}

static void watch_done(void *arg)
{
	struct watch_job *job = arg;
	struct daemon *daemon = job->daemon;

	vec_each(struct watch_one, one, &job->all) {
		struct endpoint *e = endpoints_by_ident(daemon->endpoints, one->ident);

		if (!e || one->r >= 0 || e->attach != one->attach) // moved meanwhile
			continue;
		if (one->r == -ENODEV)
			endpoints_devices_changed(daemon->endpoints);
		else if (e->attached && !e->missing)
			repair(daemon, e, one);
	}
	vec_each(const struct watch_shut, shut, &job->shut)
		tell_shut(daemon, shut);
	if (job->whole)
		tell_all(daemon, job);
	daemon->gave_way[DAEMON_ROUND_WATCH] |= job->gave_way;
	daemon->watching = false;
	vec_fini(&job->all);
	vec_fini(&job->shut);
	free(job);
	daemon_kick(daemon);
	if (any_suspect(daemon))
		watch_start(daemon, false);
}

static int collect_shut(struct daemon *daemon, struct watch_job *job)
{
	const struct attachment *a;
	int r = 0;

	if (!job->whole && !daemon->shut_suspect)
		return 0;
	daemon->shut_suspect = false;
	for (size_t i = 0; r >= 0 && (a = endpoints_attachment_at(daemon->endpoints, i)); i++) {
		struct watch_shut shut = { .ifindex = a->ifindex };

		memcpy(shut.container, a->container, sizeof(shut.container));
		if (!a->due && !endpoints_by_device(daemon->endpoints, a->ifindex))
			r = vec_push(&job->shut, shut);
	}
	return r;
}

static int collect(struct daemon *daemon, struct watch_job *job)
{
	struct endpoint *e;
	int r = collect_shut(daemon, job);

	for (size_t i = 0; r >= 0 && (e = endpoints_at(daemon->endpoints, i)); i++) {
		struct watch_one one = { e->slot, e->ident, e->ifindex, e->attach };

		if (e->attached && (job->whole || e->suspect))
			r = vec_push(&job->all, one);
		e->suspect = false;
	}
	return r;
}

static void watch_start(struct daemon *daemon, bool whole)
{
	struct watch_job *job = daemon->watching ? NULL : calloc(1, sizeof(*job));

	if (!job)
		return;
	daemon->watching = true;
	job->daemon = daemon;
	job->tables = daemon->tables;
	job->whole = whole;
	job->hurry = whole ? daemon_round(daemon, DAEMON_ROUND_WATCH) : NULL;
	job->hook_grace_sec = (uint32_t)daemon->config->hook_grace_sec;
	if (collect(daemon, job) < 0 ||
	    worker_submit(daemon->worker, &(struct worker_job){ watch_run, watch_done, job }) < 0) {
		daemon->watching = false;
		vec_fini(&job->all);
		vec_fini(&job->shut);
		free(job);
	}
}

void daemon_watch(struct daemon *daemon)
{
	daemon_problem(daemon, "helper thread",
		       daemon_hung(daemon) ? "its work does not come back: nothing new gets into force" : NULL);
	daemon_http_open(daemon);
	endpoints_check(daemon->endpoints, daemon_now_ms());
	if (daemon->readdressed || daemon->device_due)
		endpoints_devices_changed(daemon->endpoints);
	daemon->readdressed = daemon->device_due = false;
	watch_start(daemon, true);
}

void daemon_suspect(struct daemon *daemon, int ifindex)
{
	struct endpoint *e = endpoints_by_device(daemon->endpoints, ifindex);

	if (!e && endpoints_attachment_of(daemon->endpoints, ifindex)) {
		daemon->shut_suspect = true;
		if (shut_is_due(daemon))
			watch_start(daemon, false);
		else
			daemon_suspects_in(daemon, AGAIN_MS);
	}
	if (!e || !e->attached)
		return;
	if (daemon_now_ms() - e->repaired_ms < AGAIN_MS) {
		e->suspect_later = true;
		daemon_suspects_in(daemon, AGAIN_MS);
		return;
	}
	e->suspect = true;
	watch_start(daemon, false);
}

void daemon_suspects_due(struct daemon *daemon)
{
	struct endpoint *e;

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++) {
		e->suspect |= e->suspect_later;
		e->suspect_later = false;
	}
	watch_start(daemon, false);
}
