// SPDX-License-Identifier: Apache-2.0
// labels.h - reading and ending label sets and selectors: for the kinds of this room.
//
// World: host, one thread. Pure: yes. Owns: the strings' counts. Pods of one owner have the same labels, so sets are
// interned as strings are: nobody writes to one.
#pragma once

#include "agent/object/at.h"
#include "agent/object/object.h"

// Reads {"key": "value"}; absent: empty. 0 or -EBADMSG, -ENOMEM. *ret must be zero.
int labels_read(const struct at *at, struct labels *ret, struct err *reterr);

// Adds a label where it is missing. 0 or -ENOMEM.
int labels_default(struct labels *labels, const char *key, const char *value);
void labels_copy(struct labels *ret, const struct labels *labels);
void labels_fini(struct labels *labels);
bool labels_equal(const struct labels *a, const struct labels *b);

// Reads a LabelSelector as the API validates it; absent: empty, which matches everything. Returns 1
// when it was there, 0 when not, or -EBADMSG, -ENOMEM; on failure *ret is empty.
int selector_read(const struct at *at, struct selector *ret, struct err *reterr);

// Reads a Service's selector: {"key": "value"} alone.
int selector_read_map(const struct at *at, struct selector *ret, struct err *reterr);
void selector_fini(struct selector *selector);
