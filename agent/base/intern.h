// SPDX-License-Identifier: Apache-2.0
// intern.h - one copy of each string: equal strings are the same pointer.
//
// World: host, one thread. Pure: yes. Owns: the strings; they are counted and freed with the last use.
#pragma once

#include <stddef.h>

// Returns the one copy, counted once more; NULL only for lack of memory. s needs no terminating 0, and need not be a
// text: the copy is aligned for anything.
const char *intern_n(const char *s, size_t len);
const char *intern(const char *s);

// Counts an interned string once more and returns it. NULL is fine.
const char *intern_get(const char *s);

// The one copy if there is one, borrowed; NULL: nobody holds this string.
const char *intern_find(const char *s);

// Gives one count back. NULL is fine.
void intern_put(const char *s);

// How many strings live and how many bytes they take (status, leak tests).
void intern_stats(size_t *retstrings, size_t *retbytes);
