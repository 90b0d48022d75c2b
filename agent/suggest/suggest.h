// SPDX-License-Identifier: Apache-2.0
// suggest.h - from flows that were seen, the least NetworkPolicies that would allow them, and a report.
//
// World: host, one thread. Pure: yes. Owns: what it keeps of records: references on their cards.
//
// One policy for each workload that told flows of its own, for both directions. A pod is named by its namespace and
// the labels that all pods of its workload share; where those would select a pod of another workload that was seen,
// the selector leaves it out by an expression, and workloads whose labels cannot be told apart share a policy. Peers
// that are no pods are address blocks. Ports are those of the pod that answers, as policies apply behind the
// translation of Services. A flow that one end told is let through at both.
//
// Needs no rule: the pod's own node, a pod's traffic with itself. Cannot be expressed: a Service whose backend is not
// known, a pod without a name, port 0.
#pragma once

#include <json-c/json.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "agent/flow/record.h"

#define SUGGEST_TUPLES_MAX 1000000 // different flows (ends, protocol, port) of one suggestion

struct suggest;

struct suggest_options {
	bool include_denied; // as if denied flows had passed
	bool audit; // the policies are in audit mode
	unsigned prefix4, prefix6; // of address blocks: 1..32, 1..128
	size_t max_tuples; // 0: SUGGEST_TUPLES_MAX
	const char *const *namespaces; // policies of these only; none: of all
	size_t nnamespaces;
};

int suggest_new(const struct suggest_options *options, struct suggest **ret); // options: borrowed
void suggest_free(struct suggest *suggest);
DEFINE_CLEANUP(struct suggest *, suggest_free)

// Any type of record; node: whose agent told it. 0, -ENOMEM or -E2BIG with a sentence.
int suggest_add(struct suggest *suggest, const struct flow_record *record, const char *node, struct err *reterr);

// A list of NetworkPolicy objects and the report (docs/flows.md), both the same for the same records in any order.
// Every flow was asked of the policies as `bulkhead simulate` would: what they deny is in the report.
int suggest_make(struct suggest *suggest, struct json_object **retpolicies, struct json_object **retreport,
		 struct err *reterr);
