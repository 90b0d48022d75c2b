// SPDX-License-Identifier: Apache-2.0
// field.h - what a record says in words, one name each: for formats that tell fields and not a tree.
//
// World: host. Pure: yes. Owns: nothing.
//
// One table names a field for all of them: its number in IPFIX (in the enterprise set) and its name in syslog.
// Numbers are in collectors' files: add, never renumber.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/flow/record.h"

#define FIELD_MAX_BYTES 1024 // of one field; a longer one is cut and ends in "..."
#define FIELD_PEN 32473 // RFC 5612: a number for documentation. Whoever has one of his own names it with `pen`
#define FIELDS_MAX 64

enum field_part { FIELD_RECORD, FIELD_SRC, FIELD_DST, FIELD_BACKEND, FIELD_SERVICE, FIELD_POLICY, FIELD_AUDIT };

struct field {
	const char *name;
	uint16_t number;
	uint8_t part; // enum field_part
	uint8_t what; // private
};

extern const struct field fields[];
extern const size_t nfields;

// The text of a field: UTF-8 without control characters (U+FFFD stands for what is none), without an end mark,
// no more than `max` bytes (at most FIELD_MAX_BYTES). Returns its length; 0: the record does not say.
size_t field_text(const struct field *field, const struct flow_record *record, const char *node, char *buf, size_t max);
