// SPDX-License-Identifier: Apache-2.0
// split_test.c - lists and events cut wherever a network may cut them; what is no JSON, and what is too much of it.
#include "tests/harness/test.h"

#include <glob.h>

#include "agent/base/file.h"
#include "agent/base/vec.h"
#include "agent/kube/split.h"

// What was handed on, as text: a letter a part, a line a value.
struct story {
	VEC(char) text;
	size_t values;
	int stop_at; // the value to stop at; 0: none
};

static int note(void *arg, enum split_part part, const char *from, size_t len)
{
	struct story *story = arg;

	assert_ok(vec_reserve(&story->text, len + 4));
	story->text.n += (size_t)snprintf(story->text.v + story->text.n, len + 4, "%c %.*s\n",
					  "VIKM-"[part], (int)len, from);
	return ++story->values == (size_t)story->stop_at ? 7 : 0;
}

static void story_fini(struct story *story)
{
	vec_fini(&story->text);
}

// Pieces of `piece` bytes, the first of `first`.
static int feed(enum split_mode mode, const char *text, size_t len, size_t first, size_t piece,
		struct story *story, struct err *reterr)
{
	struct split *split = NULL;
	size_t at = 0;
	int r;

	assert_ok(split_new(mode, note, story, &split));
	for (r = 0; !r && at < len; at += first, first = piece) {
		_cleanup_free_ char *copy = NULL; // of its own, so that reading beyond is seen

		if (first > len - at)
			first = len - at;
		copy = malloc(first ? first : 1);
		memcpy(copy, text + at, first);
		r = split_feed(split, copy, first, reterr);
	}
	if (!r)
		r = split_end(split, reterr);
	split_free(split);
	return r;
}

static void check(enum split_mode mode, const char *text, const char *want)
{
	size_t len = strlen(text);

	for (size_t piece = 1; piece <= len; piece++) {
		_cleanup_(story_fini) struct story story = { 0 };
		struct err err = { 0 };

		assert_ok_err(feed(mode, text, len, piece, piece, &story, &err), &err);
		assert_ok(vec_push(&story.text, '\0'));
		assert_str(story.text.v, want);
	}
}

static void check_refused(enum split_mode mode, const char *text, int code, const char *why)
{
	size_t len = strlen(text);

	for (size_t piece = 1; piece <= len; piece++) {
		_cleanup_(story_fini) struct story story = { 0 };
		struct err err = { 0 };

		assert_err(feed(mode, text, len, piece, piece, &story, &err), code);
		assert_str_contains(err.text, why);
	}
}

static void events_are_cut(void **state)
{
	check(SPLIT_VALUES, "{\"a\":1}\n{\"b\":[2,{}]}\n", "V {\"a\":1}\nV {\"b\":[2,{}]}\n");
	check(SPLIT_VALUES, "{}{}", "V {}\nV {}\n");
	check(SPLIT_VALUES, " \r\n\t{ \"a\" : \"}{][\\\"\\\\\" } ", "V { \"a\" : \"}{][\\\"\\\\\" }\n");
}

static void lists_are_cut(void **state)
{
	check(SPLIT_LIST, "{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[{\"a\":1},{}]}",
	      "K \"PodList\"\nM {\"resourceVersion\":\"1\"}\nI {\"a\":1}\nI {}\n");
	// what is wanted may stand behind the items, and between what is not
	check(SPLIT_LIST,
	      " { \"x\" : -1.5e3 , \"items\" : [ {\"a\":[]} ] , \"y\":[[\"]\"]],\"z\":{\"kind\":1},\"metadata\":{} ,"
	      "\"t\":true,\"kind\":null } ",
	      "I {\"a\":[]}\nM {}\nK null\n");
	check(SPLIT_LIST, "{\"items\":null,\"metadata\":{}}", "M {}\n"); // Go's empty list
	check(SPLIT_LIST, "{\"items\":[]}", "");
	// keys that only begin alike
	check(SPLIT_LIST, "{\"itemsitemsitemsitems\":[{}],\"item\":[{}],\"it\\\"ems\":1,\"items\":[]}", "");
}

static void what_is_no_json_is_refused(void **state)
{
	check_refused(SPLIT_VALUES, "404 page not found\n", -EBADMSG, "0x34 where an object should begin");
	check_refused(SPLIT_VALUES, "{\"a\":[}", -EBADMSG, "brackets do not match");
	check_refused(SPLIT_VALUES, "{} []", -EBADMSG, "where an object should begin");
	check_refused(SPLIT_LIST, "[]", -EBADMSG, "where a list should begin");
	check_refused(SPLIT_LIST, "{\"items\":{}}", -EBADMSG, "where items should begin");
	check_refused(SPLIT_LIST, "{\"items\":[1]}", -EBADMSG, "where an object should begin");
	check_refused(SPLIT_LIST, "{\"items\":[{},]}", -EBADMSG, "where an object should begin");
	check_refused(SPLIT_LIST, "{\"items\":[{}{}]}", -EBADMSG, "behind an item");
	check_refused(SPLIT_LIST, "{\"a\":1,}", -EBADMSG, "where a key should begin");
	check_refused(SPLIT_LIST, "{\"a\" 1}", -EBADMSG, "where a colon should be");
	check_refused(SPLIT_LIST, "{\"a\":1 \"b\":2}", -EBADMSG, "behind a field");
	check_refused(SPLIT_LIST, "{\"a\":,}", -EBADMSG, "where a value should begin");
	check_refused(SPLIT_LIST, "{\"items\":[]}{\"items\":[]}", -EBADMSG, "behind the list");
	check_refused(SPLIT_LIST, "{\"kind\":\"Status\"}", -EBADMSG, "it has no items");
}

static void what_breaks_off_is_noticed(void **state)
{
	static const char list[] = "{\"kind\":\"L\",\"items\":[{\"a\":\"b\\\"\"},{}],\"metadata\":{}}";
	static const char event[] = "{\"a\":[{\"b\":\"c\\\\\"}]}";

	for (size_t len = 0; len < strlen(list); len++) {
		_cleanup_(story_fini) struct story story = { 0 };

		assert_err(feed(SPLIT_LIST, list, len, len, 1, &story, NULL), -EBADMSG);
	}
	for (size_t len = 1; len < strlen(event); len++) {
		_cleanup_(story_fini) struct story story = { 0 };

		assert_err(feed(SPLIT_VALUES, event, len, len, 1, &story, NULL), -EBADMSG);
		assert_int_equal(story.values, 0);
	}
	check(SPLIT_VALUES, " ", ""); // between events a stream may end
}

static void the_callback_can_stop(void **state)
{
	_cleanup_(story_fini) struct story story = { .stop_at = 2 };

	assert_int_equal(feed(SPLIT_VALUES, "{}{}{}", 6, 6, 6, &story, NULL), 7);
	assert_int_equal(story.values, 2);
}

static void values_have_limits(void **state)
{
	_cleanup_free_ char *text = malloc(SPLIT_VALUE_MAX + 16);
	char deep[SPLIT_DEPTH_MAX * 2 + 8] = "{\"a\":";
	static const size_t pieces[] = { 4096, SPLIT_VALUE_MAX + 16 };

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup_(story_fini) struct story story = { 0 };
		struct err err = { 0 };

		memset(text, ' ', SPLIT_VALUE_MAX + 16);
		text[0] = '{';
		text[SPLIT_VALUE_MAX - 1] = '}'; // as large as may be
		assert_ok(feed(SPLIT_VALUES, text, SPLIT_VALUE_MAX, pieces[i], pieces[i], &story, NULL));
		text[SPLIT_VALUE_MAX - 1] = ' ';
		text[SPLIT_VALUE_MAX] = '}';
		assert_err(feed(SPLIT_VALUES, text, SPLIT_VALUE_MAX + 1, pieces[i], pieces[i], &story, &err),
			   -EMSGSIZE);
		assert_str_contains(err.text, "3145728 bytes");
	}
	memset(deep + 5, '[', SPLIT_DEPTH_MAX);
	check_refused(SPLIT_VALUES, deep, -EMSGSIZE, "nested deeper than 64");
}

// Recorded lists and watches, in pieces of all sizes: the values are those of the text as a whole.
static void recordings_come_in_any_pieces(void **state)
{
	static const char *const patterns[] = { "list/p*.json", "list/services.json", "watch/net*.jsonl",
						"watchlist/n*.jsonl", "policyapi/clu*.json" };
	char folder[PATH_MAX], pattern[PATH_MAX + 64];
	glob_t found = { 0 };

	test_shared(folder, "fixtures/apiserver");
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++) {
		snprintf(pattern, sizeof(pattern), "%s/%s", folder, patterns[i]);
		assert_int_equal(glob(pattern, i ? GLOB_APPEND : 0, NULL, &found), 0);
	}
	for (size_t i = 0; i < found.gl_pathc; i++) {
		bool list = !strstr(found.gl_pathv[i], ".jsonl") && !strstr(found.gl_pathv[i], "-get");
		enum split_mode mode = list ? SPLIT_LIST : SPLIT_VALUES;
		_cleanup_(story_fini) struct story whole = { 0 };
		_cleanup_free_ char *text = NULL;
		struct err err = { 0 };
		size_t len;

		assert_ok(file_read(found.gl_pathv[i], 1 << 20, &text, &len));
		assert_ok_err(feed(mode, text, len, len, len, &whole, &err), &err);
		assert_true(whole.values > 0);
		for (size_t piece = 1; piece < 5000; piece = piece * 3 + 1) {
			_cleanup_(story_fini) struct story story = { 0 };

			assert_ok_err(feed(mode, text, len, piece / 2 + 1, piece, &story, &err), &err);
			assert_int_equal(story.text.n, whole.text.n);
			assert_memory_equal(story.text.v, whole.text.v, whole.text.n);
		}
	}
	globfree(&found);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_are_cut),
		cmocka_unit_test(lists_are_cut),
		cmocka_unit_test(what_is_no_json_is_refused),
		cmocka_unit_test(what_breaks_off_is_noticed),
		cmocka_unit_test(the_callback_can_stop),
		cmocka_unit_test(values_have_limits),
		cmocka_unit_test(recordings_come_in_any_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
