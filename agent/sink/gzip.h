// SPDX-License-Identifier: Apache-2.0
// gzip.h - compresses one file at a time, beside the loop.
//
// World: host, one thread and one helper of its own. Pure: no. Owns: its thread, and PATH.gz.tmp while it works.
#pragma once

#include <event2/event.h>
#include <stdbool.h>

#include "agent/base/cleanup.h"

struct gzip;

int gzip_new(struct event_base *base, struct gzip **ret);
void gzip_free(struct gzip *gzip); // gives up at once; the file stays as it was. NULL is fine
DEFINE_CLEANUP(struct gzip *, gzip_free)

// Makes PATH.gz, mode 0600, and then removes PATH. If that fails PATH stays. 0 or -errno: it did not begin.
int gzip_start(struct gzip *gzip, const char *path);
bool gzip_busy(const struct gzip *gzip); // NULL: false
