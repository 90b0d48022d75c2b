// SPDX-License-Identifier: Apache-2.0
// conf_test.c - a runtime's configuration: what is kept of it, byte for byte, and what is refused.
#include "tests/harness/test.h"

#include "cni/conf.h"
#include "cni/result.h"

static struct conf conf;
static struct err err;

static int parse(const char *text)
{
	conf_fini(&conf);
	err = (struct err){ 0 };
	return conf_parse(text, strlen(text), &conf, &err);
}

#define BEGIN "{\"cniVersion\":\"1.0.0\",\"name\":\"net\""

static void defaults(void **state)
{
	assert_ok_err(parse(BEGIN "}"), &err);
	assert_int_equal(conf.version, CONF_1_0);
	assert_str(conf.version_text, "1.0.0");
	assert_str(conf.name, "net");
	assert_str(conf.socket, "/run/bulkhead/control.sock");
	assert_str(conf.records, "/run/bulkhead/cni");
	assert_int_equal(conf.timeout_sec, 10);
	assert_int_equal(conf.on_agent_down, CONF_FAIL);
	assert_int_equal(conf.on_timeout, CONF_SLOW_QUARANTINE);
	assert_int_equal(conf.on_other, CONF_OTHER_FAIL);
	assert_null(conf.prev);
	assert_null(conf.valid);
}

static void own_keys(void **state)
{
	assert_ok_err(
		parse(BEGIN
		      ",\"socket\":\"/a\",\"records\":\"/b\",\"timeoutSeconds\":300,\"onAgentDown\":\"quarantine\","
		      "\"onTimeout\":\"fail\",\"onOtherInterface\":\"pass\",\"--socket\":1,\"else\":[1]}"),
		&err);
	assert_str(conf.socket, "/a");
	assert_str(conf.records, "/b");
	assert_int_equal(conf.timeout_sec, 300);
	assert_int_equal(conf.on_agent_down, CONF_QUARANTINE);
	assert_int_equal(conf.on_timeout, CONF_SLOW_FAIL);
	assert_int_equal(conf.on_other, CONF_OTHER_PASS);
}

static void prev_is(const char *text, const char *want)
{
	assert_ok_err(parse(text), &err);
	assert_int_equal(conf.prev_len, strlen(want));
	assert_memory_equal(conf.prev_text, want, conf.prev_len);
}

static void prev_result_keeps_its_bytes(void **state)
{
	const char *odd = "{\"a\": 1.0e3 ,\n\t\"b\":\"\\u00e9\\/}\",\"c\":[{ }] }";
	char text[512];

	snprintf(text, sizeof(text), BEGIN ",\"prevResult\" :\t%s  ,\"z\":1}", odd);
	prev_is(text, odd);
	snprintf(text, sizeof(text), " " BEGIN " , \"prev\\u0052esult\":%s \r\n} \n", odd);
	prev_is(text, odd);
	prev_is(BEGIN ",\"prevResult\":{\"a\":1},\"prevResult\":{}}",
		"{}"); // the last one counts, as for json-c
	assert_ok_err(parse(BEGIN ",\"prevResult\":null}"), &err);
	assert_null(conf.prev);
}

static void valid_attachments(void **state)
{
	assert_ok_err(parse(BEGIN ",\"cni.dev/valid-attachments\":[{}]}"), &err);
	assert_int_equal(json_object_array_length(conf.valid), 1);
	assert_ok_err(parse(BEGIN ",\"cni.dev/valid-attachments\":null}"), &err);
	assert_int_equal(json_object_array_length(conf.valid), 0);
	assert_ok_err(parse(BEGIN ",\"cni.dev/valid-attachments\":[{}],\"cni.dev/valid-attachments\":null}"), &err);
	assert_int_equal(json_object_array_length(conf.valid), 0); // the last one counts
}

static void versions(void **state)
{
	char text[128];

	for (int i = 0; i < CONF_VERSIONS; i++) {
		snprintf(text, sizeof(text), "{\"cniVersion\":\"%s\",\"name\":\"a\"}",
			 conf_versions[i]);
		assert_ok_err(parse(text), &err);
		assert_int_equal(conf.version, i);
		assert_str(conf_version_of(text, strlen(text)), conf_versions[i]);
	}
	assert_err(parse("{\"cniVersion\":\"0.2.0\",\"name\":\"a\"}"), -CNI_INCOMPATIBLE);
	assert_null(conf.version_text);
	assert_err(parse("{\"name\":\"a\"}"), -CNI_INCOMPATIBLE);
	assert_null(conf_version_of("", 0));
	assert_str(conf_version_of("{\"cniVersion\":\"0.4.0\"", 21),
		   "0.4.0"); // as far as it was understood
}

static void refuses(const char *text, int code, const char *sentence)
{
	assert_err(parse(text), -code);
	assert_str_contains(err.text, sentence);
}

static void refusals(void **state)
{
	refuses("", CNI_DECODE, "no object");
	refuses(BEGIN, CNI_DECODE, "missing");
	refuses(BEGIN ",}", CNI_DECODE, "not JSON");
	refuses(BEGIN "}{", CNI_DECODE, "behind");
	refuses(BEGIN ",\"a\":}", CNI_DECODE, "not JSON");
	refuses(BEGIN ",\"a\":[1,2}", CNI_DECODE, "not JSON");
	refuses(BEGIN ",\"a\":\"", CNI_DECODE, "too early");
	refuses(BEGIN ",1:1}", CNI_DECODE, "without a name");
	refuses("{\"cniVersion\":\"1.0.0\"}", CNI_CONFIG, "no 'name'");
	refuses("{\"cniVersion\":\"1.0.0\",\"name\":\"a\\u0000b\"}", CNI_CONFIG, "zero byte");
	refuses("{\"cniVersion\":\"1.0.0\",\"name\":\"-a\"}", CNI_CONFIG, "'name': '-a'");
	refuses(BEGIN ",\"timeoutSeconds\":301}", CNI_CONFIG, "'timeoutSeconds': 301");
	refuses(BEGIN ",\"timeoutSeconds\":99999999999999999999}", CNI_CONFIG, "'timeoutSeconds'");
	refuses(BEGIN ",\"timeoutSeconds\":-1}", CNI_CONFIG, "'timeoutSeconds': -1");
	refuses(BEGIN ",\"prevResult\":[]}", CNI_CONFIG, "'prevResult' is no object");
	refuses(BEGIN ",\"cni.dev/valid-attachments\":{}}", CNI_CONFIG, "is no list");
}

static void depth_is_bounded(void **state)
{
	char text[4096] = BEGIN ",\"a\":";

	memset(text + strlen(text), '[', 1000);
	refuses(text, CNI_DECODE, "not JSON");
}

static int teardown(void **state)
{
	conf_fini(&conf);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults), cmocka_unit_test(own_keys),
		cmocka_unit_test(versions), cmocka_unit_test(prev_result_keeps_its_bytes),
		cmocka_unit_test(valid_attachments),
		cmocka_unit_test(refusals), cmocka_unit_test(depth_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
