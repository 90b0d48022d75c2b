// SPDX-License-Identifier: Apache-2.0
// prune_test.c - what nobody reads is left out, and what stays is what was there.
#include "tests/harness/test.h"

#include "agent/kube/prune.h"
#include "agent/object/object.h"

static void check(const char *text, const char *want)
{
	size_t len = strlen(text), n;
	char *out = malloc(len + 1);

	n = prune(text, len, out);
	out[n] = '\0';
	assert_str(out, want);
	free(out);
}

static void fields_are_left_out_where_they_stand(void **state)
{
	check("{ \"metadata\" : { \"managedFields\" : [ { \"a\" : \"]}\\\"\" } ] , \"name\" : \"x\" } }",
	      "{\"metadata\":{\"name\":\"x\"}}");
	check("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\",\"managedFields\":[]},\"spec\":{\"volumes\":1}}}",
	      "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"x\"},\"spec\":{}}}");
	check("{\"spec\":{\"containers\":[{\"env\":[],\"ports\":[1],\"name\":\"c\"},{},7,[{\"env\":1}]]}}",
	      "{\"spec\":{\"containers\":[{\"ports\":[1],\"name\":\"c\"},{},7,[{\"env\":1}]]}}");
}

static void names_of_others_stay(void **state)
{
	// keys that people choose may be called anything
	check("{\"metadata\":{\"labels\":{\"managedFields\":\"1\",\"env\":\"2\"},\"annotations\":{\"volumes\":\"3\"}}}",
	      "{\"metadata\":{\"labels\":{\"managedFields\":\"1\",\"env\":\"2\"},\"annotations\":{\"volumes\":\"3\"}}}");
	check("{\"spec\":{\"podSelector\":{\"matchLabels\":{\"volumes\":\"a\"}},\"env\":1}}",
	      "{\"spec\":{\"podSelector\":{\"matchLabels\":{\"volumes\":\"a\"}},\"env\":1}}");
	check("{\"status\":\"Failure\",\"metadata\":null,\"spec\":[{\"volumes\":1}]}",
	      "{\"status\":\"Failure\",\"metadata\":null,\"spec\":[{\"volumes\":1}]}");
}

static void what_is_no_json_is_left_to_its_parser(void **state)
{
	static const char *const texts[] = {
		"",	 "7",	    "[]",	"{",	   "{}x",	"{\"a\"}",     "{\"a\":}",
		"{,}",	 "{\"a\":1,}", "{\"metadata\":{\"managedFields\":[",
		"{\"a",	 "{\"a\\",  "{\"metadata\":{\"labels\":", "{\"spec\":{\"containers\":[{},]}}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		check(texts[i], "");
}

// A pod's, a node's ... trimmed object is the same with and without.
static void recorded_objects_mean_the_same(void **state)
{
	static const struct {
		enum kind kind;
		const char *file;
	} cases[] = {
		{ KIND_POD, "pods" },		{ KIND_NODE, "nodes" },	      { KIND_NAMESPACE, "namespaces" },
		{ KIND_NETPOL, "networkpolicies" }, { KIND_SERVICE, "services" }, { KIND_ENDPOINTSLICE, "endpointslices" },
	};
	size_t before = 0, after = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[PATH_MAX], name[96];
		_cleanup_free_ char *text = NULL, *out = NULL;
		char *line, *rest;
		size_t len;

		snprintf(name, sizeof(name), "fixtures/apiserver/watchlist/%s.jsonl", cases[i].file);
		text = test_read(test_shared(path, name), &len);
		out = malloc(len + 1);
		for (rest = text; (line = strsep(&rest, "\n"));) {
			_cleanup_json_ struct json_object *whole = json_tokener_parse(line), *part = NULL;
			struct object *a = NULL, *b = NULL;
			size_t n = prune(line, strlen(line), out);

			if (!*line || strstr(line, "BOOKMARK"))
				continue;
			out[n] = '\0';
			part = json_tokener_parse(out);
			assert_ok(object_parse(cases[i].kind, json_object_object_get(whole, "object"), &a, NULL));
			assert_ok(object_parse(cases[i].kind, json_object_object_get(part, "object"), &b, NULL));
			assert_true(object_equal(a, b));
			object_put(a);
			object_put(b);
			before += strlen(line);
			after += n;
		}
	}
	assert_true(after < before / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_left_out_where_they_stand),
		cmocka_unit_test(names_of_others_stay),
		cmocka_unit_test(what_is_no_json_is_left_to_its_parser),
		cmocka_unit_test(recorded_objects_mean_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
