// SPDX-License-Identifier: Apache-2.0
// queue.h - units that wait, in one buffer.
//
// World: host, one thread. Pure: yes. Owns: their bytes.
#pragma once

#include <event2/buffer.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "agent/base/vec.h"

struct queue_unit {
	uint32_t bytes, records;
};

struct queue {
	struct evbuffer *bytes;
	VEC(struct queue_unit) units;
	size_t first; // of units: those before are gone
	uint64_t records; // in all that wait
};

int queue_init(struct queue *queue);
void queue_fini(struct queue *queue);

size_t queue_bytes(const struct queue *queue);
const struct queue_unit *queue_head(const struct queue *queue); // NULL: none waits

// Copies one unit to the end. 0 or -ENOMEM; bytes 0 is nothing.
int queue_push(struct queue *queue, const void *data, size_t bytes, uint32_t records);
uint32_t queue_pop(struct queue *queue); // its records
uint64_t queue_clear(struct queue *queue); // the records of all

// Bytes of whole units from the first on, of which `sent` bytes are gone: at least the first's rest, and no more than
// max otherwise.
size_t queue_span(const struct queue *queue, size_t sent, size_t max);
// Where they are: how many vectors. Fewer bytes than asked for if there are not vectors enough.
int queue_peek(struct queue *queue, size_t sent, size_t bytes, struct iovec *iov, int max);
