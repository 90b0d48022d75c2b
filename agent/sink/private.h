// SPDX-License-Identifier: Apache-2.0
// private.h - what a format and a transport are to a sink, and it to them.
//
// World: host, one thread. Pure: no. Owns: the state of both, zeroed at first; options are set into it by their tables.
//
//   record ──filter──► format ──units──► queue ──► transport
//
// A unit is what has to arrive whole: a line, a datagram, a message of IPFIX. It is delivered when its last byte was
// taken; with one that broke off the next connection begins anew.
#pragma once

#include <event2/buffer.h>
#include <event2/event.h>
#include <sys/uio.h>

#include "agent/base/option.h"
#include "agent/flow/record.h"
#include "agent/sink/sink.h"

#define SINK_RETRY_FIRST_MS 250 // the first wait after a failure; it doubles, and a quarter of it is by chance
#define SINK_RETRY_MAX_MS 30000
#define SINK_WRITE_BYTES (64u << 10) // so much at once, and so much is queued before a batch has ended

// A URL in parts, decoded: they live as long as the sink.
struct sink_where {
	const char *host; // without brackets; "": none is named
	const char *path; // "": none is named
	uint16_t port; // 0: none is named
};

// Where units go. All functions but check, open and write may be NULL.
struct sink_transport {
	const char *name; // "file"
	size_t bytes; // of its state
	const struct option *options; // into its state; NULL: none

	// Looks at the URL and at what options were set: -EINVAL with a sentence. Opens nothing.
	int (*check)(void *self, const struct sink_where *where, struct err *reterr);
	// 0: it can be written to; -EINPROGRESS: sink_opened() or sink_broken() follows; else a sentence why not. After
	// each failure it is called again, later.
	int (*open)(void *self, struct sink *sink, const struct sink_where *where, struct err *reterr);
	// A unit of so many bytes is next: how many may be written together, of whole units; >= bytes, or -errno with a
	// sentence. NULL: any number. Datagrams answer bytes, files see to it that there is room.
	ssize_t (*room)(void *self, size_t bytes, struct err *reterr);
	// Takes the first bytes of these; how many, > 0. -EAGAIN: none now, and sink_writable() follows. Else -errno: it
	// is broken, with a sentence if it has one (else strerror's).
	ssize_t (*write)(void *self, const struct iovec *iov, int n, struct err *reterr);
	// Takes back the last bytes, the beginning of a unit that broke off, if it can.
	void (*undo)(void *self, size_t bytes);
	void (*close)(void *self); // also of what is half open or broken
	void (*fini)(void *self); // closed already; whatever check() made
};

// How records are written.
struct sink_format {
	const char *name; // "json"
	const char *over; // names of transports that it makes sense over: "stdout file unix"
	size_t bytes;
	const struct option *options;

	int (*check)(void *self, const struct sink_where *where, struct err *reterr); // as above; may be NULL
	// Whether such records are its business: what is not counts as if the filter had said no. NULL: all are.
	bool (*wants)(void *self, const struct flow_record *record);
	// Hands units to sink_emit(), at once or later, all of them by flush(). 0; -errno: this record is lost.
	int (*put)(void *self, struct sink *sink, const struct flow_record *record);
	void (*flush)(void *self, struct sink *sink); // may be NULL
	// A connection begins: hands what it has to begin with to sink_greet(), unit by unit. May be NULL.
	void (*hello)(void *self, struct sink *sink);
	// The last word before a unit's first byte is written, perhaps more than once until it is taken; so many records
	// went before it on this connection. NULL: units are as they were queued.
	void (*stamp)(void *self, unsigned char *unit, size_t len, uint64_t records);
	void (*fini)(void *self);
};

extern const struct sink_format sink_json, sink_hubble, sink_ipfix, sink_syslog;
extern const struct sink_transport sink_stdout, sink_file, sink_unix, sink_udp, sink_tcp, sink_tls;

// ---- for formats -----------------------------------------------------------------------------------------------------

// Queues one unit, copied, that holds so many records; without room for it they are lost, and counted.
void sink_emit(struct sink *sink, const void *data, size_t len, uint32_t records);
// Queues one unit ahead of all others, of no record; dropped where there is no connection. Not bounded: for templates.
void sink_greet(struct sink *sink, const void *data, size_t len);
const char *sink_node(const struct sink *sink);
const struct sink_transport *sink_transport_of(const struct sink *sink);

// ---- for transports --------------------------------------------------------------------------------------------------

struct event_base *sink_base(const struct sink *sink);
void sink_opened(struct sink *sink); // after -EINPROGRESS
void sink_writable(struct sink *sink); // after -EAGAIN
// The connection is gone, or was not made. Calls close(); may not be called from within open() or write().
void sink_broken(struct sink *sink, const struct err *err);
