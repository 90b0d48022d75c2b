// SPDX-License-Identifier: Apache-2.0
// jsonw.c - escapes and commas.
#include "agent/base/jsonw.h"

#include <json-c/json.h>
#include <json-c/printbuf.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/utf8.h"

#define ESCAPE_BYTES 6 // \u001f: what one byte becomes at most
#define NUMBER_BYTES 20
#define REPLACEMENT "\xef\xbf\xbd"

void jsonw_init(struct jsonw *w)
{
	w->v = w->first;
	w->n = 0;
	w->cap = sizeof(w->first);
	w->comma = w->failed = false;
}

void jsonw_fini(struct jsonw *w)
{
	if (w->v != w->first)
		free(w->v);
	w->v = w->first;
}

static bool grow(struct jsonw *w, size_t want)
{
	size_t cap = w->cap * 2 > want ? w->cap * 2 : want;
	char *v = w->failed ? NULL : realloc(w->v == w->first ? NULL : w->v, cap);

	if (!v) {
		w->failed = true;
		return false;
	}
	if (w->v == w->first)
		memcpy(v, w->first, w->n);
	w->v = v;
	w->cap = cap;
	return true;
}

static inline bool room(struct jsonw *w, size_t more)
{
	return w->n + more <= w->cap || grow(w, w->n + more);
}

static inline void put(struct jsonw *w, const void *bytes, size_t n)
{
	memcpy(w->v + w->n, bytes, n);
	w->n += n;
}

static void escape(struct jsonw *w, unsigned char c)
{
	static const char hex[] = "0123456789abcdef", letters[] = "btn\0fr"; // from \b on
	char text[ESCAPE_BYTES] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	if (c == '"' || c == '\\')
		text[1] = (char)c;
	else if (c >= '\b' && c <= '\r' && letters[c - '\b'])
		text[1] = letters[c - '\b'];
	put(w, text, text[1] == 'u' ? ESCAPE_BYTES : 2);
}

// What stands in a text as it is; not its end.
static const bool plain[256] = { [0x20 ... 0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7e] = true };

// One character that does not stand for itself; its bytes.
static size_t quote_odd(struct jsonw *w, const unsigned char *c, size_t left)
{
	size_t bytes = *c < 0x80 ? 0 : utf8_character(c, left);

	if (bytes)
		put(w, c, bytes);
	else if (*c < 0x80)
		escape(w, *c);
	else
		put(w, REPLACEMENT, strlen(REPLACEMENT));
	return bytes ? bytes : 1;
}

static void quote(struct jsonw *w, const char *text)
{
	const unsigned char *c = (const unsigned char *)text, *end = c + strlen(text);
	size_t run;

	if (!room(w, (size_t)(end - c) * ESCAPE_BYTES + 2))
		return;
	w->v[w->n++] = '"';
	while (c < end) {
		for (run = 0; plain[c[run]]; run++)
			;
		put(w, c, run);
		c += run;
		if (c < end)
			c += quote_odd(w, c, (size_t)(end - c));
	}
	w->v[w->n++] = '"';
}

static void begin(struct jsonw *w, const char *key)
{
	if (w->comma && room(w, 1))
		w->v[w->n++] = ',';
	w->comma = true;
	if (!key)
		return;
	quote(w, key);
	if (room(w, 1))
		w->v[w->n++] = ':';
}

static void put_one(struct jsonw *w, char c)
{
	if (room(w, 1))
		w->v[w->n++] = c;
}

void jsonw_open(struct jsonw *w, const char *key, char bracket)
{
	begin(w, key);
	put_one(w, bracket);
	w->comma = false;
}

void jsonw_close(struct jsonw *w, char bracket)
{
	put_one(w, bracket);
	w->comma = true;
}

void jsonw_text(struct jsonw *w, const char *key, const char *text)
{
	if (!text)
		return;
	begin(w, key);
	quote(w, text);
}

void jsonw_number(struct jsonw *w, const char *key, uint64_t value)
{
	char text[NUMBER_BYTES], *at = text + sizeof(text);

	begin(w, key);
	do
		*--at = (char)('0' + value % 10);
	while (value /= 10);
	if (room(w, NUMBER_BYTES))
		put(w, at, (size_t)(text + sizeof(text) - at));
}

void jsonw_bool(struct jsonw *w, const char *key, bool value)
{
	const char *text = value ? "true" : "false";

	begin(w, key);
	if (room(w, strlen(text)))
		put(w, text, strlen(text));
}

void jsonw_newline(struct jsonw *w)
{
	put_one(w, '\n');
	w->comma = false;
}

const char *jsonw_get(const struct jsonw *w, size_t *retlen)
{
	*retlen = w->n;
	return w->failed ? NULL : w->v;
}

// ---- as a value ----------------------------------------------------------------------------------

static int print_as_is(struct json_object *object, struct printbuf *out, int level, int flags)
{
	const char *text = json_object_get_userdata(object);

	return printbuf_memappend(out, text, (int)strlen(text));
}

struct json_object *jsonw_json(const struct jsonw *w)
{
	char *text = w->failed ? NULL : strndup(w->v, w->n);
	struct json_object *object = text ? json_object_new_array() : NULL;

	if (object)
		json_object_set_serializer(object, print_as_is, text, json_object_free_userdata);
	else
		free(text);
	return object;
}
