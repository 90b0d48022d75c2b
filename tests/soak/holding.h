// SPDX-License-Identifier: Apache-2.0
// holding.h - the descriptors of a process and the pins of a folder, one by one.
//
// World: host, tests. Pure: no. Owns: nothing.
#pragma once

#include <sys/types.h>

// What a call returns that is not 0 ends the walk and is returned.
typedef int (*holding_fd_fn)(void *arg, const char *fd, const char *target);
int holding_fds(pid_t pid, holding_fd_fn fn, void *arg);

// end: the path behind the folder. A folder that is not there is empty.
typedef int (*holding_pin_fn)(void *arg, const char *path, const char *end);
int holding_pins(const char *dir, holding_pin_fn fn, void *arg);
