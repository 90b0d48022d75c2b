// SPDX-License-Identifier: Apache-2.0
// syslog.h - a record as a syslog message (RFC 5424): one element of structured data, and a sentence.
//
// World: host. Pure: yes. Owns: nothing.
#pragma once

#include <event2/buffer.h>

#include "agent/flow/record.h"

#define SYSLOG_FACILITY 16 // local0
#define SYSLOG_MIN_BYTES 1024 // a message's least bound: one without names fits
#define SYSLOG_MAX_BYTES 65000 // its largest

struct syslog {
	const char *node;
	uint32_t pen; // flow@PEN
	uint8_t facility; // 0..23
	size_t max_bytes; // of a message; words are cut until it fits, the longest first
};

// Appends one message without a frame. Severity: denied: warning, audit: notice, else informational. 0 or -ENOMEM.
int syslog_record(struct evbuffer *out, const struct syslog *syslog, const struct flow_record *record);

// The number of a facility's name ("local0", "authpriv"), -1: there is none.
int syslog_facility(const char *name);
