// SPDX-License-Identifier: Apache-2.0
// held.h - what the running agent holds of the cluster, for verbs that read manifests otherwise.
//
// World: host, one thread. Pure: no (the control socket). Owns: nothing between calls.
#pragma once

#include "agent/cli/cli.h"
#include "agent/review/review.h"

// Adds the agent's namespaces, nodes, pods and policies, all of one moment; where it enforces nothing, its policies are in audit
// mode. *retscope is what they are of, the caller's:
//
//	{"of": "agent", "node", "source", "path", "text", "notes": []}, and `problems` [{"object", "text"}] of what it could not read
int held_load(const struct cli *cli, struct review *review, struct json_object **retscope);
