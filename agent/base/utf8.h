// SPDX-License-Identifier: Apache-2.0
// utf8.h - text of any bytes in JSON.
//
// World: host. Pure: yes. Owns: nothing.
#pragma once

#include <stddef.h>

// Bytes of the character that begins here; 0: none does (cut off, overlong, a surrogate, beyond Unicode). left: > 0.
size_t utf8_character(const unsigned char *at, size_t left);

// JSON text in which each byte that is no UTF-8 became \\xNN, which a reader sees as \xNN; such bytes can only
// stand inside of strings. Malloc'd; NULL: no memory.
char *utf8_escape_json(const char *text, size_t len, size_t *retlen);
