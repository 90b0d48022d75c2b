// SPDX-License-Identifier: Apache-2.0
// ask.h - one question to the agent.
//
// World: host. Pure: no (a socket, the clock). Owns: nothing between calls.
#pragma once

#include <json-c/json.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "cni/conf.h"

// Beyond the wait that the agent was asked for: its own way there and back.
#define ASK_MARGIN_SEC 2

// Adds "op" to the request. 0: *ret is the answer. -ECONNABORTED: no agent answers. -ETIMEDOUT. Else the agent's
// own -errno. An agent that has all hands full is asked again while the time lasts.
int ask_agent(const struct conf *conf, const char *op, struct json_object *request,
	      struct json_object **ret, struct err *reterr);

// For questions that are asked until the answer is another one.
int64_t ask_now_ms(void);
void ask_pause(void);
