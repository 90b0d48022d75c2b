// SPDX-License-Identifier: Apache-2.0
// object_fuzz.c - any JSON as an object of each kind: no crash, no leak, and refusals have a sentence; what is written of an
// object is read as the same.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/object/write.h"
#include "agent/source/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_policy(const struct object *object)
{
	const struct netpol *policy = (const struct netpol *)object;

	if (object->kind == KIND_NETPOL && object->problem) {
		assert(policy->isolates[0] || policy->isolates[1]);
		assert(!policy->rules[0].n && !policy->rules[1].n);
	}
}

static void check_written(struct object *object)
{
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_free_ char *text = NULL;
	struct object *again = NULL;
	struct err err = { 0 };
	struct jsonw w;
	size_t len;

	if (!object_writes(object->kind))
		return;
	jsonw_init(&w);
	object_write(&w, object);
	text = strndup(jsonw_get(&w, &len), w.n);
	jsonw_fini(&w);
	if (strstr(text, "\xef\xbf\xbd")) // for what was no UTF-8: no server sends it
		return;
	json = json_tokener_parse(text);
	assert(json);
	assert(object_read(json, &again, &err) == 0);
	if (object->kind != KIND_POD || !((const struct pod *)object)->nhost_ports)
		assert(object_equal(object, again));
	object_put(again);
}

static void check_kind(enum kind kind, struct json_object *json)
{
	struct object *first = NULL, *second = NULL;
	struct err err = { 0 };
	int r = object_parse(kind, json, &first, &err);

	if (r < 0) {
		assert(err.text[0]);
		return;
	}
	r = object_parse(kind, json, &second, &err);
	assert(r == 0);
	assert(object_equal(first, second));
	check_policy(first);
	check_written(first);
	object_put(first);
	object_put(second);
}

static int check_value(void *arg, struct json_object *json, size_t line)
{
	size_t strings, bytes;

	for (int kind = 0; kind < KIND_MAX; kind++)
		check_kind((enum kind)kind, json);
	intern_stats(&strings, &bytes);
	assert(!strings);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	struct err err = { 0 };

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	json_parse(text, size, check_value, NULL, &err);
	return 0;
}
