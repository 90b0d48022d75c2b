// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/test.h"

#include "agent/base/intern.h"
#include "agent/object/kind.h"

static int read_selector(const char *text, struct selector *ret, struct err *err)
{
	_cleanup_json_ struct json_object *json = test_json(text);
	struct at root = at_root(json);

	return selector_read(&root, ret, err);
}

static bool match(const char *selector_text, const char *labels_text)
{
	_cleanup_json_ struct json_object *json = test_json(labels_text);
	struct at root = at_root(json);
	struct selector selector = { 0 };
	struct labels labels = { 0 };
	struct err err = { 0 };
	bool matches;

	assert_ok_err(read_selector(selector_text, &selector, &err), &err);
	assert_ok_err(labels_read(&root, &labels, &err), &err);
	matches = selector_match(&selector, &labels);
	labels_fini(&labels);
	selector_fini(&selector);
	return matches;
}

#define EXPRESSION(key, op, values)                                                                \
	"{'matchExpressions':[{'key':'" key "','operator':'" op "','values':" values "}]}"

static void operators_match_as_the_api_says(void **state)
{
	assert_true(match("{}", "{}"));
	assert_true(match("{}", "{'a':'b'}"));
	assert_true(match("{'matchLabels':{'a':'b'}}", "{'a':'b','c':'d'}"));
	assert_false(match("{'matchLabels':{'a':'b'}}", "{'a':'c'}"));
	assert_true(match("{'matchLabels':{'a':''}}", "{'a':''}"));
	assert_false(match("{'matchLabels':{'a':''}}", "{}"));
	assert_true(match(EXPRESSION("a", "In", "['x','y']"), "{'a':'y'}"));
	assert_false(match(EXPRESSION("a", "In", "['x','y']"), "{}"));
	assert_true(match(EXPRESSION("a", "NotIn", "['x']"), "{}"));
	assert_true(match(EXPRESSION("a", "NotIn", "['x']"), "{'a':'y'}"));
	assert_false(match(EXPRESSION("a", "NotIn", "['x']"), "{'a':'x'}"));
	assert_true(match(EXPRESSION("a", "Exists", "[]"), "{'a':''}"));
	assert_false(match(EXPRESSION("a", "Exists", "null"), "{'b':''}"));
	assert_true(match(EXPRESSION("a", "DoesNotExist", "[]"), "{'b':'x'}"));
	assert_false(match(EXPRESSION("a", "DoesNotExist", "[]"), "{'a':'x'}"));
}

static void equal_selectors_have_one_form(void **state)
{
	struct selector a = { 0 }, b = { 0 }, c = { 0 };
	struct err err = { 0 };

	assert_ok_err(read_selector("{'matchLabels':{'x':'1','a':'2'},'matchExpressions':["
				    "{'key':'k','operator':'In','values':['b','a','b']},"
				    "{'key':'a','operator':'In','values':['2']}]}",
				    &a, &err),
		      &err);
	assert_ok_err(read_selector("{'matchLabels':{'a':'2','x':'1'},'matchExpressions':["
				    "{'key':'k','operator':'In','values':['a','b']}]}",
				    &b, &err),
		      &err);
	assert_ok_err(read_selector("{'matchLabels':{'a':'2','x':'1'},'matchExpressions':["
				    "{'key':'k','operator':'NotIn','values':['a','b']}]}",
				    &c, &err),
		      &err);
	assert_int_equal(a.nterms, 3);
	assert_true(selector_equal(&a, &b));
	assert_false(selector_equal(&a, &c));
	selector_fini(&a);
	selector_fini(&b);
	selector_fini(&c);
}

static void what_the_api_refuses_is_refused(void **state)
{
	static const struct {
		const char *text, *start;
	} cases[] = {
		{ "[]", "is a list, not an object" },
		{ "{'matchLabel':{}}", "matchLabel: unknown field" },
		{ "{'matchLabels':[]}", "matchLabels: is a list" },
		{ "{'matchLabels':{'a':1}}", "matchLabels: the value of \"a\" is an integer" },
		{ "{'matchLabels':{'a':true}}", "matchLabels: the value of \"a\" is a boolean" },
		{ "{'matchLabels':{'a b':'c'}}", "matchLabels: \"a b\" is no label key" },
		{ "{'matchLabels':{'UP/a':'c'}}", "matchLabels: \"UP/a\" is no label key" },
		{ "{'matchLabels':{'a':'-c'}}", "matchLabels: \"-c\" is no label value" },
		{ "{'matchExpressions':{}}", "matchExpressions: is an object, not a list" },
		{ "{'matchExpressions':[null]}", "matchExpressions[0]: is null" },
		{ EXPRESSION("a", "Gt", "['1']"), "matchExpressions[0].operator: \"Gt\"" },
		{ EXPRESSION("a", "In", "[]"), "matchExpressions[0].values: must not be empty" },
		{ EXPRESSION("a", "Exists", "['x']"), "matchExpressions[0].values: must be empty" },
		{ EXPRESSION("a", "In", "['ok','not ok']"), "matchExpressions[0].values[1]:" },
		{ EXPRESSION("a", "In", "[7]"), "matchExpressions[0].values[0]: is an integer" },
		{ EXPRESSION("", "In", "['x']"), "matchExpressions[0].key: \"\"" },
		{ "{'matchExpressions':[{'operator':'Exists'}]}", "matchExpressions[0].key:" },
		{ "{'matchExpressions':[{'key':'a'}]}", "matchExpressions[0].operator:" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct selector selector = { 0 };
		struct err err = { 0 };

		assert_err(read_selector(cases[i].text, &selector, &err), -EBADMSG);
		assert_str_starts(err.text, cases[i].start);
		assert_int_equal(selector.nterms, 0);
		assert_null(selector.terms);
	}
}

static void limits_are_named(void **state)
{
	_cleanup_json_ struct json_object *json = json_object_new_object();
	struct json_object *map = json_object_new_object();
	struct selector selector = { 0 };
	struct at root = at_root(json);
	struct err err = { 0 };
	char key[32];

	for (int i = 0; i <= OBJECT_MAX_TERMS; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		json_object_object_add(map, key, json_object_new_string("v"));
	}
	json_object_object_add(json, "matchLabels", map);
	assert_err(selector_read(&root, &selector, &err), -EBADMSG);
	assert_str_contains(err.text, "has 1025 requirements, at most 1024 are allowed");
}

static int nothing_is_left(void **state)
{
	size_t strings, bytes;

	intern_stats(&strings, &bytes);
	assert_int_equal(strings, 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(operators_match_as_the_api_says, nothing_is_left),
		cmocka_unit_test_teardown(equal_selectors_have_one_form, nothing_is_left),
		cmocka_unit_test_teardown(what_the_api_refuses_is_refused, nothing_is_left),
		cmocka_unit_test_teardown(limits_are_named, nothing_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
