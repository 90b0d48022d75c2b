// SPDX-License-Identifier: Apache-2.0
// ipfix_reader.h - a collector's side of IPFIX: knows RFC 7011 and nothing of what is read. Fails the test on a mistake.
//
// World: host, tests. Pure: yes. Owns: nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "tests/harness/test.h"

#define IPFIX_REVERSE_PEN 29305
#define IPFIX_DEFS_MAX 96
#define IPFIX_READER_TEMPLATES 8 // from 256 on

struct ipfix_def {
	uint16_t number, bytes;
	uint32_t pen;
};

struct ipfix_value {
	struct ipfix_def def;
	size_t n;
	const unsigned char *bytes; // in the message
};

struct ipfix_reader {
	struct {
		size_t n; // 0: not told yet
		struct ipfix_def defs[IPFIX_DEFS_MAX];
	} templates[IPFIX_READER_TEMPLATES];
	// of the last message
	uint32_t time_sec, sequence, domain;
	uint16_t set; // 2: a template; else the template of the record
	size_t nvalues;
	struct ipfix_value values[IPFIX_DEFS_MAX];
};

// One message with one set of one template or one record, of a template that was read before.
void ipfix_read(struct ipfix_reader *reader, const unsigned char *message, size_t len);

uint64_t ipfix_number(const unsigned char *at, size_t n); // network order
const struct ipfix_value *ipfix_value(const struct ipfix_reader *reader, uint32_t pen, uint16_t element); // NULL: none
uint64_t ipfix_value_number(const struct ipfix_reader *reader, uint32_t pen, uint16_t element); // fails if none
