// SPDX-License-Identifier: Apache-2.0
// review.h - a set of manifests to be judged before anybody runs them: objects, and where each was written.
//
// World: host, one thread. Pure: no (reads files). Owns: a store of the objects and a place for each. Lack of memory ends
// the process.
//
// Workloads (Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob) count as one pod each, made
// of their template, without an address: in a repository there are hardly ever pods.
#pragma once

#include <json-c/json.h>

#include "agent/store/store.h"

struct review;

// Where an object was written, and what its trimmed form leaves out. Texts are interned.
struct review_place {
	const char *kind, *ns, *name; // ns NULL: not namespaced
	const char *path;
	size_t line;
	const char *ignore; // annotation bulkhead.io/lint-ignore, NULL: none
	struct json_object *json; // of a NetworkPolicy
	uint32_t nports; // of a pod: every port that a container declares
	struct container_port *ports; // without names
};

// What was written and is not used as written.
struct review_problem {
	const char *kind, *ns, *name; // NULL: not known
	const char *path;
	size_t line;
	bool twice; // another object of that name came later
	char *text;
};

struct review *review_new(void);
void review_free(struct review *review);
DEFINE_CLEANUP(struct review *, review_free)

// Adds a file, all manifests of a folder, or "-", standard input. A text that is no YAML is a problem of the review; what
// cannot be read at all is an error.
int review_load(struct review *review, const char *path, struct err *reterr);

// Adds objects that another source has: the reference is taken over.
void review_put(struct review *review, struct object *object);

const struct store *review_store(const struct review *review);
const struct review_place *review_place(const struct review *review, const char *kind, const char *ns,
					const char *name); // NULL: nowhere
size_t review_problems(const struct review *review, const struct review_problem **ret);

// Who made the pod, as users know it: a Deployment, not its ReplicaSet; "Pod" and its own name if nobody did. The name in
// buf; the kind is returned.
const char *review_workload(const struct pod *pod, char *buf, size_t bytes);

// "Deployment shop/web" into buf, returned.
const char *review_workload_title(const struct pod *pod, char *buf, size_t bytes);
