// SPDX-License-Identifier: Apache-2.0
// rounds.c - what is done again and again on the helper thread: sweeping connections, moving programs from filters to
// tcx.
#include <stdlib.h>

#include "agent/base/log.h"
#include "agent/daemon/cycle.h"

LOG_ROOM("rounds");

// ---- sweeping -------------------------------------------------------------------------------------------

#define DENIED_SWEPT 4096 // kinds of denies that one sweep forgets at most: half of what the recorder takes at once

struct sweep_job {
	struct daemon *daemon;
	struct tables *tables;
	const bool *hurry;
	struct ct_sweep_stats stats;
	uint32_t denied_sec; // 0: no deny is forgotten
	int r, forgotten;
};

static void sweep_run(void *arg)
{
	struct sweep_job *job = arg;

	job->r = tables_ct_sweep(job->tables, job->hurry, &job->stats);
	if (job->r >= 0 && job->denied_sec)
		job->forgotten = tables_denied_age(job->tables, job->denied_sec, DENIED_SWEPT);
}

static void note_sweep(struct daemon *daemon, const struct ct_sweep_stats *stats)
{
	daemon->sweep = *stats;
	daemon->meter.sweeps++;
	daemon->meter.swept_expired += stats->expired;
	daemon->meter.swept_orphans += stats->orphans;
}

static void sweep_done(void *arg)
{
	struct sweep_job *job = arg;

	job->daemon->gave_way[DAEMON_ROUND_SWEEP] |= job->r == -ECANCELED;
	if (job->r == -ECANCELED)
		log_debug("sweeping connections gave way to a pod that starts");
	else if (job->r < 0)
		log_warn("sweeping connections: error %d", -job->r);
	else
		log_debug("swept connections: %u seen, %u expired, %u of pods that are gone",
			  job->stats.seen, job->stats.expired, job->stats.orphans);
	if (job->r >= 0)
		note_sweep(job->daemon, &job->stats);
	if (job->forgotten < 0)
		log_warn("forgetting denies: error %d", -job->forgotten);
	else
		job->daemon->meter.denied_forgotten += (uint64_t)job->forgotten;
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
	job->denied_sec = (uint32_t)daemon->config->denied_forget_sec;
	job->hurry = daemon_round(daemon, DAEMON_ROUND_SWEEP);
	if (worker_submit(daemon->worker, &(struct worker_job){ sweep_run, sweep_done, job }) < 0) {
		daemon->sweeping = false;
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
	daemon_sync_answer(daemon); // who asked meanwhile, and nothing was to be done
	daemon_cni_answer(daemon);
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
