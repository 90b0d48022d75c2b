// SPDX-License-Identifier: Apache-2.0
// health.h - is the agent alive, is it ready, and if not why. Private to this room.
//
// World: host. Pure: no. Owns: nothing; the server is the daemon's.
#pragma once

#include "agent/daemon/daemon.h"

// What is not as it must be for readiness: a word that stays the same, and a sentence.
typedef void (*daemon_unready_fn)(void *arg, const char *name, const char *text);
void daemon_unready_each(const struct daemon *daemon, daemon_unready_fn fn, void *arg);

// Every part of readiness.
typedef void (*daemon_condition_fn)(void *arg, const char *name, bool holds);
void daemon_condition_each(const struct daemon *daemon, daemon_condition_fn fn, void *arg);

// The page /metrics: metrics.c.
int daemon_metrics(void *arg, struct http_reply *reply);

// Serves /healthz, /readyz and /metrics at --http, unless it does so already.
void daemon_http_open(struct daemon *daemon);
