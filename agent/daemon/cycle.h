// SPDX-License-Identifier: Apache-2.0
// cycle.h - one turn of the cycle as the helper thread sees it: copies of all it needs. Private to this room.
//
// World: host. Pure: no. Owns: the job its plan and its tasks.
#pragma once

#include "agent/daemon/daemon.h"

#define CYCLE_TASKS 16 // failed attachments tried again in one cycle

// Load one endpoint's programs and put them on its veth.
struct program_task {
	struct program_config config;
	enum bh_attach attach;
	int ifindex;
	uint64_t netns;
	bool fresh; // nothing of ours is on the veth yet: what fails leaves it closed
	bool seed; // before judging begins, known connections are written, to be judged at their next packet
	int r;
	struct err err;
};

void program_task_init(struct program_task *task, const struct endpoint *endpoint,
		       enum program_variant variant);

struct cycle_job {
	struct daemon *daemon; // not touched by the helper thread
	struct tables *tables;
	const struct program_pair *closed; // the daemon's
	VEC(struct program_task) before; // the plan may enforce only what these made able to judge
	struct plan *plan;
	uint32_t done; // steps of the plan that are in force; a retry goes on behind them
	VEC(struct program_task) after; // open endpoints, whose programs need to track no more
	VEC(struct endpoint_leaving) leaving;
	struct apply_stats stats;
	int r;
	bool failed; // some program could not be attached
	struct err err;
};

// On the helper thread.
void cycle_job_run(struct cycle_job *job);

// A timer: runs a failed plan again, looks for pods that wait.
void daemon_retry(struct daemon *daemon);
void daemon_cycle_fini(struct daemon *daemon);
