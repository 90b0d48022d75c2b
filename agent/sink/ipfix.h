// SPDX-License-Identifier: Apache-2.0
// ipfix.h - a record as an IPFIX message (RFC 7011), one record a message, and the templates that explain it.
//
// World: host. Pure: yes. Owns: nothing.
//
// A flow is told as a biflow (RFC 5103): from src to dst in the elements of IANA, back in their reverse (enterprise
// 29305). What a flow's last record and a deny's records say is told as delta counts: summed up they are the truth.
// A flow that lasts is told, if at all, with total counts, by templates of their own. Words (field.h) are strings
// of variable length in the set of enterprise `pen`.
#pragma once

#include <event2/buffer.h>

#include "agent/flow/record.h"

#define IPFIX_HEADER_BYTES 16
#define IPFIX_TEMPLATES 8
#define IPFIX_MIN_BYTES 528 // a message's least bound: a template fits, and a record without words
#define IPFIX_MAX_BYTES 8952 // its largest

struct ipfix {
	const char *node;
	uint32_t pen, domain;
	size_t max_bytes; // of a message; words are cut until it fits, the longest first
};

// Appends one message. The sequence number is 0: ipfix_stamp() sets it when the message is sent. 0 or -ENOMEM.
int ipfix_record(struct evbuffer *out, const struct ipfix *ipfix, const struct flow_record *record);

// Appends the message with template number `index` (below IPFIX_TEMPLATES). 0 or -ENOMEM.
int ipfix_template(struct evbuffer *out, const struct ipfix *ipfix, unsigned int index);

// Sets when it is sent (seconds since 1970) and how many records were sent before it.
void ipfix_stamp(unsigned char message[static IPFIX_HEADER_BYTES], uint32_t time_sec, uint32_t sequence);
