// SPDX-License-Identifier: Apache-2.0
// report.h - what the agent writes to the API server: who speaks for all agents (a Lease), conditions of
// ClusterNetworkPolicies, Events about what is not enforced as written, and the end of its node's startup taint.
//
// World: host, one thread (events of the loop). Pure: no. Owns: its requests, timers and what it remembers of them.
//
//	every agent                 looks at the Lease seldom; sends Events about its own node's limits; takes the taint off
//	the one that holds it       conditions; Events about objects that all nodes see alike
//
// Nothing of enforcing waits for any of this or depends on it: what cannot be written is a problem in status, tried
// again with pauses. The calls, as RBAC has to grant them, stand in docs/kubernetes.md.
#pragma once

#include <event2/event.h>
#include <json-c/json.h>
#include <stdbool.h>

#include "agent/base/cleanup.h"
#include "agent/kube/http.h"
#include "agent/store/store.h"

#define REPORT_LEAVE_MS 1000 // the longest that giving back the Lease may hold up the end

struct report;

// One policy (or pod) that is not enforced as written, and why.
typedef void (*report_problem_fn)(void *arg, enum kind kind, const char *ns, const char *name,
				  const char *text);

struct report_hooks {
	void *arg;
	void (*problems)(void *arg, report_problem_fn fn, void *fn_arg); // all there are now
	bool (*ready)(void *arg); // the agent is: pods may come to this node
	void (*problem)(void *arg, const char *where,
			const char *text); // of reporting itself; NULL: gone
};

struct report_config {
	const char *node; // who we are; borrowed, as all here
	const char *namespace; // of the Lease
	unsigned lease_sec;
	unsigned repeat_sec; // between two times that an Event is said
	const char *taint; // key of the startup taint; NULL: none
};

// http must outlive it.
int report_new(struct event_base *base, struct http *http, const struct store *store,
	       const struct report_config *config, const struct report_hooks *hooks,
	       struct report **ret);
void report_free(struct report *report); // NULL is fine
DEFINE_CLEANUP(struct report *, report_free)

// A policy object changed, or was found unreadable.
void report_policy_changed(struct report *report);
// What the compiler says of policies may have changed.
void report_compiled(struct report *report);

// Gives the Lease back if it is ours: runs the loop until that is answered, for REPORT_LEAVE_MS at most.
void report_leave(struct report *report);

// {"leader","leading","lease_age_sec","conditions"{},"events"{},"startup_taint"}; docs/json.md.
struct json_object *report_describe(const struct report *report);
