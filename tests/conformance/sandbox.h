// SPDX-License-Identifier: Apache-2.0
// sandbox.h - a world of its own for a worker: nothing in it can stay behind.
//
// World: host, tests. Pure: no. Owns: the child's process, mount and network namespaces.
// The child is process 1 of new namespaces, with a fresh /proc, an empty tmpfs on /run and a bpffs of its own
// on /sys/fs/bpf. When it ends, or when its parent is killed, the kernel takes every process, network
// namespace, pin and file with it.
#pragma once

#include <sys/types.h>

#include "agent/base/err.h"

typedef int (*sandbox_fn)(void *arg); // its return value is the child's exit code

// Starts fn; the child's pid or -errno.
pid_t sandbox_start(sandbox_fn fn, void *arg);

// A new network namespace named under /run/netns, with quiet defaults for routing (no duplicate address
// detection, no router advertisements, no path filters, forwarding on) and lo up. The caller stays where
// it was. Returns an fd of the namespace, or -errno.
int sandbox_netns(const char *name, struct err *reterr);

// Gives the calling namespace the same defaults.
int sandbox_netns_init(struct err *reterr);

// Enters a namespace; -errno.
int sandbox_enter(int netns);

// An fd of the namespace that the caller is in, or -errno.
int sandbox_here(void);
