// SPDX-License-Identifier: Apache-2.0
// object_fuzz.c - any JSON as an object of each kind: no crash, no leak, and refusals have a sentence.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/object/object.h"
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
