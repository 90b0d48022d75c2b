// SPDX-License-Identifier: Apache-2.0
// netlink.c - rtnetlink requests built with libmnl.
#include "tests/conformance/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	char buf[1024] __attribute__((aligned(8)));
	struct nlmsghdr *head;
};

int netlink_open(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int r;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

static void *request_init(struct request *request, uint16_t type, uint16_t flags, size_t bytes)
{
	request->head = mnl_nlmsg_put_header(request->buf);
	request->head->nlmsg_type = type;
	request->head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return mnl_nlmsg_put_extra_header(request->head, bytes);
}

static int request_run(int nl, struct request *request)
{
	char answer[8192];
	const struct nlmsghdr *head = (const struct nlmsghdr *)answer;
	const struct nlmsgerr *error;
	ssize_t n;

	if (send(nl, request->head, request->head->nlmsg_len, 0) < 0)
		return -errno;
	n = recv(nl, answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	if (!mnl_nlmsg_ok(head, (int)n) || head->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	error = mnl_nlmsg_get_payload(head);
	return error->error;
}

// An address as the wire has it: 4 or 16 bytes.
static void put_addr(struct nlmsghdr *head, uint16_t type, const struct bh_addr *addr)
{
	if (bh_addr_is4(addr))
		mnl_attr_put(head, type, 4, &addr->w[3]);
	else
		mnl_attr_put(head, type, 16, addr->w);
}

static uint8_t family_of(const struct bh_addr *addr)
{
	return bh_addr_is4(addr) ? AF_INET : AF_INET6;
}

static uint8_t bits_of(const struct bh_addr *addr)
{
	return bh_addr_is4(addr) ? 32 : 128;
}

int netlink_veth_add(int nl, const struct netlink_veth *veth)
{
	struct request request;
	struct nlattr *info, *data, *peer;
	struct ifinfomsg *link;

	link = request_init(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(*link));
	link->ifi_index = veth->ifindex;
	mnl_attr_put_strz(request.head, IFLA_IFNAME, veth->name);
	mnl_attr_put(request.head, IFLA_ADDRESS, 6, veth->mac);
	info = mnl_attr_nest_start(request.head, IFLA_LINKINFO);
	mnl_attr_put_strz(request.head, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(request.head, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(request.head, VETH_INFO_PEER);
	link = mnl_nlmsg_put_extra_header(request.head, sizeof(*link));
	link->ifi_index = veth->peer_ifindex;
	mnl_attr_put_strz(request.head, IFLA_IFNAME, veth->peer_name);
	mnl_attr_put(request.head, IFLA_ADDRESS, 6, veth->peer_mac);
	mnl_attr_put_u32(request.head, IFLA_NET_NS_FD, (uint32_t)veth->peer_netns);
	mnl_attr_nest_end(request.head, peer);
	mnl_attr_nest_end(request.head, data);
	mnl_attr_nest_end(request.head, info);
	return request_run(nl, &request);
}

int netlink_link_up(int nl, int ifindex)
{
	struct request request;
	struct ifinfomsg *link = request_init(&request, RTM_NEWLINK, 0, sizeof(*link));

	link->ifi_index = ifindex;
	link->ifi_flags = link->ifi_change = IFF_UP;
	return request_run(nl, &request);
}

int netlink_link_del(int nl, int ifindex)
{
	struct request request;
	struct ifinfomsg *link = request_init(&request, RTM_DELLINK, 0, sizeof(*link));

	link->ifi_index = ifindex;
	return request_run(nl, &request);
}

static int addr_change(int nl, uint16_t type, uint16_t flags, int ifindex,
		       const struct bh_addr *addr)
{
	struct request request;
	struct ifaddrmsg *head = request_init(&request, type, flags, sizeof(*head));

	head->ifa_family = family_of(addr);
	head->ifa_prefixlen = bits_of(addr);
	head->ifa_flags = head->ifa_family == AF_INET6 ? IFA_F_NODAD : 0;
	head->ifa_index = (uint32_t)ifindex;
	put_addr(request.head, IFA_LOCAL, addr);
	put_addr(request.head, IFA_ADDRESS, addr);
	return request_run(nl, &request);
}

int netlink_addr_add(int nl, int ifindex, const struct bh_addr *addr)
{
	return addr_change(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, addr);
}

int netlink_addr_del(int nl, int ifindex, const struct bh_addr *addr)
{
	return addr_change(nl, RTM_DELADDR, 0, ifindex, addr);
}

int netlink_route_add(int nl, const struct bh_addr *to, const struct bh_addr *via, int ifindex)
{
	struct request request;
	struct rtmsg *route;

	route = request_init(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*route));
	route->rtm_family = family_of(to ? to : via);
	route->rtm_dst_len = to ? bits_of(to) : 0;
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_protocol = RTPROT_STATIC;
	route->rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	route->rtm_type = RTN_UNICAST;
	route->rtm_flags = via ? RTNH_F_ONLINK : 0;
	if (to)
		put_addr(request.head, RTA_DST, to);
	if (via)
		put_addr(request.head, RTA_GATEWAY, via);
	mnl_attr_put_u32(request.head, RTA_OIF, (uint32_t)ifindex);
	return request_run(nl, &request);
}

int netlink_route_del(int nl, const struct bh_addr *to, int ifindex)
{
	struct request request;
	struct rtmsg *route = request_init(&request, RTM_DELROUTE, 0, sizeof(*route));

	route->rtm_family = family_of(to);
	route->rtm_dst_len = bits_of(to);
	route->rtm_table = RT_TABLE_MAIN;
	route->rtm_scope = RT_SCOPE_NOWHERE;
	put_addr(request.head, RTA_DST, to);
	mnl_attr_put_u32(request.head, RTA_OIF, (uint32_t)ifindex);
	return request_run(nl, &request);
}

int netlink_neigh_add(int nl, int ifindex, const struct bh_addr *addr, const uint8_t mac[6])
{
	struct request request;
	struct ndmsg *neigh;

	neigh = request_init(&request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*neigh));
	neigh->ndm_family = family_of(addr);
	neigh->ndm_ifindex = ifindex;
	neigh->ndm_state = NUD_PERMANENT;
	put_addr(request.head, NDA_DST, addr);
	mnl_attr_put(request.head, NDA_LLADDR, 6, mac);
	return request_run(nl, &request);
}
