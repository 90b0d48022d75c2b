// SPDX-License-Identifier: Apache-2.0
// syslog.c - header, structured data, sentence.
#include "agent/sink/syslog.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>

#include "agent/base/moment.h"
#include "agent/sink/field.h"
#include "agent/sink/wire.h"

#define NOBODY "-" // a part of the header that is not said
#define HOSTNAME_MAX 255
#define SEVERITY_WARNING 4
#define SEVERITY_NOTICE 5
#define SEVERITY_INFO 6

int syslog_facility(const char *name)
{
	static const char *const names[24] = {
		"kern",	  "user",   "mail",   "daemon", "auth",	  "syslog", "lpr",    "news",
		"uucp",	  "cron",   "authpriv", "ftp",	"ntp",	  "audit",  "alert",  "clock",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -1;
}

// ---- words and numbers ---------------------------------------------------------------------------------------------

static void say(struct wire *wire, const char *text)
{
	wire_put(wire, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static void sayf(struct wire *wire, const char *fmt, ...)
{
	char text[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	say(wire, text);
}

// RFC 5424 allows six digits behind the second.
static void say_time(struct wire *wire, int64_t time_ns)
{
	char text[MOMENT_BYTES];

	moment_format(time_ns, text);
	wire_put(wire, text, strlen(text) - 4);
	say(wire, "Z");
}

static void say_addr(struct wire *wire, const struct bh_addr *addr)
{
	char text[INET6_ADDRSTRLEN];

	say(wire, addr_format(addr, text, sizeof(text)));
}

// What RFC 5424 wants a backslash before in a parameter's value.
static void say_escaped(struct wire *wire, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '"' || text[i] == '\\' || text[i] == ']')
			wire_put(wire, "\\", 1);
		wire_put(wire, text + i, 1);
	}
}

// ---- a message -----------------------------------------------------------------------------------------------------

static uint32_t severity(const struct flow_record *record)
{
	return record->verdict == FLOW_DENIED ? SEVERITY_WARNING :
	       record->verdict == FLOW_AUDIT  ? SEVERITY_NOTICE :
						SEVERITY_INFO;
}

// Printable ASCII without spaces, as the header wants it.
static void say_hostname(struct wire *wire, const char *node)
{
	size_t n = strnlen(node, HOSTNAME_MAX);

	if (!n)
		say(wire, NOBODY);
	for (size_t i = 0; i < n; i++)
		wire_put(wire, node[i] > ' ' && node[i] < 0x7f ? &node[i] : "?", 1);
}

static void say_header(struct wire *wire, const struct syslog *syslog, const struct flow_record *record)
{
	sayf(wire, "<%u>1 ", syslog->facility * 8 + severity(record));
	say_time(wire, record->time_ns);
	say(wire, " ");
	say_hostname(wire, syslog->node);
	sayf(wire, " bulkheadd " NOBODY " %s ", flow_type_name(record->type));
}

static void say_end(struct wire *wire, const char *name, const struct flow_end *end)
{
	sayf(wire, " %s-address=\"", name);
	say_addr(wire, &end->addr);
	sayf(wire, "\" %s-port=\"%u\"", name, end->port);
}

static void say_moment(struct wire *wire, const char *name, int64_t time_ns)
{
	sayf(wire, " %s=\"", name);
	say_time(wire, time_ns);
	say(wire, "\"");
}

static void say_tcp(struct wire *wire, const char *name, uint8_t flags)
{
	static const char letters[] = { 'S', 'A', 'F', 'R' }; // by the bits of enum flow_tcp

	if (!flags)
		return;
	sayf(wire, " %s=\"", name);
	for (size_t i = 0; i < sizeof(letters); i++)
		if (flags & 1 << i)
			wire_put(wire, &letters[i], 1);
	say(wire, "\"");
}

static void say_numbers(struct wire *wire, const struct flow_record *record)
{
	sayf(wire, " seq=\"%" PRIu64 "\" id=\"%" PRIu64 "\"", record->seq, record->id);
	say_moment(wire, "first", record->first_ns);
	say_moment(wire, "last", record->last_ns);
	sayf(wire, " direction=\"%s\" protocol=\"", record->dir == BH_EGRESS ? "egress" : "ingress");
	say(wire, protocol_name(record->proto));
	say(wire, "\"");
	say_end(wire, "src", &record->src);
	say_end(wire, "dst", &record->dst);
	if (record->backend.card)
		say_end(wire, "backend", &record->backend);
	sayf(wire, " packets=\"%" PRIu64 "\" bytes=\"%" PRIu64 "\"", record->packets[FLOW_FORWARD],
	     record->bytes[FLOW_FORWARD]);
	sayf(wire, " packets-back=\"%" PRIu64 "\" bytes-back=\"%" PRIu64 "\"", record->packets[FLOW_REVERSE],
	     record->bytes[FLOW_REVERSE]);
	say_tcp(wire, "tcp", record->tcp[FLOW_FORWARD]);
	say_tcp(wire, "tcp-back", record->tcp[FLOW_REVERSE]);
}

static void say_words(struct wire *wire, const struct syslog *syslog, const struct flow_record *record, size_t longest)
{
	char text[FIELD_MAX_BYTES];

	for (size_t i = 0; i < nfields; i++) {
		size_t n = field_text(&fields[i], record, syslog->node, text, longest);

		if (!n)
			continue;
		sayf(wire, " %s=\"", fields[i].name);
		say_escaped(wire, text, n);
		say(wire, "\"");
	}
}

// For people: denied 10.0.0.1 -> 10.0.0.2:5432 TCP egress: policy-denied. Names stand in the structured data.
static void say_sentence(struct wire *wire, const struct flow_record *record)
{
	sayf(wire, "%s ", flow_verdict_name(record->verdict));
	say_addr(wire, &record->src.addr);
	say(wire, " -> ");
	say_addr(wire, &record->dst.addr);
	sayf(wire, " port %u ", record->dst.port);
	say(wire, protocol_name(record->proto));
	sayf(wire, " %s: %s", record->dir == BH_EGRESS ? "egress" : "ingress", flow_reason_name(record->reason));
}

static void say_all(struct wire *wire, const struct syslog *syslog, const struct flow_record *record, size_t longest)
{
	say_header(wire, syslog, record);
	sayf(wire, "[flow@%u", syslog->pen);
	say_numbers(wire, record);
	say_words(wire, syslog, record, longest);
	say(wire, "] ");
	say_sentence(wire, record);
}

int syslog_record(struct evbuffer *out, const struct syslog *syslog, const struct flow_record *record)
{
	struct evbuffer_iovec space;
	struct wire wire;

	if (evbuffer_reserve_space(out, (ev_ssize_t)syslog->max_bytes, &space, 1) < 1)
		return -ENOMEM;
	for (size_t longest = FIELD_MAX_BYTES;; longest /= 2) {
		wire = (struct wire){ .buf = space.iov_base, .max = syslog->max_bytes };
		say_all(&wire, syslog, record, longest);
		if (!wire.full || !longest)
			break;
	}
	space.iov_len = wire.full ? 0 : wire.n;
	evbuffer_commit_space(out, &space, 1);
	return wire.full ? -EMSGSIZE : 0;
}
