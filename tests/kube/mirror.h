// SPDX-License-Identifier: Apache-2.0
// mirror.h - a reflector beside the stand-in server, and what it said is there.
//
// World: host, tests. Pure: no (a process, sockets). Owns: all of it.
#pragma once

#include <event2/event.h>
#include <json-c/json.h>
#include <stdbool.h>

#include "agent/kube/reflect.h"
#include "tests/harness/standin.h"

struct mirror {
	struct standin *standin;
	struct event_base *base;
	struct http *http;
	bool is_guest; // both are another's
	struct reflect *reflect;
	struct json_object *objects; // by "ns/name", as last put
	struct json_object *listed; // names put since a list began; NULL: none has
	struct json_object *stays; // names that must not go; NULL: any may
	struct json_object *known; // names that there are; NULL: any
	unsigned int lists, events, problems;
	char problem[600]; // the last one
};

// Loop and client, by the stand-in's kubeconfig of this name.
void mirror_open(struct mirror *mirror, struct standin *standin, const char *kubeconfig);
void mirror_beside(struct mirror *mirror, const struct mirror *other); // by the other's, which is closed after it
void mirror_close(struct mirror *mirror);

// Reflects all objects of a kind ("Pod"), from nothing. One at a time.
void mirror_start(struct mirror *mirror, const char *kind);
void mirror_stop(struct mirror *mirror);
const struct reflect_resource *mirror_resource(const char *kind);

// Runs the loop until this is so; fails the test with `what` after 20 s.
typedef bool (*mirror_fn)(struct mirror *mirror, void *arg);
void mirror_until(struct mirror *mirror, const char *what, mirror_fn fn, void *arg);
bool mirror_synced(struct mirror *mirror, void *arg);
// The scripted answers were given, and the client asked again.
bool mirror_played(struct mirror *mirror, void *arg);
// The same objects as in `arg`, a map as `objects`.
bool mirror_holds(struct mirror *mirror, void *arg);

// Maps of objects: empty, of a recorded list, of events applied to one (in place), of what the stand-in has.
struct json_object *objects_of_list(struct json_object *list, struct json_object *into);
void objects_apply(struct json_object *objects, const char *lines);
struct json_object *objects_of_standin(const struct standin *standin, const char *plural);
// The first name that only one of them has or whose object differs, or NULL.
const char *objects_differ(struct json_object *a, struct json_object *b);
