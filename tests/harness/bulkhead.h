// SPDX-License-Identifier: Apache-2.0
// bulkhead.h - the command line in this process: a line in, an exit status and two texts out.
//
// World: host, tests. Pure: no. Owns: a result its texts.
#pragma once

#include "agent/base/cleanup.h"

struct result {
	int status;
	char *out, *err;
};

// Words are parted by blanks; '@' begins a path in the folder (NULL where no word has one).
struct result bulkhead_run(const char *line, const char *folder);
void result_fini(struct result *result);
#define _cleanup_result_ _cleanup_(result_fini)
