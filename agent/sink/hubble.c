// SPDX-License-Identifier: Apache-2.0
// hubble.c - records in the shape of Hubble's exporter, as far as they say the same.
#include <errno.h>

#include "agent/sink/private.h"

static int hubble_put(void *self, struct sink *sink, const struct flow_record *record)
{
	return -ENOSYS;
}

const struct sink_format sink_hubble = {
	.name = "hubble",
	.over = "stdout file unix tcp tls",
	.put = hubble_put,
};
