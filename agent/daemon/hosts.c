// SPDX-License-Identifier: Apache-2.0
// hosts.c - which addresses are "the own node": those on the host's devices, and those of its Node object.
#include <string.h>

#include "agent/base/log.h"
#include "agent/daemon/daemon.h"

LOG_ROOM("daemon");

static bool is_local(const struct daemon *daemon, const struct bh_addr *addr)
{
	vec_each(struct bh_addr, a, &daemon->host_addrs) {
		if (bh_addr_equal(a, addr))
			return true;
	}
	return false;
}

static bool in_node(const struct node *node, const struct bh_addr *addr)
{
	for (uint32_t i = 0; node && i < node->naddrs; i++) {
		if (bh_addr_equal(&node->addrs[i], addr))
			return true;
	}
	return false;
}

static const struct node *own_node(const struct daemon *daemon)
{
	return (const struct node *)store_find(daemon->store, KIND_NODE, NULL, daemon->config->node);
}

static void write_one(struct daemon *daemon, const struct bh_addr *addr)
{
	uint32_t flags = (is_local(daemon, addr) ? BH_HOST_LOCAL : 0) |
			 (in_node(own_node(daemon), addr) ? BH_HOST_NODE : 0);
	int r = tables_host_set(daemon->tables, addr, flags);
	char text[64];

	if (r < 0)
		log_error("host address %s: %s", addr_format(addr, text, sizeof(text)), strerror(-r));
}

void daemon_host_addr(struct daemon *daemon, const struct bh_addr *addr, bool present)
{
	for (size_t i = 0; i < daemon->host_addrs.n; i++) {
		if (bh_addr_equal(&daemon->host_addrs.v[i], addr))
			vec_drop(&daemon->host_addrs, i--);
	}
	if (present && vec_push(&daemon->host_addrs, *addr) < 0)
		log_error("out of memory: an address of this host is not known");
	if (daemon->tables_adopted || !daemon->adopted)
		write_one(daemon, addr);
}

// Until everything is read, what an agent before wrote stays; then new ones first, stale ones last, so that
// no moment lacks an address.
void daemon_hosts_sync(struct daemon *daemon)
{
	const struct node *node = own_node(daemon);
	VEC(struct bh_addr) keep = { 0 };

	for (uint32_t i = 0; node && i < node->naddrs; i++) {
		if (vec_push(&keep, node->addrs[i]) < 0)
			log_error("out of memory: an address of this host is not known");
	}
	vec_each(struct bh_addr, a, &daemon->host_addrs) {
		if (vec_push(&keep, *a) < 0)
			log_error("out of memory: an address of this host is not known");
	}
	vec_each(struct bh_addr, a, &keep)
		write_one(daemon, a);
	tables_host_keep(daemon->tables, keep.v, (uint32_t)keep.n);
	vec_fini(&keep);
}

void daemon_node_changed(struct daemon *daemon, const struct node *before, const struct node *after)
{
	if (!daemon->tables_adopted)
		return;
	for (uint32_t i = 0; before && i < before->naddrs; i++)
		write_one(daemon, &before->addrs[i]);
	for (uint32_t i = 0; after && i < after->naddrs; i++)
		write_one(daemon, &after->addrs[i]);
}
