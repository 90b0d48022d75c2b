// SPDX-License-Identifier: Apache-2.0
// rbac.h - what may be done, by ClusterRoles, Roles and their bindings as they are deployed; and what was asked.
//
// World: host, tests. Pure: no (reads manifests). Owns: rules and the list of what was asked.
#pragma once

#include "agent/base/vec.h"
#include "tests/apiserver/resource.h"
#include "tests/apiserver/who.h"

struct grant { // one rule of a role, as bound to one subject
	char *subject; // "User:NAME", "Group:NAME"
	char *ns; // of a Role's binding, NULL: everywhere
	struct json_object *rule; // of the role's object
};

struct asked {
	char user[256];
	struct target target; // its name is left out
	bool allowed;
	uint64_t times;
};

struct rbac {
	bool enabled; // else whoever has a name may do everything
	VEC(struct grant) grants;
	VEC(struct asked) asked;
	VEC(struct json_object *) documents;
};

// Adds the roles and bindings of a file of manifests. -EINVAL: a binding to a role that is not there.
int rbac_load(struct rbac *rbac, const char *path, struct err *reterr);
void rbac_fini(struct rbac *rbac);

// Whether this may be done; noted in both cases.
bool rbac_allows(struct rbac *rbac, const struct identity *identity, const struct target *target);

// [{"user", "verb", "group", "resource" ("pods" or "pods/status"), "namespace", "allowed", "times"}...]
struct json_object *rbac_asked(const struct rbac *rbac);
// ["VERB GROUP/RESOURCE"...]: what is granted to this user and was never asked.
struct json_object *rbac_unused(const struct rbac *rbac, const char *user);
