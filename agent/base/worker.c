// SPDX-License-Identifier: Apache-2.0
// worker.c - one thread, two queues and an eventfd.
#include "agent/base/worker.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>

struct job {
	struct worker_job job;
	struct job *next;
};

struct queue {
	struct job *first;
	struct job **last; // where the next one is linked
};

struct worker {
	pthread_t thread;
	bool started;
	int fd;
	size_t pending;       // of the loop's thread only
	pthread_mutex_t lock; // of all below
	pthread_cond_t wake;
	struct queue waiting;
	struct queue ended;
	bool stop;
	uint64_t since; // when the job that runs began, in ms; 0: none
};

static uint64_t now_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void queue_init(struct queue *queue)
{
	queue->first = NULL;
	queue->last = &queue->first;
}

static void queue_push(struct queue *queue, struct job *job)
{
	job->next = NULL;
	*queue->last = job;
	queue->last = &job->next;
}

static struct job *queue_pop(struct queue *queue)
{
	struct job *job = queue->first;

	if (!job)
		return NULL;
	queue->first = job->next;
	if (!queue->first)
		queue->last = &queue->first;
	return job;
}

static void signal_ended(struct worker *worker)
{
	uint64_t one = 1;
	ssize_t n = write(worker->fd, &one, sizeof(one));

	assert(n == sizeof(one));
	(void)n;
}

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	pthread_mutex_lock(&worker->lock);
	for (;;) {
		struct job *job;

		while (!worker->stop && !worker->waiting.first)
			pthread_cond_wait(&worker->wake, &worker->lock);
		if (worker->stop)
			break;
		job = queue_pop(&worker->waiting);
		worker->since = now_ms(CLOCK_MONOTONIC);
		pthread_mutex_unlock(&worker->lock);
		job->job.run(job->job.arg);
		pthread_mutex_lock(&worker->lock);
		worker->since = 0;
		queue_push(&worker->ended, job);
		signal_ended(worker);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

// Signals belong to the loop: the thread starts with all of them blocked.
static int start_thread(struct worker *worker, const char *name)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&worker->thread, NULL, worker_main, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	worker->started = true;
	pthread_setname_np(worker->thread, name);
	return 0;
}

int worker_new(const char *name, struct worker **ret)
{
	_cleanup_(worker_freep) struct worker *worker = calloc(1, sizeof(*worker));
	int r;

	assert(ret);

	if (!worker)
		return -ENOMEM;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->wake, NULL);
	queue_init(&worker->waiting);
	queue_init(&worker->ended);
	worker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (worker->fd < 0)
		return -errno;
	r = start_thread(worker, name);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(worker);
	return 0;
}

static int finish_all(struct worker *worker, struct queue *queue)
{
	struct job *job;
	int n = 0;

	for (; (job = queue_pop(queue)); n++) {
		struct worker_job ended = job->job;

		free(job);
		worker->pending--;
		if (ended.done)
			ended.done(ended.arg);
	}
	return n;
}

static void say_stop(struct worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	worker->stop = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
}

bool worker_stop(struct worker *worker, unsigned ms)
{
	uint64_t until = now_ms(CLOCK_MONOTONIC) + ms;
	struct timespec at = { (time_t)(until / 1000), (long)(until % 1000) * 1000000 };

	if (!worker || !worker->started)
		return true;
	say_stop(worker);
	if (pthread_clockjoin_np(worker->thread, NULL, CLOCK_MONOTONIC, &at))
		return false;
	worker->started = false;
	return true;
}

uint64_t worker_busy_ms(struct worker *worker)
{
	uint64_t since;

	pthread_mutex_lock(&worker->lock);
	since = worker->since;
	pthread_mutex_unlock(&worker->lock);
	return since ? now_ms(CLOCK_MONOTONIC) - since : 0;
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	if (worker->started) {
		say_stop(worker);
		pthread_join(worker->thread, NULL);
	}
	finish_all(worker, &worker->ended);
	finish_all(worker, &worker->waiting);
	if (worker->fd >= 0)
		close(worker->fd);
	pthread_cond_destroy(&worker->wake);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

int worker_submit(struct worker *worker, const struct worker_job *job)
{
	struct job *queued = malloc(sizeof(*queued));

	assert(job->run);

	if (!queued)
		return -ENOMEM;
	queued->job = *job;
	worker->pending++;
	pthread_mutex_lock(&worker->lock);
	queue_push(&worker->waiting, queued);
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
	return 0;
}

int worker_fd(const struct worker *worker)
{
	return worker->fd;
}

int worker_dispatch(struct worker *worker)
{
	struct queue ended;
	uint64_t count;

	queue_init(&ended);
	if (read(worker->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return -errno;
	pthread_mutex_lock(&worker->lock);
	if (worker->ended.first) {
		ended = worker->ended;
		queue_init(&worker->ended);
	}
	pthread_mutex_unlock(&worker->lock);
	return finish_all(worker, &ended);
}

size_t worker_pending(const struct worker *worker)
{
	return worker->pending;
}
