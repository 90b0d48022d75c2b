// SPDX-License-Identifier: Apache-2.0
// link.c - the host's addresses and veth devices, told once each, as they come and go.
#include "agent/bpf/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>

#include "agent/base/hash.h"
#include "agent/base/vec.h"
#include "agent/bpf/attach.h"
#include "agent/bpf/nl.h"

#define RECEIVE_BYTES (1 << 20) // events of a burst of some hundred pods
#define DUMP_TRIES 5

// One thing that is there: an address on a device, or (addr all 0) a veth device.
struct fact {
	int ifindex;
	struct bh_addr addr;
	bool stale; // not seen again by the dump that runs
};

struct link_monitor {
	struct nl events, dumps;
	struct link_events on;
	struct hash facts; // owned
	struct hash uses; // counts of addresses: one may be on several devices
};

struct use {
	struct bh_addr addr;
	uint32_t count;
};

static bool fact_equal(const void *item, const void *key)
{
	const struct fact *a = item, *b = key;

	return a->ifindex == b->ifindex && bh_addr_equal(&a->addr, &b->addr);
}

static uint64_t fact_hash(const struct fact *fact)
{
	return hash_mix(hash_bytes(&fact->addr, sizeof(fact->addr)), (uint64_t)fact->ifindex);
}

static bool use_equal(const void *item, const void *key)
{
	return bh_addr_equal(&((const struct use *)item)->addr, key);
}

static bool is_device(const struct fact *fact)
{
	return bh_addr_equal(&fact->addr, &(struct bh_addr){ 0 });
}

static int use_add(struct link_monitor *monitor, const struct bh_addr *addr)
{
	uint64_t hash = hash_bytes(addr, sizeof(*addr));
	struct use *use = hash_find(&monitor->uses, hash, use_equal, addr);

	if (!use) {
		use = calloc(1, sizeof(*use));
		if (!use || hash_add(&monitor->uses, hash, use) < 0) {
			free(use);
			return -ENOMEM;
		}
		use->addr = *addr;
	}
	if (use->count++ == 0 && monitor->on.address)
		monitor->on.address(monitor->on.arg, addr, true);
	return 0;
}

static void use_drop(struct link_monitor *monitor, const struct bh_addr *addr)
{
	uint64_t hash = hash_bytes(addr, sizeof(*addr));
	struct use *use = hash_find(&monitor->uses, hash, use_equal, addr);

	if (!use || --use->count > 0)
		return;
	if (monitor->on.address)
		monitor->on.address(monitor->on.arg, addr, false);
	hash_remove(&monitor->uses, hash, use);
	free(use);
}

static int fact_tell(struct link_monitor *monitor, const struct fact *fact, bool present)
{
	if (is_device(fact)) {
		if (monitor->on.device)
			monitor->on.device(monitor->on.arg, fact->ifindex, present);
		return 0;
	}
	if (present)
		return use_add(monitor, &fact->addr);
	use_drop(monitor, &fact->addr);
	return 0;
}

static int fact_add(struct link_monitor *monitor, const struct fact *fact)
{
	uint64_t hash = fact_hash(fact);
	struct fact *known = hash_find(&monitor->facts, hash, fact_equal, fact);

	if (known) {
		known->stale = false;
		return 0;
	}
	known = malloc(sizeof(*known));
	if (!known)
		return -ENOMEM;
	*known = *fact;
	if (hash_add(&monitor->facts, hash, known) < 0) {
		free(known);
		return -ENOMEM;
	}
	return fact_tell(monitor, fact, true);
}

static void fact_drop(struct link_monitor *monitor, const struct fact *fact)
{
	uint64_t hash = fact_hash(fact);
	_cleanup_free_ struct fact *known = hash_find(&monitor->facts, hash, fact_equal, fact);

	if (!known)
		return;
	hash_remove(&monitor->facts, hash, known);
	fact_tell(monitor, known, false);
}

// Drops all facts of a device, or (ifindex 0) all that a dump did not see again. Collected first:
// the table must not change under its walk.
static int facts_drop(struct link_monitor *monitor, int ifindex)
{
	VEC(struct fact) gone = { 0 };
	struct fact *fact;
	size_t at = 0;
	int r = 0;

	while (r == 0 && (fact = hash_next(&monitor->facts, &at)))
		if (ifindex ? fact->ifindex == ifindex : fact->stale)
			r = vec_push(&gone, *fact);
	vec_each(struct fact, dead, &gone)
		fact_drop(monitor, dead);
	vec_fini(&gone);
	return r;
}

// What is put where the agent's own filters stand is its own, or the CNI plugin's, which tells.
static bool filters_changed(const struct nlmsghdr *nlh, int *retifindex)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(nlh);

	if (nlh->nlmsg_type != RTM_DELQDISC && nlh->nlmsg_type != RTM_DELTFILTER &&
	    (nlh->nlmsg_type != RTM_NEWTFILTER || attach_is_our_place(tc->tcm_info, tc->tcm_handle)))
		return false;
	*retifindex = tc->tcm_ifindex;
	return true;
}

static int monitor_event(void *arg, const struct nlmsghdr *nlh)
{
	struct link_monitor *monitor = arg;
	struct nl_device device;
	struct fact fact = { 0 };

	if (filters_changed(nlh, &fact.ifindex)) {
		if (monitor->on.filters)
			monitor->on.filters(monitor->on.arg, fact.ifindex);
		return 0;
	}
	if (nl_device(nlh, &device)) {
		fact.ifindex = device.ifindex;
		if (nlh->nlmsg_type == RTM_DELLINK)
			return facts_drop(monitor, device.ifindex);
		return device.veth ? fact_add(monitor, &fact) : 0;
	}
	if (!nl_device_addr(nlh, &fact.ifindex, &fact.addr) || is_device(&fact))
		return 0;
	if (nlh->nlmsg_type == RTM_NEWADDR)
		return fact_add(monitor, &fact);
	fact_drop(monitor, &fact);
	return 0;
}

static int monitor_ask(struct link_monitor *monitor, uint16_t type)
{
	char buf[NL_REQUEST_BYTES];
	int r = -EAGAIN;

	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) {
		size_t header =
			type == RTM_GETLINK ? sizeof(struct ifinfomsg) : sizeof(struct ifaddrmsg);
		void *extra;

		r = nl_talk(&monitor->dumps, nl_request(buf, type, NLM_F_DUMP, header, &extra),
			    monitor_event, monitor);
	}
	return r;
}

int link_monitor_dump(struct link_monitor *monitor)
{
	struct fact *fact;
	size_t at = 0;
	int r;

	while ((fact = hash_next(&monitor->facts, &at)))
		fact->stale = true;
	r = monitor_ask(monitor, RTM_GETLINK);
	if (r < 0)
		return r;
	r = monitor_ask(monitor, RTM_GETADDR);
	if (r < 0)
		return r;
	return facts_drop(monitor, 0);
}

int link_monitor_new(const struct link_events *events, struct link_monitor **ret,
		     struct err *reterr)
{
	_cleanup_(link_monitor_freep) struct link_monitor *monitor = calloc(1, sizeof(*monitor));
	int bytes = RECEIVE_BYTES;
	int r;

	if (!monitor)
		return err_set(reterr, -ENOMEM, "no memory");
	monitor->on = *events;
	r = nl_open(&monitor->events, NETLINK_ROUTE,
		    RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			    (events->filters ? RTMGRP_TC : 0));
	if (r == 0)
		r = nl_open(&monitor->dumps, NETLINK_ROUTE, 0);
	if (r < 0)
		return err_set(reterr, r, "cannot listen to rtnetlink: %s", strerror(-r));
	setsockopt(nl_fd(&monitor->events), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	*ret = TAKE_PTR(monitor);
	return 0;
}

static void free_all(struct hash *table)
{
	void *item;
	size_t at = 0;

	while ((item = hash_next(table, &at)))
		free(item);
	hash_fini(table);
}

void link_monitor_free(struct link_monitor *monitor)
{
	if (!monitor)
		return;
	nl_close(&monitor->events);
	nl_close(&monitor->dumps);
	free_all(&monitor->facts);
	free_all(&monitor->uses);
	free(monitor);
}

int link_monitor_fd(const struct link_monitor *monitor)
{
	return nl_fd(&monitor->events);
}

int link_monitor_read(struct link_monitor *monitor)
{
	int r = nl_listen(&monitor->events, monitor_event, monitor);

	if (r != -ENOBUFS)
		return r;
	r = link_monitor_dump(monitor);
	if (monitor->on.overrun)
		monitor->on.overrun(monitor->on.arg);
	return r;
}
