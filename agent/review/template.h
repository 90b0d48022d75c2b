// SPDX-License-Identifier: Apache-2.0
// template.h - workloads: the pod that one stands for.
//
// World: host, one thread. Pure: yes. Owns: nothing.
#pragma once

#include <json-c/json.h>

#include "agent/object/object.h"

// The pod template of a workload, borrowed; NULL: it is none.
struct json_object *template_find(const char *api_version, const char *kind, struct json_object *json);

// The pod as JSON, to be put: named "NAME.KIND", owned by the workload.
struct json_object *template_pod(const char *kind, struct json_object *workload,
				 struct json_object *template);

// Every port that the containers of a pod's spec declare; malloc'd. What cannot be read is left out.
uint32_t template_ports(struct json_object *spec, struct container_port **ret);
