// SPDX-License-Identifier: Apache-2.0
// conflist.h - a node's CNI network configuration as text, and Bulkhead's entry as the last plugin in it.
//
// World: host. Pure: yes. Owns: nothing; texts that are returned are malloc'd and end with a 0.
//
// Texts are changed by cutting and putting in, never by writing them anew: every other byte stays as it was,
// so that taking the entry out gives back what was there before it came in.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/err.h"

#define CONFLIST_PLUGIN "bulkhead-cni" // `type` of the entry, and the program's name
#define CONFLIST_BYTES (1024 * 1024) // of one configuration
#define CONFLIST_DEPTH 128

// ---- names of files ------------------------------------------------------------------------------

// A runtime takes the first of the folder's names that end so, by their bytes: .conf, .conflist, .json.
bool conflist_is_name(const char *name);
bool conflist_is_list(const char *name); // .conflist: several plugins; the others are one each

// The list that stands for a single configuration: beside it, and before it in the order of names. Theirs is
// left as it is. NULL: too long.
#define CONFLIST_MADE ".bulkhead.conflist"
const char *conflist_made_name(const char *name, char *buf, size_t bytes);
bool conflist_is_made(const char *name);

// ---- the entry -----------------------------------------------------------------------------------

struct conflist_entry {
	const char *socket, *records; // NULL: the plugin's defaults
	bool quarantine; // onAgentDown
	bool pass; // onOtherInterface
	uint64_t timeout_sec; // 0: the plugin's default
};

// The entry as text; NULL: out of memory.
char *conflist_entry(const struct conflist_entry *entry);

// ---- texts ---------------------------------------------------------------------------------------

// Puts the entry at the end of a list's plugins; one that is elsewhere or says something else goes. entry NULL:
// whatever is in the last one is fine (and one must be there: -ENOENT). *ret NULL: the text is as it should
// be. -EINVAL: no list that a runtime would take and that can be chained to; the sentence says why.
int conflist_insert(const char *text, size_t len, const char *entry, char **ret, size_t *retlen,
		    struct err *reterr);

// Takes every entry of ours out. *ret NULL: there was none. -EINVAL as above.
int conflist_remove(const char *text, size_t len, char **ret, size_t *retlen, struct err *reterr);

// The list of a single configuration and the entry. -EINVAL as above.
int conflist_wrap(const char *text, size_t len, const char *entry, char **ret, size_t *retlen,
		  struct err *reterr);

// Whether a list was made of this configuration: its first plugin says the same. Others may have put theirs behind.
bool conflist_stands_for(const char *list, size_t list_len, const char *text, size_t len);
