// SPDX-License-Identifier: Apache-2.0
// utf8.c - tells UTF-8 from other bytes.
#include "agent/base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ESCAPED "\\\\x%02x"
#define ESCAPED_BYTES 5

size_t utf8_character(const unsigned char *at, size_t left)
{
	size_t bytes = at[0] < 0x80 ? 1 :
		       at[0] < 0xc2 ? 0 :
		       at[0] < 0xe0 ? 2 :
		       at[0] < 0xf0 ? 3 :
		       at[0] < 0xf5 ? 4 :
				      0;

	if (bytes > left)
		return 0;
	for (size_t i = 1; i < bytes; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
	    (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f))
		return 0;
	return bytes;
}

char *utf8_escape_json(const char *text, size_t len, size_t *retlen)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t odd = 0, n = 0, bytes;
	char *ret;

	for (size_t i = 0; i < len; i += bytes ? bytes : 1) {
		bytes = utf8_character(at + i, len - i);
		odd += !bytes;
	}
	ret = malloc(len + odd * (ESCAPED_BYTES - 1) + 1);
	if (!ret)
		return NULL;
	for (size_t i = 0; i < len; i += bytes ? bytes : 1) {
		bytes = utf8_character(at + i, len - i);
		memcpy(ret + n, at + i, bytes);
		n += bytes ? bytes : (size_t)snprintf(ret + n, ESCAPED_BYTES + 1, ESCAPED, at[i]);
	}
	ret[n] = 0;
	*retlen = n;
	return ret;
}
