// SPDX-License-Identifier: Apache-2.0
// conf.h - the network configuration that a runtime gives on standard input.
//
// World: host. Pure: yes. Owns: the parsed values; text is borrowed and must outlive it.
#pragma once

#include <json-c/json.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/base/option.h"

#define CONF_BYTES (1u << 20) // of standard input
#define CONF_DEPTH 32
#define CONF_NAME_BYTES 255 // of the network's name
#define CONF_PATH_BYTES 1024 // of a path among the keys
#define CONF_SECONDS 300 // longest wait for the agent

// Newest first. Below 0.3.0 a configuration has no prevResult.
#define CONF_VERSIONS 5
enum conf_version { CONF_1_1, CONF_1_0, CONF_0_4, CONF_0_3_1, CONF_0_3_0 };
extern const char *const conf_versions[CONF_VERSIONS];

enum conf_absent { CONF_FAIL, CONF_QUARANTINE };
enum conf_slow { CONF_SLOW_QUARANTINE, CONF_SLOW_FAIL };
enum conf_other { CONF_OTHER_FAIL, CONF_OTHER_PASS };

struct conf {
	enum conf_version version;
	const char *version_text; // NULL: not known
	const char *name;
	// our keys
	const char *socket, *records;
	uint64_t timeout_sec;
	int on_agent_down, on_timeout, on_other; // enum conf_absent, conf_slow, conf_other
	// borrowed from json
	struct json_object *prev; // prevResult, NULL: none
	struct json_object *valid; // cni.dev/valid-attachments, NULL: none
	// prevResult as the runtime wrote it
	const char *prev_text;
	size_t prev_len;
	struct json_object *json;
};

extern const struct option conf_keys[]; // of struct conf; ended by {NULL}

// -CNI_DECODE: no JSON object. -CNI_INCOMPATIBLE, -CNI_CONFIG: a sentence that names the field.
// *ret is filled as far as it was understood, also on failure.
int conf_parse(const char *text, size_t len, struct conf *ret, struct err *reterr);
void conf_fini(struct conf *conf);

// The version alone, for VERSION, whose input may be empty: NULL when there is none that we know.
const char *conf_version_of(const char *text, size_t len);
