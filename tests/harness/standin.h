// SPDX-License-Identifier: Apache-2.0
// standin.h - the stand-in API server (tests/apiserver/README.md) in a test.
//
// World: host, tests. Pure: no (a process, a folder). Owns: both until standin_stop().
#pragma once

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/control/control.h"

struct standin {
	pid_t pid;
	uint16_t port;
	char dir[PATH_MAX]; // kubeconfig, admin.kubeconfig, token, ca.crt, serviceaccount/, control.sock
	char url[64];
};

// Starts it (build/tests/apiserver/apiserver, B names the build folder) with these further arguments, ended by NULL;
// returns when it listens. Fails the test if it does not.
void standin_start(struct standin *standin, ...) __attribute__((sentinel));
void standin_stop(struct standin *standin); // fails the test if it did not end well

// One operation of its control socket, JSON written with ' in place of "; waits up to 30 s. Fails the test if
// the answer is an error. The caller puts the answer of standin_ask().
struct json_object *standin_ask(const struct standin *standin, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void standin_do(const struct standin *standin, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
int64_t standin_number(const struct standin *standin, const char *op,
		       const char *field); // of an answer

// DIR/name in buf, returned.
const char *standin_path(const struct standin *standin, const char *name,
			 char buf[static PATH_MAX]);
