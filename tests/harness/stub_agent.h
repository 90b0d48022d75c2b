// SPDX-License-Identifier: Apache-2.0
// stub_agent.h - a control server in a thread, with operations of the test's own or canned answers.
//
// World: host, tests. Pure: no (a socket, a thread). Owns: the server, its loop and the folder of its
// socket until stub_agent_stop(). Operations run in that thread.
#pragma once

#include "agent/control/control.h"

struct stub_agent;

// Serves ops (NULL-terminated) at a fresh path. Fails the test if that does not work.
struct stub_agent *stub_agent_start(const struct control_op *ops, void *arg);

struct stub_answer {
	const char *op; // NULL ends a list
	const char *json; // the answer; with ' in place of "
	int code; // < 0: fail with this and `json` as the sentence
};
// Serves the operations of docs/json.md by answers of this list.
struct stub_agent *stub_agent_canned(const struct stub_answer *answers);

const char *stub_agent_path(const struct stub_agent *agent);
// The request that came last, parsed; the caller puts it. NULL: none.
struct json_object *stub_agent_request(struct stub_agent *agent);
void stub_agent_stop(struct stub_agent *agent);
