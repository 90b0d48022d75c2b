// SPDX-License-Identifier: Apache-2.0
// sink.h - where records go: a format over a transport, with a filter and a bounded queue. No sink ever blocks.
//
// World: host, one thread (events of the recorder's loop). Pure: no. Owns: its connection or file, its queue.
//
// A sink is named by a URL: FORMAT+TRANSPORT://WHERE?OPTION=VALUE&...
//   json, hubble      + stdout: | file:///PATH | unix:///PATH
//   ipfix             + udp://HOST:PORT | tcp://HOST:PORT
//   syslog            + udp://HOST:PORT | tcp://HOST:PORT | tls://HOST:PORT
// Options of all: filter (filter.h, percent-encoded), queue (bytes, K, M, G). Of file: max-size (bytes, K, M, G), max-age
// (seconds, m, h, d), max-files, compress (true|false). Of tls: ca, cert, key, server-name. Of ipfix: domain,
// template-refresh (seconds), mtu. docs/flows.md explains each and its default.
//
// What cannot be handed on in time is dropped, counted and said: delivered + lost + queued is every record that the filter
// let through. A peer that is gone is tried again with back-off; what is queued waits for it within the queue's bound.
#pragma once

#include <event2/event.h>
#include <json-c/json.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "agent/flow/record.h"

#define SINK_QUEUE_BYTES (4u << 20) // default of `queue`
#define SINKS_MAX 16

struct sink;

struct sink_stats {
	uint64_t offered; // records that its filter let through
	uint64_t delivered; // handed to the kernel, in the file, or on the stream
	uint64_t lost_full; // the queue was full, since the peer takes less than there is
	uint64_t lost_error; // the queue was full, since there was no peer
	uint64_t queued; // records that wait
	uint64_t bytes, connects, failures;
	uint64_t queued_bytes;
	char problem[ERR_TEXT_BYTES]; // why it cannot deliver now; "": it can
};

// Checks the whole URL before anything is opened. A peer that is not there yet is no error.
int sink_new(struct event_base *base, const char *url, const char *node, struct sink **ret, struct err *reterr);
int sink_check(const char *url, struct err *reterr); // the same checks only
// Hands on what can be handed on at once; the rest is lost, and counted so. Nothing is taken afterwards.
void sink_finish(struct sink *sink);
void sink_free(struct sink *sink); // finishes it, too; NULL is fine
DEFINE_CLEANUP(struct sink *, sink_free)

void sink_put(struct sink *sink, const struct flow_record *record);
void sink_flush(struct sink *sink); // a batch has ended
const char *sink_name(const struct sink *sink); // its URL without options
const struct sink_stats *sink_stats(struct sink *sink);
