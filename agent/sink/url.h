// SPDX-License-Identifier: Apache-2.0
// url.h - the URL of a sink in parts.
//
// World: host. Pure: yes. Owns: its texts.
#pragma once

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "agent/base/vec.h"
#include "agent/sink/private.h"

#define SINK_URL_BYTES 8192 // of a URL, with its end

struct sink_url_option {
	char *name, *value;
};

struct sink_url {
	char *name; // without options
	char *format, *transport;
	char *host, *path; // "" where there is none
	uint16_t port;
	VEC(struct sink_url_option) options; // decoded
};

// FORMAT+TRANSPORT:[//HOST[:PORT]/PATH][?NAME=VALUE&...]. -EINVAL with a sentence; *ret is to be ended either way.
int sink_url_parse(const char *text, struct sink_url *ret, struct err *reterr);
void sink_url_fini(struct sink_url *url);
