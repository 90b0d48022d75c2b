// SPDX-License-Identifier: Apache-2.0
// manifest.h - objects in files: documents, lists, kinds. source.h has the public part.
//
// World: host, one thread. Pure: no (files, debug log). Owns: nothing between calls.
#pragma once

#include "agent/source/source.h"

#define MANIFEST_MAX_BYTES (32u << 20) // one file
#define MANIFEST_MAX_DEPTH 8 // folders in folders

// A document, or an item of a list in it, as it was written: of any kind.
struct manifest_document {
	const char *path;
	size_t line; // where the document begins
	const char *api_version, *kind;
	struct json_object *json; // borrowed
};

// What is told of a file. `where` is "PATH: Kind ns/name".
struct manifest_sink {
	void *arg;
	int (*object)(void *arg, struct object *object); // takes the reference; not 0: stop
	// This object is there but cannot be made sense of: its predecessor counts. May be NULL.
	int (*refused)(void *arg, enum kind kind, const char *ns, const char *name);
	void (*problem)(void *arg, const char *where, const char *text); // may be NULL
	// Told before what is made of it; not 0: stop. May be NULL, as its tree takes twenty times its text.
	int (*document)(void *arg, const struct manifest_document *document);
};

// The name ends in .yaml, .yml or .json and does not begin with a dot.
bool manifest_is_name(const char *name);

// Nothing is told before the whole text is read: on -EBADMSG ("line 3: ...") the sink was not called.
int manifest_parse(const char *path, const char *text, size_t len, const struct manifest_sink *sink,
		   struct err *reterr);

// Calls file() for each manifest and folder() for each folder under path, the path itself first, in the
// order of strcmp on the whole path. 0, -errno of the top folder, or what a call returned that is not 0.
struct manifest_walk {
	void *arg;
	int (*file)(void *arg, const char *path);
	int (*folder)(void *arg, const char *path); // may be NULL
	// Something that is there and cannot be looked into, or a folder that is too deep. error: an errno
	int (*skipped)(void *arg, const char *path, int error);
};
const char *manifest_skip_text(int error);
int manifest_walk(const char *path, const struct manifest_walk *walk);
