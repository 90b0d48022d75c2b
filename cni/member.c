// SPDX-License-Identifier: Apache-2.0
// member.c - the outermost braces, commas and colons; all that is between them is json-c's.
#include "cni/member.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "cni/result.h"

struct walk {
	const char *at, *end;
	int depth;
};

static void tokener_freep(struct json_tokener **tokener)
{
	if (*tokener)
		json_tokener_free(*tokener);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct walk *walk)
{
	while (walk->at < walk->end && is_space(*walk->at))
		walk->at++;
}

static bool take(struct walk *walk, char c)
{
	skip_space(walk);
	if (walk->at == walk->end || *walk->at != c)
		return false;
	walk->at++;
	return true;
}

static int broken(const char *what, struct err *reterr)
{
	return err_set(reterr, -CNI_DECODE, "the configuration on standard input is not JSON: %s",
		       what);
}

// One value. walk->end holds a zero or a byte that ends a number.
static int take_value(struct walk *walk, struct json_object **ret, struct err *reterr)
{
	_cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(walk->depth);
	enum json_tokener_error error;

	skip_space(walk);
	if (!tokener)
		return err_set(reterr, -CNI_IO, "out of memory");
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
						JSON_TOKENER_VALIDATE_UTF8);
	*ret = json_tokener_parse_ex(tokener, walk->at, (int)(walk->end - walk->at));
	error = json_tokener_get_error(tokener);
	if (error == json_tokener_continue)
		return broken("it ends too early", reterr);
	if (error != json_tokener_success)
		return broken(json_tokener_error_desc(error), reterr);
	walk->at += json_tokener_get_parse_end(tokener);
	return 0;
}

static int take_member(struct walk *walk, member_fn fn, void *arg, struct err *reterr)
{
	_cleanup_json_ struct json_object *key = NULL, *value = NULL;
	struct member member = { 0 };
	int r = take_value(walk, &key, reterr);

	if (r < 0)
		return r;
	if (!json_object_is_type(key, json_type_string))
		return broken("a member without a name", reterr);
	if (!take(walk, ':'))
		return broken("a member without a value", reterr);
	skip_space(walk);
	member.text = walk->at;
	r = take_value(walk, &value, reterr);
	if (r < 0)
		return r;
	member.key = json_object_get_string(key);
	member.value = value;
	member.len = (size_t)(walk->at - member.text);
	while (is_space(member.text[member.len - 1])) // the parser eats what follows, too
		member.len--;
	return fn(arg, &member, reterr);
}

int member_each(const char *text, size_t len, int depth, member_fn fn, void *arg,
		struct err *reterr)
{
	struct walk walk = { text, text + len, depth };
	bool closed;

	if (len > INT_MAX || memchr(text, '\0', len))
		return broken("it is too long or holds a zero byte", reterr);
	if (!take(&walk, '{'))
		return broken("it is no object", reterr);
	closed = take(&walk, '}');
	for (bool more = !closed; more; more = take(&walk, ',')) {
		int r = take_member(&walk, fn, arg, reterr);

		if (r != 0)
			return r;
	}
	if (!closed && !take(&walk, '}'))
		return broken("a comma or a brace is missing", reterr);
	skip_space(&walk);
	return walk.at == walk.end ? 0 : broken("something stands behind it", reterr);
}
