// SPDX-License-Identifier: Apache-2.0
// jsonw.h - JSON written straight into memory, for what is written a thousand times a second.
//
// World: host. Pure: yes. Owns: what did not fit into the writer itself.
//
//	struct jsonw w;
//	jsonw_init(&w);
//	jsonw_open(&w, NULL, '{');
//	jsonw_text(&w, "name", "x");
//	jsonw_close(&w, '}');
//	text = jsonw_get(&w, &len); // {"name":"x"}
//	jsonw_fini(&w);
//
// key NULL: an element of a list, or the whole. Keys and texts are escaped; bytes that are no UTF-8 become U+FFFD.
#pragma once

#include <json-c/json_types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSONW_FIRST_BYTES 4096

struct jsonw {
	char *v;
	size_t n, cap;
	bool comma; // something stands before what comes next
	bool failed; // no memory
	char first[JSONW_FIRST_BYTES];
};

void jsonw_init(struct jsonw *w);
void jsonw_fini(struct jsonw *w);

void jsonw_open(struct jsonw *w, const char *key, char bracket); // '{' or '['
void jsonw_close(struct jsonw *w, char bracket); // '}' or ']'
void jsonw_text(struct jsonw *w, const char *key, const char *text); // NULL: nothing is written, not even the key
void jsonw_number(struct jsonw *w, const char *key, uint64_t value);
void jsonw_bool(struct jsonw *w, const char *key, bool value);
void jsonw_newline(struct jsonw *w); // ends the whole; another may follow

// What was written, borrowed, without a 0 at its end; NULL: there was no memory for it.
const char *jsonw_get(const struct jsonw *w, size_t *retlen);

// The same as a value that prints so and can be put into another; NULL: there was no memory for it.
struct json_object *jsonw_json(const struct jsonw *w);
