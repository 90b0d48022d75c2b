// SPDX-License-Identifier: Apache-2.0
// agent.h - a bulkheadd process in a node's namespace.
//
// World: host, tests. Pure: no. Owns: its process and its folders.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "tests/conformance/kernel.h"

struct agent;

// Starts it and returns when its control socket is there.
int agent_start(const struct kernel_config *config, const char *node, unsigned id, int netns,
		const char *manifests, struct agent **ret, struct err *reterr);
// False: its process has ended.
bool agent_lives(struct agent *agent);
pid_t agent_pid(const struct agent *agent); // 0: its process has ended
// Sends a signal and waits; the status as waitpid() has it. A second call says the same again.
int agent_end(struct agent *agent, int signal);
// SIGTERM, unless it has ended; an agent that left with an error is reported on standard error.
void agent_free(struct agent *agent);
DEFINE_CLEANUP(struct agent *, agent_free)

// Returns when the agent has seen the Namespace `marker`, what it saw is in force, and all `npods` pods of
// its node are attached (0: whatever they are). An error names what the agent last logged.
int agent_sync(struct agent *agent, const char *marker, size_t npods, struct err *reterr);

// One request to its control socket.
int agent_call(struct agent *agent, struct json_object *request, struct json_object **ret,
	       struct err *reterr);
int agent_ask(struct agent *agent, const char *op, struct json_object **ret, struct err *reterr);

// Forgets all connections.
int agent_flush(struct agent *agent, struct err *reterr);
