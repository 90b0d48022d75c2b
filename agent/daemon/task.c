// SPDX-License-Identifier: Apache-2.0
// task.c - the helper thread's side of a cycle: attach, seed, apply, detach. Touches tables and links only.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include <bulkhead/conntrack.h>

#include "agent/daemon/cycle.h"
#include "agent/endpoint/slot.h"

void program_task_init(struct program_task *task, const struct endpoint *e,
		       enum program_variant variant)
{
	*task = (struct program_task){
		.config = { .variant = variant, .ident = e->ident, .extra = e->extra },
		.attach = e->attach,
		.ifindex = e->ifindex,
		.attached = e->attached,
		.keep = e->attached && !e->refresh && e->variant == variant,
		.runs = e->early,
		.adopt = e->early && variant == PROGRAM_TRACK,
		.seed = variant == PROGRAM_TRACK && e->enrolled &&
			(e->attached ? e->variant == PROGRAM_OPEN : !e->added),
	};
}

struct seeding {
	struct tables *tables;
	uint32_t ident;
};

static int seed_one(void *arg, const struct link_flow *flow)
{
	struct seeding *seeding = arg;
	struct ct_entry entry = {
		.ident = seeding->ident,
		.remote = flow->remote,
		.remote_port = flow->remote_port,
		.local_port = flow->local_port,
		.proto = flow->proto,
		.v6 = !bh_addr_is4(&flow->remote),
	};
	bool closing = flow->proto == IPPROTO_TCP && flow->tcp_state != TCP_ESTABLISHED;
	int r;

	entry.value.state = flow->proto != IPPROTO_TCP ? BH_CT_REPLY :
			    closing		       ? BH_CT_FIN :
							 BH_CT_ESTABLISHED;
	entry.value.flags = BH_CT_SEEDED | (flow->listening ? 0 : BH_CT_EGRESS);
	entry.value.created = tables_now();
	entry.value.last = entry.value.created;
	r = tables_ct_seed(seeding->tables, &entry);
	return r == -EEXIST || r == -ENOSPC ? 0 : r;
}

// Connections of the pod's own sockets. A namespace that no name leads to has none that are known.
static int seed(struct tables *tables, const struct program_task *task, struct err *reterr)
{
	struct seeding seeding = { tables, task->config.ident };
	int r;

	r = link_flows(task->ifindex, seed_one, &seeding, reterr);
	return r == -ESRCH ? 0 : r;
}

// A pod that would be without programs gets those that let nothing pass.
static void shut(const struct cycle_job *job, struct program_task *task)
{
	struct err err = { 0 };
	int r = program_shut(job->tables, BH_SLOT(task->config.ident), task->ifindex, job->closed,
			     &err);

	if (r < 0)
		err_wrap(&task->err, "not even closed (%s)", err.text);
	else
		err_wrap(&task->err, "closed");
}

static int put_programs(struct tables *tables, struct program_task *task)
{
	struct program_pair pair = { -1, -1 };
	int r = program_load(tables, &task->config, &pair, &task->err);

	if (task->choose)
		task->attach = program_attach_first(task->ifindex, task->runs);
	if (r >= 0)
		r = program_attach(tables, BH_SLOT(task->config.ident), task->ifindex, task->attach,
				   &pair, &task->err);
	program_pair_close(&pair);
	return r;
}

// A device without programs meets its first packet with all in place. Where others are in force they go first:
// the open ones know no policy. What began while all this was done is seeded as well.
static void task_run(const struct cycle_job *job, struct program_task *task)
{
	uint32_t ident = task->config.ident;
	struct tables *tables = job->tables;
	struct err ignored = { 0 };

	memset(&task->err, 0, sizeof(task->err));
	task->ran = true;
	if (task->adopt)
		slot_adopt_window(tables, BH_SLOT(ident));
	if (task->seed && !task->attached)
		seed(tables, task, &ignored);
	if (task->activate && !task->attached)
		slot_activate(tables, BH_SLOT(ident), ident);
	task->r = task->keep ? 0 : put_programs(tables, task);
	if (task->r < 0 && !task->attached)
		shut(job, task);
	if (task->r >= 0 && task->seed)
		seed(tables, task, &ignored);
	if (task->r >= 0 && task->activate)
		slot_activate(tables, BH_SLOT(ident), ident);
}

// Of pods that may have flows. Connection tracking knows who began one, so it is asked before sockets are, and again
// for what began meanwhile.
static void seed_tracked(struct tables *tables, const struct program_task *tasks, size_t n)
{
	VEC(uint32_t) idents = { 0 };
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		if (tasks[i].seed && (tasks[i].runs || tasks[i].attached))
			r = vec_push(&idents, tasks[i].config.ident);
	tables_seed_tracked(tables, idents.v, (uint32_t)idents.n);
	vec_fini(&idents);
}

static void run_tasks(const struct cycle_job *job, struct program_task *tasks, size_t n)
{
	seed_tracked(job->tables, tasks, n);
	for (size_t i = 0; i < n; i++)
		task_run(job, &tasks[i]);
	seed_tracked(job->tables, tasks, n);
}

// The plan stopped: who has no programs gets them all the same, and stays in quarantine.
static void quarantine_bare(struct cycle_job *job)
{
	vec_each(struct program_task, task, &job->after) {
		task->activate = false;
		if (!task->attached)
			task_run(job, task);
	}
}

// What bears the ident goes; connections are left to the sweeper, since no program can match them any more.
static void forget(struct meter *meter, struct tables *tables, const struct endpoint_leaving *leaving)
{
	meter_forget(meter, tables, leaving);
	tables_denied_clear(tables, leaving->ident, 0);
	tables_extra_clear(tables, leaving->ident);
	if (leaving->stays)
		return;
	tables_identity_del(tables, leaving->slot);
}

static void detach(struct tables *tables, const struct endpoint_leaving *leaving)
{
	struct err ignored = { 0 };

	if (!leaving->stays)
		program_detach(tables, leaving->slot, leaving->ifindex, leaving->attach, &ignored);
}

void cycle_job_run(struct cycle_job *job)
{
	struct err ignored = { 0 };

	run_tasks(job, job->before.v, job->before.n);
	if (job->plan && job->plan->mixed) // failing this, mixed Services are denied: the plan is in force all the same
		job->hook_r = hook_want(job->tables, true, &job->hook_err);
	else if (job->plan && job->plan->unsettled) // who translates may be behind: as well as can be
		hook_want(job->tables, true, &ignored);
	if (job->plan)
		job->r = tables_apply(job->tables, job->plan, &job->stats, &job->err);
	if (job->plan && job->r >= 0 && !job->plan->mixed)
		hook_want(job->tables, false, &job->hook_err);
	if (job->r < 0) {
		quarantine_bare(job);
		return;
	}
	run_tasks(job, job->after.v, job->after.n);
	vec_each(struct endpoint_leaving, leaving, &job->leaving)
		detach(job->tables, leaving);
	if (job->leaving.n)
		tables_wait(job->tables);
	vec_each(struct endpoint_leaving, leaving, &job->leaving)
		forget(job->meter, job->tables, leaving);
}
