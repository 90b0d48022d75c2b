// SPDX-License-Identifier: Apache-2.0
// json.c - lines and fields of the control socket.
#include "agent/control/control.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static void tokener_freep(struct json_tokener **tokener)
{
	if (*tokener)
		json_tokener_free(*tokener);
}

int control_json(const char *text, size_t len, int depth, struct json_object **ret,
		 struct err *reterr)
{
	_cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(depth);
	_cleanup_json_ struct json_object *json = NULL;
	enum json_tokener_error error;

	if (!tokener)
		return err_set(reterr, -ENOMEM, "out of memory");
	while (len > 0 && (text[len - 1] == '\r' || text[len - 1] == '\n' || text[len - 1] == ' '))
		len--;
	if (len > INT_MAX || memchr(text, '\0', len))
		return err_set(reterr, -EBADMSG,
			       "not JSON: a line is too long or holds a zero byte");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	json = json_tokener_parse_ex(tokener, text, (int)len);
	error = json_tokener_get_error(tokener);
	if (error == json_tokener_continue)
		return err_set(reterr, -EBADMSG, "not JSON: it ends too early");
	if (error != json_tokener_success)
		return err_set(reterr, -EBADMSG, "not JSON: %s", json_tokener_error_desc(error));
	if (!json_object_is_type(json, json_type_object))
		return err_set(reterr, -EBADMSG, "not a JSON object");
	*ret = TAKE_PTR(json);
	return 0;
}

int control_string_or(struct json_object *request, const char *field, const char *fallback,
		      const char **ret, struct err *reterr)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(request, field, &value) || !value) {
		*ret = fallback;
		return 0;
	}
	if (!json_object_is_type(value, json_type_string))
		return err_set(reterr, -EINVAL, "'%s' is no text", field);
	*ret = json_object_get_string(value);
	// A name with a zero byte inside would be another name here than in the request.
	if (strlen(*ret) != (size_t)json_object_get_string_len(value))
		return err_set(reterr, -EINVAL, "'%s' holds a zero byte", field);
	return 0;
}

int control_string(struct json_object *request, const char *field, const char **ret,
		   struct err *reterr)
{
	const char *text;
	int r = control_string_or(request, field, NULL, &text, reterr);

	if (r < 0)
		return r;
	if (!text)
		return err_set(reterr, -EINVAL, "'%s' is missing", field);
	*ret = text;
	return 0;
}

int control_number(struct json_object *request, const char *field, int64_t min, int64_t max,
		   int64_t fallback, int64_t *ret, struct err *reterr)
{
	struct json_object *value = NULL;
	int64_t number = fallback;

	if (json_object_object_get_ex(request, field, &value) && value) {
		if (!json_object_is_type(value, json_type_int))
			return err_set(reterr, -EINVAL, "'%s' is no whole number", field);
		number = json_object_get_int64(value);
		if (number < min || number > max)
			return err_set(reterr, -EINVAL, "'%s': %lld is not in %lld..%lld", field,
				       (long long)number, (long long)min, (long long)max);
	}
	*ret = number;
	return 0;
}
