// SPDX-License-Identifier: Apache-2.0
// test.h - cmocka and the asserts of this house: what a failure prints names the value, not the
// line only.
//
// World: host, tests. Pure: no (environment, files). Owns: nothing.
// Include it first; it brings what cmocka.h wants before itself.
#pragma once

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"

// r >= 0; prints the errno's text if not.
#define assert_ok(r)                                                                               \
	do {                                                                                       \
		long long test_r_ = (r);                                                           \
		if (test_r_ < 0)                                                                   \
			fail_msg("%s: %lld (%s)", #r, test_r_, strerror((int)-test_r_));           \
	} while (0)

// As assert_ok, for calls that fill a struct err: prints its sentence, too.
#define assert_ok_err(r, err)                                                                      \
	do {                                                                                       \
		long long test_r_ = (r);                                                           \
		if (test_r_ < 0)                                                                   \
			fail_msg("%s: %lld (%s): %s", #r, test_r_, strerror((int)-test_r_),        \
				 (err)->text);                                                     \
	} while (0)

// r == code, code being a -errno.
#define assert_err(r, code)                                                                        \
	do {                                                                                       \
		long long test_r_ = (r), c_ = (code);                                              \
		if (test_r_ != c_)                                                                 \
			fail_msg("%s: %lld, expected %lld (%s)", #r, test_r_, c_,                  \
				 strerror((int)-c_));                                              \
	} while (0)

#define assert_str(text, want)                                                                     \
	do {                                                                                       \
		const char *t_ = (text), *w_ = (want);                                             \
		if (!t_ || strcmp(t_, w_))                                                         \
			fail_msg("%s: \"%s\", expected \"%s\"", #text, t_ ? t_ : "(null)", w_);    \
	} while (0)

#define assert_str_contains(text, part)                                                            \
	do {                                                                                       \
		const char *t_ = (text), *p_ = (part);                                             \
		if (!t_ || !strstr(t_, p_))                                                        \
			fail_msg("%s: \"%s\" lacks \"%s\"", #text, t_ ? t_ : "(null)", p_);        \
	} while (0)

#define assert_str_lacks(text, part)                                                               \
	do {                                                                                       \
		const char *t_ = (text), *p_ = (part);                                             \
		if (t_ && strstr(t_, p_))                                                          \
			fail_msg("%s: \"%s\" has \"%s\"", #text, t_, p_);                          \
	} while (0)

#define assert_str_starts(text, start)                                                             \
	do {                                                                                       \
		const char *t_ = (text), *s_ = (start);                                            \
		if (!t_ || strncmp(t_, s_, strlen(s_)))                                            \
			fail_msg("%s: \"%s\" does not start with \"%s\"", #text,                   \
				 t_ ? t_ : "(null)", s_);                                          \
	} while (0)

// Absolute path of a shared file in buf, returned: BULKHEAD_SHARED, else ../shared of the
// repository (tests run in its root). Skips the test if there is no such folder, fails it if only the
// file is missing.
const char *test_shared(char buf[static PATH_MAX], const char *path);

// A fresh folder under TMPDIR in buf, returned; test_rmdir removes it with all that is in it.
const char *test_mkdir(char buf[static PATH_MAX]);
void test_rmdir(const char *dir);

// Writes text to dir/name in place; test_write_atomic by rename. Both fail the test on an error.
void test_write(const char *dir, const char *name, const char *text);
void test_write_atomic(const char *dir, const char *name, const char *text);

// The whole file, terminated by 0, malloc'd; fails the test if it cannot be read.
char *test_read(const char *path, size_t *retlen);

// Parses JSON written with ' in place of "; fails the test if it is none. The caller puts it.
struct json_object *test_json(const char *text);
