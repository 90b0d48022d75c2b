// SPDX-License-Identifier: Apache-2.0
// err.h - a sentence for the person who wrote the input, beside the -errno for the machine.
//
// World: host. Pure: yes. Owns: nothing; the text lives in the caller's struct.
#pragma once

#include <stdarg.h>

#define ERR_TEXT_BYTES 512

struct err {
	int code; // -errno, 0 when unset
	char text[ERR_TEXT_BYTES];
};

// Sets *err (which may be NULL) and returns code: `return err_set(reterr, -EINVAL, "...")`.
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

// Puts "context: " in front of the text and returns the code that was set.
int err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
