// SPDX-License-Identifier: Apache-2.0
// yaml_scalar.c - what an unquoted word means.
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/source/yaml.h"

#define EXACT_INTEGERS 9007199254740992.0 // 2^53

static const char *const nulls[] = { "", "~", "null", "Null", "NULL" };
// Not y and n, which Kubernetes' own tools take for booleans too, and then refuse where names stand:
// they are names of namespaces and pods more often than a yes.
static const char *const trues[] = {
	"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"
};
static const char *const falses[] = { "no",    "No",  "NO",  "false", "False",
				      "FALSE", "off", "Off", "OFF" };
static const char *const infinities[] = { ".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf", "+.INF",
					  "-.inf", "-.Inf", "-.INF", ".nan",  ".NaN",  ".NAN" };

static bool is_one_of(const char *text, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(text, words[i]))
			return true;
	return false;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
static bool looks_like_float(const char *text)
{
	size_t whole, fraction = 0;

	text += *text == '-' || *text == '+';
	whole = strspn(text, "0123456789");
	text += whole;
	if (*text == '.') {
		text++;
		fraction = strspn(text, "0123456789");
		text += fraction;
	}
	if (!whole && !fraction)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		if (!isdigit((unsigned char)*text))
			return false;
		text += strspn(text, "0123456789");
	}
	return !*text;
}

// 0x, 0o, 0b or a leading 0 (octal); text moves behind the prefix.
static int take_base(const char **text)
{
	const char *t = *text;

	if (t[0] != '0' || !t[1])
		return 10;
	switch (t[1]) {
	case 'x':
	case 'X':
		*text += 2;
		return 16;
	case 'o':
	case 'O':
		*text += 2;
		return 8;
	case 'b':
	case 'B':
		*text += 2;
		return 2;
	}
	*text += 1;
	return 8;
}

static bool parse_integer(const char *text, bool *retminus, uint64_t *ret)
{
	char *end;
	int base;

	*retminus = *text == '-';
	text += *text == '-' || *text == '+';
	base = take_base(&text);
	if (!isxdigit((unsigned char)*text))
		return false;
	errno = 0;
	*ret = strtoull(text, &end, base);
	return !*end && end != text && !errno;
}

static int new_json(struct json_object *json, struct json_object **ret)
{
	if (!json)
		return -ENOMEM;
	*ret = json;
	return 0;
}

// 80.0 is 80 in JSON as Go writes it.
static int float_json(const char *text, struct json_object **ret)
{
	double value = strtod(text, NULL);

	if (!isfinite(value))
		return -ERANGE;
	if (value == trunc(value) && fabs(value) < EXACT_INTEGERS)
		return new_json(json_object_new_int64((int64_t)value), ret);
	return new_json(json_object_new_double(value), ret);
}

static int number_json(const char *text, struct json_object **ret)
{
	_cleanup_free_ char *plain = malloc(strlen(text) + 1);
	uint64_t value;
	size_t n = 0;
	bool minus;

	if (!plain)
		return -ENOMEM;
	for (const char *c = text; *c; c++)
		if (*c != '_')
			plain[n++] = *c;
	plain[n] = '\0';
	if (parse_integer(plain, &minus, &value)) {
		if (minus && value <= (uint64_t)INT64_MAX + 1)
			return new_json(json_object_new_int64((int64_t)(0 - value)), ret);
		if (!minus && value <= INT64_MAX)
			return new_json(json_object_new_int64((int64_t)value), ret);
		if (!minus)
			return new_json(json_object_new_uint64(value), ret);
	}
	if (looks_like_float(plain))
		return float_json(plain, ret);
	return new_json(json_object_new_string(text), ret);
}

int yaml_scalar(const char *text, struct json_object **ret)
{
	if (is_one_of(text, nulls, ARRAY_SIZE(nulls))) {
		*ret = NULL;
		return 0;
	}
	if (is_one_of(text, trues, ARRAY_SIZE(trues)))
		return new_json(json_object_new_boolean(1), ret);
	if (is_one_of(text, falses, ARRAY_SIZE(falses)))
		return new_json(json_object_new_boolean(0), ret);
	if (is_one_of(text, infinities, ARRAY_SIZE(infinities)))
		return -ERANGE;
	if (isdigit((unsigned char)*text) || strchr("+-.", *text))
		return number_json(text, ret);
	return new_json(json_object_new_string(text), ret);
}
