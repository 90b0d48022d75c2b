// SPDX-License-Identifier: Apache-2.0
// world_private.h - what the files that make random objects share.
//
// World: host, tests. Pure: yes. Owns: nothing.
#pragma once

#include "tests/diff/world.h"

#define WORLD_CIDRS 14
extern const char *const world_cidrs[2][WORLD_CIDRS]; // by family; 0 is everything
extern const char *const world_port_names[4]; // the last one no pod has
extern const uint16_t world_ports[10]; // in ascending order
extern const char *const world_protocols[3];

// JSON. Each returns what it put in, or found.
struct json_object *world_text(const char *text);
struct json_object *world_put(struct json_object *json, const char *field,
			      struct json_object *value);
struct json_object *world_get(struct json_object *json, const char *field); // NULL: not there
struct json_object *world_put_object(struct json_object *json, const char *field);
struct json_object *world_put_array(struct json_object *json, const char *field);
struct json_object *world_add_object(struct json_object *array);

void world_labels(struct rng *rng, struct json_object *json, const char *field);
struct json_object *world_containers(struct rng *rng); // one, with named ports
void world_selector(struct rng *rng, struct json_object *json, const char *field);

// A policy's spec into an object that has its metadata; returns it.
struct json_object *world_netpol(struct rng *rng, struct json_object *json);
// A Service's spec, a slice's members, into an object that has its metadata; returns it.
struct json_object *world_service(struct rng *rng, struct json_object *json, unsigned service);
struct json_object *world_slice(struct rng *rng, struct json_object *json, unsigned slice);
// Each index has a priority of its own: which of two equal ones goes first is open.
struct json_object *world_clusternetpol(struct rng *rng, struct json_object *json, unsigned index);
