// SPDX-License-Identifier: Apache-2.0
// env.h - what a runtime says by environment variables: which container, which interface, whose pod.
//
// World: host. Pure: but for env_read(), which asks the environment. Owns: nothing; texts are the environment's.
#pragma once

#include <stdbool.h>

#include "agent/base/err.h"

#define ENV_CONTAINER_BYTES 239 // with '@' and an interface's name it is a file's name
#define ENV_PATH_BYTES 1024 // of CNI_NETNS
#define ENV_ARGS_BYTES 65536 // of CNI_ARGS
#define ENV_POD_BYTES 253
#define ENV_NAMESPACE_BYTES 63
#define ENV_UID_BYTES 63

struct pod {
	char namespace[ENV_NAMESPACE_BYTES + 1]; // empty: not told
	char name[ENV_POD_BYTES + 1];
	char uid[ENV_UID_BYTES + 1]; // may stay empty
};

struct env {
	const char *container, *netns, *ifname; // NULL: not told
	struct pod pod;
};

// Which variables a command cannot do without.
enum {
	ENV_CONTAINER = 1,
	ENV_NETNS = 2,
	ENV_IFNAME = 4,
	ENV_POD = 8,
};

// [a-zA-Z0-9][a-zA-Z0-9_.-]*: a container's or network's name.
bool env_is_name(const char *text);
bool env_is_ifname(const char *text);

// CNI_ARGS: KEY=VALUE;KEY=VALUE. Unknown keys are wrong unless IgnoreUnknown is among them.
int env_parse_args(const char *text, struct pod *ret, struct err *reterr);

// -CNI_ENVIRONMENT, and a sentence that names the variable.
int env_read(unsigned int needed, struct env *ret, struct err *reterr);
