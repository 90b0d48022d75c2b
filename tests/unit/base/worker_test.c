// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>
#include "tests/harness/test.h"

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>

#include "agent/base/worker.h"

#define DEADLINE_MS 10000

struct job {
	pthread_t thread;
	int number;
	int *order;
	sem_t *gate; // run waits for it
	sem_t *begun; // run posts it
	bool ran, ended;
};

static void run(void *arg)
{
	struct job *job = arg;

	if (job->begun)
		sem_post(job->begun);
	if (job->gate)
		sem_wait(job->gate);
	job->thread = pthread_self();
	job->ran = true;
}

static void done(void *arg)
{
	struct job *job = arg;

	job->ended = true;
	if (job->order)
		job->number = ++*job->order;
}

static void submit(struct worker *worker, struct job *job)
{
	assert_ok(worker_submit(worker, &(struct worker_job){ run, done, job }));
}

static void dispatch_all(struct worker *worker)
{
	while (worker_pending(worker)) {
		struct pollfd fd = { .fd = worker_fd(worker), .events = POLLIN };

		assert_int_equal(poll(&fd, 1, DEADLINE_MS), 1);
		assert_ok(worker_dispatch(worker));
	}
}

static void jobs_run_elsewhere_and_end_here_in_order(void **state)
{
	_cleanup_(worker_freep) struct worker *worker = NULL;
	struct job jobs[50] = { 0 };
	int order = 0;

	assert_ok(worker_new("test", &worker));
	for (int i = 0; i < 50; i++) {
		jobs[i].order = &order;
		submit(worker, &jobs[i]);
	}
	assert_int_equal(worker_pending(worker), 50);
	assert_false(jobs[0].ended);
	dispatch_all(worker);
	for (int i = 0; i < 50; i++) {
		assert_int_equal(jobs[i].number, i + 1);
		assert_false(pthread_equal(jobs[i].thread, pthread_self()));
	}
	assert_int_equal(worker_dispatch(worker), 0);
}

static void ending_early_ends_every_job(void **state)
{
	struct worker *worker = NULL;
	struct job first = { 0 }, second = { 0 };
	sem_t gate, begun;

	sem_init(&gate, 0, 0);
	sem_init(&begun, 0, 0);
	first.gate = &gate;
	first.begun = &begun;
	assert_ok(worker_new("test", &worker));
	submit(worker, &first);
	submit(worker, &second);
	sem_wait(&begun);
	sem_post(&gate);
	worker_free(worker);
	assert_true(first.ran && first.ended && second.ended);
	worker_free(NULL);
}

static void block(void *arg)
{
	char byte;

	assert_int_equal(read(((int *)arg)[0], &byte, 1), 1);
}

static void test_a_job_that_hangs_is_seen_and_left(void **state)
{
	struct worker *worker = NULL;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(worker_new("hangs", &worker), 0);
	assert_int_equal(worker_busy_ms(worker), 0);
	assert_int_equal(worker_submit(worker, &(struct worker_job){ block, NULL, ends }), 0);
	while (worker_busy_ms(worker) < 2)
		;
	assert_false(worker_stop(worker, 1));
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_true(worker_stop(worker, 10000));
	worker_free(worker);
	close(ends[0]);
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_job_that_hangs_is_seen_and_left),
		cmocka_unit_test(jobs_run_elsewhere_and_end_here_in_order),
		cmocka_unit_test(ending_early_ends_every_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
