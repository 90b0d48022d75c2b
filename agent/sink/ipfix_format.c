// SPDX-License-Identifier: Apache-2.0
// ipfix_format.c - the format ipfix: options, templates when they are due, one record a unit.
#include <errno.h>
#include <stddef.h>
#include <time.h>

#include "agent/sink/field.h"
#include "agent/sink/ipfix.h"
#include "agent/sink/private.h"

#define HEADERS_BYTES 48 // of IPv6 and UDP: what an MTU leaves no room for

struct state {
	uint64_t pen, domain, refresh_sec, mtu;
	bool updates;
	struct evbuffer *unit; // that is being written
	time_t greeted_sec; // when templates were sent last
};

static const struct option options[] = {
	{ "pen", 0, OPTION_NUMBER, offsetof(struct state, pen), "N", "private enterprise number of the words' elements",
	  .fallback = "32473", .min = 1, .max = UINT32_MAX },
	{ "domain", 0, OPTION_NUMBER, offsetof(struct state, domain), "N", "observation domain", .fallback = "0",
	  .max = UINT32_MAX },
	{ "template-refresh", 0, OPTION_DURATION, offsetof(struct state, refresh_sec), "TIME",
	  "send templates again so often over UDP", .fallback = "60s", .min = 1, .max = 86400 },
	{ "mtu", 0, OPTION_NUMBER, offsetof(struct state, mtu), "BYTES", "largest packet over UDP, with its headers",
	  .fallback = "1400", .min = IPFIX_MIN_BYTES + HEADERS_BYTES, .max = IPFIX_MAX_BYTES + HEADERS_BYTES },
	{ "updates", 0, OPTION_FLAG, offsetof(struct state, updates), .help = "tell flows that begin and last, in total counts" },
	{ NULL },
};

static int check(void *self, const struct sink_where *where, struct err *reterr)
{
	struct state *state = self;

	state->unit = state->unit ? state->unit : evbuffer_new();
	return state->unit ? 0 : err_set(reterr, -ENOMEM, "no memory");
}

static bool is_datagrams(const struct sink *sink)
{
	return sink_transport_of(sink) == &sink_udp;
}

static struct ipfix encoder(const struct state *state, const struct sink *sink)
{
	return (struct ipfix){
		.node = sink_node(sink), .pen = (uint32_t)state->pen, .domain = (uint32_t)state->domain,
		.max_bytes = is_datagrams(sink) ? state->mtu - HEADERS_BYTES : IPFIX_MAX_BYTES,
	};
}

static time_t now_sec(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec;
}

static void greet(struct state *state, struct sink *sink, const struct ipfix *ipfix)
{
	for (unsigned int i = 0; i < IPFIX_TEMPLATES; i++) {
		if (ipfix_template(state->unit, ipfix, i) == 0)
			sink_greet(sink, evbuffer_pullup(state->unit, -1), evbuffer_get_length(state->unit));
		evbuffer_drain(state->unit, evbuffer_get_length(state->unit));
	}
	state->greeted_sec = now_sec(CLOCK_MONOTONIC);
}

static void hello(void *self, struct sink *sink)
{
	struct state *state = self;
	struct ipfix ipfix = encoder(state, sink);

	greet(state, sink, &ipfix);
}

static void stamp(void *self, unsigned char *unit, size_t len, uint64_t records)
{
	ipfix_stamp(unit, (uint32_t)now_sec(CLOCK_REALTIME), (uint32_t)records);
}

static bool wants(void *self, const struct flow_record *record)
{
	const struct state *state = self;

	return state->updates || record->type == FLOW_END || record->type == FLOW_DENY;
}

static int put(void *self, struct sink *sink, const struct flow_record *record)
{
	struct state *state = self;
	struct ipfix ipfix = encoder(state, sink);
	int r;

	// A collector that came later, or lost what it knew, understands from here on.
	if (is_datagrams(sink) && now_sec(CLOCK_MONOTONIC) - state->greeted_sec >= (time_t)state->refresh_sec)
		greet(state, sink, &ipfix);
	r = ipfix_record(state->unit, &ipfix, record);
	if (r == 0)
		sink_emit(sink, evbuffer_pullup(state->unit, -1), evbuffer_get_length(state->unit), 1);
	evbuffer_drain(state->unit, evbuffer_get_length(state->unit));
	return r;
}

static void fini(void *self)
{
	struct state *state = self;

	if (state->unit)
		evbuffer_free(state->unit);
}

const struct sink_format sink_ipfix = {
	.name = "ipfix", .over = "udp tcp", .bytes = sizeof(struct state), .options = options, .check = check, .wants = wants,
	.put = put, .hello = hello, .stamp = stamp, .fini = fini,
};
