// SPDX-License-Identifier: Apache-2.0
// rig_wire.c - the veth pairs, addresses and routes of nodes and pods.
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "tests/conformance/rig_private.h"
#include "tests/conformance/sandbox.h"

#define IFINDEX_UPLINK 2 // in a node: towards the hub
#define IFINDEX_ETH0 2 // in a pod
#define IFINDEX_NODE(id) (int)(10 + (id)) // in the hub
#define IFINDEX_POD(id) (int)(100 + (id)) // in a node

#define TRIES 2000 // a millisecond apart

struct bh_addr wire_addr(int family, enum wire_role role, unsigned id)
{
	static const char *const prefix[][2] = {
		[WIRE_HUB] = { "198.18.255.", "fd00:198:18:ff::" },
		[WIRE_NODE] = { "198.18.0.", "fd00:198:18::" },
		[WIRE_POD_GATEWAY] = { "169.254.1.", "fe80::1:" },
		[WIRE_NODE_GATEWAY] = { "169.254.2.", "fe80::2:" },
		[WIRE_NODE_LINK] = { "169.254.3.", "fe80::3:" },
	};
	struct bh_addr addr = { 0 };
	char text[64];

	snprintf(text, sizeof(text), family ? "%s%x" : "%s%u", prefix[role][family], id + 1);
	addr_parse(text, &addr);
	return addr;
}

static void set_mac(uint8_t mac[6], uint8_t kind, unsigned id)
{
	const uint8_t bytes[6] = { 2, kind, 0, 0, (uint8_t)(id >> 8), (uint8_t)id };

	memcpy(mac, bytes, 6);
}

enum mac_kind { MAC_POD, MAC_POD_HOST, MAC_NODE, MAC_NODE_HUB };

static bool is_none(const struct bh_addr *addr)
{
	static const struct bh_addr none;

	return bh_addr_equal(addr, &none);
}

static int failed(struct err *reterr, int r, const char *what)
{
	return r < 0 ? err_set(reterr, r, "%s: %s", what, strerror(-r)) : 0;
}

// ---- nodes ------------------------------------------------------------------------------------------------------

// One family of the link between a node and the hub.
static int link_node(struct rig *rig, struct rig_node *node, int family,
		     const struct netlink_veth *veth)
{
	struct bh_addr own = wire_addr(family, WIRE_NODE, node->id);
	struct bh_addr hop = wire_addr(family, WIRE_NODE_LINK, node->id);
	struct bh_addr gateway = wire_addr(family, WIRE_NODE_GATEWAY, 0);
	int r;

	r = netlink_addr_add(node->nl, IFINDEX_UPLINK, &own);
	if (r == 0)
		r = netlink_neigh_add(node->nl, IFINDEX_UPLINK, &gateway, veth->mac);
	if (r == 0)
		r = netlink_route_add(node->nl, NULL, &gateway, IFINDEX_UPLINK);
	if (r == 0)
		r = netlink_neigh_add(rig->nl, veth->ifindex, &hop, veth->peer_mac);
	if (r == 0)
		r = netlink_route_add(rig->nl, &own, &hop, veth->ifindex);
	return r;
}

int wire_node(struct rig *rig, struct rig_node *node, const char *name, unsigned id,
	      struct err *reterr)
{
	struct netlink_veth veth = { .peer_name = "up",
				     .ifindex = IFINDEX_NODE(id),
				     .peer_ifindex = IFINDEX_UPLINK };
	char hub_name[16], netns_name[32];
	int r;

	memset(node, 0, sizeof(*node));
	snprintf(node->name, sizeof(node->name), "%s", name);
	snprintf(hub_name, sizeof(hub_name), "n%u", id);
	snprintf(netns_name, sizeof(netns_name), "node%u", id);
	node->id = id;
	node->nl = -1;
	node->netns = sandbox_netns(netns_name, reterr);
	probe_end_init(&node->end, node->netns);
	if (node->netns < 0)
		return node->netns;
	veth.name = hub_name;
	veth.peer_netns = node->netns;
	set_mac(veth.mac, MAC_NODE_HUB, id);
	set_mac(veth.peer_mac, MAC_NODE, id);
	r = netlink_veth_add(rig->nl, &veth);
	if (r == 0)
		r = netlink_link_up(rig->nl, veth.ifindex);
	if (r == 0)
		r = sandbox_enter(node->netns);
	if (r == 0) {
		node->nl = netlink_open();
		r = sandbox_enter(rig->netns);
	}
	if (r == 0)
		r = netlink_link_up(node->nl, IFINDEX_UPLINK);
	for (int family = 0; r == 0 && family < 2; family++)
		r = link_node(rig, node, family, &veth);
	return failed(reterr, r, name);
}

int wire_node_addr(struct rig *rig, struct rig_node *node, int family, const struct bh_addr *addr,
		   struct err *reterr)
{
	struct bh_addr hop = wire_addr(family, WIRE_NODE_LINK, node->id);
	struct bh_addr *have = &node->addrs[family];
	int r = 0;

	if (bh_addr_equal(have, addr))
		return 0;
	if (!is_none(have)) {
		netlink_route_del(rig->nl, have, IFINDEX_NODE(node->id));
		r = netlink_addr_del(node->nl, IFINDEX_UPLINK, have);
	}
	if (r == 0 && !is_none(addr)) {
		r = netlink_addr_add(node->nl, IFINDEX_UPLINK, addr);
		if (r == 0)
			r = netlink_route_add(rig->nl, addr, &hop, IFINDEX_NODE(node->id));
	}
	if (r == 0)
		*have = *addr;
	return failed(reterr, r, node->name);
}

// ---- pods -------------------------------------------------------------------------------------------------------

// One family of a pod: its side, its node's side, and the way to its node.
static int link_pod(struct rig *rig, struct rig_pod *pod, int nl, int family,
		    const struct netlink_veth *veth)
{
	struct bh_addr gateway = wire_addr(family, WIRE_POD_GATEWAY, 0);
	struct bh_addr hop = wire_addr(family, WIRE_NODE_LINK, pod->node->id);
	const struct bh_addr *addr = &pod->addrs[family];
	int r;

	if (is_none(addr))
		return 0;
	r = netlink_addr_add(nl, IFINDEX_ETH0, addr);
	if (r == 0)
		r = netlink_neigh_add(nl, IFINDEX_ETH0, &gateway, veth->mac);
	if (r == 0)
		r = netlink_route_add(nl, NULL, &gateway, IFINDEX_ETH0);
	if (r == 0)
		r = netlink_neigh_add(pod->node->nl, veth->ifindex, addr, veth->peer_mac);
	if (r == 0)
		r = netlink_route_add(pod->node->nl, addr, NULL, veth->ifindex);
	if (r == 0)
		r = netlink_route_add(rig->nl, addr, &hop, IFINDEX_NODE(pod->node->id));
	return r;
}

int wire_pod(struct rig *rig, struct rig_pod *pod, struct err *reterr)
{
	struct netlink_veth veth = { .peer_name = "eth0",
				     .ifindex = IFINDEX_POD(pod->id),
				     .peer_ifindex = IFINDEX_ETH0 };
	_cleanup_close_ int nl = -1;
	char host_name[16], netns_name[32];
	int r;

	snprintf(host_name, sizeof(host_name), "v%u", pod->id);
	snprintf(netns_name, sizeof(netns_name), "pod%u", pod->id);
	pod->netns = sandbox_netns(netns_name, reterr);
	probe_end_init(&pod->end, pod->netns);
	if (pod->netns < 0)
		return pod->netns;
	veth.name = host_name;
	veth.peer_netns = pod->netns;
	set_mac(veth.mac, MAC_POD_HOST, pod->id);
	set_mac(veth.peer_mac, MAC_POD, pod->id);
	r = netlink_veth_add(pod->node->nl, &veth);
	if (r == 0)
		r = netlink_link_up(pod->node->nl, veth.ifindex);
	if (r == 0)
		r = sandbox_enter(pod->netns);
	if (r == 0) {
		nl = netlink_open();
		r = sandbox_enter(rig->netns);
	}
	if (r == 0)
		r = netlink_link_up(nl, IFINDEX_ETH0);
	for (int family = 0; r == 0 && family < 2; family++)
		r = link_pod(rig, pod, nl, family, &veth);
	return failed(reterr, r, "wiring");
}

int unwire_pod(struct rig *rig, struct rig_pod *pod, struct err *reterr)
{
	char path[64];
	int r = 0;

	for (int family = 0; r == 0 && family < 2; family++)
		if (!is_none(&pod->addrs[family]))
			r = netlink_route_del(rig->nl, &pod->addrs[family],
					      IFINDEX_NODE(pod->node->id));
	if (r == 0)
		r = netlink_link_del(pod->node->nl, IFINDEX_POD(pod->id));
	snprintf(path, sizeof(path), "/run/netns/pod%u", pod->id);
	umount2(path, MNT_DETACH);
	unlink(path);
	return failed(reterr, r, "removing a pod");
}

void pod_free(struct rig_pod *pod)
{
	probe_end_fini(&pod->end);
	closep(&pod->netns);
	free(pod);
}

// Asks both ways between an end and the hub; *retgood says if all of it arrived.
static int try_once(struct rig *rig, struct prober *prober, struct probe_end *end,
		    const struct bh_addr *addr, int family, bool *retgood, struct err *reterr)
{
	struct probe probes[2] = {
		{ .from = end, .to = &rig->end },
		{ .from = &rig->end, .to = end },
	};
	int r;

	for (int i = 0; i < 2; i++) {
		probes[i].flow.src = *(i ? &rig->addrs[family] : addr);
		probes[i].flow.dst = *(i ? addr : &rig->addrs[family]);
		probes[i].flow.proto = IPPROTO_TCP;
		probes[i].flow.port = 1;
	}
	r = probe_run(prober, probes, 2, reterr);
	*retgood = probes[0].answered && probes[1].answered;
	return r;
}

int wire_try(struct rig *rig, struct prober *prober, struct probe_end *end,
	     const struct bh_addr *addrs, struct err *reterr)
{
	bool good;
	int r = 0;

	for (int family = 0; prober && r == 0 && family < 2; family++) {
		good = is_none(&addrs[family]);
		// A new device's queue is brought to life by a worker of the kernel, which tells nobody.
		for (int i = 0; r == 0 && !good && i < TRIES; i++) {
			if (i)
				poll(NULL, 0, 1);
			r = try_once(rig, prober, end, &addrs[family], family, &good, reterr);
		}
		if (r == 0 && !good)
			r = err_set(reterr, -EHOSTUNREACH, "its IPv%d packets get lost",
				    family ? 6 : 4);
	}
	return r;
}
