// SPDX-License-Identifier: Apache-2.0
// syslog_format.c - the format syslog: options, and a frame where there are no datagrams.
//
// A datagram is one message (RFC 5426). On a stream a message follows its length in octets: RFC 5425 over TLS, RFC 6587
// over TCP. The other way of RFC 6587, a line each, would let a name forge messages.
#include <errno.h>
#include <stddef.h>

#include "agent/sink/field.h"
#include "agent/sink/private.h"
#include "agent/sink/syslog.h"

#define DATAGRAM_BYTES 2048 // what RFC 5426 asks each receiver to take
#define STREAM_BYTES 8192 // what RFC 5425 asks each receiver to take

struct state {
	uint64_t pen, max_bytes;
	const char *facility;
	uint8_t facility_number;
	struct evbuffer *message, *unit;
};

static const struct option options[] = {
	{ "pen", 0, OPTION_NUMBER, offsetof(struct state, pen), "N", "private enterprise number of the structured data",
	  .fallback = "32473", .min = 1, .max = UINT32_MAX },
	{ "facility", 0, OPTION_TEXT, offsetof(struct state, facility), "NAME", "facility of all messages", .fallback = "local0" },
	{ "max-bytes", 0, OPTION_SIZE, offsetof(struct state, max_bytes), "BYTES",
	  "largest message; 2K over UDP, else 8K, if it is not set", .min = SYSLOG_MIN_BYTES, .max = SYSLOG_MAX_BYTES },
	{ NULL },
};

static int check(void *self, const struct sink_where *where, struct err *reterr)
{
	struct state *state = self;
	int facility = syslog_facility(state->facility);

	if (facility < 0)
		return err_set(reterr, -EINVAL, "facility: there is no '%s'; kern, user, ..., authpriv, ..., local0 to local7",
			       state->facility);
	state->facility_number = (uint8_t)facility;
	state->message = state->message ? state->message : evbuffer_new();
	state->unit = state->unit ? state->unit : evbuffer_new();
	return state->message && state->unit ? 0 : err_set(reterr, -ENOMEM, "no memory");
}

static int frame(struct evbuffer *unit, struct evbuffer *message, bool datagram)
{
	if (!datagram && evbuffer_add_printf(unit, "%zu ", evbuffer_get_length(message)) < 0)
		return -ENOMEM;
	return evbuffer_add_buffer(unit, message) < 0 ? -ENOMEM : 0;
}

static int put(void *self, struct sink *sink, const struct flow_record *record)
{
	struct state *state = self;
	bool datagram = sink_transport_of(sink) == &sink_udp;
	struct syslog syslog = {
		.node = sink_node(sink), .pen = (uint32_t)state->pen, .facility = state->facility_number,
		.max_bytes = state->max_bytes ? state->max_bytes : datagram ? DATAGRAM_BYTES : STREAM_BYTES,
	};
	int r = syslog_record(state->message, &syslog, record);

	if (r == 0)
		r = frame(state->unit, state->message, datagram);
	if (r == 0)
		sink_emit(sink, evbuffer_pullup(state->unit, -1), evbuffer_get_length(state->unit), 1);
	evbuffer_drain(state->message, evbuffer_get_length(state->message));
	evbuffer_drain(state->unit, evbuffer_get_length(state->unit));
	return r;
}

static void fini(void *self)
{
	struct state *state = self;

	if (state->message)
		evbuffer_free(state->message);
	if (state->unit)
		evbuffer_free(state->unit);
}

const struct sink_format sink_syslog = {
	.name = "syslog", .over = "udp tcp tls", .bytes = sizeof(struct state), .options = options, .check = check, .put = put,
	.fini = fini,
};
