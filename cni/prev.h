// SPDX-License-Identifier: Apache-2.0
// prev.h - what the plugins before us say of the pod: prevResult, in any version's form.
//
// World: host. Pure: yes. Owns: nothing; texts are the JSON's.
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "agent/base/err.h"

#define PREV_INTERFACES 64
#define PREV_ADDRESSES 8 // of the interface in question

struct prev {
	unsigned int nhost, nothers, naddresses;
	const char *host[PREV_INTERFACES]; // names of the host's devices
	const char *others[PREV_INTERFACES]; // the pod's interfaces but the one in question
	char addresses[PREV_ADDRESSES][48]; // of the one in question, without prefix length
};

// -CNI_CONFIG: a sentence that names the field.
int prev_read(struct json_object *json, const char *ifname, struct prev *ret, struct err *reterr);
