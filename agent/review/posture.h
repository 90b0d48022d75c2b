// SPDX-License-Identifier: Apache-2.0
// posture.h - how well a cluster is separated: per workload what isolates it and who may reach it, held against controls.
//
// World: host, one thread. Pure: yes. Owns: nothing. Lack of memory ends the process.
//
//	{"pods", "cohorts", "policies", "namespaces": [{"name", "policies", "pods", "workloads": [{"kind", "name", "pods",
//	 "ingress": {"isolated", "policies": [], "namespaces": [{"name", "ports"}], "blocks": [{"block", "ports"}]}, "egress": {...}}]}],
//	 "flows": [{"from", "to", "ports", "whole"}], "outside": [{"namespace", "direction", "ports", "whole"}],
//	 "controls": [{"framework", "id", "title", "severity", "status", "text", "objects": []}], "problems": [{"object", "text"}]}
//
// Fields are only ever added. status: "pass"; "fail", with the severity that the exit status goes by; "review", which a person
// decides from what the report shows.
#pragma once

#include <json-c/json.h>

#include "agent/review/lint.h"

// Namespaces that are ignored are judged by no control; they are still in the picture. The review's store is added to (see
// exposure_new()). The caller puts the report.
struct json_object *posture(struct review *review, size_t nignored, const char *const *ignored);

// The gravest severity of what failed, or -1.
int posture_severity(struct json_object *posture);
