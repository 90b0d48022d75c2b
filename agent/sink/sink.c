// SPDX-License-Identifier: Apache-2.0
// sink.c - the way of a record: filter, format, queue, transport; and back-off when there is no way.
#include "agent/sink/sink.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "agent/base/log.h"
#include "agent/base/moment.h"
#include "agent/flow/filter.h"
#include "agent/sink/private.h"
#include "agent/sink/queue.h"
#include "agent/sink/url.h"

LOG_ROOM("sink");

#define VECTORS 16 // of one write

enum state { DOWN, OPENING, UP, FINISHED };

struct common {
	const char *filter;
	uint64_t queue;
};

struct sink {
	struct sink_url url;
	struct sink_where where;
	struct common common;
	const struct sink_format *format;
	const struct sink_transport *transport;
	void *format_self, *transport_self;
	struct flow_filter *filter;
	char *node;
	struct event_base *base;
	struct event *retry;
	unsigned int wait_ms; // the last one's; 0: none since something was delivered
	enum state state;
	bool blocked; // the transport takes nothing now
	struct queue greeting, queue;
	size_t sent; // bytes of a unit that has begun: the head of one of them
	struct queue *begun; // of which; NULL: none has
	uint64_t since_open; // records delivered on this connection
	uint64_t held; // records that the format has
	struct sink_stats stats;
};

static const struct sink_format *const formats[] = { &sink_json, &sink_hubble, &sink_ipfix, &sink_syslog };
static const struct sink_transport *const transports[] = { &sink_stdout, &sink_file, &sink_unix,
							     &sink_udp, &sink_tcp, &sink_tls };

static const struct option common_options[] = {
	{ "filter", 0, OPTION_TEXT, offsetof(struct common, filter), "TERMS", "the records it gets" },
	{ "queue", 0, OPTION_SIZE, offsetof(struct common, queue), "BYTES", "what may wait", .fallback = "4M", .min = 4096,
	  .max = 1u << 30 },
	{ NULL },
};

// ---- what goes out ---------------------------------------------------------------------------------------------------

static void drain(struct sink *sink);

static void lose(struct sink *sink, uint64_t records)
{
	if (!records)
		return;
	if (sink->state != UP) {
		sink->stats.lost_error += records;
		return;
	}
	sink->stats.lost_full += records;
	snprintf(sink->stats.problem, sizeof(sink->stats.problem), "the reader is too slow: all %llu bytes of the queue wait",
		 (unsigned long long)sink->common.queue);
}

static void wait_to_retry(struct sink *sink)
{
	unsigned int ms = sink->wait_ms ? sink->wait_ms * 2 : SINK_RETRY_FIRST_MS;
	struct timeval wait;

	sink->wait_ms = ms < SINK_RETRY_MAX_MS ? ms : SINK_RETRY_MAX_MS;
	ms = sink->wait_ms - arc4random_uniform(sink->wait_ms / 4);
	wait = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	evtimer_add(sink->retry, &wait);
}

// What of a unit is out already cannot be taken back, mostly: its reader sees where it breaks off. It stays the first that
// waits, and the next connection begins with it, whole.
static void give_up_begun(struct sink *sink)
{
	if (sink->begun && sink->transport->undo)
		sink->transport->undo(sink->transport_self, sink->sent);
	sink->begun = NULL;
	sink->sent = 0;
}

static void fail(struct sink *sink, int r, const struct err *err)
{
	sink->stats.failures++;
	snprintf(sink->stats.problem, sizeof(sink->stats.problem), "%s", err->text[0] ? err->text : strerror(-r));
	give_up_begun(sink);
	queue_clear(&sink->greeting);
	if (sink->transport->close)
		sink->transport->close(sink->transport_self);
	sink->state = DOWN;
	wait_to_retry(sink);
}

// Bytes of whole units that may be written now.
static ssize_t allowance(struct sink *sink, struct queue *queue, struct err *err)
{
	size_t first = queue_head(queue)->bytes;
	ssize_t room = SINK_WRITE_BYTES;

	if (sink->begun)
		return (ssize_t)(first - sink->sent);
	if (sink->transport->room)
		room = sink->transport->room(sink->transport_self, first, err);
	if (room < 0)
		return room;
	if (!sink->format->stamp)
		return (ssize_t)queue_span(queue, 0, room < SINK_WRITE_BYTES ? (size_t)room : SINK_WRITE_BYTES);
	sink->format->stamp(sink->format_self, evbuffer_pullup(queue->bytes, (ev_ssize_t)first), first, sink->since_open);
	return (ssize_t)first;
}

static void took(struct sink *sink, struct queue *queue, size_t bytes)
{
	const struct queue_unit *head;

	sink->stats.bytes += bytes;
	bytes += sink->sent;
	while ((head = queue_head(queue)) && bytes >= head->bytes) {
		uint32_t records;

		bytes -= head->bytes;
		records = queue_pop(queue);
		sink->stats.delivered += records;
		sink->since_open += records;
		if (records)
			sink->wait_ms = 0;
	}
	sink->sent = bytes;
	sink->begun = bytes ? queue : NULL;
}

static int write_some(struct sink *sink, struct queue *queue, struct err *err)
{
	struct iovec iov[VECTORS];
	ssize_t r = allowance(sink, queue, err);
	int n;

	if (r < 0)
		return (int)r;
	n = queue_peek(queue, sink->sent, (size_t)r, iov, VECTORS);
	r = sink->transport->write(sink->transport_self, iov, n, err);
	if (r > 0)
		took(sink, queue, (size_t)r);
	return r < 0 ? (int)r : 0;
}

static struct queue *next_queue(struct sink *sink)
{
	if (sink->begun)
		return sink->begun;
	if (queue_head(&sink->greeting))
		return &sink->greeting;
	return queue_head(&sink->queue) ? &sink->queue : NULL;
}

static void drain(struct sink *sink)
{
	struct err err = { 0 };
	struct queue *queue;
	int r = 0;

	while (r == 0 && sink->state == UP && !sink->blocked) {
		queue = next_queue(sink);
		if (!queue) {
			sink->stats.problem[0] = 0;
			return;
		}
		r = write_some(sink, queue, &err);
	}
	if (r == -EAGAIN)
		sink->blocked = true;
	else if (r < 0)
		fail(sink, r, &err);
}

// ---- the connection --------------------------------------------------------------------------------------------------

static void try_open(struct sink *sink)
{
	struct err err = { 0 };
	int r;

	sink->state = OPENING;
	r = sink->transport->open(sink->transport_self, sink, &sink->where, &err);
	if (r == 0)
		sink_opened(sink);
	else if (r != -EINPROGRESS)
		fail(sink, r, &err);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	try_open(arg);
}

void sink_opened(struct sink *sink)
{
	sink->state = UP;
	sink->blocked = false;
	sink->since_open = 0;
	sink->stats.connects++;
	if (sink->format->hello)
		sink->format->hello(sink->format_self, sink);
	drain(sink);
}

void sink_writable(struct sink *sink)
{
	sink->blocked = false;
	drain(sink);
}

void sink_broken(struct sink *sink, const struct err *err)
{
	if (sink->state == UP || sink->state == OPENING)
		fail(sink, err->code, err);
}

struct event_base *sink_base(const struct sink *sink)
{
	return sink->base;
}

// ---- what comes in ---------------------------------------------------------------------------------------------------

void sink_emit(struct sink *sink, const void *data, size_t len, uint32_t records)
{
	sink->held -= records;
	if (queue_bytes(&sink->queue) + len > sink->common.queue)
		drain(sink);
	if (queue_bytes(&sink->queue) + len > sink->common.queue || queue_push(&sink->queue, data, len, records) < 0)
		lose(sink, records);
}

void sink_greet(struct sink *sink, const void *data, size_t len)
{
	if (sink->state == UP)
		queue_push(&sink->greeting, data, len, 0);
}

const char *sink_node(const struct sink *sink)
{
	return sink->node;
}

const struct sink_transport *sink_transport_of(const struct sink *sink)
{
	return sink->transport;
}

static bool wants(const struct sink *sink, const struct flow_record *record)
{
	return flow_filter_match(sink->filter, record) && (!sink->format->wants || sink->format->wants(sink->format_self, record));
}

void sink_put(struct sink *sink, const struct flow_record *record)
{
	if (sink->state == FINISHED || !wants(sink, record))
		return;
	sink->stats.offered++;
	sink->held++;
	if (sink->format->put(sink->format_self, sink, record) < 0) {
		sink->held--;
		sink->stats.lost_error++;
	}
	if (queue_bytes(&sink->queue) >= SINK_WRITE_BYTES)
		drain(sink);
}

void sink_flush(struct sink *sink)
{
	if (sink->format->flush)
		sink->format->flush(sink->format_self, sink);
	drain(sink);
}

const char *sink_name(const struct sink *sink)
{
	return sink->url.name;
}

const struct sink_stats *sink_stats(struct sink *sink)
{
	sink->stats.queued = sink->queue.records + sink->held;
	sink->stats.queued_bytes = queue_bytes(&sink->queue);
	return &sink->stats;
}

// ---- its life --------------------------------------------------------------------------------------------------------

// "stdout" is in "stdout file unix".
static bool is_word_of(const char *word, const char *words)
{
	size_t len = strlen(word);

	for (const char *at = words; (at = strstr(at, word)); at += len)
		if ((at == words || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
	return false;
}

static int find_format(struct sink *sink, struct err *reterr)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(formats[i]->name, sink->url.format))
			sink->format = formats[i];
	return sink->format ? 0 : err_set(reterr, -EINVAL, "there is no format '%.32s'", sink->url.format);
}

static int find_transport(struct sink *sink, struct err *reterr)
{
	for (size_t i = 0; i < ARRAY_SIZE(transports); i++)
		if (!strcmp(transports[i]->name, sink->url.transport))
			sink->transport = transports[i];
	if (!sink->transport)
		return err_set(reterr, -EINVAL, "there is no transport '%.32s'", sink->url.transport);
	if (!is_word_of(sink->transport->name, sink->format->over))
		return err_set(reterr, -EINVAL, "%s does not go over %s, but over: %s", sink->format->name, sink->transport->name,
			       sink->format->over);
	return 0;
}

struct part {
	const struct option *options;
	void *values;
};

// As option_set(), which speaks of options of a command line.
static int set_one(const struct option *option, void *values, const char *text, struct err *reterr)
{
	struct err err = { 0 };
	int r = option_set(option, values, text, &err);

	return r < 0 ? err_set(reterr, r, "%s", err.text + strspn(err.text, "-")) : 0;
}

static int set_option(const struct part *parts, size_t n, const struct sink_url_option *given, struct err *reterr)
{
	for (size_t i = 0; i < n; i++) {
		const struct option *tables[] = { parts[i].options, NULL };
		const struct option *option = parts[i].options ? option_find(tables, given->name) : NULL;

		if (option)
			return set_one(option, parts[i].values, given->value, reterr);
	}
	return err_set(reterr, -EINVAL, "there is no option '%.32s'", given->name);
}

static int set_options(struct sink *sink, struct err *reterr)
{
	const struct part parts[] = {
		{ common_options, &sink->common },
		{ sink->format->options, sink->format_self },
		{ sink->transport->options, sink->transport_self },
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(parts); i++) {
		const struct option *tables[] = { parts[i].options, NULL };

		r = option_defaults(tables, parts[i].values, reterr);
	}
	vec_each(struct sink_url_option, given, &sink->url.options)
		r = r < 0 ? r : set_option(parts, ARRAY_SIZE(parts), given, reterr);
	return r;
}

static int now_ns(int64_t *ret)
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		return -errno;
	*ret = now.tv_sec * MOMENT_SEC_NS + now.tv_nsec;
	return 0;
}

static int make_filter(struct sink *sink, struct err *reterr)
{
	int64_t now = 0;

	if (!sink->common.filter)
		return 0;
	if (now_ns(&now) < 0)
		return err_set(reterr, -EINVAL, "filter: what time it is cannot be told");
	return flow_filter_parse(sink->common.filter, now, &sink->filter, reterr);
}

static int allocate(struct sink *sink, struct err *reterr)
{
	sink->format_self = calloc(1, sink->format->bytes + 1);
	sink->transport_self = calloc(1, sink->transport->bytes + 1);
	if (!sink->format_self || !sink->transport_self || queue_init(&sink->queue) < 0 || queue_init(&sink->greeting) < 0)
		return err_set(reterr, -ENOMEM, "no memory");
	return 0;
}

static int check_parts(struct sink *sink, struct err *reterr)
{
	int r = 0;

	sink->where = (struct sink_where){ sink->url.host, sink->url.path, sink->url.port };
	if (sink->format->check)
		r = sink->format->check(sink->format_self, &sink->where, reterr);
	if (r == 0 && sink->transport->check)
		r = sink->transport->check(sink->transport_self, &sink->where, reterr);
	return r;
}

// All but what needs a loop.
static int build(struct sink *sink, const char *url, struct err *reterr)
{
	int r = sink_url_parse(url, &sink->url, reterr);

	if (r == 0)
		r = find_format(sink, reterr);
	if (r == 0)
		r = find_transport(sink, reterr);
	if (r == 0)
		r = allocate(sink, reterr);
	if (r == 0)
		r = set_options(sink, reterr);
	if (r == 0)
		r = make_filter(sink, reterr);
	if (r == 0)
		r = check_parts(sink, reterr);
	if (r < 0)
		err_wrap(reterr, "sink '%.128s'", sink->url.name ? sink->url.name : url);
	return r;
}

int sink_check(const char *url, struct err *reterr)
{
	_cleanup_(sink_freep) struct sink *sink = calloc(1, sizeof(*sink));

	if (!sink)
		return err_set(reterr, -ENOMEM, "no memory");
	return build(sink, url, reterr);
}

int sink_new(struct event_base *base, const char *url, const char *node, struct sink **ret, struct err *reterr)
{
	_cleanup_(sink_freep) struct sink *sink = calloc(1, sizeof(*sink));
	int r;

	if (!sink)
		return err_set(reterr, -ENOMEM, "no memory");
	r = build(sink, url, reterr);
	if (r < 0)
		return r;
	sink->base = base;
	sink->node = strdup(node);
	sink->retry = evtimer_new(base, on_retry, sink);
	if (!sink->node || !sink->retry)
		return err_set(reterr, -ENOMEM, "no memory");
	try_open(sink);
	*ret = TAKE_PTR(sink);
	return 0;
}

void sink_finish(struct sink *sink)
{
	if (sink->state == FINISHED)
		return;
	sink_flush(sink);
	give_up_begun(sink);
	lose(sink, queue_clear(&sink->queue) + sink->held);
	if (sink->stats.lost_full || sink->stats.lost_error) // nobody can ask for it any more
		log_warn("%s: of %" PRIu64 " records %" PRIu64 " were handed on", sink_name(sink), sink->stats.offered,
			 sink->stats.delivered);
	sink->held = 0;
	evtimer_del(sink->retry);
	if (sink->transport->close)
		sink->transport->close(sink->transport_self);
	sink->state = FINISHED;
}

void sink_free(struct sink *sink)
{
	if (!sink)
		return;
	if (sink->retry && sink->node)
		sink_finish(sink);
	if (sink->transport_self && sink->transport->fini)
		sink->transport->fini(sink->transport_self);
	if (sink->format_self && sink->format->fini)
		sink->format->fini(sink->format_self);
	if (sink->retry)
		event_free(sink->retry);
	queue_fini(&sink->greeting);
	queue_fini(&sink->queue);
	flow_filter_free(sink->filter);
	sink_url_fini(&sink->url);
	free(sink->format_self);
	free(sink->transport_self);
	free(sink->node);
	free(sink);
}
