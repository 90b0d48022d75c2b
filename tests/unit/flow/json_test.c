// SPDX-License-Identifier: Apache-2.0
// Records as JSON: every field of the schema, nothing where there is nothing, any text at all; a validator of others agrees.
#include "tests/harness/test.h"

#include <arpa/inet.h>
#include <json-c/json.h>

#include "agent/flow/json.h"
#include "tests/harness/record.h"

#define RANDOM_RECORDS 500

static char *text_of(const struct flow_record *record)
{
	struct evbuffer *out = evbuffer_new();
	char *text;
	size_t len;

	assert_ok(flow_json(out, record, "node-a"));
	len = evbuffer_get_length(out);
	text = calloc(1, len + 1);
	evbuffer_remove(out, text, len);
	evbuffer_free(out);
	return text;
}

static void assert_record(const struct flow_record *record, const char *want)
{
	_cleanup_free_ char *text = text_of(record);
	_cleanup_json_ struct json_object *json = test_json(want);

	assert_str(text, json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void a_record_with_everything(void **state)
{
	struct flow_record record;

	record_full(&record);
	assert_record(&record,
		      "{'version':1,'seq':42,'type':'end','time':'2026-11-21T01:00:03.000000042Z','id':'feed0000beef0001',"
		      "'node':'node-a','verdict':'allowed','reason':'allowed','direction':'egress','protocol':'TCP',"
		      "'source':{'address':'10.0.1.5','port':43210,'kind':'pod','namespace':'shop','pod':'web-7d4b9','uid':'uid-web',"
		      "'workload':{'kind':'Deployment','name':'web'},'labels':{'app':'web','tier':'front'},'node':'node-a'},"
		      "'destination':{'address':'10.96.0.10','port':5432,'kind':'service',"
		      "'backend':{'address':'10.0.2.7','port':15432,'kind':'pod','namespace':'shop','pod':'db-0','uid':'uid-db',"
		      "'workload':{'kind':'StatefulSet','name':'db'},'labels':{'app':'db'},'labels_cut':3,'node':'node-b'}},"
		      "'service':{'namespace':'shop','name':'db'},"
		      "'packets':{'forward':7,'reverse':6},'bytes':{'forward':900,'reverse':1500},"
		      "'first':'2026-11-21T01:00:00.000000000Z','last':'2026-11-21T01:00:02.500000000Z','duration_ms':2500,"
		      "'tcp_flags':{'forward':['SYN','ACK','FIN'],'reverse':['ACK','FIN']},'over':'closed',"
		      "'policy':{'kind':'ClusterNetworkPolicy','direction':'egress','policies':['databases'],'rule':3,"
		      "'rule_name':'to-db','tier':'Admin'}}");
	flow_record_fini(&record);
}

static void what_is_not_known_is_absent(void **state)
{
	struct flow_card world = { .refs = 1, .who = FLOW_WORLD }, node = { .refs = 1, .who = FLOW_NODE, .name = "node-b" };
	struct flow_record record = {
		.seq = 1, .type = FLOW_DENY, .verdict = FLOW_DENIED, .reason = BH_REASON_POLICY_DENIED, .proto = 47,
		.time_ns = 1, .first_ns = 0, .last_ns = 0, .packets = { 3 }, .bytes = { 252 },
	};

	record.src.card = &world;
	record.src.addr.w[3] = htonl(1);
	record.dst = (struct flow_end){ bh_addr_from4(htonl(0x0a000001)), 0, &node };
	assert_record(&record,
		      "{'version':1,'seq':1,'type':'deny','time':'1970-01-01T00:00:00.000000001Z','node':'node-a','verdict':'denied',"
		      "'reason':'policy-denied','direction':'ingress','protocol':'47','source':{'address':'::1','kind':'world'},"
		      "'destination':{'address':'10.0.0.1','kind':'node','node':'node-b'},'packets':{'forward':3},"
		      "'bytes':{'forward':252},'first':'1970-01-01T00:00:00.000000000Z','last':'1970-01-01T00:00:00.000000000Z'}");
}

// What a validator written by others says of n lines in a file.
static void assert_valid(const char *path, unsigned int n)
{
	char command[PATH_MAX + 128], said[4096] = "";
	FILE *pipe;
	size_t len;

	snprintf(command, sizeof(command), "tests/harness/validate.py docs/flow.schema.json <'%s' 2>&1", path);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	len = fread(said, 1, sizeof(said) - 1, pipe);
	if (pclose(pipe) != 0 || len == 0)
		fail_msg("%s", said);
	snprintf(command, sizeof(command), "%u\n", n);
	assert_str(said, command);
}

static void records_of_any_kind_are_as_the_schema_says(void **state)
{
	char dir[PATH_MAX], path[PATH_MAX + 16];
	unsigned int seed = 1;
	FILE *file;

	snprintf(path, sizeof(path), "%s/lines", test_mkdir(dir));
	file = fopen(path, "w");
	assert_non_null(file);
	for (int i = 0; i < RANDOM_RECORDS; i++) {
		_cleanup_free_ char *text = NULL;
		struct flow_record record;

		record_random(&seed, &record);
		text = text_of(&record);
		flow_record_fini(&record);
		fprintf(file, "%s\n", text);
	}
	assert_int_equal(fclose(file), 0);
	assert_valid(path, RANDOM_RECORDS);
	test_rmdir(dir);
}

// Each text comes back as it was, but for the bytes that are no UTF-8.
static void any_text_survives(void **state)
{
	static const char *const cases[][2] = {
		{ "plain", "plain" },
		{ "\"\\/", "\"\\/" },
		{ "\b\f\n\r\t\x01\x1f\x7f", "\b\f\n\r\t\x01\x1f\x7f" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ "a\xff" "b", "a\xef\xbf\xbd" "b" },
		{ "\xc3", "\xef\xbf\xbd" },
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct flow_card pod = { .refs = 1, .who = FLOW_POD, .ns = "ns", .name = cases[i][0] };
		struct flow_record record = { .src.card = &pod, .dst.card = &pod };
		_cleanup_free_ char *text = text_of(&record);
		_cleanup_json_ struct json_object *json = json_tokener_parse(text);
		struct json_object *source;

		assert_true(json_object_object_get_ex(json, "source", &source));
		assert_str(json_object_get_string(json_object_object_get(source, "pod")), cases[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_with_everything),
		cmocka_unit_test(what_is_not_known_is_absent),
		cmocka_unit_test(records_of_any_kind_are_as_the_schema_says),
		cmocka_unit_test(any_text_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
