// SPDX-License-Identifier: Apache-2.0
// rounds.c - what is done again and again on the helper thread: sweeping connections, watching programs, moving
// them from filters to tcx.
#include <errno.h>
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/daemon/cycle.h"
#include "agent/daemon/health.h"

LOG_ROOM("rounds");

// ---- sweeping -------------------------------------------------------------------------------------------

struct sweep_job {
	struct daemon *daemon;
	struct tables *tables;
	struct ct_sweep_stats stats;
	int r;
};

static void sweep_run(void *arg)
{
	struct sweep_job *job = arg;

	job->r = tables_ct_sweep(job->tables, &job->stats);
}

static void sweep_done(void *arg)
{
	struct sweep_job *job = arg;

	if (job->r < 0)
		log_warn("sweeping connections: error %d", -job->r);
	else
		log_debug("swept connections: %u seen, %u expired, %u of pods that are gone",
			  job->stats.seen, job->stats.expired, job->stats.orphans);
	job->daemon->sweep = job->stats;
	job->daemon->sweeping = false;
	free(job);
}

void daemon_sweep(struct daemon *daemon)
{
	struct sweep_job *job = daemon->sweeping ? NULL : calloc(1, sizeof(*job));

	if (!job)
		return;
	daemon->sweeping = true;
	job->daemon = daemon;
	job->tables = daemon->tables;
	if (worker_submit(daemon->worker, &(struct worker_job){ sweep_run, sweep_done, job }) < 0) {
		daemon->sweeping = false;
		free(job);
	}
}

// ---- watching -------------------------------------------------------------------------------------------

struct watch_one {
	uint32_t slot, ident;
	int ifindex;
	enum bh_attach attach;
	int r;
	struct err err;
};

struct watch_job {
	struct daemon *daemon;
	struct tables *tables;
	VEC(struct watch_one) all;
	uint32_t hook_grace_sec;
	bool hook_repaired;
	int hook_r;
	struct err hook_err;
};

static void watch_run(void *arg)
{
	struct watch_job *job = arg;

	job->hook_r = hook_watch(job->tables, job->hook_grace_sec, &job->hook_repaired, &job->hook_err);

	vec_each(struct watch_one, one, &job->all)
		one->r = program_check(job->tables, one->slot, one->ifindex, one->attach, &one->err);
}

// A missing or hidden program is put back at the head by the next cycle, even while plans are held.
static void repair(struct daemon *daemon, struct endpoint *e, const struct watch_one *one)
{
	log_warn("'%s/%s': %s: putting its programs back", e->ns, e->name, one->err.text);
	daemon->watchdog_repairs++;
	e->refresh = e->missing = true;
	daemon->dirty = true;
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
		else if (e->attached)
			repair(daemon, e, one);
	}
	daemon_hook_told(daemon, job->hook_r, &job->hook_err);
	if (job->hook_repaired)
		log_warn("the netfilter program was gone: it is attached again");
	daemon->watchdog_repairs += job->hook_repaired;
	daemon->watching = false;
	vec_fini(&job->all);
	free(job);
	daemon_kick(daemon);
}

void daemon_watch(struct daemon *daemon)
{
	struct watch_job *job = daemon->watching ? NULL : calloc(1, sizeof(*job));
	struct endpoint *e;
	int r = 0;

	daemon_problem(daemon, "helper thread",
		       daemon_hung(daemon) ? "its work does not come back: nothing new gets into force" : NULL);
	daemon_http_open(daemon);
	endpoints_check(daemon->endpoints, daemon_now_ms());
	if (daemon->readdressed)
		endpoints_devices_changed(daemon->endpoints);
	daemon->readdressed = false;
	if (!job)
		return;
	daemon->watching = true;
	job->daemon = daemon;
	job->tables = daemon->tables;
	job->hook_grace_sec = (uint32_t)daemon->config->hook_grace_sec;
	for (size_t i = 0; r >= 0 && (e = endpoints_at(daemon->endpoints, i)); i++) {
		struct watch_one one = { e->slot, e->ident, e->ifindex, e->attach };

		if (e->attached)
			r = vec_push(&job->all, one);
	}
	if (worker_submit(daemon->worker, &(struct worker_job){ watch_run, watch_done, job }) < 0) {
		daemon->watching = false;
		vec_fini(&job->all);
		free(job);
	}
}

// ---- moving ---------------------------------------------------------------------------------------------

struct move_job {
	struct daemon *daemon;
	struct tables *tables;
	uint32_t ident;
	int ifindex, r;
	struct err err;
};

static void move_run(void *arg)
{
	struct move_job *job = arg;

	job->r = program_move(job->tables, BH_SLOT(job->ident), job->ifindex, &job->err);
}

static void move_done(void *arg)
{
	struct move_job *job = arg;
	struct daemon *daemon = job->daemon;
	struct endpoint *e = endpoints_by_ident(daemon->endpoints, job->ident);

	daemon->busy = false;
	if (e && job->r < 0) {
		log_info("'%s/%s' keeps its filters: %s", e->ns, e->name, job->err.text);
		e->stays = true;
	} else if (e) {
		endpoints_moved(daemon->endpoints, e, BH_ATTACH_TCX);
	}
	daemon_move_later(daemon);
	free(job);
	daemon_kick(daemon);
}

static struct endpoint *next_to_move(const struct daemon *daemon)
{
	struct endpoint *e;

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++)
		if (e->phase == ENDPOINT_ATTACHED && e->attach == BH_ATTACH_CLSACT && !e->refresh &&
		    !e->missing && !e->stays)
			return e;
	return NULL;
}

void daemon_move(struct daemon *daemon)
{
	bool quiet = !daemon->busy && !daemon->dirty && !daemon->watching && !daemon->sweeping;
	struct endpoint *e = quiet ? next_to_move(daemon) : NULL;
	struct move_job *job = e ? calloc(1, sizeof(*job)) : NULL;

	if (!job) {
		daemon_move_later(daemon);
		return;
	}
	*job = (struct move_job){ .daemon = daemon, .tables = daemon->tables, .ident = e->ident, .ifindex = e->ifindex };
	daemon->busy = true;
	if (worker_submit(daemon->worker, &(struct worker_job){ move_run, move_done, job }) < 0) {
		daemon->busy = false;
		free(job);
		daemon_move_later(daemon);
	}
}
