// SPDX-License-Identifier: Apache-2.0
// at.c - typed reading of JSON with the field's path.
#include "agent/object/at.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/intern.h"

#define AT_PATH_BYTES 256

struct at at_field(const struct at *up, const char *field)
{
	struct at at = {.up = up, .field = field};

	if (json_object_is_type(up->json, json_type_object))
		json_object_object_get_ex(up->json, field, &at.json);
	return at;
}

struct at at_item(const struct at *up, size_t index)
{
	struct at at = {.up = up, .index = index};

	if (json_object_is_type(up->json, json_type_array))
		at.json = json_object_array_get_idx(up->json, index);
	return at;
}

static size_t append_path(const struct at *at, char *buf, size_t bytes)
{
	size_t len = 0;
	int n;

	if (!at->up)
		return 0;
	len = append_path(at->up, buf, bytes);
	if (len >= bytes)
		return bytes;
	if (at->field)
		n = snprintf(buf + len, bytes - len, "%s%s", len ? "." : "", at->field);
	else
		n = snprintf(buf + len, bytes - len, "[%zu]", at->index);
	return len + (size_t)n < bytes ? len + (size_t)n : bytes;
}

const char *at_path(const struct at *at, char *buf, size_t bytes)
{
	if (bytes)
		buf[0] = '\0';
	append_path(at, buf, bytes);
	return buf;
}

int at_fail(const struct at *at, struct err *reterr, const char *fmt, ...)
{
	char path[AT_PATH_BYTES], text[ERR_TEXT_BYTES];
	va_list args;

	if (!reterr)
		return -EBADMSG;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	at_path(at, path, sizeof(path));
	err_set(reterr, -EBADMSG, "%s%s%s", path, path[0] ? ": " : "", text);
	for (char *c = reterr->text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return -EBADMSG;
}

const char *at_type_name(const struct at *at)
{
	switch (json_object_get_type(at->json)) {
	case json_type_null:
		return "null";
	case json_type_boolean:
		return "a boolean";
	case json_type_double:
		return "a number with a fraction";
	case json_type_int:
		return "an integer";
	case json_type_object:
		return "an object";
	case json_type_array:
		return "a list";
	case json_type_string:
		return "a string";
	}
	return "of an unknown type";
}

static int check_type(const struct at *at, enum json_type type, const char *wanted,
		      struct err *reterr)
{
	if (!at->json)
		return 0;
	if (json_object_is_type(at->json, type))
		return 1;
	return at_fail(at, reterr, "is %s, not %s", at_type_name(at), wanted);
}

int at_object(const struct at *at, struct err *reterr)
{
	return check_type(at, json_type_object, "an object", reterr);
}

int at_list(const struct at *at, uint32_t max, uint32_t *retn, struct err *reterr)
{
	int r = check_type(at, json_type_array, "a list", reterr);
	size_t n;

	if (r <= 0)
		return r;
	n = json_object_array_length(at->json);
	if (n > max)
		return at_fail(at, reterr, "has %zu elements, at most %" PRIu32 " are allowed", n,
			       max);
	*retn = (uint32_t)n;
	return 1;
}

int at_string(const struct at *at, const char **ret, struct err *reterr)
{
	int r = check_type(at, json_type_string, "a string", reterr);
	const char *s;

	if (r <= 0)
		return r;
	s = json_object_get_string(at->json);
	if (strlen(s) != (size_t)json_object_get_string_len(at->json))
		return at_fail(at, reterr, "has a NUL character");
	*ret = s;
	return 1;
}

int at_intern(const struct at *at, const char **ret, struct err *reterr)
{
	const char *s;
	int r = at_string(at, &s, reterr);

	if (r <= 0)
		return r;
	s = intern(s);
	if (!s)
		return err_set(reterr, -ENOMEM, "out of memory");
	*ret = s;
	return 1;
}

int at_int(const struct at *at, int64_t min, int64_t max, int64_t *ret, struct err *reterr)
{
	int r = check_type(at, json_type_int, "an integer", reterr);
	int64_t value;

	if (r <= 0)
		return r;
	value = json_object_get_int64(at->json); // saturates
	if (value < min || value > max)
		return at_fail(at, reterr, "%" PRId64 " is not in %" PRId64 "..%" PRId64, value,
			       min, max);
	*ret = value;
	return 1;
}

int at_bool(const struct at *at, bool *ret, struct err *reterr)
{
	int r = check_type(at, json_type_boolean, "a boolean", reterr);

	if (r > 0)
		*ret = json_object_get_boolean(at->json);
	return r;
}

int at_only(const struct at *at, const char *const *fields, struct err *reterr)
{
	int r = at_object(at, reterr);

	if (r <= 0)
		return r;
	json_object_object_foreach(at->json, key, value)
	{
		const char *const *field = fields;
		struct at unknown = {.up = at, .field = key};

		(void)value;
		while (*field && strcmp(*field, key))
			field++;
		if (!*field)
			return at_fail(&unknown, reterr, "unknown field");
	}
	return 1;
}
