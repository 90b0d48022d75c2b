// SPDX-License-Identifier: Apache-2.0
// read_test.c - records out of JSON: what was written comes back, what is none is refused by its field.
#include "tests/harness/test.h"

#include <json-c/json.h>

#include "agent/flow/json.h"
#include "tests/harness/record.h"

#define RANDOM_RECORDS 1000

static char *text_of(const struct flow_record *record, const char *node)
{
	struct evbuffer *out = evbuffer_new();
	size_t len;
	char *text;

	assert_ok(flow_json(out, record, node));
	len = evbuffer_get_length(out);
	text = calloc(1, len + 1);
	evbuffer_remove(out, text, len);
	evbuffer_free(out);
	return text;
}

// Written, read and written again it is the same, but that of labels of one key (which no pod has) one is left.
static void assert_returns(const struct flow_record *record)
{
	_cleanup_free_ char *text = text_of(record, "node-a"), *again = NULL;
	_cleanup_json_ struct json_object *json = json_tokener_parse(text), *json_again = NULL;
	struct flow_record got;
	struct err err = { 0 };
	const char *node;

	if (flow_json_read(json, &got, &node, &err) < 0)
		fail_msg("%s: %s", err.text, text);
	assert_str(node, "node-a");
	again = text_of(&got, node);
	json_again = json_tokener_parse(again);
	if (!json_object_equal(json, json_again))
		fail_msg("%s\nbecame %s", text, again);
	flow_record_fini(&got);
}

static void a_record_with_everything_comes_back(void **state)
{
	struct flow_record record;

	record_full(&record);
	assert_returns(&record);
	flow_record_fini(&record);
}

static void any_record_comes_back(void **state)
{
	unsigned int seed = 7;

	for (int i = 0; i < RANDOM_RECORDS; i++) {
		struct flow_record record;

		record_random(&seed, &record);
		assert_returns(&record);
		flow_record_fini(&record);
	}
}

// One field of a good record is set to something else, or taken away.
static void assert_refused(const char *way, const char *value, const char *want)
{
	_cleanup_free_ char *text = NULL, *copy = strdup(way);
	_cleanup_json_ struct json_object *json = NULL;
	struct json_object *at;
	struct flow_record record, got;
	struct err err = { 0 };
	char *rest = copy, *field = strsep(&rest, ".");
	const char *node;

	record_full(&record);
	text = text_of(&record, "node-a");
	flow_record_fini(&record);
	json = at = json_tokener_parse(text);
	for (; rest; field = strsep(&rest, "."))
		at = json_object_object_get(at, field);
	if (value)
		json_object_object_add(at, field, json_tokener_parse(value));
	else
		json_object_object_del(at, field);
	assert_err(flow_json_read(json, &got, &node, &err), -EBADMSG);
	assert_str(err.text, want);
}

static void what_is_no_record_is_refused(void **state)
{
	assert_refused("version", NULL, "no flow record: version is missing");
	assert_refused("version", "2", "no flow record: version is not 1");
	assert_refused("node", "5", "no flow record: node is missing");
	assert_refused("type", NULL, "no flow record: type is missing");
	assert_refused("verdict", "\"maybe\"", "no flow record: verdict is a word that is not known");
	assert_refused("protocol", "\"nonsense\"", "no flow record: protocol is not known");
	assert_refused("time", "\"yesterday\"", "no flow record: time is no time");
	assert_refused("last", "\"30s\"", "no flow record: last is no time"); // a duration is for people
	assert_refused("source", NULL, "no flow record: source.address is missing");
	assert_refused("source.address", "\"10.0.0\"", "no flow record: source.address is no address");
	assert_refused("source.port", "65536", "no flow record: source.port is not in 0..65535");
	assert_refused("destination.kind", "\"planet\"", "no flow record: destination.kind is a word that is not known");
	assert_refused("destination.backend.address", NULL, "no flow record: destination.backend.address is missing");
	assert_refused("policy.kind", NULL, "no flow record: policy.kind is missing");
	assert_refused("policy.policies", "[null]", "no flow record: policy.policies holds no text");
}

// Readers of today read records of tomorrow, as long as the version is the same.
static void fields_of_later_are_passed_over(void **state)
{
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_free_ char *text = NULL;
	struct flow_record record, got;
	struct err err = { 0 };
	const char *node;

	record_full(&record);
	text = text_of(&record, "n");
	flow_record_fini(&record);
	json = json_tokener_parse(text);
	json_object_object_add(json, "later", json_tokener_parse("{\"a\":[1]}"));
	json_object_object_add(json, "service", json_tokener_parse("7"));
	assert_ok_err(flow_json_read(json, &got, &node, &err), &err);
	assert_non_null(got.service);
	assert_null(got.service->name);
	flow_record_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_with_everything_comes_back),
		cmocka_unit_test(any_record_comes_back),
		cmocka_unit_test(what_is_no_record_is_refused),
		cmocka_unit_test(fields_of_later_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
