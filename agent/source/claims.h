// SPDX-License-Identifier: Apache-2.0
// claims.h - which file says what: from files that come, change and go to puts and removals.
//
// World: host, one thread. Pure: no (reads files). Owns: one reference on each object per file.
// An object that several files hold is the one of the last file in the order of paths; the others are
// reported and step in when that file goes. A file that cannot be read as a whole keeps what it held; an
// object in it that cannot be made sense of keeps its predecessor.
#pragma once

#include "agent/source/source.h"

struct claims;

// root: the source's path, borrowed.
int claims_new(struct store *store, const char *root, const struct source_events *events, struct claims **ret);
void claims_free(struct claims *claims); // the store keeps what it holds
DEFINE_CLEANUP(struct claims *, claims_free)

// Reads a file anew; it must not be in the store before claims_apply(). Without `force` a file whose
// inode, size and times are as before is not read. Problems are told, not returned. 0 or -ENOMEM.
int claims_read(struct claims *claims, const char *path, bool force);

// Around a scan of everything: files that claims_read() did not see between the two are gone.
void claims_scan_begin(struct claims *claims);
void claims_scan_end(struct claims *claims);

// Puts what is new, then removes what no file holds. Returns how many changes mattered, or -ENOMEM
// (call again: what was not done is still known).
int claims_apply(struct claims *claims);

// What the path stands for is there and is not looked into: it and files below it keep what they held.
int claims_skipped(struct claims *claims, const char *path, int error);

// A file that no event tells of is no longer what was read: scan again.
bool claims_stale(const struct claims *claims);

// A file is being written just now and was not read: try again later.
bool claims_waiting(const struct claims *claims);

// Files that nobody has ever read whole, and files of which only a reading of an agent before is known.
size_t claims_unknown(const struct claims *claims);
size_t claims_recalled(const struct claims *claims);

// All that was there at the start is taken, and is in force from now on: a file that comes is new.
void claims_settled(struct claims *claims);

int claims_problem(struct claims *claims, const char *where, const char *text);
size_t claims_files(const struct claims *claims);
struct json_object *claims_problems(const struct claims *claims);
