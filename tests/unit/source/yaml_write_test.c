// SPDX-License-Identifier: Apache-2.0
// yaml_write_test.c - JSON as YAML: what is written reads as the same again, whatever its strings look like.
#include "tests/harness/test.h"

#include "agent/source/yaml.h"
#include "agent/source/yaml_write.h"

static int keep(void *arg, struct json_object *json, size_t line)
{
	if (json)
		*(struct json_object **)arg = json_object_get(json);
	return 0;
}

static char *write_text(struct json_object *json)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_ok(yaml_write(out, json));
	fclose(out);
	return text;
}

static void assert_returns(struct json_object *json)
{
	_cleanup_free_ char *text = write_text(json);
	_cleanup_json_ struct json_object *got = NULL;
	struct err err = { 0 };

	assert_ok_err(yaml_parse(text, strlen(text), keep, &got, &err), &err);
	if (!json_object_equal(got, json))
		fail_msg("%s\nbecame %s: %s", json_object_to_json_string(json), json_object_to_json_string(got), text);
}

static void strings_stay_strings(void **state)
{
	static const char *const texts[] = { "", "plain", "true", "yes", "null", "~", "1", "0x10", "1e3", ".inf", "- a", "a: b", "#c", "a #b",
					     "*a", "&a", "!t", "'q'", "\"q\"", "two\nlines", " blank ", "\ttab", "on", "0.5", "=",
					     "%p", "@a", "`b", "{a}", "[a]", "---", "...", "\xc3\xa9", "y", "2001:db8::/32", "10.0.0.0/8" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_json_ struct json_object *json = json_object_new_object();
		struct json_object *list = json_object_new_array();

		json_object_array_add(list, json_object_new_string(texts[i]));
		json_object_object_add(json, texts[i], json_object_new_string(texts[i]));
		json_object_object_add(json, "list", list);
		assert_returns(json);
	}
}

static void values_of_each_kind(void **state)
{
	_cleanup_json_ struct json_object *json =
		test_json("{'a': {}, 'b': [], 'c': [{'d': 1, 'e': [[2, -3], true]}, null, 1.5], 'f': {'g': {'h': 'i'}}}");

	assert_returns(json);
}

static void it_reads_well(void **state)
{
	_cleanup_json_ struct json_object *json =
		test_json("{'kind': 'NetworkPolicy', 'spec': {'podSelector': {}, 'ports': [{'port': 80, 'name': '80'}], 'types': ['Egress']}}");
	_cleanup_free_ char *text = write_text(json);

	assert_str(text, "---\nkind: NetworkPolicy\nspec:\n  podSelector: {}\n  ports:\n  - port: 80\n    name: \"80\"\n"
			 "  types:\n  - Egress\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_stay_strings),
		cmocka_unit_test(values_of_each_kind),
		cmocka_unit_test(it_reads_well),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
