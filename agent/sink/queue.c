// SPDX-License-Identifier: Apache-2.0
// queue.c - a buffer of bytes beside a list of where they part.
#include "agent/sink/queue.h"

#define COMPACT_UNITS 1024 // so many are gone before their places are used anew

int queue_init(struct queue *queue)
{
	queue->bytes = evbuffer_new();
	return queue->bytes ? 0 : -ENOMEM;
}

void queue_fini(struct queue *queue)
{
	if (queue->bytes)
		evbuffer_free(queue->bytes);
	queue->bytes = NULL;
	vec_fini(&queue->units);
}

size_t queue_bytes(const struct queue *queue)
{
	return evbuffer_get_length(queue->bytes);
}

const struct queue_unit *queue_head(const struct queue *queue)
{
	return queue->first < queue->units.n ? &queue->units.v[queue->first] : NULL;
}

// Half of the list at least is gone then: each unit is moved once at most, on average.
static void compact(struct queue *queue)
{
	if (queue->first < COMPACT_UNITS || queue->first < queue->units.n / 2)
		return;
	queue->units.n -= queue->first;
	memmove(queue->units.v, queue->units.v + queue->first, queue->units.n * sizeof(*queue->units.v));
	queue->first = 0;
}

int queue_push(struct queue *queue, const void *data, size_t bytes, uint32_t records)
{
	if (!bytes)
		return 0;
	compact(queue);
	if (vec_reserve(&queue->units, 1) < 0 || evbuffer_add(queue->bytes, data, bytes) < 0)
		return -ENOMEM;
	queue->units.v[queue->units.n++] = (struct queue_unit){ (uint32_t)bytes, records };
	queue->records += records;
	return 0;
}

uint32_t queue_pop(struct queue *queue)
{
	struct queue_unit unit = queue->units.v[queue->first++];

	evbuffer_drain(queue->bytes, unit.bytes);
	queue->records -= unit.records;
	if (queue->first == queue->units.n)
		queue->first = queue->units.n = 0;
	return unit.records;
}

uint64_t queue_clear(struct queue *queue)
{
	uint64_t records = queue->records;

	evbuffer_drain(queue->bytes, queue_bytes(queue));
	queue->first = queue->units.n = 0;
	queue->records = 0;
	return records;
}

size_t queue_span(const struct queue *queue, size_t sent, size_t max)
{
	size_t bytes = queue_head(queue)->bytes - sent;

	for (size_t i = queue->first + 1; i < queue->units.n && bytes + queue->units.v[i].bytes <= max; i++)
		bytes += queue->units.v[i].bytes;
	return bytes;
}

int queue_peek(struct queue *queue, size_t sent, size_t bytes, struct iovec *iov, int max)
{
	struct evbuffer_ptr start;
	int n;

	evbuffer_ptr_set(queue->bytes, &start, sent, EVBUFFER_PTR_SET);
	n = evbuffer_peek(queue->bytes, (ev_ssize_t)bytes, &start, iov, max);
	if (n > max)
		n = max;
	for (int i = 0; i < n; i++) { // the last one goes on behind what was asked for
		if (iov[i].iov_len > bytes)
			iov[i].iov_len = bytes;
		bytes -= iov[i].iov_len;
	}
	return n;
}
