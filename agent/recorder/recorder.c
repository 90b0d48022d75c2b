// SPDX-License-Identifier: Apache-2.0
// recorder.c - the thread, its queue from others, and what it says of itself.
#include "agent/recorder/recorder.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/base/file.h"
#include "agent/flow/json.h"
#include "agent/recorder/private.h"

#define ROOM_SLICE_MS 20 // of RECORDER_ROOM_MS, between two looks at who is in a hurry

void recorder_count(struct recorder *recorder, uint64_t *stat)
{
	pthread_mutex_lock(&recorder->lock);
	(*stat)++;
	pthread_mutex_unlock(&recorder->lock);
}

static void ring(int fd)
{
	uint64_t one = 1;
	ssize_t n = write(fd, &one, sizeof(one));

	(void)n; // full: it is readable
}

// ---- the recorder's thread -------------------------------------------------------------------------------------

void recorder_tell(struct recorder *recorder, struct flow_record *record)
{
	record->time_ns = recorder->moment.real_ns;
	if (!record->src.card || !record->dst.card) {
		recorder_count(recorder, &recorder->stats.lost_memory);
	} else {
		recorder_count(recorder, &recorder->stats.told[record->type]);
		history_put(recorder->history, record);
		recorder_sinks_put(recorder, record);
	}
	flow_record_fini(record);
}

// Of this thread: what others take of a busy processor meanwhile is no cost of a reading.
static uint32_t cpu_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint32_t)(now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static bool take_turn(struct recorder *recorder)
{
	bool begun;

	pthread_mutex_lock(&recorder->lock);
	begun = recorder->begun;
	pthread_mutex_unlock(&recorder->lock);
	return begun;
}

// Whoever waits for records is told that there may be some.
static void end_turn(struct recorder *recorder, uint32_t ms)
{
	bool awaited;

	pthread_mutex_lock(&recorder->lock);
	recorder->stats.tick_ms = ms;
	recorder->stats.flows = recorder->flows;
	awaited = recorder->awaited;
	recorder->awaited = false;
	pthread_mutex_unlock(&recorder->lock);
	if (awaited)
		ring(recorder->wake_fd);
}

// Returns ms until the next one: a reading takes a twentieth of a processor at most.
static uint32_t turn(struct recorder *recorder)
{
	uint32_t began = cpu_ms(), took;

	if (!take_turn(recorder))
		return RECORDER_TICK_MS / 10;
	recorder_tick(recorder);
	recorder_sinks_flush(recorder);
	recorder_tick_keep(recorder);
	took = cpu_ms() - began;
	end_turn(recorder, took);
	return took * 20 > RECORDER_TICK_MS ? took * 20 : RECORDER_TICK_MS;
}

static void tick_due(evutil_socket_t fd, short what, void *arg)
{
	struct recorder *recorder = arg;
	uint32_t ms = turn(recorder);
	struct timeval delay = { ms / 1000, ms % 1000 * 1000 };

	event_add(recorder->tick, &delay);
}

// Half of the ring is full: it is emptied into the queue, which is larger.
static void ending_due(evutil_socket_t fd, short what, void *arg)
{
	struct recorder *recorder = arg;

	if (take_turn(recorder))
		tables_ring_read(recorder->ring);
}

// The queue is full before the next reading is due.
static void full_due(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n;
	tick_due(-1, 0, arg);
}

static void stop_due(evutil_socket_t fd, short what, void *arg)
{
	struct recorder *recorder = arg;

	turn(recorder);
	event_base_loopbreak(recorder->base);
}

static void *thread_main(void *arg)
{
	struct recorder *recorder = arg;

	event_base_dispatch(recorder->base);
	return NULL;
}

// ---- life --------------------------------------------------------------------------------------------------------

// Signals belong to the agent's loop.
static int thread_start(struct recorder *recorder)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&recorder->thread, NULL, thread_main, recorder);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	recorder->started = true;
	pthread_setname_np(recorder->thread, "bulkhead-flows");
	return 0;
}

static int loop_open(struct recorder *recorder)
{
	struct timeval now = { 0 };

	recorder->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	recorder->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	recorder->full_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (recorder->stop_fd < 0 || recorder->wake_fd < 0 || recorder->full_fd < 0)
		return -errno;
	recorder->base = event_base_new();
	if (!recorder->base)
		return -ENOMEM;
	recorder->tick = evtimer_new(recorder->base, tick_due, recorder);
	recorder->stop = event_new(recorder->base, recorder->stop_fd, EV_READ, stop_due, recorder);
	recorder->full = event_new(recorder->base, recorder->full_fd, EV_READ | EV_PERSIST, full_due, recorder);
	recorder->ending = event_new(recorder->base, tables_ring_fd(recorder->ring), EV_READ | EV_PERSIST | EV_ET,
				     ending_due, recorder);
	if (!recorder->tick || !recorder->stop || !recorder->full || !recorder->ending ||
	    event_add(recorder->tick, &now) < 0 || event_add(recorder->stop, NULL) < 0 ||
	    event_add(recorder->full, NULL) < 0 || event_add(recorder->ending, NULL) < 0)
		return -ENOMEM;
	nl_open(&recorder->nl, NETLINK_NETFILTER, 0); // where it fails, it is tried again when there is something to ask
	return 0;
}

// Flows of this boot are others than those of the last, whatever their time stamps.
static int boot_read(uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	uint64_t id = 0;
	size_t len;
	int r;

	r = file_read("/proc/sys/kernel/random/boot_id", 64, &text, &len);
	if (r < 0)
		return r;
	for (const char *c = text; *c; c++)
		id = id * 31 + (unsigned char)*c;
	*ret = id;
	return 0;
}

// Since the node's tables were made.
static uint64_t ring_lost(const struct recorder *recorder)
{
	uint64_t stats[BH_STAT_MAX] = { 0 };

	tables_stats_get(recorder->config.tables, stats);
	return stats[BH_STAT_FLOW_LOST];
}

static int open_all(struct recorder *recorder, const struct recorder_config *config, struct err *reterr)
{
	int r;

	recorder->config = *config;
	recorder->ring_lost_before = ring_lost(recorder);
	recorder->config.history = config->history ? config->history : RECORDER_HISTORY;
	recorder->config.update_sec = config->update_sec ? config->update_sec : RECORDER_UPDATE_SEC;
	recorder->node = strdup(config->node);
	if (!recorder->node)
		return err_set(reterr, -ENOMEM, "out of memory");
	r = boot_read(&recorder->boot);
	if (r >= 0)
		r = book_new(&(struct book_limits){ .labels = config->labels }, &recorder->book);
	if (r >= 0)
		r = history_new(recorder->config.history, &recorder->history);
	if (r >= 0)
		r = tables_ring_open(config->tables, recorder_gone, recorder, &recorder->ring);
	if (r >= 0)
		r = loop_open(recorder);
	if (r < 0)
		return err_set(reterr, r, "recording flows: %s", strerror(-r));
	r = recorder_sinks_open(recorder, reterr);
	if (r < 0)
		return err_wrap(reterr, "--flow-sinks");
	r = thread_start(recorder);
	return r < 0 ? err_set(reterr, r, "recording flows: %s", strerror(-r)) : 0;
}

int recorder_new(const struct recorder_config *config, struct recorder **ret, struct err *reterr)
{
	_cleanup_(recorder_freep) struct recorder *recorder = calloc(1, sizeof(*recorder));
	int r;

	assert(config->policy);

	if (!recorder)
		return err_set(reterr, -ENOMEM, "out of memory");
	pthread_mutex_init(&recorder->lock, NULL);
	pthread_cond_init(&recorder->room, NULL);
	recorder->stop_fd = recorder->wake_fd = recorder->full_fd = -1;
	recorder->whole = true;
	recorder->loop = pthread_self();
	r = open_all(recorder, config, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(recorder);
	return 0;
}

static void loop_close(struct recorder *recorder)
{
	if (recorder->tick)
		event_free(recorder->tick);
	if (recorder->stop)
		event_free(recorder->stop);
	if (recorder->full)
		event_free(recorder->full);
	if (recorder->ending)
		event_free(recorder->ending);
	if (recorder->base)
		event_base_free(recorder->base);
	if (recorder->stop_fd >= 0)
		close(recorder->stop_fd);
	if (recorder->wake_fd >= 0)
		close(recorder->wake_fd);
	if (recorder->full_fd >= 0)
		close(recorder->full_fd);
}

void recorder_free(struct recorder *recorder)
{
	if (!recorder)
		return;
	if (recorder->started) {
		ring(recorder->stop_fd);
		pthread_join(recorder->thread, NULL);
	}
	recorder_tick_fini(recorder);
	aged_fini(&recorder->aged);
	recorder_names_fini(recorder);
	recorder_denies_fini(recorder);
	recorder_via_fini(recorder);
	recorder_sinks_free(recorder);
	loop_close(recorder);
	tables_ring_close(recorder->ring);
	history_free(recorder->history);
	book_free(recorder->book);
	vec_fini(&recorder->queue);
	vec_fini(&recorder->denied_gone);
	pthread_cond_destroy(&recorder->room);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder->node);
	free(recorder);
}

// ---- from other threads --------------------------------------------------------------------------------------------

void recorder_begin(struct recorder *recorder)
{
	pthread_mutex_lock(&recorder->lock);
	recorder->begun = true;
	pthread_mutex_unlock(&recorder->lock);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void recorder_changed(struct recorder *recorder, const struct object *before, const struct object *after)
{
	book_changed(recorder->book, before, after, now_ns());
}

void recorder_host(struct recorder *recorder, const struct bh_addr *addr, bool present)
{
	book_host(recorder->book, recorder->node, addr, present);
}

static void wait_a_little(struct recorder *recorder)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += ROOM_SLICE_MS * 1000000l;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&recorder->room, &recorder->lock, &until);
}

static bool is_hurried(const struct recorder *recorder)
{
	return recorder->config.hurry && __atomic_load_n(recorder->config.hurry, __ATOMIC_RELAXED);
}

// A sweep finds more in a moment than is told in one: it waits for a reading, but not for one that does not come.
static bool wait_for_room(struct recorder *recorder)
{
	ring(recorder->full_fd);
	for (int ms = 0; recorder->queue.n >= RECORDER_GONE && ms < RECORDER_ROOM_MS && !is_hurried(recorder);
	     ms += ROOM_SLICE_MS)
		wait_a_little(recorder);
	recorder->congested = recorder->queue.n >= RECORDER_GONE;
	return !recorder->congested;
}

static bool has_room(struct recorder *recorder)
{
	if (recorder->queue.n < RECORDER_GONE)
		return true;
	if (pthread_equal(pthread_self(), recorder->thread))
		return recorder->queue.n < RECORDER_ENDED; // who reads the ring makes the room
	return !recorder->congested && !pthread_equal(pthread_self(), recorder->loop) && wait_for_room(recorder);
}

void recorder_gone(void *arg, const struct ct_entry *entry, enum ct_over why)
{
	struct recorder *recorder = arg;
	struct gone gone = { *entry, why };

	pthread_mutex_lock(&recorder->lock);
	if (!has_room(recorder) || vec_push(&recorder->queue, gone) < 0)
		recorder->stats.lost_gone++;
	pthread_mutex_unlock(&recorder->lock);
}

int recorder_denied_gone(void *arg, const struct denied_entry *entry)
{
	struct recorder *recorder = arg;

	pthread_mutex_lock(&recorder->lock);
	if (recorder->denied_gone.n >= RECORDER_GONE || vec_push(&recorder->denied_gone, *entry) < 0)
		recorder->stats.lost_denies++;
	pthread_mutex_unlock(&recorder->lock);
	return 0;
}

int recorder_fd(const struct recorder *recorder)
{
	return recorder->wake_fd;
}

void recorder_await(struct recorder *recorder)
{
	pthread_mutex_lock(&recorder->lock);
	recorder->awaited = true;
	pthread_mutex_unlock(&recorder->lock);
}

void recorder_woken(struct recorder *recorder)
{
	uint64_t count;
	ssize_t n = read(recorder->wake_fd, &count, sizeof(count));

	(void)n; // nothing: somebody took it
}

// ---- reading --------------------------------------------------------------------------------------------------------

// As many as fit on a page; *retn: how many.
static struct json_object *records_json(const struct recorder *recorder, const struct history_page *page, size_t *retn)
{
	struct json_object *json;
	struct jsonw w;
	size_t i = 0;

	jsonw_init(&w);
	jsonw_open(&w, NULL, '[');
	for (; i < page->records.n && w.n < RECORDER_PAGE_BYTES; i++)
		flow_json_write(&w, &page->records.v[i], recorder->node);
	jsonw_close(&w, ']');
	*retn = i;
	json = jsonw_json(&w);
	jsonw_fini(&w);
	return json;
}

int recorder_read(struct recorder *recorder, const char *filter_text, uint64_t after, uint32_t max,
		  struct recorder_page *ret, struct err *reterr)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
	struct history_page page;
	struct timespec now;
	size_t n = 0;
	int r;

	clock_gettime(CLOCK_REALTIME, &now);
	r = flow_filter_parse(filter_text, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, &filter, reterr);
	if (r < 0)
		return r;
	r = history_read(recorder->history, filter, after, max, &page);
	if (r < 0)
		return err_set(reterr, r, "out of memory");
	*ret = (struct recorder_page){ .next = page.next, .lost = page.lost, .oldest = page.oldest, .newest = page.newest,
				       .anew = page.anew };
	ret->records = records_json(recorder, &page, &n);
	ret->n = (uint32_t)n;
	if (n < page.records.n)
		ret->next = n ? page.records.v[n - 1].seq : page.records.v[0].seq - 1;
	history_page_fini(&page);
	return ret->records ? 0 : err_set(reterr, -ENOMEM, "out of memory");
}

// ---- status ------------------------------------------------------------------------------------------------------------

void recorder_stats(struct recorder *recorder, struct recorder_stats *ret)
{
	pthread_mutex_lock(&recorder->lock);
	*ret = recorder->stats;
	pthread_mutex_unlock(&recorder->lock);
	ret->lost_gone += ring_lost(recorder) - recorder->ring_lost_before;
}

void recorder_add(struct json_object *object, const char *key, uint64_t number)
{
	json_object_object_add(object, key, json_object_new_uint64(number));
}

struct json_object *recorder_status(struct recorder *recorder)
{
	struct json_object *json = json_object_new_object(), *told = json_object_new_object(),
			   *lost = json_object_new_object();
	struct recorder_stats stats;
	struct book_stats names;

	recorder_stats(recorder, &stats);
	book_stats(recorder->book, &names);
	recorder_add(json, "flows", stats.flows);
	for (int type = 0; type < FLOW_TYPE_MAX; type++)
		recorder_add(told, flow_type_name((enum flow_type)type), stats.told[type]);
	json_object_object_add(json, "told", told);
	recorder_add(lost, "ends", stats.lost_gone);
	recorder_add(lost, "denies", stats.lost_denies);
	recorder_add(lost, "names", stats.lost_names + names.forgotten);
	recorder_add(lost, "backends", stats.lost_backends);
	recorder_add(lost, "memory", stats.lost_memory);
	json_object_object_add(json, "lost", lost);
	recorder_add(json, "history", recorder->config.history);
	recorder_add(json, "addresses", names.addresses);
	recorder_add(json, "names", names.cards + names.past);
	recorder_add(json, "labels_cut", names.cut);
	recorder_add(json, "tick_ms", stats.tick_ms);
	json_object_object_add(json, "sinks", recorder_sinks_json(recorder));
	return json;
}
