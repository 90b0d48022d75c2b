// SPDX-License-Identifier: Apache-2.0
// objects.h - the objects of a cluster at the size that an API server has them: 4 to 8 KB a pod.
//
// World: host, benchmark. Pure: no (reads the template). Owns: the template. Every failure ends the process.
#pragma once

#include <json-c/json.h>
#include <stdio.h>

#include "tests/bench/scale/shape.h"

// A recorded list of pods (../shared/fixtures/apiserver/list/pods.json): one of them lends its fields.
void objects_open(const char *list);
// A pod of the shape with all that a real one has; status 0 and up: what policy does not read. The caller puts it.
struct json_object *objects_pod(const struct shape *shape, uint32_t i, uint32_t version,
				uint32_t status);
// Makes a pod's own fields those of a real one.
struct json_object *objects_dress(struct json_object *pod, uint32_t i, uint32_t status);
// All of a shape's objects, one a line.
void objects_write(const struct shape *shape, FILE *out);
void objects_close(void);
__attribute__((noreturn)) void objects_die(const char *what);
