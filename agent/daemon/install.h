// SPDX-License-Identifier: Apache-2.0
// install.h - the CNI plugin on this node: put in place once the agent can serve it, and kept there while others change
// the node's configuration. Nothing is taken away when the agent ends: pods that start meanwhile are the plugin's.
//
// World: host, on the loop. Pure: no (inotify, files). Owns: the inotify descriptor, its event and a timer. What goes wrong
// is a problem "cni" of status, and is tried again; the agent runs on.
#pragma once

#include <json-c/json.h>

#include "agent/base/err.h"

struct daemon;
struct install;
struct config;

// NULL in *ret: the options name no folder.
int install_open(struct daemon *daemon, struct install **ret);
void install_close(struct install *install); // NULL is fine

// What `status` tells; NULL for no install.
struct json_object *install_describe(const struct install *install);

// For --cleanup: the entry and the program away, before anything that pods need of them.
int install_undo(const struct config *config, struct err *reterr);
