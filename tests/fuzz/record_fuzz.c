// SPDX-License-Identifier: Apache-2.0
// record_fuzz.c - any JSON as a flow record: a sentence or a record, never a crash; what is read is written as a record that
// says the same when it is read again.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "agent/flow/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The record that the text tells, written again; NULL: it is none.
static char *rewrite(const char *text)
{
	_cleanup_json_ struct json_object *json = json_tokener_parse(text);
	struct flow_record record = { 0 };
	const char *node = NULL, *line;
	struct err err = { 0 };
	struct jsonw w;
	char *copy;
	size_t len;
	int r;

	if (!json)
		return NULL;
	r = flow_json_read(json, &record, &node, &err);
	if (r < 0) {
		assert(r == -EBADMSG && err.code == r && err.text[0]);
		return NULL;
	}
	assert(node && record.src.card && record.dst.card);
	jsonw_init(&w);
	flow_json_write(&w, &record, node);
	line = jsonw_get(&w, &len);
	copy = strndup(line, len);
	assert(copy && strlen(copy) == len);
	jsonw_fini(&w);
	flow_record_fini(&record);
	return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size);
	_cleanup_free_ char *first = rewrite(text), *second = first ? rewrite(first) : NULL;

	assert(!first || (second && !strcmp(first, second)));
	return 0;
}
