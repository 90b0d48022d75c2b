// SPDX-License-Identifier: Apache-2.0
// worker.h - one helper thread for what would stall the loop: jobs run there, in order, and end
// here.
//
// World: host; calls from one thread (the loop's). Pure: no (a thread, an eventfd). Owns: jobs that
// have not ended.
//
// The owner of the loop watches worker_fd() for reading and calls worker_dispatch() when it is
// ready.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/cleanup.h"

struct worker;

struct worker_job {
	void (*run)(void *arg);  // on the helper thread; may not touch what the loop uses
	void (*done)(void *arg); // later, in worker_dispatch(); may be NULL
	void *arg;
};

int worker_new(const char *name, struct worker **ret);

// Waits for the job that runs, drops jobs that did not start, and calls done() of every one of them
// so that their arguments can be freed. NULL is fine.
void worker_free(struct worker *worker);
DEFINE_CLEANUP(struct worker *, worker_free)

// Tells the thread to end and waits for so long at most; false: its job does not come back.
bool worker_stop(struct worker *worker, unsigned ms);

// For how long the job that runs has been running; 0: none runs.
uint64_t worker_busy_ms(struct worker *worker);

// Puts a job at the end of the queue. 0 or -ENOMEM.
int worker_submit(struct worker *worker, const struct worker_job *job);

// Readable while ended jobs wait for worker_dispatch(). Borrowed.
int worker_fd(const struct worker *worker);

// Calls done() of the jobs that ended, in order; returns how many. done() may submit further jobs.
int worker_dispatch(struct worker *worker);

// Jobs submitted whose done() was not called yet.
size_t worker_pending(const struct worker *worker);
