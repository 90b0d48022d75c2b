// SPDX-License-Identifier: Apache-2.0
// source.h - where objects come from: a directory of manifests, or a Kubernetes API server.
//
// World: host, one thread (events of the agent's loop). Pure: no. Owns: its files, sockets and events.
//
// A source puts what it reads into the store. It must never empty the store to fill it again: what is
// gone leaves only after the new state is known whole. synced() turns true once, when everything that
// was there at start is in the store; no kernel table is touched before. An input that cannot be read then counts
// with what was known of it at the last start; one of which nothing is known is waited for.
#pragma once

#include <event2/event.h>

#include "agent/store/store.h"

struct source;

// How a source that asks a server does it; 0 and NULL: as the source has it by default.
struct source_server {
	const char *service_account; // folder of the token and the CA
	uint32_t pause_sec; // the longest between two tries
	uint32_t watch_sec; // the length of a watch: up to twice of it
	uint32_t absent_sec; // until what the server does not have is asked for again
	uint32_t cut_off_sec; // current() turns false when cut off for so long; 0: never
};

// Told by a source to its owner; each may be NULL.
struct source_events {
	void *arg;
	// A whole batch (all files of one debounced burst) is in the store: compile now. Also told
	// once from the loop after open, even if there was nothing to read.
	void (*batch)(void *arg);
	// One sentence about an input that is not used as written, naming file, object and field; text
	// NULL: the problem that `where` had is gone.
	void (*problem)(void *arg, const char *where, const char *text);

	// What became of a fetch: 0, the pod is in the store; -ENOENT, there is none, or one with another UID; else it could
	// not be asked for, `why` says why for people.
	void (*fetched)(void *arg, const char *ns, const char *name, const char *uid, int r, const char *why);

	// A folder for what an agent that starts needs to know of inputs that cannot be read then; NULL: none.
	const char *keep;
	// Something is in force already: it is better to wait for an input of which nothing is known than to go
	// on without it.
	bool in_force;
	struct source_server server;
};

struct source_ops {
	const char *scheme; // "dir", "kube": the word before ':' in --source
	int (*open)(const char *where, struct event_base *base, struct store *store,
		    const struct source_events *events, struct source **ret, struct err *reterr);
	void (*close)(struct source *source);
	bool (*synced)(const struct source *source);
	// False while some input has only been read by an agent before, as it cannot be read now, or the source has been
	// cut off from its server for longer than is fine.
	bool (*current)(const struct source *source);
	// Asks for one pod at once, that nobody has to wait until what is watched shows it: fetched() tells, later.
	// uid NULL: whatever it has. NULL: this source cannot, its objects come when they come.
	int (*fetch)(struct source *source, const char *ns, const char *name, const char *uid);
	// {"kind": "dir", "path": ..., "problems": [{"where","text"}...], ...} for status: docs/json.md.
	struct json_object *(*describe)(const struct source *source);
};

// First member of every source.
struct source {
	const struct source_ops *ops;
};

extern const struct source_ops source_dir;
extern const struct source_ops source_kube;

// Finds the source for "dir:PATH", "kube" or "kube:KUBECONFIG" and opens it.
int source_open(const char *spec, struct event_base *base, struct store *store,
		const struct source_events *events, struct source **ret, struct err *reterr);
void source_close(struct source *source); // NULL is fine

// The client of the API server that the source reads from, borrowed; NULL: it reads from none. kube.c.
struct http *source_http(const struct source *source);

static inline bool source_synced(const struct source *source)
{
	return source->ops->synced(source);
}

static inline bool source_current(const struct source *source)
{
	return source->ops->current(source);
}

// Reads a file of manifests (YAML of many documents, JSON, List kinds) or all of a folder, in the order of
// paths, without watching it: calls fn, which takes over the reference, for every object; problems through
// events (may be NULL). A syntax error ("PATH: line 3: ...") ends it before any object of that file.
int manifest_read(const char *path, const struct source_events *events,
		  int (*fn)(void *arg, struct object *object), void *arg, struct err *reterr);
