// SPDX-License-Identifier: Apache-2.0
// cycle.c - the one cycle: scan, compile, attach, apply; and the rounds of sweeping and watching.
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/log.h"
#include "agent/daemon/cycle.h"
#include "agent/daemon/report.h"
#include "agent/endpoint/slot.h"
#include "agent/recorder/recorder.h"

LOG_ROOM("cycle");

int64_t daemon_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_synced(const struct daemon *daemon)
{
	return daemon->source && source_synced(daemon->source);
}

// ---- scanning -------------------------------------------------------------------------------------------

struct scan_job {
	struct daemon *daemon;
	struct link_known known;
	struct link_view view;
	bool early; // no pod was known
	struct err err;
	int r;
};

static void scan_free(struct scan_job *job)
{
	link_known_fini(&job->known);
	link_view_fini(&job->view);
	free(job);
}

static void scan_run(void *arg)
{
	struct scan_job *job = arg;

	job->r = link_scan(&job->known, &job->view, &job->err);
}

// What could not be looked at, or all of it: said once, and looked at again by the timer, which waits longer and
// longer, never at once.
static void scan_report(struct daemon *daemon, const struct scan_job *job)
{
	const struct link_view *view = &job->view;
	bool whole = job->r >= 0 && !view->unread && !view->hidden;
	char text[ERR_TEXT_BYTES + 64];

	snprintf(text, sizeof(text), "%s: what is there stays as it was",
		 job->r < 0 ? job->err.text : view->why.text);
	daemon_problem(daemon, "scan", whole ? NULL : text);
	daemon->scans++;
	daemon->scans_incomplete += !whole;
	daemon->scan_failed = !whole && !job->early;
	daemon->early_due |= !whole && job->early;
	daemon->strangers = view->strangers;
}

static void scan_done(void *arg)
{
	struct scan_job *job = arg;
	struct daemon *daemon = job->daemon;

	daemon->busy = false;
	if (job->r == -ECANCELED)
		daemon->gave_way[DAEMON_ROUND_SCAN] = true;
	else
		scan_report(daemon, job);
	if (job->early && job->r >= 0 && !is_synced(daemon)) {
		daemon_early_scanned(daemon, &job->view);
	} else if (!job->early && job->r >= 0) {
		endpoints_scanned(daemon->endpoints, &job->view, daemon_now_ms());
	}
	daemon->scanned |= !job->early && job->r >= 0 && !job->view.hidden;
	daemon->dirty = true;
	scan_free(job);
	daemon_kick(daemon);
}

static void scan_start(struct daemon *daemon)
{
	struct scan_job *job = calloc(1, sizeof(*job));
	int r;

	if (!job)
		return;
	job->daemon = daemon;
	job->early = !is_synced(daemon);
	r = job->early ? 0 : endpoints_known(daemon->endpoints, &job->known);
	job->known.early = job->early;
	job->known.hurry = daemon->scanned ? daemon_round(daemon, DAEMON_ROUND_SCAN) : NULL;
	if (r < 0 || worker_submit(daemon->worker, &(struct worker_job){ scan_run, scan_done, job }) < 0) {
		scan_free(job);
		return;
	}
	daemon->busy = true;
}

// ---- looking at the devices of attachments alone ------------------------------------------------------------

// Devices of pods that start now come before all others, and what was seen of them is put in force before anything
// else is looked at.
static bool wants_look(const struct daemon *daemon)
{
	return is_synced(daemon) && daemon->scanned && !daemon->look_failed &&
	       endpoints_want_look(daemon->endpoints);
}

static void look_done(void *arg)
{
	struct scan_job *job = arg;
	struct daemon *daemon = job->daemon;

	daemon->busy = false;
	if (job->r >= 0) {
		endpoints_looked(daemon->endpoints, &job->view);
	} else {
		log_warn("%s: devices of new pods are looked at again", job->err.text);
		endpoints_look_failed(daemon->endpoints);
		daemon->look_failed = true;
		daemon_retry_soon(daemon);
	}
	daemon->dirty = true;
	scan_free(job);
	daemon_kick(daemon);
}

static void look_start(struct daemon *daemon)
{
	struct scan_job *job = calloc(1, sizeof(*job));

	if (!job)
		return;
	job->daemon = daemon;
	if (endpoints_look_at(daemon->endpoints, &job->known) < 0 ||
	    worker_submit(daemon->worker, &(struct worker_job){ scan_run, look_done, job }) < 0) {
		scan_free(job);
		return;
	}
	daemon->busy = true;
	__atomic_store_n(&daemon->hurry, false, __ATOMIC_RELAXED);
}

void daemon_hurry(struct daemon *daemon)
{
	__atomic_store_n(&daemon->hurry, wants_look(daemon), __ATOMIC_RELAXED);
}

const bool *daemon_round(struct daemon *daemon, enum daemon_round round)
{
	bool gave_way = daemon->gave_way[round];

	daemon->gave_way[round] = false;
	return gave_way ? NULL : &daemon->hurry;
}

// ---- compiling and applying -------------------------------------------------------------------------------

#define LARGE_PLAN_STEPS 10000

// A large plan comes after much else that took memory for a while, such as a list of all pods: it is given back.
static void job_free(struct cycle_job *job)
{
	bool large = job->plan && job->plan->nsteps >= LARGE_PLAN_STEPS;

	vec_fini(&job->before);
	vec_fini(&job->after);
	vec_fini(&job->leaving);
	plan_free(job->plan);
	free(job);
	if (large)
		malloc_trim(0);
}

static void cycle_run(void *arg)
{
	struct cycle_job *job = arg;

	cycle_job_run(job);
}

static void report(struct cycle_job *job, struct program_task *task)
{
	struct endpoints *endpoints = job->daemon->endpoints;
	struct endpoint *e = endpoints_by_ident(endpoints, task->config.ident);

	if (!task->ran)
		return;
	endpoints_attached(endpoints, task->config.ident, task->config.variant, task->attach, task->r,
			   task->err.text);
	if (task->r == -ENODEV) // the pod left in that moment: a scan sees it
		endpoints_devices_changed(endpoints);
	job->daemon->attach_failures += task->r < 0;
	if (e && task->r < 0)
		e->tried_in = job->daemon->round;
}

static bool lacks(const struct endpoint *e)
{
	return e->phase == ENDPOINT_FOUND || e->phase == ENDPOINT_FAILED ||
	       (e->phase == ENDPOINT_ORPHAN && !e->attached) || e->troubled;
}

static bool any_lacks(const struct daemon *daemon)
{
	const struct endpoint *e;

	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++)
		if (lacks(e))
			return true;
	return false;
}

// Told with a plan, and looked at by the watch since.
void daemon_hook_told(struct daemon *daemon, int r, const struct err *err)
{
	char text[ERR_TEXT_BYTES + 128];

	snprintf(text, sizeof(text), "%s: pods reach no Service of which only some backends are allowed to them",
		 err->text);
	daemon_problem(daemon, DAEMON_PROBLEM_HOOK, r < 0 ? text : NULL);
	if (r < 0)
		daemon_report_compiled(daemon);
}

static void in_force(struct daemon *daemon, struct cycle_job *job)
{
	daemon->planned = job->plan->generation;
	meter_in_force(&daemon->meter, daemon->planned);
	if (job->plan->nsteps) {
		histogram_add(&daemon->meter.work, job->stats.work_ns);
		histogram_add(&daemon->meter.grace, job->stats.wait_ns);
	}
	daemon->lacking = any_lacks(daemon);
	if (!daemon->lacking)
		daemon->applied = job->plan->generation;
	daemon->applied_ms = daemon_now_ms();
	daemon->last = job->stats;
	daemon->stopped = false;
	daemon->plan_ms = PLAN_RETRY_MIN_MS;
	daemon_problem(daemon, "tables", NULL);
	daemon_enforces(daemon);
	if (job->plan->nsteps)
		log_info("generation %llu in force: %u steps, %u waits, %llu us of work",
			 (unsigned long long)job->plan->generation, job->stats.steps, job->stats.waits,
			 (unsigned long long)job->stats.work_ns / 1000);
}

static void hold(struct daemon *daemon)
{
	daemon->stopped = daemon->held = true;
	daemon->meter.plans_stopped++;
	daemon_plan_in(daemon, daemon->plan_ms);
	if (daemon->plan_ms < PLAN_RETRY_MAX_MS)
		daemon->plan_ms *= 2;
}

// What the compiler believes to be in the tables is not: the next plan begins with what they hold, as after a
// restart, and with the objects of then. Until it may, new pods are still found and get programs.
static void plan_stopped(struct daemon *daemon, struct cycle_job *job)
{
	char text[ERR_TEXT_BYTES + 64];

	snprintf(text, sizeof(text), "%s; what was in force stays, it is tried again", job->err.text);
	daemon_problem(daemon, "tables", text);
	vec_each(struct endpoint_leaving, leaving, &job->leaving)
		endpoints_put_leaving(daemon->endpoints, leaving);
	daemon->adopted = true;
	daemon->tables_adopted = false;
	hold(daemon);
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
	daemon->lacking = any_lacks(daemon);
	if (job->r < 0) {
		plan_stopped(daemon, job);
	} else if (job->plan) {
		daemon->mixed = job->plan->mixed;
		daemon_hook_told(daemon, job->hook_r, &job->hook_err);
		vec_each(struct endpoint_leaving, leaving, &job->leaving)
			if (!leaving->stays)
				endpoints_released(daemon->endpoints, leaving->slot);
		in_force(daemon, job);
	}
	job_free(job);
	daemon_early_tell(daemon);
	daemon_sync_answer(daemon);
	daemon_cni_answer(daemon);
	daemon_kick(daemon);
}

static void submit(struct daemon *daemon, struct cycle_job *job)
{
	daemon->busy = true;
	if (job->before.n || job->after.n)
		daemon_move_later(daemon);
	if (worker_submit(daemon->worker, &(struct worker_job){ cycle_run, cycle_done, job }) < 0) {
		job->r = err_set(&job->err, -ENOMEM, "out of memory");
		cycle_done(job);
	}
}

// One that failed has a turn in each round of retries, some in a cycle, so that a node full of them holds up
// no policy change.
static bool may_try(const struct daemon *daemon, const struct cycle_job *job, const struct endpoint *e,
		    bool *retmore)
{
	if (!lacks(e) || e->phase == ENDPOINT_FOUND)
		return true;
	if (e->tried_in == daemon->round)
		return false;
	*retmore |= job->before.n + job->after.n >= CYCLE_TASKS;
	return job->before.n + job->after.n < CYCLE_TASKS;
}

// Programs that can judge must be there before a plan that asks for it; all else comes when it has run.
static int collect_one(struct daemon *daemon, struct cycle_job *job, struct endpoint *e, bool *retmore)
{
	bool untracked = job->plan && e->enrolled && daemon->config->flows != FLOWS_ALL &&
			 policy_endpoint_open(daemon->policy, e->slot);
	struct program_task task;
	int r;

	program_task_init(&task, e, untracked ? PROGRAM_OPEN : PROGRAM_TRACK);
	task.config.record = daemon->recorder;
	task.choose = daemon->config->attach == CONFIG_ATTACH_AUTO && e->attach == BH_ATTACH_CLSACT;
	task.activate = job->plan && e->enrolled && e->phase != ENDPOINT_ATTACHED;
	if ((task.keep && !task.activate) || !may_try(daemon, job, e, retmore))
		return 0;
	r = e->phase == ENDPOINT_ATTACHED && (!untracked || e->refresh) ? vec_push(&job->before, task) :
									   vec_push(&job->after, task);
	if (r < 0)
		return r;
	e->refresh = false;
	if (task.activate)
		slot_arm(daemon->tables, e->slot);
	return 0;
}

static bool needs_programs(const struct endpoint *e, bool planned)
{
	if (e->missing)
		return true;
	if (!e->enrolled && e->phase != ENDPOINT_ORPHAN)
		return false;
	return planned || (!e->attached && !e->inherited);
}

// What each endpoint needs before and after the plan; while there is none, only what has no programs. A previous
// agent's are in place until it is known whose they are.
static int collect_programs(struct daemon *daemon, struct cycle_job *job, bool *retmore)
{
	struct endpoint *e;
	int r = 0;

	for (size_t i = 0; r >= 0 && (e = endpoints_at(daemon->endpoints, i)); i++)
		if (needs_programs(e, job->plan))
			r = collect_one(daemon, job, e, retmore);
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

static int compile(struct daemon *daemon, struct plan **ret)
{
	int64_t start = meter_now_ns();
	int r = policy_compile(daemon->policy, ret);

	meter_since(&daemon->meter.compile, start);
	return r;
}

static struct cycle_job *job_new(struct daemon *daemon)
{
	struct cycle_job *job = calloc(1, sizeof(*job));
	bool more = false;
	int r = 0;

	if (!job)
		return NULL;
	job->daemon = daemon;
	job->tables = daemon->tables;
	job->closed = &daemon->closed;
	job->meter = &daemon->meter;
	pthread_mutex_lock(&daemon->naming);
	if (!daemon->held && is_synced(daemon))
		r = compile(daemon, &job->plan);
	pthread_mutex_unlock(&daemon->naming);
	daemon_problem(daemon, "compile", r < 0 ? strerror(-r) : NULL);
	daemon_report_compiled(daemon);
	if (r < 0) {
		job_free(job);
		hold(daemon); // for a pause
		return NULL;
	}
	if (job->plan && daemon->recorder)
		recorder_begin(daemon->recorder);
	r = collect_programs(daemon, job, &more);
	if (r >= 0 && job->plan)
		r = collect_leaving(daemon, job);
	if (r < 0) // the plan must run: whose programs cannot judge yet is shut in by them until the next cycle
		log_error("out of memory while preparing a plan");
	daemon->dirty = more || r < 0;
	return job;
}

// After a plan that stopped nobody knows how far the tables are from what the compiler remembers: a new one
// learns it from them.
static int policy_renew(struct daemon *daemon)
{
	struct policy *policy = NULL;
	struct endpoint *e;
	int r = daemon_policy_new(daemon, &policy);

	for (size_t i = 0; r >= 0 && (e = endpoints_at(daemon->endpoints, i)); i++)
		if (e->enrolled)
			r = policy_endpoint_add(policy, e->ns, e->name, e->slot);
	if (r < 0) {
		policy_free(policy);
		return r;
	}
	pthread_mutex_lock(&daemon->naming);
	policy_free(daemon->policy);
	daemon->policy = policy;
	pthread_mutex_unlock(&daemon->naming);
	return 0;
}

static int adopt(struct daemon *daemon)
{
	struct policy_tables dump = { 0 };
	char text[128];
	int r = 0;

	if (daemon->adopted) {
		r = daemon->stale ? policy_renew(daemon) : 0;
		if (r >= 0)
			r = tables_dump(daemon->tables, &dump);
		pthread_mutex_lock(&daemon->naming);
		if (r >= 0)
			r = policy_adopt(daemon->policy, &dump);
		pthread_mutex_unlock(&daemon->naming);
		policy_tables_fini(&dump);
		if (r >= 0)
			log_info("took over the tables");
	}
	snprintf(text, sizeof(text), "an earlier agent's tables cannot be taken over: %s", strerror(-r));
	daemon_problem(daemon, "adopt", r < 0 ? text : NULL);
	daemon->stale = true; // from here on it knows more than the tables
	daemon->tables_adopted = r >= 0;
	if (daemon->tables_adopted)
		daemon_hosts_sync(daemon);
	return r;
}

static bool wants_scan(const struct daemon *daemon)
{
	if (!is_synced(daemon))
		return daemon->early_due && daemon_early_shuts(daemon);
	if (daemon->scanned && endpoints_adding(daemon->endpoints))
		return false;
	return !daemon->scan_failed && (!daemon->scanned || endpoints_want_scan(daemon->endpoints));
}

void daemon_kick(struct daemon *daemon)
{
	struct cycle_job *job;

	if (daemon->busy || !daemon->source)
		return;
	if (wants_look(daemon)) {
		look_start(daemon);
		return;
	}
	if (wants_scan(daemon)) {
		daemon->early_due = false;
		scan_start(daemon);
		return;
	}
	if (!daemon->dirty || (is_synced(daemon) && !daemon->scanned))
		return;
	if (is_synced(daemon) && !daemon->held && !daemon->tables_adopted && adopt(daemon) < 0)
		hold(daemon);
	job = job_new(daemon);
	if (!job)
		return;
	if (job->before.n || job->after.n || job->leaving.n ||
	    (job->plan && (job->plan->nsteps || job->plan->mixed != daemon->mixed))) {
		submit(daemon, job);
		return;
	}
	if (job->plan)
		in_force(daemon, job);
	job_free(job);
	daemon_early_tell(daemon);
	daemon_sync_answer(daemon);
	daemon_cni_answer(daemon);
}

void daemon_retry(struct daemon *daemon)
{
	bool waiting = endpoints_waiting(daemon->endpoints) || endpoints_unowned(daemon->endpoints);

	daemon->round++;
	daemon->early_due = true;
	if (is_synced(daemon) && !daemon->lacking && !daemon->scan_failed && !daemon->look_failed && !waiting)
		return;
	if (waiting)
		endpoints_devices_changed(daemon->endpoints);
	daemon->scan_failed = daemon->look_failed = false;
	daemon->dirty = true;
	daemon_kick(daemon);
}

void daemon_plan_due(struct daemon *daemon)
{
	daemon->held = false;
	daemon->dirty = true;
	daemon_kick(daemon);
}
