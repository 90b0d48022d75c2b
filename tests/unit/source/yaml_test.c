// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/test.h"

#include "agent/source/yaml.h"

// All documents as one JSON text each, joined by '|'.
static int collect(void *arg, struct json_object *json, size_t line)
{
	char *buf = arg;
	size_t len = strlen(buf);

	snprintf(buf + len, 4096 - len, "%s%s", len ? "|" : "",
		 json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN |
							      JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

static void check(const char *yaml, const char *want)
{
	char got[4096] = "";
	struct err err = { 0 };

	assert_ok_err(yaml_parse(yaml, strlen(yaml), collect, got, &err), &err);
	assert_str(got, want);
}

static void check_error(const char *yaml, const char *text)
{
	char got[4096] = "";
	struct err err = { 0 };

	assert_err(yaml_parse(yaml, strlen(yaml), collect, got, &err), -EBADMSG);
	assert_str_contains(err.text, text);
}

static int count_documents(void *arg, struct json_object *json, size_t line)
{
	return 0;
}

static void plain_words_have_types(void **state)
{
	check("[~, null, NULL, '', \"null\"]", "[null,null,null,\"\",\"null\"]");
	check("[true, False, yes, off, y, N, 'yes']",
	      "[true,false,true,false,\"y\",\"N\",\"yes\"]");
	check("[0, 7, -7, +7, 0x1F, 0o17, 017, 0b101, 1_000]", "[0,7,-7,7,31,15,15,5,1000]");
	check("[9223372036854775807, -9223372036854775808, 18446744073709551615]",
	      "[9223372036854775807,-9223372036854775808,18446744073709551615]");
	check("[80.0, 1e3, .5, 08, 1.5]", "[80,1000,0.5,8,1.5]");
	check("[10.0.0.0/8, 1.2.3, 2026-11-21, 0x, 1e, -, fd00::1, 0.0.0.0]",
	      "[\"10.0.0.0/8\",\"1.2.3\",\"2026-11-21\",\"0x\",\"1e\",\"-\",\"fd00::1\",\"0.0.0.0\"]");
	check("a: !!str 7", "{\"a\":\"7\"}");
	check("a: ! 7", "{\"a\":\"7\"}");
	check("a:", "{\"a\":null}");
	check("a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}");
	check_error("a: .inf", "line 1: a number that JSON cannot hold");
	check_error("a: !!binary aGk=", "line 1: unknown tag");
}

static void documents_and_keys(void **state)
{
	check("a: 1\n---\nb: 2\n...\n---\n[c]\n", "{\"a\":1}|{\"b\":2}|[\"c\"]");
	check("# nothing\n", "");
	check("---\n---\na: 1\n", "null|{\"a\":1}");
	check("{1: a, true: b, 0x10: c}", "{\"1\":\"a\",\"true\":\"b\",\"16\":\"c\"}");
}

static void anchors_and_merges(void **state)
{
	check("a: &x [1, 2]\nb: *x\n", "{\"a\":[1,2],\"b\":[1,2]}");
	check("- &x {a: 1, b: 2}\n- <<: *x\n  b: 3\n", "[{\"a\":1,\"b\":2},{\"b\":3,\"a\":1}]");
	check("- &x {a: 1}\n- &y {a: 2, c: 3}\n- <<: [*x, *y]\n",
	      "[{\"a\":1},{\"a\":2,\"c\":3},{\"a\":1,\"c\":3}]");
	check("'<<': 1", "{\"<<\":1}");
	check("[&x 1, &x 2, *x]", "[1,2,2]");
	check_error("a: *nobody", "alias of an anchor that does not exist");
	check_error("a: &x [*x]", "alias inside of its own anchor");
	check_error("--- &x {a: 1}\n--- {b: *x}\n", "alias of an anchor");
	check_error("<<: 7", "<< needs a map");
	check_error("<<: ", "<< needs a map");
}

static void what_is_wrong_has_a_line(void **state)
{
	check_error("a: 1\nb: 2\na: 3\n", "line 3: key \"a\" stands twice");
	check_error("a:\n  b: 1\n  b: 1\n", "line 3: key \"b\"");
	check_error("1: a\n'1': b\n", "line 2: key \"1\"");
	check_error("a: [1\nb: 2", "line 2: ");
	check_error("a: b: c", "line 1: ");
	check_error("? [a]\n: b\n", "line 1: a key must be a string");
	check_error("? ~\n: b\n", "line 1: a key must be a string");
	check_error("\"a\\0b\": 1", "line 1: a key has a NUL");
	check_error("\xff\xfe\xff", "line 1: ");
	check_error("a: \x01", "line 1: ");
}

static void depth_is_limited(void **state)
{
	char deep[512];
	size_t n = 0;

	for (int i = 0; i < 100; i++)
		deep[n++] = '[';
	for (int i = 0; i < 100; i++)
		deep[n++] = ']';
	deep[n] = '\0';
	check_error(deep, "nested too deep");
	// An alias counts with the depth of what it stands for.
	check_error(
		"- &a [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n"
		"- [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n",
		"nested too deep");
}

static void anchors_are_limited(void **state)
{
	char many[64 * (YAML_MAX_ANCHORS + 1)];
	size_t n = 0;

	for (int i = 0; i < YAML_MAX_ANCHORS; i++)
		n += (size_t)snprintf(many + n, sizeof(many) - n, "- &x%d {a: 1}\n", i);
	assert_ok(yaml_parse(many, n, count_documents, NULL, NULL));
	n += (size_t)snprintf(many + n, sizeof(many) - n, "- &last {a: 1}\n");
	check_error(many, "too many anchors");
}

static void aliases_cannot_explode(void **state)
{
	char text[4096];
	int n = snprintf(text, sizeof(text), "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");

	for (int i = 1; i < 12; i++) {
		n += snprintf(text + n, sizeof(text) - (size_t)n, "a%d: &a%d [", i, i);
		for (int j = 0; j < 10; j++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%s*a%d", j ? "," : "",
				      i - 1);
		n += snprintf(text + n, sizeof(text) - (size_t)n, "]\n");
	}
	check_error(text, "too many values");
}

static int stop(void *arg, struct json_object *json, size_t line)
{
	return (int)line;
}

static void the_callback_can_stop_and_knows_its_line(void **state)
{
	assert_int_equal(yaml_parse("\n\na: 1\n---\nb: 1\n", 15, stop, NULL, NULL), 3);
}

static void check_json(const char *json, const char *want)
{
	char got[4096] = "";
	struct err err = { 0 };

	assert_ok_err(json_parse(json, strlen(json), collect, got, &err), &err);
	assert_str(got, want);
}

static void check_json_error(const char *json, const char *text)
{
	char got[4096] = "";
	struct err err = { 0 };

	if (json_parse(json, strlen(json), collect, got, &err) != -EBADMSG)
		fail_msg("accepted: %s as %s", json, got);
	assert_str_starts(err.text, text);
}

static void json_is_strict(void **state)
{
	check_json("{\"a\": [1, null]}", "{\"a\":[1,null]}");
	check_json(" {\"a\":1}\n{\"b\":2}\n", "{\"a\":1}|{\"b\":2}");
	check_json("7", "7");
	check_json(" \n", "");
	check_json_error("{\"a\":1,\n\"b\":2", "line 2: unexpected end of data");
	check_json_error("{\"a\":1,\n\nb:2}", "line 3: ");
	check_json_error("{\"a\":1,}", "line 1: ");
	check_json_error("{\"a\":\"\xff\"}", "line 1: ");
	check_json_error(
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1",
		"line 1: ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_words_have_types),
		cmocka_unit_test(documents_and_keys),
		cmocka_unit_test(anchors_and_merges),
		cmocka_unit_test(what_is_wrong_has_a_line),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(anchors_are_limited),
		cmocka_unit_test(aliases_cannot_explode),
		cmocka_unit_test(the_callback_can_stop_and_knows_its_line),
		cmocka_unit_test(json_is_strict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
