// SPDX-License-Identifier: Apache-2.0
// command.h - the commands of the specification, one function each; main.c has their table.
//
// World: host. Pure: no. Owns: nothing. Each prints its own answer, if it has one, and returns 0, or minus a code of
// result.h with its sentence.
#pragma once

#include "agent/base/err.h"
#include "cni/conf.h"
#include "cni/device.h"
#include "cni/env.h"

struct call {
	struct conf conf;
	struct env env;
};

int command_add(const struct call *call, struct err *reterr);
int command_del(const struct call *call, struct err *reterr);
int command_check(const struct call *call, struct err *reterr);
int command_gc(const struct call *call, struct err *reterr);
int command_status(const struct call *call, struct err *reterr);

// The device that the call is about, by what the plugins before it said, which goes to *retprev. Codes of netns_open(), prev_read()
// and device_find().
int command_device(const struct call *call, struct prev *retprev, struct device *ret, struct err *reterr);

// Tells the agent that this attachment is gone; one that cannot be reached sees it by the record.
void command_forget(const struct call *call);

// Something that an operator should know though the command went well: one line on standard error.
void command_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
