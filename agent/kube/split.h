// SPDX-License-Identifier: Apache-2.0
// split.h - cuts a stream of JSON into the values that matter, as its bytes come.
//
// World: host. Pure: yes. Owns: the bytes of a value that is not whole yet.
//
// A list of a cluster's pods may have hundreds of megabytes: each of its items is handed on alone. Only brackets,
// strings and commas are looked at here, which is enough to cut; whether a value is JSON is for its parser to say.
#pragma once

#include <stddef.h>

#include "agent/base/err.h"

#define SPLIT_VALUE_MAX (3u << 20) // bytes of one value: what etcd stores has 1.5 MiB by default
#define SPLIT_DEPTH_MAX 64 // brackets in brackets

struct split;

enum split_mode {
	SPLIT_VALUES, // objects behind each other: the events of a watch
	SPLIT_LIST, // one object with `items`: a list
};

enum split_part {
	SPLIT_VALUE, // of SPLIT_VALUES
	SPLIT_ITEM, // of a list
	SPLIT_KIND, // a list's `kind` and `metadata`, wherever they stand
	SPLIT_METADATA,
	SPLIT_REST, // no part that is handed on
};

// A value's bytes, borrowed for the call and not terminated. Not 0: stops, and split_feed() returns it.
typedef int (*split_value_fn)(void *arg, enum split_part part, const char *text, size_t len);

int split_new(enum split_mode mode, split_value_fn fn, void *arg, struct split **ret);
void split_free(struct split *split); // NULL is fine

// 0; what fn returned; -EBADMSG: no JSON or no list; -EMSGSIZE: a value over a limit; -ENOMEM. reterr says it in one
// sentence. After an error the rest of the stream cannot be made sense of.
int split_feed(struct split *split, const char *data, size_t len, struct err *reterr);

// The stream is over: 0, or -EBADMSG when it broke off inside a value (or a list had no `items`).
int split_end(const struct split *split, struct err *reterr);
