// SPDX-License-Identifier: Apache-2.0
// proxy.h - nghttpx in front of the stand-in server: it speaks HTTP/2 to the client, and can die.
//
// World: host, tests. Pure: no (a process, a port). Owns: both until proxy_close().
#pragma once

#include "tests/harness/standin.h"

struct proxy {
	const struct standin *standin;
	uint16_t port;
	int held; // keeps the port while no process does
	pid_t pid;
};

// Starts it, and writes proxy.kubeconfig beside the stand-in's: of the same account, by way of it.
void proxy_open(struct proxy *proxy, const struct standin *standin);
void proxy_kill(struct proxy *proxy); // SIGKILL: its connections break
void proxy_start(struct proxy *proxy); // again, at the same port

// Ends it. What it answered since it was opened, a line each: protocol, status, request; malloc'd.
char *proxy_close(struct proxy *proxy);
