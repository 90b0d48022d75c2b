// SPDX-License-Identifier: Apache-2.0
// split_fuzz.c - any bytes as a list or a watch: in pieces as in one, and what json-c reads as one value is cut as one,
// and is still JSON when what nobody reads is left out.
#include <assert.h>
#include <json-c/json.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/prune.h"
#include "agent/kube/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct story {
	uint64_t sum; // of all parts and bytes, order mattering
	size_t values;
	struct json_tokener *tokener; // asks it about each value; NULL: does not
};

static void add(struct story *story, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		story->sum = (story->sum ^ (uint8_t)text[i]) * 0x100000001b3;
}

static int note(void *arg, enum split_part part, const char *text, size_t len)
{
	struct story *story = arg;
	struct json_object *json;
	char *pruned;
	size_t n;

	assert(len && part != SPLIT_REST);
	story->values++;
	add(story, (char[]){ (char)part }, 1);
	add(story, text, len);
	if (!story->tokener || (part != SPLIT_VALUE && part != SPLIT_ITEM))
		return 0;
	json_tokener_reset(story->tokener);
	json = json_tokener_parse_ex(story->tokener, text, (int)len);
	if (json) // else it is none, which is for the parser to say
		assert(json_tokener_get_parse_end(story->tokener) == len);
	pruned = malloc(len);
	n = prune(text, len, pruned);
	assert(n <= len);
	if (json && n) { // what is left is JSON, too
		json_object_put(json);
		json_tokener_reset(story->tokener);
		json = json_tokener_parse_ex(story->tokener, pruned, (int)n);
		assert(json && json_tokener_get_parse_end(story->tokener) == n);
	}
	free(pruned);
	json_object_put(json);
	return 0;
}

static int feed(enum split_mode mode, const uint8_t *data, size_t size, size_t piece,
		struct story *story)
{
	struct split *split = NULL;
	struct err err = { 0 };
	int r = split_new(mode, note, story, &split);

	assert(r == 0);
	for (size_t at = 0; !r && at < size; at += piece) {
		size_t len = size - at < piece ? size - at : piece;
		char *copy = malloc(len);

		memcpy(copy, data + at, len);
		r = split_feed(split, copy, len, &err);
		free(copy);
	}
	if (!r)
		r = split_end(split, &err);
	assert(r == 0 || err.text[0]);
	split_free(split);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_tokener *tokener = json_tokener_new_ex(SPLIT_DEPTH_MAX + 1);

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	for (int mode = SPLIT_VALUES; mode <= SPLIT_LIST; mode++) {
		struct story whole = { .tokener = tokener };
		int r = feed((enum split_mode)mode, data, size, size ? size : 1, &whole);

		for (size_t piece = 1; piece < size && piece < 40; piece = piece * 2 + 1) {
			struct story story = { 0 };

			assert(feed((enum split_mode)mode, data, size, piece, &story) == r);
			assert(story.values == whole.values && story.sum == whole.sum);
		}
	}
	json_tokener_free(tokener);
	return 0;
}
