// SPDX-License-Identifier: Apache-2.0
// flow_fuzz.c - any text (up to the first zero byte) as a filter and the rest as a sink's URL: a sentence or a meaning,
// never a crash; a term that is turned round says the opposite.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "agent/flow/filter.h"
#include "agent/sink/sink.h"
#include "tests/harness/record.h"

#define NOW_NS 1795222860000000000LL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool parse(const char *text, struct flow_filter **ret)
{
	struct err err = { 0 };
	int r = flow_filter_parse(text, NOW_NS, ret, &err);

	assert(r == 0 || (r == -EINVAL && err.code == r && err.text[0]));
	return r == 0;
}

// One term, so that what it says can be turned round.
static void turn_round(const char *text, const struct flow_record *record, bool matched)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
	char turned[FLOW_FILTER_BYTES + 1];

	if (*text == '!' || !*text || strpbrk(text, " \t\n") || strlen(text) + 2 > FLOW_FILTER_BYTES)
		return;
	snprintf(turned, sizeof(turned), "!%s", text);
	assert(parse(turned, &filter));
	assert(flow_filter_match(filter, record) == !matched);
}

static void check_filter(const char *text)
{
	_cleanup_(flow_filter_freep) struct flow_filter *filter = NULL;
	struct flow_record record;

	if (!parse(text, &filter))
		return;
	record_full(&record);
	turn_round(text, &record, flow_filter_match(filter, &record));
	flow_record_fini(&record);
}

static void check_url(const char *text)
{
	struct err err = { 0 };
	int r = sink_check(text, &err);

	assert(r == 0 || (r == -EINVAL && err.text[0]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *first = strndup((const char *)data, size);
	size_t skip = strlen(first) < size ? strlen(first) + 1 : 0;
	_cleanup_free_ char *second = strndup((const char *)data + skip, size - skip);

	check_filter(first);
	check_url(second);
	return 0;
}
