// SPDX-License-Identifier: Apache-2.0
// netns.h - network namespaces that can be named, and the way into one and back.
//
// World: host. Pure: no. Owns: nothing between calls. Needs CAP_SYS_ADMIN, and CAP_SYS_PTRACE for
// the namespaces of other users' processes.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// fd: borrowed for the call. Non-zero stops the walk and is returned.
typedef int (*netns_fn)(void *arg, int fd, uint64_t inode);

// Every network namespace under /proc/*/ns/net, /run/netns and nsfs mounts, each inode once, in no
// order; our own is among them. What went meanwhile is passed over, any other failure ends the walk: who
// looks for one must not take "could not look" for "is not there".
int netns_each(netns_fn fn, void *arg);

// Every process and the inode of its namespace, without opening any. *rethidden: how many may not be
// looked at.
typedef int (*netns_process_fn)(void *arg, int pid, uint64_t inode);
int netns_processes(netns_process_fn fn, void *arg, uint32_t *rethidden);

// Inode of the calling thread's namespace, or 0.
uint64_t netns_self(void);

// Runs fn in the namespace on the calling thread and comes back. The process aborts if it cannot
// come back: a thread left in a tenant's namespace must not go on.
int netns_run(int fd, int (*fn)(void *arg), void *arg);

// scan.c: an fd of the namespace behind a veth of ours; -ESRCH when there is none, or no name leads to it.
int link_netns_open(int ifindex);
