// SPDX-License-Identifier: Apache-2.0
// net.h - a private machine for a test: its own mounts and network, gone with the process.
//
// World: host, tests (root). Pure: no. Owns: nothing that outlives the process.
#pragma once

#include <stdbool.h>
#include <stdint.h>

// Once, first thing in main(): unshares mounts and network, puts a tmpfs on /run (so that `ip
// netns` names are ours alone) and a bpffs on /run/bpf. Tests can then run beside each other under
// the same names.
int net_private(void);

// A fresh network for the next test, whatever the last one left: a setup function of cmocka.
int net_fresh(void **state);

// Runs a shell command; fails the test with its text if it does not exit with 0.
void net_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// Namespace `name` with a veth pair: `host` here, eth0 there; both up, addresses
// from 10.<net>.0.0/24 and fd00:<net>::/64 (.1 here, .2 there), default routes there. The pod
// side's MAC is 02:00:00:00:<net>:02.
void net_pod(const char *name, const char *host, unsigned int net);

int net_open(const char *name); // fd of /run/netns/<name>; fails the test
uint64_t net_inode(const char *name);
int net_ifindex(const char *device); // in the calling thread's namespace; fails the test
void net_enter(int fd);              // setns; fails the test
int net_self(void);                  // fd of the calling thread's namespace

// A connected UDP pair of sockets: [0] here, bound to `here`; [1] in namespace fd, bound to
// `there`. Addresses as text, one family. Non-blocking with a receive time-out.
void net_udp(int fd, const char *here, const char *there, int ret[2]);

// A socket of the type in namespace fd (-1: here), bound (port 0: any) and for TCP listening.
int net_listen(int fd, int type, const char *addr, uint16_t port);
int net_connect(int fd, int type, const char *addr, uint16_t port); // fd of the socket or -errno
uint16_t net_port(int sock);                                        // its local port
