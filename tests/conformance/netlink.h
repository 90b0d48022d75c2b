// SPDX-License-Identifier: Apache-2.0
// netlink.h - the few rtnetlink requests that a rig needs: veth pairs, addresses, routes, neighbours.
//
// World: host, tests. Pure: no. Owns: nothing; a socket works in the namespace in which it was opened.
// Each call is one request and its acknowledgement: 0 or -errno.
#pragma once

#include <stdint.h>

#include <bulkhead/addr.h>

int netlink_open(void); // an fd, or -errno

struct netlink_veth {
	const char *name, *peer_name;
	int ifindex, peer_ifindex; // chosen by the caller
	uint8_t mac[6], peer_mac[6];
	int peer_netns; // fd: where the other side goes
};
int netlink_veth_add(int nl, const struct netlink_veth *veth);
int netlink_link_up(int nl, int ifindex);
int netlink_link_del(int nl, int ifindex);

// As /32 or /128.
int netlink_addr_add(int nl, int ifindex, const struct bh_addr *addr);
int netlink_addr_del(int nl, int ifindex, const struct bh_addr *addr);

// To *to, which is one address, or to everything of via's family when it is NULL; via may be NULL: on
// the link itself.
int netlink_route_add(int nl, const struct bh_addr *to, const struct bh_addr *via, int ifindex);
int netlink_route_del(int nl, const struct bh_addr *to, int ifindex);

int netlink_neigh_add(int nl, int ifindex, const struct bh_addr *addr, const uint8_t mac[6]);
