// SPDX-License-Identifier: Apache-2.0
// wire.h - a message written within a bound: what no longer fits is not written, and `full` says so.
//
// World: host. Pure: yes. Owns: nothing; the buffer is the caller's.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wire {
	unsigned char *buf;
	size_t n, max;
	bool full;
};

static inline void wire_put(struct wire *wire, const void *bytes, size_t n)
{
	wire->full |= n > wire->max - wire->n;
	if (wire->full)
		return;
	memcpy(wire->buf + wire->n, bytes, n);
	wire->n += n;
}

// The low n (at most 8) bytes of value, network order.
static inline void wire_put_number(struct wire *wire, uint64_t value, size_t n)
{
	unsigned char bytes[8];

	for (size_t i = 0; i < n && i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(value >> 8 * (n - 1 - i));
	wire_put(wire, bytes, n);
}

static inline void wire_set_number(unsigned char *at, uint64_t value, size_t n)
{
	wire_put_number(&(struct wire){ .buf = at, .max = n }, value, n);
}
