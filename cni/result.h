// SPDX-License-Identifier: Apache-2.0
// result.h - what a runtime reads on standard output: errors by the specification's numbers, versions.
//
// World: host. Pure: no (prints). Owns: nothing.
// Functions of this room return 0 or a number below 0: minus one of these codes, also in struct err.
#pragma once

#include <stdio.h>

#include "agent/base/err.h"

enum cni_code {
	CNI_INCOMPATIBLE = 1, // the configuration's version
	CNI_UNKNOWN_CONTAINER = 3, // the runtime need not clean up
	CNI_ENVIRONMENT = 4, // a CNI_ variable; the sentence names it
	CNI_IO = 5,
	CNI_DECODE = 6, // not JSON
	CNI_CONFIG = 7, // a field of the configuration; the sentence names it
	CNI_NETNS = 8, // no network namespace, or our own
	CNI_TRY_LATER = 11,
	CNI_UNAVAILABLE = 50, // ADD cannot be served
	CNI_LIMITED = 51, // nor are all pods that are there served
	CNI_NO_VETH = 100, // CNI_IFNAME is no veth of which this namespace has the other side
	CNI_OPEN = 101, // the device cannot be shut
	CNI_NO_POD = 102, // the API says that there is no such pod
	CNI_REFUSED = 103, // the agent's own error
	CNI_NOT_ENFORCED = 104, // CHECK: the pod's policy is not in force
	CNI_MANY_VETHS = 105, // there is no CNI_IFNAME, and several veths of this namespace lead to the pod's
};

// The error object. version: the request's, NULL when it is not known.
void result_error(FILE *out, const char *version, const struct err *err);

// The answer to VERSION.
void result_versions(FILE *out, const char *version);
