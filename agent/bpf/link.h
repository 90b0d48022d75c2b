// SPDX-License-Identifier: Apache-2.0
// link.h - devices and addresses of the host's namespace, followed by rtnetlink; pods found by
// namespace.
//
// World: host. Pure: no. Owns: its netlink sockets. Needs CAP_NET_ADMIN; the namespace scan also
// needs CAP_SYS_ADMIN (setns) and CAP_SYS_PTRACE (other users' /proc/PID/ns).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/addr.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"

// ---- following the host's addresses and devices
// ----------------------------------------------------------------------
struct link_monitor;

struct link_events {
	void *arg;
	void (*address)(void *arg, const struct bh_addr *addr, bool present); // of this host
	void (*device)(void *arg, int ifindex, bool present); // veth devices came or went
	void (*overrun)(void *arg); // events were lost; all was told anew: rescan pods
};

int link_monitor_new(const struct link_events *events, struct link_monitor **ret,
		     struct err *reterr);
void link_monitor_free(struct link_monitor *monitor);
DEFINE_CLEANUP(struct link_monitor *, link_monitor_free)
int link_monitor_fd(const struct link_monitor *monitor); // readable: call link_monitor_read()
int link_monitor_read(struct link_monitor *monitor);
int link_monitor_dump(struct link_monitor *monitor); // tells everything that is there now

// ---- finding pods
// ------------------------------------------------------------------------------------------------------
// One pod side of a veth whose other side is a device of our own namespace (checked on both sides:
// peer index and namespace id).
struct link_pod {
	uint64_t netns; // inode
	int ifindex; // host side, in our namespace
	int peer_ifindex; // pod side
	uint8_t mac[6]; // pod side
	uint32_t naddrs;
	struct bh_addr addrs[16]; // of the pod side's device (link-local ones too)
	struct bh_addr gateway4, gateway6; // default routes' next hops; all 0: none
	uint16_t ephemeral_lo, ephemeral_hi; // ip_local_port_range there
};
typedef int (*link_pod_fn)(void *arg, const struct link_pod *pod); // non-zero stops

// Looks into every network namespace that can be named: /proc/*/ns/net, /run/netns/*, bind mounts
// of nsfs in /proc/self/mountinfo; each inode once. Enters them on the calling thread, which must
// be a helper thread that nothing else needs (it is back in its own namespace at return, or the
// process aborts).
int link_scan(link_pod_fn fn, void *arg, struct err *reterr);

// Live TCP and UDP sockets of a pod's namespace, for seeding: fn per connected socket. listening: a
// local port with a listener, so the remote initiated. Found by the namespace's inode; -ESRCH when
// it is gone.
struct link_flow {
	uint8_t proto;
	struct bh_addr local, remote;
	uint16_t local_port, remote_port; // host order
	bool listening;
	uint8_t tcp_state; // TCP_ESTABLISHED ...
};
typedef int (*link_flow_fn)(void *arg, const struct link_flow *flow);
int link_flows(uint64_t netns, link_flow_fn fn, void *arg, struct err *reterr);
