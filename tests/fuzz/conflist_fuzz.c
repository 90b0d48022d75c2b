// SPDX-License-Identifier: Apache-2.0
// conflist_fuzz.c - any bytes as a CNI configuration: what gets the entry is JSON with the same plugins and ours behind
// them, gets it once, and gives back each of its bytes when the entry is taken out.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/conflist/conflist.h"

#define ENTRY "{ \"type\": \"bulkhead-cni\", \"timeoutSeconds\": 3 }"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct json_object *plugins_of(struct json_object *json)
{
	struct json_object *plugins = NULL;

	assert(json_object_object_get_ex(json, "plugins", &plugins));
	return plugins;
}

// By json-c alone; its depth is the room's.
static struct json_object *parse(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new_ex(CONFLIST_DEPTH);
	struct json_object *json = json_tokener_parse_ex(tokener, text, (int)len);

	json_tokener_free(tokener);
	assert(json);
	return json;
}

static void same_but_for_ours(const char *before, size_t before_len, const char *after, size_t after_len)
{
	_cleanup_json_ struct json_object *a = parse(before, before_len), *b = parse(after, after_len);
	struct json_object *was = plugins_of(a), *is = plugins_of(b);
	size_t n = json_object_array_length(was);

	assert(json_object_array_length(is) == n + 1);
	for (size_t i = 0; i < n; i++)
		assert(json_object_equal(json_object_array_get_idx(was, i), json_object_array_get_idx(is, i)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = strndup((const char *)data, size), *with = NULL, *back = NULL, *made = NULL, *none = NULL;
	size_t len = strlen(text), with_len = 0, back_len = 0, made_len = 0, none_len = 0;
	struct err err = { 0 };

	if (conflist_wrap(text, len, ENTRY, &made, &made_len, &err) == 0) {
		assert(conflist_stands_for(made, made_len, text, len));
		assert(conflist_insert(made, made_len, ENTRY, &none, &none_len, &err) == 0 && !none);
	}
	// What had an entry already loses it for good.
	if (conflist_remove(text, len, &back, &back_len, &err) == 0 && back) {
		free(text);
		text = TAKE_PTR(back);
		len = back_len;
	}
	if (conflist_insert(text, len, ENTRY, &with, &with_len, &err) < 0)
		return 0;
	assert(with && strlen(with) == with_len);
	same_but_for_ours(text, len, with, with_len);
	assert(conflist_insert(with, with_len, ENTRY, &none, &none_len, &err) == 0 && !none);
	assert(conflist_remove(with, with_len, &back, &back_len, &err) == 0 && back);
	assert(back_len == len && memcmp(back, text, len) == 0);
	return 0;
}
