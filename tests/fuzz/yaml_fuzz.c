// SPDX-License-Identifier: Apache-2.0
// yaml_fuzz.c - any text as a YAML manifest: no crash, no leak, and refusals name a line.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "agent/source/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *arg, struct object *object)
{
	object_put(object);
	return 0;
}

static void problem(void *arg, const char *where, const char *text)
{
	assert(*where && *text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct manifest_sink sink = { .object = take, .problem = problem };
	_cleanup_free_ char *text = malloc(size + 1);
	struct err err = { 0 };

	assert(text);
	memcpy(text, data, size);
	text[size] = '\0';
	if (manifest_parse("fuzz.yaml", text, size, &sink, &err) < 0)
		assert(!strncmp(err.text, "line ", 5));
	return 0;
}
