// SPDX-License-Identifier: Apache-2.0
// err.c - a code for the machine, a sentence for the person.
#include "agent/base/err.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list args;

	assert(code < 0);

	if (!err)
		return code;
	err->code = code;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return code;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
	char context[ERR_TEXT_BYTES], text[ERR_TEXT_BYTES];
	va_list args;
	size_t len;

	if (!err)
		return 0;
	va_start(args, fmt);
	vsnprintf(context, sizeof(context), fmt, args);
	va_end(args);
	memcpy(text, err->text, sizeof(text));
	len = strnlen(context, sizeof(context) - 1);
	snprintf(err->text, sizeof(err->text), "%s", context);
	if (text[0])
		snprintf(err->text + len, sizeof(err->text) - len, ": %s", text);
	return err->code;
}
