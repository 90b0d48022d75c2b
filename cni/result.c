// SPDX-License-Identifier: Apache-2.0
// result.c - errors and versions as JSON.
#include "cni/result.h"

#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/utf8.h"
#include "cni/conf.h"

#define PRETTY (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

// What an operator does about it.
static const char *advice(int code)
{
	switch (code) {
	case CNI_TRY_LATER:
		return "the pod stays closed; `bulkhead status` says what the agent waits for";
	case CNI_NO_VETH:
		return "only pods behind veth pairs can be protected; \"onOtherInterface\": \"pass\" lets others go unprotected";
	case CNI_UNAVAILABLE:
	case CNI_LIMITED:
		return "start bulkheadd on this node, or look at its log";
	case CNI_NOT_ENFORCED:
		return "`bulkhead endpoint list` shows every pod's state";
	default:
		return NULL;
	}
}

static void add(struct json_object *json, const char *key, const char *text)
{
	json_object_object_add(json, key, json_object_new_string(text));
}

// Sentences quote what others wrote, which may be any bytes.
static void print(FILE *out, struct json_object *json)
{
	size_t len = 0, bytes = 0;
	const char *text = json_object_to_json_string_length(json, PRETTY, &len);
	_cleanup_free_ char *clean = utf8_escape_json(text, len, &bytes);

	if (clean)
		fprintf(out, "%s\n", clean);
}

void result_error(FILE *out, const char *version, const struct err *err)
{
	_cleanup_json_ struct json_object *json = json_object_new_object();

	add(json, "cniVersion", version ? version : conf_versions[0]);
	json_object_object_add(json, "code", json_object_new_int(-err->code));
	add(json, "msg", err->text);
	if (advice(-err->code))
		add(json, "details", advice(-err->code));
	print(out, json);
}

void result_versions(FILE *out, const char *version)
{
	_cleanup_json_ struct json_object *json = json_object_new_object();
	struct json_object *list = json_object_new_array();

	for (int i = CONF_VERSIONS - 1; i >= 0; i--)
		json_object_array_add(list, json_object_new_string(conf_versions[i]));
	add(json, "cniVersion", version ? version : conf_versions[0]);
	json_object_object_add(json, "supportedVersions", list);
	print(out, json);
}
