// SPDX-License-Identifier: Apache-2.0
// hook.h - the netfilter program that judges behind a Service's translation: attached while it is needed.
//
// World: host. Pure: no. Owns: nothing in the process but what it wants; what is in force survives the agent, as
// pinned links under <pin_dir>/bh_hook, in the network namespace of the agent. BH_NODE_HOOK says to all programs
// whether it is: set when every place has its link, cleared before the first is taken away.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/base/err.h"
#include "agent/bpf/tables.h"

#define HOOK_PLACES 4 // POST_ROUTING and LOCAL_IN, of both families

struct hook_place {
	const char *name; // "ipv4 postrouting"
	bool attached;
	int priority;
};

// The netfilter program is needed from now on (before the plan that needs it runs), or no more (behind it). Needed, it
// is attached at the first free priority of each place, in place of what an earlier agent attached: new before
// old. On failure reterr says why nothing is judged behind translations: then what is mixed is denied. Helper thread.
int hook_want(struct tables *tables, bool wanted, struct err *reterr);

// A look at it from time to time: what is missing or was detached comes back (*retrepaired), what has not been wanted for so long
// goes; what is pinned in a bpffs that another one was mounted over is pinned here. Before anybody said what is wanted
// nothing else changes. Helper thread.
int hook_watch(struct tables *tables, uint32_t grace_sec, bool *retrepaired, struct err *reterr);

// Where it is. Any thread.
void hook_places(const struct tables *tables, struct hook_place ret[static HOOK_PLACES]);

// Takes it off, whatever the layout of the tables: for --cleanup. The caller has the folder.
int hook_remove(const char *pin_dir, struct err *reterr);
