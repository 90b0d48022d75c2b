// SPDX-License-Identifier: Apache-2.0
// cycle.c - the one cycle: scan, compile, attach, apply; and the rounds of sweeping and watching.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/log.h"
#include "agent/daemon/cycle.h"

LOG_ROOM("cycle");

#define NOT_READY_AFTER_MS 30000 // an old policy that cannot be replaced: not ready after this

int64_t daemon_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool daemon_ready(const struct daemon *daemon)
{
	if (!source_synced(daemon->source) || !daemon->scanned || !daemon->tables_adopted)
		return false;
	return !daemon->failed_since_ms ||
	       daemon_now_ms() - daemon->failed_since_ms < NOT_READY_AFTER_MS;
}

static void failing(struct daemon *daemon, const char *where, const char *text)
{
	log_error("%s: %s, keeping what is in force", where, text);
	daemon_problem(daemon, where, text);
	if (!daemon->failed_since_ms)
		daemon->failed_since_ms = daemon_now_ms(); // the timer tries again
}

// ---- scanning -------------------------------------------------------------------------------------------

struct scan_job {
	struct daemon *daemon;
	VEC(struct link_pod) pods;
	struct err err;
	int r;
};

static int scan_one(void *arg, const struct link_pod *pod)
{
	struct scan_job *job = arg;

	return vec_push(&job->pods, *pod);
}

static void scan_run(void *arg)
{
	struct scan_job *job = arg;

	job->r = link_scan(scan_one, job, &job->err);
}

static void scan_done(void *arg)
{
	struct scan_job *job = arg;
	struct daemon *daemon = job->daemon;

	daemon->busy = false;
	daemon->scans++;
	if (job->r < 0)
		failing(daemon, "scan", job->err.text);
	else
		endpoints_scanned(daemon->endpoints, job->pods.v, job->pods.n);
	if (job->r >= 0)
		daemon_problem(daemon, "scan", NULL);
	daemon->scanned |= job->r >= 0;
	daemon->dirty = true;
	vec_fini(&job->pods);
	free(job);
	daemon_kick(daemon);
}

static void scan_start(struct daemon *daemon)
{
	struct scan_job *job = calloc(1, sizeof(*job));

	if (!job)
		return;
	job->daemon = daemon;
	daemon->busy = true;
	if (worker_submit(daemon->worker, &(struct worker_job){ scan_run, scan_done, job }) < 0) {
		daemon->busy = false;
		free(job);
	}
}

// ---- compiling and applying -------------------------------------------------------------------------------

static void job_free(struct cycle_job *job)
{
	vec_fini(&job->before);
	vec_fini(&job->after);
	vec_fini(&job->leaving);
	plan_free(job->plan);
	free(job);
}

static void cycle_run(void *arg)
{
	struct cycle_job *job = arg;

	cycle_job_run(job);
}

static void report(struct cycle_job *job, struct program_task *task)
{
	struct endpoints *endpoints = job->daemon->endpoints;

	endpoints_attached(endpoints, BH_SLOT(task->config.ident), task->config.ident,
			   task->config.variant, task->attach, task->r, task->err.text);
	if (task->r == -ENODEV) // the pod left in that moment: the next scan sees it
		log_info("slot %u: %s", BH_SLOT(task->config.ident), task->err.text);
	else if (task->r < 0)
		log_error("slot %u: %s", BH_SLOT(task->config.ident), task->err.text);
	job->failed |= task->r < 0;
}

static void in_force(struct daemon *daemon, struct cycle_job *job)
{
	if (!job->failed)
		daemon->applied = job->plan->generation;
	daemon->applied_ms = daemon_now_ms();
	daemon->last = job->stats;
	if (!job->failed)
		daemon->failed_since_ms = 0;
	daemon_problem(daemon, "tables", NULL);
	daemon_problem(daemon, "compile", NULL);
	endpoints_hold(daemon->endpoints, false);
	if (job->plan->nsteps)
		log_info("generation %llu in force: %u steps, %u waits, %llu us of work",
			 (unsigned long long)job->plan->generation, job->stats.steps, job->stats.waits,
			 (unsigned long long)job->stats.work_ns / 1000);
}

// What the rest of the plan will say of a pod that it makes known is not to be waited for in the open.
static void hold(struct daemon *daemon, const struct cycle_job *job)
{
	endpoints_hold(daemon->endpoints, true);
	vec_each(const struct program_task, task, &job->before)
		for (uint32_t i = job->done; task->fresh && i < job->plan->nsteps; i++)
			if (job->plan->steps[i].kind == STEP_ENDPOINT &&
			    job->plan->steps[i].endpoint.slot == BH_SLOT(task->config.ident))
				endpoints_deny(daemon->endpoints, task->config.ident);
}

static void cycle_done(void *arg)
{
	struct cycle_job *job = arg;
	struct daemon *daemon = job->daemon;

	daemon->busy = false;
	vec_each(struct program_task, task, &job->before)
		report(job, task);
	vec_each(struct program_task, task, &job->after)
		report(job, task);
	vec_each(struct endpoint_leaving, leaving, &job->leaving)
		endpoints_released(daemon->endpoints, leaving->slot);
	vec_clear(&job->leaving);
	if (job->r < 0) {
		failing(daemon, "tables", job->err.text);
		hold(daemon, job);
	} else {
		in_force(daemon, job);
	}
	if (job->failed && !daemon->failed_since_ms)
		daemon->failed_since_ms = daemon_now_ms();
	if (job->r < 0)
		daemon->retry = job; // the timer runs it again
	else
		job_free(job);
	daemon_sync_answer(daemon);
	daemon_kick(daemon);
}

static void submit(struct daemon *daemon, struct cycle_job *job)
{
	daemon->busy = true;
	if (worker_submit(daemon->worker, &(struct worker_job){ cycle_run, cycle_done, job }) < 0) {
		daemon->busy = false;
		daemon->dirty = true;
		daemon->retry = job;
	}
}

// What each endpoint needs before and after the plan. At most CYCLE_TASKS attachments a cycle, so that a
// node full of new pods does not hold up a policy change.
static int collect_programs(struct daemon *daemon, struct cycle_job *job, bool *retmore)
{
	struct endpoint *e;
	int r = 0;

	for (size_t i = 0; r >= 0 && (e = endpoints_at(daemon->endpoints, i)); i++) {
		bool open, attached = e->phase == ENDPOINT_ATTACHED;
		struct program_task task;

		if (!e->enrolled)
			continue;
		open = policy_endpoint_open(daemon->policy, e->slot);
		program_task_init(&task, e, open ? PROGRAM_OPEN : PROGRAM_TRACK);
		if (attached && !e->refresh && e->variant == task.config.variant)
			continue;
		if (attached && open && !e->refresh)
			r = vec_push(&job->after, task);
		else if (e->phase != ENDPOINT_FAILED || job->before.n < CYCLE_TASKS)
			r = vec_push(&job->before, task);
		else
			*retmore = true;
	}
	return r;
}

static int collect_leaving(struct daemon *daemon, struct cycle_job *job)
{
	struct endpoint_leaving leaving;
	int r = 0;

	while (r >= 0 && endpoints_take_leaving(daemon->endpoints, &leaving))
		r = vec_push(&job->leaving, leaving);
	return r;
}

static struct cycle_job *job_new(struct daemon *daemon)
{
	struct cycle_job *job = calloc(1, sizeof(*job));
	bool more = false;
	int r;

	if (!job)
		return NULL;
	job->daemon = daemon;
	job->tables = daemon->tables;
	job->closed = &daemon->closed;
	r = policy_compile(daemon->policy, &job->plan);
	if (r >= 0)
		r = collect_programs(daemon, job, &more);
	if (r >= 0)
		r = collect_leaving(daemon, job);
	if (r < 0 && job->plan) // the plan must run; programs follow in the next cycle
		log_error("out of memory while preparing a plan");
	if (!job->plan) {
		failing(daemon, "compile", strerror(-r));
		job_free(job);
		return NULL;
	}
	daemon->dirty = more;
	return job;
}

static void adopt(struct daemon *daemon)
{
	struct policy_tables dump = { 0 };
	int r = 0;

	if (daemon->adopted) {
		r = tables_dump(daemon->tables, &dump);
		if (r >= 0)
			r = policy_adopt(daemon->policy, &dump);
		policy_tables_fini(&dump);
		if (r >= 0)
			log_info("took over the tables of the agent before");
	}
	if (r < 0)
		failing(daemon, "adopt", strerror(-r));
	else
		daemon_problem(daemon, "adopt", NULL);
	daemon->tables_adopted = r >= 0;
	if (daemon->tables_adopted)
		daemon_hosts_sync(daemon);
}

// The plan goes on where it stopped; what hangs on veths is looked at anew.
static void retry_now(struct daemon *daemon)
{
	struct cycle_job *job = TAKE_PTR(daemon->retry);
	bool more;

	vec_clear(&job->before);
	vec_clear(&job->after);
	job->failed = false;
	if (collect_programs(daemon, job, &more) < 0)
		log_error("out of memory: some programs have to wait");
	submit(daemon, job);
}

// Pods that were found and have no programs yet.
static bool any_bare(const struct daemon *daemon)
{
	const struct endpoint *e;

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++)
		if (e->enrolled && e->phase == ENDPOINT_FOUND)
			return true;
	return false;
}

void daemon_kick(struct daemon *daemon)
{
	struct cycle_job *job;

	if (daemon->busy || !daemon->source || !source_synced(daemon->source))
		return;
	if (!daemon->scanned || endpoints_want_scan(daemon->endpoints)) {
		scan_start(daemon);
		return;
	}
	if (daemon->retry) { // nothing else goes before a plan that stopped, but new pods must not stay open
		if (any_bare(daemon))
			retry_now(daemon);
		return;
	}
	if (!daemon->dirty)
		return;
	if (!daemon->tables_adopted)
		adopt(daemon);
	if (!daemon->tables_adopted)
		return;
	job = job_new(daemon);
	if (!job)
		return;
	if (job->plan->nsteps || job->before.n || job->after.n || job->leaving.n) {
		submit(daemon, job);
		return;
	}
	in_force(daemon, job);
	job_free(job);
	daemon_sync_answer(daemon);
}

void daemon_retry(struct daemon *daemon)
{
	if (daemon->retry && !daemon->busy) {
		retry_now(daemon);
		return;
	}
	if (daemon->failed_since_ms || endpoints_waiting(daemon->endpoints)) {
		if (endpoints_waiting(daemon->endpoints))
			endpoints_devices_changed(daemon->endpoints);
		daemon->dirty = true;
		daemon_kick(daemon);
	}
}

void daemon_cycle_fini(struct daemon *daemon)
{
	if (daemon->retry)
		job_free(daemon->retry);
	daemon->retry = NULL;
}
