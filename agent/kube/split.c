// SPDX-License-Identifier: Apache-2.0
// split.c - a scanner of two layers: the list around the values, and a value's own brackets and strings.
#include "agent/kube/split.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/vec.h"

#define KEEP_BYTES (64u << 10) // of a buffer, for the next value
#define KEY_BYTES 16 // of a key that is looked at; longer ones are none of ours

enum place {
	PLACE_TOP, // before a value of the stream, or before the list's bracket
	PLACE_KEY, // before a key, or the end of the list
	PLACE_IN_KEY,
	PLACE_COLON,
	PLACE_FIELD, // before a field's value
	PLACE_AFTER_FIELD,
	PLACE_ITEM, // before an item, or the end of the items
	PLACE_NEXT_ITEM,
	PLACE_AFTER_ITEM,
	PLACE_VALUE, // inside of one
	PLACE_END, // behind the list
};

struct split {
	enum split_mode mode;
	split_value_fn fn;
	void *arg;
	enum place place, back; // back: where a value leads to
	bool more; // a comma was seen: another one must follow
	bool listed; // `items` was seen

	// the key that is being read
	char key[KEY_BYTES];
	size_t key_len;
	bool escape; // in a string, the next character is not looked at

	// the value that is being read
	enum split_part part;
	bool scalar, string;
	unsigned depth;
	uint64_t objects; // a bit a depth: an object's bracket, not an array's
	VEC(char) head; // those that are kept
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int unexpected(char c, const char *where, struct err *reterr)
{
	return err_set(reterr, -EBADMSG, "no JSON: character 0x%02x %s", (unsigned char)c, where);
}

// ---- a value --------------------------------------------------------------------------------------------------

static int value_open(struct split *split, bool object, struct err *reterr)
{
	if (split->depth == SPLIT_DEPTH_MAX)
		return err_set(reterr, -EMSGSIZE, "a value is nested deeper than %d", SPLIT_DEPTH_MAX);
	split->objects = split->objects << 1 | object;
	split->depth++;
	return 0;
}

static int value_close(struct split *split, bool object, struct err *reterr)
{
	if ((bool)(split->objects & 1) != object)
		return err_set(reterr, -EBADMSG, "no JSON: brackets do not match");
	split->objects >>= 1;
	split->depth--;
	return 0;
}

// Goes on to the end of the string, or of the data.
static const char *skip_string(struct split *split, const char *at, const char *end)
{
	for (; at < end; at++) {
		if (split->escape) {
			split->escape = false;
		} else if (*at == '\\') {
			split->escape = true;
		} else if (*at == '"') {
			split->string = false;
			return at + 1;
		}
	}
	return end;
}

// *ret: behind the value's last byte, or NULL when it is not over yet. A number or word ends before what ends it.
static int value_scan(struct split *split, const char *at, const char *end, const char **ret,
		      struct err *reterr)
{
	int r = 0;

	*ret = NULL;
	while (at < end && r >= 0) {
		if (split->string) {
			at = skip_string(split, at, end);
			if (!split->string && !split->depth)
				break;
			continue;
		}
		if (split->scalar) {
			if (is_blank(*at) || *at == ',' || *at == '}' || *at == ']')
				break;
			at++;
			continue;
		}
		switch (*at++) {
		case '"':
			split->string = true;
			continue;
		case '{':
			r = value_open(split, true, reterr);
			continue;
		case '[':
			r = value_open(split, false, reterr);
			continue;
		case '}':
			r = value_close(split, true, reterr);
			break;
		case ']':
			r = value_close(split, false, reterr);
			break;
		default:
			continue;
		}
		if (!split->depth)
			break;
	}
	if (r < 0)
		return r;
	if (!split->string && !split->depth && (!split->scalar || at < end))
		*ret = at;
	return 0;
}

static int value_begin(struct split *split, char c, enum split_part part, enum place back,
		       struct err *reterr)
{
	bool object = c == '{', word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-';

	if ((part == SPLIT_VALUE || part == SPLIT_ITEM) && !object)
		return unexpected(c, "where an object should begin", reterr);
	if (!object && !word && c != '[' && c != '"')
		return unexpected(c, "where a value should begin", reterr);
	split->part = part;
	split->back = back;
	split->place = PLACE_VALUE;
	split->scalar = word;
	return 0;
}

static int too_large(struct err *reterr)
{
	return err_set(reterr, -EMSGSIZE, "a value has more than %u bytes", SPLIT_VALUE_MAX);
}

static int value_keep(struct split *split, const char *from, size_t len, struct err *reterr)
{
	if (split->part == SPLIT_REST)
		return 0;
	if (len > SPLIT_VALUE_MAX - split->head.n)
		return too_large(reterr);
	if (vec_reserve(&split->head, len) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	memcpy(split->head.v + split->head.n, from, len);
	split->head.n += len;
	return 0;
}

static int value_end(struct split *split, const char *from, size_t len, struct err *reterr)
{
	int r = 0;

	split->place = split->back;
	if (split->part == SPLIT_REST)
		return 0;
	if (!split->head.n)
		return len > SPLIT_VALUE_MAX ? too_large(reterr) :
					       split->fn(split->arg, split->part, from, len);
	r = value_keep(split, from, len, reterr);
	if (r >= 0)
		r = split->fn(split->arg, split->part, split->head.v, split->head.n);
	vec_clear(&split->head);
	if (split->head.cap > KEEP_BYTES)
		vec_fini(&split->head);
	return r;
}

static int value_feed(struct split *split, const char **at, const char *end, struct err *reterr)
{
	const char *from = *at, *behind;
	int r = value_scan(split, from, end, &behind, reterr);

	if (r < 0)
		return r;
	*at = behind ? behind : end;
	return behind ? value_end(split, from, (size_t)(behind - from), reterr) :
			value_keep(split, from, (size_t)(end - from), reterr);
}

// ---- the list around it -------------------------------------------------------------------------------------------

static enum split_part key_part(const struct split *split)
{
	if (!strcmp(split->key, "kind"))
		return SPLIT_KIND;
	return !strcmp(split->key, "metadata") ? SPLIT_METADATA : SPLIT_REST;
}

static void key_feed(struct split *split, char c)
{
	if (!split->escape && c == '"') {
		split->key[split->key_len < KEY_BYTES ? split->key_len : 0] = '\0';
		split->place = PLACE_COLON;
		return;
	}
	split->escape = !split->escape && c == '\\';
	if (split->key_len < KEY_BYTES)
		split->key[split->key_len++] = c;
}

static int field_begin(struct split *split, char c, struct err *reterr)
{
	if (strcmp(split->key, "items"))
		return value_begin(split, c, key_part(split), PLACE_AFTER_FIELD, reterr);
	split->listed = true;
	if (c == 'n') // null: Go's empty list
		return value_begin(split, c, SPLIT_REST, PLACE_AFTER_FIELD, reterr);
	if (c != '[')
		return unexpected(c, "where items should begin", reterr);
	split->place = PLACE_ITEM;
	return 0;
}

// Looks at one character between values. 1: it begins a value and is not used up.
static int list_feed(struct split *split, char c, struct err *reterr)
{
	int r;

	switch (split->place) {
	case PLACE_TOP:
		if (c != '{')
			return unexpected(c, "where a list should begin", reterr);
		split->place = PLACE_KEY;
		return 0;
	case PLACE_KEY:
		if (c != '"' && (c != '}' || split->more))
			return unexpected(c, "where a key should begin", reterr);
		split->place = c == '"' ? PLACE_IN_KEY : PLACE_END;
		split->key_len = 0;
		return 0;
	case PLACE_COLON:
		split->place = PLACE_FIELD;
		return c == ':' ? 0 : unexpected(c, "where a colon should be", reterr);
	case PLACE_FIELD:
		r = field_begin(split, c, reterr);
		return r < 0 ? r : split->place == PLACE_VALUE;
	case PLACE_AFTER_FIELD:
		split->more = c == ',';
		split->place = split->more ? PLACE_KEY : PLACE_END;
		return c == ',' || c == '}' ? 0 : unexpected(c, "behind a field", reterr);
	case PLACE_ITEM:
		if (c == ']') {
			split->place = PLACE_AFTER_FIELD;
			return 0;
		} // fall through
	case PLACE_NEXT_ITEM:
		r = value_begin(split, c, SPLIT_ITEM, PLACE_AFTER_ITEM, reterr);
		return r < 0 ? r : 1;
	case PLACE_AFTER_ITEM:
		split->place = c == ',' ? PLACE_NEXT_ITEM : PLACE_AFTER_FIELD;
		return c == ',' || c == ']' ? 0 : unexpected(c, "behind an item", reterr);
	default:
		return unexpected(c, "behind the list", reterr);
	}
}

static int between(struct split *split, const char **at, struct err *reterr)
{
	char c = **at;
	int r;

	if (split->place == PLACE_IN_KEY) {
		key_feed(split, c);
		(*at)++;
		return 0;
	}
	if (is_blank(c)) {
		(*at)++;
		return 0;
	}
	if (split->mode == SPLIT_VALUES)
		return value_begin(split, c, SPLIT_VALUE, PLACE_TOP, reterr);
	r = list_feed(split, c, reterr);
	if (r == 0)
		(*at)++;
	return r < 0 ? r : 0;
}

int split_feed(struct split *split, const char *data, size_t len, struct err *reterr)
{
	const char *at = data, *end = data + len;
	int r = 0;

	while (at < end && !r)
		r = split->place == PLACE_VALUE ? value_feed(split, &at, end, reterr) :
						  between(split, &at, reterr);
	return r;
}

int split_end(const struct split *split, struct err *reterr)
{
	if (split->place != (split->mode == SPLIT_LIST ? PLACE_END : PLACE_TOP))
		return err_set(reterr, -EBADMSG, "it broke off");
	if (split->mode == SPLIT_LIST && !split->listed)
		return err_set(reterr, -EBADMSG, "no list: it has no items");
	return 0;
}

int split_new(enum split_mode mode, split_value_fn fn, void *arg, struct split **ret)
{
	struct split *split = calloc(1, sizeof(*split));

	assert(fn && ret);

	if (!split)
		return -ENOMEM;
	*split = (struct split){ .mode = mode, .fn = fn, .arg = arg };
	*ret = split;
	return 0;
}

void split_free(struct split *split)
{
	if (!split)
		return;
	vec_fini(&split->head);
	free(split);
}
