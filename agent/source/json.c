// SPDX-License-Identifier: Apache-2.0
// json.c - JSON text to values, with the line where it breaks off.
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/object/limits.h"
#include "agent/source/yaml.h"

static void tokener_freep(struct json_tokener **tokener)
{
	if (*tokener)
		json_tokener_free(*tokener);
}

// Counts on from where it stands.
struct place {
	size_t at, line;
};

static size_t line_of(struct place *place, const char *text, size_t at)
{
	for (; place->at < at; place->at++)
		place->line += text[place->at] == '\n';
	return place->line;
}

static size_t skip_space(const char *text, size_t len, size_t at)
{
	while (at < len && isspace((unsigned char)text[at]))
		at++;
	return at;
}

int json_parse(const char *text, size_t len, yaml_document_fn fn, void *arg, struct err *reterr)
{
	_cleanup_(tokener_freep) struct json_tokener *tokener =
		json_tokener_new_ex(OBJECT_MAX_DEPTH);
	size_t at = skip_space(text, len, 0);
	struct place place = { .line = 1 };

	if (!tokener)
		return err_set(reterr, -ENOMEM, "out of memory");
	if (len >= INT_MAX)
		return err_set(reterr, -EBADMSG, "line 1: too long");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
						JSON_TOKENER_VALIDATE_UTF8);
	while (at < len) {
		_cleanup_json_ struct json_object *json = NULL;
		enum json_tokener_error error;
		size_t line = line_of(&place, text, at);
		int r;

		json_tokener_reset(tokener);
		// One more: the 0 behind the text ends a number.
		json = json_tokener_parse_ex(tokener, text + at, (int)(len - at + 1));
		error = json_tokener_get_error(tokener);
		at += json_tokener_get_parse_end(tokener);
		if (error != json_tokener_success)
			return err_set(reterr, -EBADMSG, "line %zu: %s",
				       line_of(&place, text, at < len ? at : len),
				       error == json_tokener_continue ?
					       "ends too early" :
					       json_tokener_error_desc(error));
		r = fn(arg, json, line);
		if (r)
			return r;
		at = skip_space(text, len, at);
	}
	return 0;
}
