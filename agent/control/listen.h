// SPDX-License-Identifier: Apache-2.0
// listen.h - the socket file of the control socket.
//
// World: host. Pure: no. Owns: nothing between calls.
#pragma once

#include <sys/stat.h>

#include "agent/base/err.h"

// A listening, non-blocking fd whose file has mode 0600; *retfile says which file that is. -EADDRINUSE:
// somebody serves it; a stale one is replaced.
int control_listen(const char *path, struct stat *retfile, struct err *reterr);
