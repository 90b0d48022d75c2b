// SPDX-License-Identifier: Apache-2.0
// ipfix.c - templates and data records from one table of elements.
#include "agent/sink/ipfix.h"

#include <errno.h>
#include <netinet/in.h>

#include "agent/sink/field.h"
#include "agent/sink/wire.h"

#define VERSION_IPFIX 10
#define SET_TEMPLATE 2
#define FIRST_TEMPLATE 256
#define ENTERPRISE_BIT 0x8000
#define REVERSE_PEN 29305 // RFC 5103
#define VARIABLE 0xffff

// A template's number is these bits: what its records have.
enum has {
	V6 = 1 << 0,
	BACKEND = 1 << 1, // a Service's flow whose backend is known
	TOTAL = 1 << 2, // counts since the flow began, and it is not over
};
_Static_assert(IPFIX_TEMPLATES == (V6 | BACKEND | TOTAL) + 1, "one template for each combination");

// ---- elements of IANA ----------------------------------------------------------------------------------------------

static bool has_ports(const struct flow_record *record)
{
	return record->proto == IPPROTO_TCP || record->proto == IPPROTO_UDP || record->proto == IPPROTO_SCTP;
}

static uint64_t flow_id(const struct flow_record *r) { return r->id; }
static uint64_t start_ms(const struct flow_record *r) { return (uint64_t)(r->first_ns / 1000000); }
static uint64_t end_ms(const struct flow_record *r) { return (uint64_t)(r->last_ns / 1000000); }
static uint64_t src_port(const struct flow_record *r) { return has_ports(r) ? r->src.port : 0; }
static uint64_t dst_port(const struct flow_record *r) { return has_ports(r) ? r->dst.port : 0; }
static uint64_t backend_port(const struct flow_record *r) { return r->backend.port; }
static uint64_t proto(const struct flow_record *r) { return r->proto; }
static uint64_t packets(const struct flow_record *r) { return r->packets[FLOW_FORWARD]; }
static uint64_t octets(const struct flow_record *r) { return r->bytes[FLOW_FORWARD]; }
static uint64_t packets_back(const struct flow_record *r) { return r->packets[FLOW_REVERSE]; }
static uint64_t octets_back(const struct flow_record *r) { return r->bytes[FLOW_REVERSE]; }
static uint64_t direction(const struct flow_record *r) { return r->dir == BH_EGRESS; }
static uint64_t biflow(const struct flow_record *r) { return 1; } // src is who began

// As they stand in a TCP header.
static uint64_t control_bits(uint8_t tcp)
{
	return (tcp & FLOW_TCP_FIN ? 0x01 : 0) | (tcp & FLOW_TCP_SYN ? 0x02 : 0) | (tcp & FLOW_TCP_RST ? 0x04 : 0) |
	       (tcp & FLOW_TCP_ACK ? 0x10 : 0);
}

static uint64_t tcp(const struct flow_record *r) { return control_bits(r->tcp[FLOW_FORWARD]); }
static uint64_t tcp_back(const struct flow_record *r) { return control_bits(r->tcp[FLOW_REVERSE]); }

// flowEndReason: 1 idle, 2 told while it lasts, 3 its end was seen, 4 ended from outside, 5 for lack of room.
static uint64_t end_reason(const struct flow_record *r)
{
	static const uint8_t reasons[FLOW_OVER_MAX] = {
		[FLOW_NOT_OVER] = 2, [FLOW_CLOSED] = 3, [FLOW_RESET] = 3,   [FLOW_IDLE] = 1,
		[FLOW_CUT] = 4,	     [FLOW_REPLACED] = 3, [FLOW_EVICTED] = 5, [FLOW_POD_GONE] = 4, [FLOW_FORGOTTEN] = 4,
	};

	return r->type == FLOW_END && r->over < FLOW_OVER_MAX ? reasons[r->over] : 2;
}

// firewallEvent: 1 created, 2 deleted, 3 denied, 5 update.
static uint64_t firewall_event(const struct flow_record *r)
{
	static const uint8_t events[FLOW_TYPE_MAX] = {
		[FLOW_START] = 1, [FLOW_UPDATE] = 5, [FLOW_END] = 2, [FLOW_DENY] = 3,
	};

	return r->type < FLOW_TYPE_MAX ? events[r->type] : 0;
}

static const struct bh_addr *src(const struct flow_record *r) { return &r->src.addr; }
static const struct bh_addr *dst(const struct flow_record *r) { return &r->dst.addr; }
static const struct bh_addr *backend(const struct flow_record *r) { return &r->backend.addr; }

struct element {
	uint16_t number, bytes;
	uint8_t with, without; // enum has: in templates that have all of the one and none of the other
	bool reverse;
	uint64_t (*value)(const struct flow_record *record);
	const struct bh_addr *(*addr)(const struct flow_record *record);
};

static const struct element elements[] = {
	{ 148, 8, .value = flow_id }, // flowId
	{ 152, 8, .value = start_ms }, // flowStartMilliseconds
	{ 153, 8, .value = end_ms }, // flowEndMilliseconds
	{ 8, 4, .without = V6, .addr = src }, // sourceIPv4Address
	{ 27, 16, V6, .addr = src }, // sourceIPv6Address
	{ 12, 4, .without = V6, .addr = dst }, // destinationIPv4Address
	{ 28, 16, V6, .addr = dst }, // destinationIPv6Address
	{ 7, 2, .value = src_port }, // sourceTransportPort
	{ 11, 2, .value = dst_port }, // destinationTransportPort
	{ 4, 1, .value = proto }, // protocolIdentifier
	{ 2, 8, .without = TOTAL, .value = packets }, // packetDeltaCount
	{ 1, 8, .without = TOTAL, .value = octets }, // octetDeltaCount
	{ 2, 8, .without = TOTAL, .reverse = true, .value = packets_back },
	{ 1, 8, .without = TOTAL, .reverse = true, .value = octets_back },
	{ 86, 8, TOTAL, .value = packets }, // packetTotalCount
	{ 85, 8, TOTAL, .value = octets }, // octetTotalCount
	{ 86, 8, TOTAL, .reverse = true, .value = packets_back },
	{ 85, 8, TOTAL, .reverse = true, .value = octets_back },
	{ 6, 2, .reverse = true, .value = tcp_back }, // first: readers that know no reverse element keep the last one
	{ 6, 2, .value = tcp }, // tcpControlBits
	{ 136, 1, .value = end_reason }, // flowEndReason
	{ 61, 1, .value = direction }, // flowDirection: 0 ingress, 1 egress
	{ 239, 1, .value = biflow }, // biflowDirection: 1 the source is who began
	{ 233, 1, .value = firewall_event }, // firewallEvent
	{ 226, 4, BACKEND, V6, .addr = backend }, // postNATDestinationIPv4Address
	{ 282, 16, BACKEND | V6, .addr = backend }, // postNATDestinationIPv6Address
	{ 228, 2, BACKEND, .value = backend_port }, // postNAPTDestinationTransportPort
};

static bool has_element(unsigned int has, const struct element *element)
{
	return (has & element->with) == element->with && !(has & element->without);
}

static bool has_field(unsigned int has, const struct field *field)
{
	return field->part != FIELD_BACKEND || has & BACKEND;
}

// ---- messages ------------------------------------------------------------------------------------------------------

static void put_string(struct wire *wire, const char *text, size_t n)
{
	if (n < 255) {
		wire_put_number(wire, n, 1);
	} else {
		wire_put_number(wire, 255, 1);
		wire_put_number(wire, n, 2);
	}
	wire_put(wire, text, n);
}

static void begin(struct wire *wire, const struct ipfix *ipfix, uint16_t set)
{
	wire_put_number(wire, VERSION_IPFIX, 2);
	wire_put_number(wire, 0, 2); // length
	wire_put_number(wire, 0, 8); // time, sequence number: ipfix_stamp()
	wire_put_number(wire, ipfix->domain, 4);
	wire_put_number(wire, set, 2);
	wire_put_number(wire, 0, 2);
}

static void end(struct wire *wire)
{
	wire_set_number(wire->buf + 2, wire->n, 2);
	wire_set_number(wire->buf + IPFIX_HEADER_BYTES + 2, wire->n - IPFIX_HEADER_BYTES, 2);
}

void ipfix_stamp(unsigned char message[static IPFIX_HEADER_BYTES], uint32_t time_sec, uint32_t sequence)
{
	wire_set_number(message + 4, time_sec, 4);
	wire_set_number(message + 8, sequence, 4);
}

static void put_definition(struct wire *wire, uint16_t number, uint16_t bytes, uint32_t pen)
{
	wire_put_number(wire, pen ? number | ENTERPRISE_BIT : number, 2);
	wire_put_number(wire, bytes, 2);
	if (pen)
		wire_put_number(wire, pen, 4);
}

int ipfix_template(struct evbuffer *out, const struct ipfix *ipfix, unsigned int index)
{
	unsigned char buf[IPFIX_MIN_BYTES];
	struct wire wire = { .buf = buf, .max = sizeof(buf) };
	size_t at;
	uint16_t n = 0;

	begin(&wire, ipfix, SET_TEMPLATE);
	wire_put_number(&wire, FIRST_TEMPLATE + index, 2);
	at = wire.n;
	wire_put_number(&wire, 0, 2);
	for (size_t i = 0; i < ARRAY_SIZE(elements); i++) {
		if (!has_element(index, &elements[i]))
			continue;
		put_definition(&wire, elements[i].number, elements[i].bytes, elements[i].reverse ? REVERSE_PEN : 0);
		n++;
	}
	for (size_t i = 0; i < nfields; i++) {
		if (!has_field(index, &fields[i]))
			continue;
		put_definition(&wire, fields[i].number, VARIABLE, ipfix->pen);
		n++;
	}
	wire_set_number(buf + at, n, 2);
	end(&wire);
	return wire.full ? -EMSGSIZE : evbuffer_add(out, buf, wire.n) < 0 ? -ENOMEM : 0;
}

static unsigned int template_of(const struct flow_record *record)
{
	bool known = record->backend.card;
	bool all4 = bh_addr_is4(&record->src.addr) && bh_addr_is4(&record->dst.addr) &&
		    (!known || bh_addr_is4(&record->backend.addr));

	return (all4 ? 0 : V6) | (known ? BACKEND : 0) |
	       (record->type == FLOW_START || record->type == FLOW_UPDATE ? TOTAL : 0);
}

static void put_element(struct wire *wire, const struct element *element, const struct flow_record *record)
{
	const struct bh_addr *addr = element->addr ? element->addr(record) : NULL;

	if (!addr)
		return wire_put_number(wire, element->value(record), element->bytes);
	wire_put(wire, element->bytes == 4 ? &addr->w[3] : addr->w, element->bytes);
}

static void put_record(struct wire *wire, const struct ipfix *ipfix, const struct flow_record *record, size_t longest)
{
	unsigned int has = template_of(record);
	char text[FIELD_MAX_BYTES];

	begin(wire, ipfix, FIRST_TEMPLATE + has);
	for (size_t i = 0; i < ARRAY_SIZE(elements); i++)
		if (has_element(has, &elements[i]))
			put_element(wire, &elements[i], record);
	for (size_t i = 0; i < nfields; i++)
		if (has_field(has, &fields[i]))
			put_string(wire, text, field_text(&fields[i], record, ipfix->node, text, longest));
}

int ipfix_record(struct evbuffer *out, const struct ipfix *ipfix, const struct flow_record *record)
{
	struct evbuffer_iovec space;
	struct wire wire;

	if (evbuffer_reserve_space(out, (ev_ssize_t)ipfix->max_bytes, &space, 1) < 1)
		return -ENOMEM;
	for (size_t longest = FIELD_MAX_BYTES;; longest /= 2) {
		wire = (struct wire){ .buf = space.iov_base, .max = ipfix->max_bytes };
		put_record(&wire, ipfix, record, longest);
		if (!wire.full || !longest)
			break;
	}
	if (!wire.full)
		end(&wire);
	space.iov_len = wire.full ? 0 : wire.n;
	evbuffer_commit_space(out, &space, 1);
	return wire.full ? -EMSGSIZE : 0;
}
