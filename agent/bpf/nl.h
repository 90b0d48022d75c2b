// SPDX-License-Identifier: Apache-2.0
// nl.h - one netlink conversation: ask, hear every answer, know how it ended.
//
// World: host. Pure: no (a socket). Owns: its socket. Blocking; one thread at a time.
// A socket belongs to the network namespace in which it was opened and stays there.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <linux/rtnetlink.h>

#include <bulkhead/addr.h>

#include "agent/base/cleanup.h"

#define NL_BUFFER_BYTES 32768 // to begin with; grows to the message that waits, so none is cut short

struct mnl_socket;

struct nl {
	struct mnl_socket *sock; // NULL: closed
	uint32_t seq;
	char *buf; // of what is read
	size_t bytes;
};

// Called for each message of an answer; non-zero ends the conversation's callbacks and is returned.
typedef int (*nl_fn)(void *arg, const struct nlmsghdr *nlh);

// bus: NETLINK_ROUTE ...; groups: legacy bit mask to listen to.
int nl_open(struct nl *nl, int bus, unsigned int groups);
void nl_close(struct nl *nl);
static inline void nl_closep(struct nl *nl)
{
	nl_close(nl);
}
#define _cleanup_nl_ _cleanup_(nl_closep)

int nl_fd(const struct nl *nl);

// The kernel heeds every field of a request, so that a dump may be of one device or another namespace.
int nl_strict(struct nl *nl);

// A request of `extra` header bytes (zeroed, returned in *retextra) in a buffer of
// NL_REQUEST_BYTES.
#define NL_REQUEST_BYTES 1024
struct nlmsghdr *nl_request(char buf[static NL_REQUEST_BYTES], uint16_t type, uint16_t flags,
			    size_t extra, void *retextra);

// Sends a request and hears it out. 0, what fn returned, or -errno: the kernel's own error, or
// -EAGAIN when a dump was interrupted by a change and is incomplete (the callbacks have run; ask
// again).
int nl_talk(struct nl *nl, struct nlmsghdr *nlh, nl_fn fn, void *arg);

// Reads what waits on a listening socket. 0, or -ENOBUFS: events were lost.
int nl_listen(struct nl *nl, nl_fn fn, void *arg);

// Attributes by number: table[0..max], NULL where absent. Of a message behind its `extra` header,
// of a nest.
void nl_attrs(const struct nlmsghdr *nlh, size_t extra, const struct nlattr **table, uint16_t max);
void nl_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max);

// An attribute that is an address of 4 or 16 bytes; false when it is absent or of another length.
bool nl_addr(const struct nlattr *attr, struct bh_addr *ret);

// A device of a RTM_NEWLINK or RTM_DELLINK message. False: not about a device's life (bridge
// ports).
struct nl_device {
	int ifindex;
	int peer; // IFLA_LINK, 0: none
	int peer_nsid; // IFLA_LINK_NETNSID, -1: our own namespace or not told
	int master; // the bridge that it is a port of, 0: none
	bool veth;
	uint8_t mac[6];
};
bool nl_device(const struct nlmsghdr *nlh, struct nl_device *ret);

// An address of a RTM_NEWADDR or RTM_DELADDR message; false when it has none.
bool nl_device_addr(const struct nlmsghdr *nlh, int *retifindex, struct bh_addr *ret);
