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
		.ifindex = e->link.ifindex,
		.netns = e->link.netns,
		.fresh = e->phase != ENDPOINT_ATTACHED,
		.seed = variant == PROGRAM_TRACK && e->variant == PROGRAM_OPEN,
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

// Connections of the pod's own sockets; what they miss is left to the adoption window.
static int seed(struct tables *tables, const struct program_task *task, struct err *reterr)
{
	struct seeding seeding = { tables, task->config.ident };
	int r;

	slot_adopt_window(tables, BH_SLOT(task->config.ident));
	r = link_flows(task->netns, seed_one, &seeding, reterr);
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

static void task_run(const struct cycle_job *job, struct program_task *task)
{
	struct program_pair pair = { -1, -1 };
	struct tables *tables = job->tables;
	struct err ignored = { 0 };

	memset(&task->err, 0, sizeof(task->err));
	task->r = program_load(tables, &task->config, &pair, &task->err);
	if (task->r >= 0)
		task->r = program_attach(tables, BH_SLOT(task->config.ident), task->ifindex,
					 task->attach, &pair, &task->err);
	program_pair_close(&pair);
	if (task->r < 0 && task->fresh)
		shut(job, task);
	if (task->r >= 0 && task->seed)
		seed(tables, task, &ignored);
}

// What bears the ident goes; connections are left to the sweeper, since no program can match them any more.
static void forget(struct tables *tables, const struct endpoint_leaving *leaving)
{
	tables_total_clear(tables, leaving->ident);
	tables_denied_clear(tables, leaving->ident, 0);
	tables_extra_clear(tables, leaving->ident);
	tables_count_clear(tables, leaving->slot);
	tables_identity_del(tables, leaving->slot);
}

void cycle_job_run(struct cycle_job *job)
{
	struct err ignored = { 0 };

	vec_each(struct program_task, task, &job->before)
		task_run(job, task);
	if (job->plan)
		job->r = tables_apply(job->tables, job->plan, &job->stats, &job->err);
	if (job->r < 0)
		return;
	vec_each(struct program_task, task, &job->after)
		task_run(job, task);
	vec_each(struct endpoint_leaving, leaving, &job->leaving)
		program_detach(job->tables, leaving->slot, leaving->ifindex, leaving->attach,
			       &ignored);
	if (job->leaving.n)
		tables_wait(job->tables);
	vec_each(struct endpoint_leaving, leaving, &job->leaving)
		forget(job->tables, leaving);
}
