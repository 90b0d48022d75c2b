// SPDX-License-Identifier: Apache-2.0
// json.c - records as lines of JSON.
#include "agent/flow/json.h"

#include <errno.h>

#include "agent/sink/private.h"

static int json_put(void *self, struct sink *sink, const struct flow_record *record)
{
	struct jsonw w;
	const char *text;
	size_t len;

	jsonw_init(&w);
	flow_json_write(&w, record, sink_node(sink));
	jsonw_newline(&w);
	text = jsonw_get(&w, &len);
	if (text)
		sink_emit(sink, text, len, 1);
	jsonw_fini(&w);
	return text ? 0 : -ENOMEM;
}

const struct sink_format sink_json = {
	.name = "json",
	.over = "stdout file unix tcp tls",
	.put = json_put,
};
