// SPDX-License-Identifier: Apache-2.0
// problems.h - what is wrong with inputs now: told once when it begins, changes or ends.
//
// World: host, one thread. Pure: yes but for the callback. Owns: the texts.
#pragma once

#include "agent/base/hash.h"
#include "agent/source/source.h"

struct problems {
	const struct source_events *events; // borrowed; may be NULL
	struct hash table; // by where
};

void problems_fini(struct problems *problems); // tells nobody

// text NULL: the problem is gone. Nothing is told when nothing changed. 0 or -ENOMEM.
int problems_set(struct problems *problems, const char *where, const char *text);

// [{"where","text"}...], sorted by where; NULL for lack of memory.
struct json_object *problems_describe(const struct problems *problems);
