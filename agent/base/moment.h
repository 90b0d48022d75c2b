// SPDX-License-Identifier: Apache-2.0
// moment.h - times and durations as people and machines write them.
//
// World: host. Pure: yes. Owns: nothing. Times are nanoseconds since 1970, UTC.
#pragma once

#include <stdint.h>

#define MOMENT_BYTES 31
#define MOMENT_SEC_NS 1000000000LL

// "2026-11-21T01:03:32.123456789Z" (RFC 3339), returned.
const char *moment_format(int64_t ns, char buf[static MOMENT_BYTES]);

// The same with any number of digits behind the second, and any offset; from 1970 to 2261. 0 or -EINVAL.
int moment_parse(const char *text, int64_t *ret);

// As people say it: a moment, or a duration before now. 0 or -EINVAL.
int moment_parse_ago(const char *text, int64_t now_ns, int64_t *ret);

// "90" (seconds), "30s", "5m", "1h30m", "7d": above 0 and below a hundred years. 0 or -EINVAL.
int duration_parse(const char *text, int64_t *ret_ns);
