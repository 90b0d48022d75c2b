// SPDX-License-Identifier: Apache-2.0
// resource.h - which resources the stand-in serves, and what a path asks for.
//
// World: host, tests. Pure: yes. Owns: nothing; the table is static.
#pragma once

#include <event2/keyvalq_struct.h>
#include <stdbool.h>
#include <stddef.h>

struct resource {
	const char *group, *version, *plural, *kind;
	bool namespaced;
	bool custom; // defined by a CustomResourceDefinition: may be absent
	bool status; // has the subresource
};

extern const struct resource resources[]; // ended by {NULL}
#define RESOURCES_MAX 16

// By plural and group (NULL: any), or by kind and apiVersion. NULL: none of these.
const struct resource *resource_named(const char *group, const char *plural);
const struct resource *resource_of(const char *api_version, const char *kind);
size_t resource_index(const struct resource *resource);
// "v1" or "GROUP/VERSION".
const char *resource_api(const struct resource *resource, char *buf, size_t bytes);

// What a request is about, as authorization sees it.
struct target {
	const struct resource *resource; // NULL: served by none
	bool group_known; // another version of the group is served
	char verb
		[20]; // "list", "watch", ...; of paths that are no resource the method in small letters
	char group[64], version[32], plural[64], sub[32];
	char ns[64], name[256]; // "" where the path has none
	bool is_resource;
};

// 0; -EINVAL for a path of no meaning, which counts as no resource.
int target_parse(const char *method, const char *path, const struct evkeyvalq *query,
		 struct target *ret);
