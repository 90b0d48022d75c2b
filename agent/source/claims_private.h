// SPDX-License-Identifier: Apache-2.0
// claims_private.h - files and slots: claims.c and claims_file.c alone include this.
//
// World: host, one thread. Pure: yes. Owns: see claims.h.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include "agent/base/hash.h"
#include "agent/base/intern.h"
#include "agent/base/vec.h"
#include "agent/source/claims.h"
#include "agent/source/problems.h"

// By what a file is known to be unchanged.
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

typedef VEC(char *) text_vec;

struct file {
	char *path;
	struct stamp stamp;
	bool seen; // in this scan
	bool busy; // is being written
	bool afar; // a link or one of several names, or unreadable: no event tells of all changes
	bool absent; // a link to nothing, or a folder that is not looked into
	bool known; // what of it is in force is known: it was read, now or by an agent before, or is new
	bool kept; // what is in force of it is kept for the next start
	bool recalled; // by an agent before: its objects are what is kept of it
	bool unknown; // cannot be read, and nobody knows what it holds
	struct hash objects; // by kind, namespace and name; a reference each
	text_vec wheres; // of problems told at the last reading
};

struct claim {
	struct file *file;
	struct object *object;
};

// One object's place, whoever fills it.
struct slot {
	enum kind kind;
	const char *ns;
	const char *name;
	VEC(struct claim) claims; // by path; the last one counts
	bool stored;
	bool touched;
	struct slot *next_touched;
};

struct claims {
	struct store *store;
	struct problems problems;
	struct hash files; // by path
	struct hash slots; // by kind, namespace and name
	struct slot *touched;
	const char *root; // borrowed
	size_t nbusy, nrecalled, nunknown;
	bool whole; // a file that is neither read nor kept is new: nothing of it is in force
	bool lossy; // something could not be kept
	bool pruned; // what is kept of files that went while no agent ran is forgotten
};

int slot_claim(struct claims *claims, struct file *file, struct object *object);
void slot_unclaim(struct claims *claims, struct file *file, const struct object *object);

void file_free(struct file *file);
