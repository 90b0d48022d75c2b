// SPDX-License-Identifier: Apache-2.0
// db.h - the objects, their revisions, and what changed since: what etcd and the watch cache are to a real server.
//
// World: host, tests. Pure: yes. Owns: its entries by reference; entries are immutable, a change makes a new one.
#pragma once

#include <json-c/json.h>
#include <stdint.h>

#include "agent/base/vec.h"
#include "tests/apiserver/match.h"
#include "tests/apiserver/resource.h"

#define DB_HISTORY 100000 // changes kept without being compacted

// One object at one revision.
struct entry {
	int refs;
	const struct resource *resource;
	uint64_t rv;
	struct traits traits; // of the text below
	char *names; // what traits points to
	// JSON without its first brace and without kind and apiVersion: lists leave those out
	char *text;
	size_t len;
};

enum change { CHANGE_ADDED, CHANGE_MODIFIED, CHANGE_DELETED };

struct change_event {
	enum change change;
	uint64_t rv;
	struct entry
		*entry; // as it is now; of a deletion the last state with the deletion's revision
	struct entry *before; // NULL: was not there
};

typedef VEC(struct entry *) entry_vec;

typedef void (*db_changed_fn)(void *arg, const struct change_event *event);

struct db {
	uint64_t rv; // of the last change
	uint64_t oldest; // watches may begin at this revision or later
	entry_vec objects[RESOURCES_MAX]; // by resource, in the order of keys
	VEC(struct change_event) history;
	bool present[RESOURCES_MAX]; // a custom resource is defined
	db_changed_fn changed;
	void *arg;
	uint64_t uids;
};

void db_init(struct db *db, uint64_t rv, db_changed_fn changed, void *arg);
void db_fini(struct db *db);

struct entry *entry_get(struct entry *entry);
void entry_put(struct entry *entry); // NULL is fine
// The object with kind and apiVersion, as JSON text; malloc'd.
char *entry_json(const struct entry *entry, size_t *retlen);
// The same parsed; the caller puts it.
struct json_object *entry_object(const struct entry *entry);
// {"kind":"Pod","apiVersion":"v1", of a single object of the resource, or of an item of its lists.
const char *entry_head(const struct resource *resource, bool item, char *buf, size_t bytes);

// Borrowed; NULL: not there.
struct entry *db_find(const struct db *db, const struct resource *resource, const char *ns,
		      const char *name);

// Creates or replaces: sets resourceVersion, and uid and creationTimestamp where they are missing. json is the
// caller's and is changed. Borrowed *ret may be NULL. -EINVAL: no metadata.name, or a namespace too much or too few.
int db_put(struct db *db, const struct resource *resource, struct json_object *json,
	   struct entry **ret, struct err *reterr);
// Removes it; -ENOENT.
int db_remove(struct db *db, const struct resource *resource, const char *ns, const char *name);

// Older revisions than this are forgotten: lists and watches that need them get 410.
void db_compact(struct db *db, uint64_t rv);

// Where the first entry with a key beyond (ns, name) stands.
size_t db_after(const struct db *db, const struct resource *resource, const char *ns,
		const char *name);
