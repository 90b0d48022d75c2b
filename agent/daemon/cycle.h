// SPDX-License-Identifier: Apache-2.0
// cycle.h - one turn of the cycle as the helper thread sees it: copies of all it needs. Private to this room.
//
// World: host. Pure: no. Owns: the job its plan and its tasks.
#pragma once

#include "agent/daemon/daemon.h"

#define CYCLE_TASKS 16 // failed attachments tried again in one cycle
#define PLAN_RETRY_MIN_MS 100 // after a plan that stopped, doubling
#define PLAN_RETRY_MAX_MS 25600
#define PLAN_CHANGED_MS 1000 // but no longer than this once objects changed

// Load one endpoint's programs and put them on its veth; end its quarantine.
struct program_task {
	struct program_config config;
	enum bh_attach attach;
	int ifindex;
	bool choose; // by what the device bears
	bool runs; // its pod did before the agent
	bool attached; // there are programs, to be replaced in their place; else what fails leaves it closed
	bool keep; // and these are right: only its quarantine ends
	bool activate; // the plan, which has run by then, judges it from now on
	bool adopt; // connections older than enforcement may be adopted
	bool seed; // before judging begins, known connections are written, to be judged at their next packet
	bool ran;
	int r;
	struct err err;
};

void program_task_init(struct program_task *task, const struct endpoint *endpoint,
		       enum program_variant variant);

struct cycle_job {
	struct daemon *daemon; // not touched by the helper thread
	struct tables *tables;
	const struct program_pair *closed; // the daemon's
	struct meter *meter; // for meter_forget()
	VEC(struct program_task) before; // the plan may enforce only what these made able to judge
	struct plan *plan; // NULL: programs only, while plans are held
	// new endpoints; those whose quarantine ends or begins; open ones, whose programs need to track no more
	VEC(struct program_task) after;
	VEC(struct endpoint_leaving) leaving;
	struct apply_stats stats;
	int r; // of the plan
	struct err err;
	int hook_r; // of the netfilter program
	struct err hook_err;
};

// On the helper thread.
void cycle_job_run(struct cycle_job *job);

// How the netfilter program is, to the problems.
void daemon_hook_told(struct daemon *daemon, int r, const struct err *err);

// Timers: looks for pods that wait, and tries again what could not be attached or scanned; compiles anew after
// a plan that stopped.
void daemon_retry(struct daemon *daemon);
void daemon_plan_due(struct daemon *daemon);
