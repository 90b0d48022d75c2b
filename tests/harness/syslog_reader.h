// SPDX-License-Identifier: Apache-2.0
// syslog_reader.h - a collector's side of syslog, by the grammar of RFC 5424. Fails the test on a mistake.
//
// World: host, tests. Pure: yes. Owns: nothing; all points into the text that is read.
#pragma once

#include <stddef.h>

#include "tests/harness/test.h"

#define SYSLOG_PARAMS_MAX 96

struct syslog_reader {
	unsigned int pri;
	char *timestamp, *hostname, *app, *procid, *msgid, *id, *sentence;
	size_t nparams;
	struct {
		char *name, *value;
	} params[SYSLOG_PARAMS_MAX];
};

// A whole message; its text is cut into pieces in place.
void syslog_read(struct syslog_reader *reader, char *message);
// The element of structured data alone, "[id name=...] rest".
void syslog_read_data(struct syslog_reader *reader, char *at);

const char *syslog_param(const struct syslog_reader *reader, const char *name); // NULL: none
