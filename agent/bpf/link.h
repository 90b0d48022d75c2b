// SPDX-License-Identifier: Apache-2.0
// link.h - devices and addresses of the host's namespace, followed by rtnetlink; pods found by
// namespace.
//
// World: host. Pure: no. Owns: its netlink sockets. Needs CAP_NET_ADMIN; to tell whose namespace it is,
// CAP_SYS_PTRACE (other users' /proc/PID/ns), and to list a pod's sockets CAP_SYS_ADMIN (setns).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <bulkhead/addr.h>

#include "agent/base/cleanup.h"
#include "agent/base/err.h"
#include "agent/base/vec.h"

// ---- following the host's addresses and devices
// ----------------------------------------------------------------------
struct link_monitor;

struct link_events {
	void *arg;
	void (*address)(void *arg, const struct bh_addr *addr, bool present); // of this host
	void (*device)(void *arg, int ifindex, bool present); // veth devices came or went
	void (*overrun)(void *arg); // events were lost; all was told anew: rescan pods
	void (*filters)(void *arg, int ifindex); // somebody put or took a filter or a qdisc; NULL: not asked
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
// What the host's own namespace, the host's routes and the host's processes say is the host's word. What is
// read behind a veth is the pod's: a pod may set it as it likes, so it is a hint and never decides
// that something is gone.
#define LINK_ADDRS_MAX 16
#define LINK_UIDS_MAX 4
#define LINK_UID_BYTES 40

// A veth device of our own namespace whose other side is in another one.
struct link_pod {
	int ifindex;
	int peer_ifindex, nsid; // the other side, as our namespace calls it
	// the host's word
	struct bh_addr gateway4, gateway6; // the host's address on this veth or its bridge; all 0: none
	bool unasked; // nobody was asked whose processes live on the other side: it was held, or no pod was without a device
	bool way_out; // no pod's: the host has a subnet on it, or gateways behind it or its bridge; told to .early alone
	uint32_t nuids;
	char uids[LINK_UIDS_MAX][LINK_UID_BYTES]; // pods whose processes live on the other side
	uint32_t nrouted;
	struct bh_addr routed[LINK_ADDRS_MAX]; // of the asked addresses: those that the host routes here
	// the pod's word
	bool unread; // it could not be heard
	uint8_t mac[6];
	uint32_t naddrs;
	struct bh_addr addrs[LINK_ADDRS_MAX]; // of the known addresses: those that stand on the other side; early: of any
	bool more; // it has more of them
};

// What the caller knows already, and what it asks.
struct link_known {
	VEC(struct bh_addr) addrs; // of all pods of this node, sorted by link_addr_order()
	VEC(struct bh_addr) asked; // of pods without a device
	VEC(int) held; // devices whose pod is known: nobody asks who lives there
	bool uids; // asks whose processes live behind the others even if no pod is without a device
	bool early; // no pod is known yet: nobody is asked, any address counts that is not the host's
	VEC(int) only; // not empty: these devices alone are looked at, and nobody is asked; view.devices has no others
	const bool *hurry; // NULL, or set by another thread: something else is more urgent, give up with -ECANCELED
};
void link_known_fini(struct link_known *known);
int link_addr_order(const void *a, const void *b);

struct link_view {
	VEC(int) devices; // every device of the host, sorted: what is not in it is gone
	VEC(struct link_pod) pods;
	uint16_t ephemeral_lo, ephemeral_hi; // the host's ip_local_port_range
	uint32_t unread; // devices that could not be looked at for want of something
	int hidden; // -errno: processes could not be asked whose they are; devices without a pod stay undecided
	uint32_t strangers; // processes that nobody may look at: they give no evidence
	struct err why; // of what is unread or hidden
};
void link_view_fini(struct link_view *view);
bool link_view_has(const struct link_view *view, int ifindex);

// Looks at the host's devices and, from here by the ids that our namespace has for others, at the
// other sides of its veths: no namespace is entered. Fails, and then says nothing at all, when the
// host's own list is not complete.
int link_scan(const struct link_known *known, struct link_view *ret, struct err *reterr);

// The pod UID in a line of /proc/PID/cgroup, the outermost one, with dashes: what a pod makes below its own
// group cannot be in front of it. Both spellings: .../pod<uid>/..., ...-pod<uid_with_underscores>.slice.
bool link_cgroup_uid(const char *line, char ret[static LINK_UID_BYTES]);

// Live TCP and UDP sockets of a pod's namespace, for seeding: fn per connected socket. listening: a
// local port with a listener, so the remote initiated. Found by the host side's ifindex; -ESRCH when the
// namespace is gone or has no name. Enters it on the calling thread, which must be a helper
// thread that nothing else needs (it is back in its own namespace at return, or the process aborts).
struct link_flow {
	uint8_t proto;
	struct bh_addr local, remote;
	uint16_t local_port, remote_port; // host order
	bool listening;
	uint8_t tcp_state; // TCP_ESTABLISHED ...
};
typedef int (*link_flow_fn)(void *arg, const struct link_flow *flow);
int link_flows(int ifindex, link_flow_fn fn, void *arg, struct err *reterr);
