// SPDX-License-Identifier: Apache-2.0
// scan.c - find pods: the far sides of our veth devices, in whatever namespace they are.
//
// Dumping our own devices makes the kernel give each namespace that holds a far side an id in ours.
// A namespace without such an id is nobody's pod here and is never entered: that keeps a scan
// cheap, and right on a machine where several namespaces play nodes.
#include "agent/bpf/link.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/net_namespace.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "agent/base/vec.h"
#include "agent/bpf/netns.h"
#include "agent/bpf/nl.h"

#define DUMP_TRIES 5

typedef VEC(struct nl_device) devices_t;
typedef VEC(struct link_pod) pods_t;

struct scan {
	struct nl host;
	devices_t ours; // veth devices of our namespace whose far side is in another
	uint64_t self;
	link_pod_fn fn;
	void *arg;
};

// What is learned inside one namespace.
struct visit {
	struct nl nl;
	uint16_t lo, hi;
	int nsid; // of that namespace, as ours calls it
	const devices_t *ours;
	pods_t pods;
};

static int dump(struct nl *nl, uint16_t type, int family, size_t header, nl_fn fn, void *arg)
{
	char buf[NL_REQUEST_BYTES];
	uint8_t *extra;

	struct nlmsghdr *nlh = nl_request(buf, type, NLM_F_DUMP, header, &extra);

	*extra = (uint8_t)family; // ifinfomsg, ifaddrmsg and rtmsg all begin with it
	return nl_talk(nl, nlh, fn, arg);
}

static int add_ours(void *arg, const struct nlmsghdr *nlh)
{
	devices_t *ours = arg;
	struct nl_device device;

	if (!nl_device(nlh, &device) || !device.veth || !device.peer || device.peer_nsid < 0)
		return 0;
	return vec_push(ours, device);
}

static int dump_ours(struct scan *scan)
{
	int r = -EAGAIN;

	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) {
		vec_clear(&scan->ours);
		r = dump(&scan->host, RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), add_ours,
			 &scan->ours);
	}
	return r;
}

static int take_nsid(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[NETNSA_MAX + 1];

	nl_attrs(nlh, sizeof(struct rtgenmsg), attrs, NETNSA_MAX);
	if (attrs[NETNSA_NSID])
		*(int *)arg = (int)mnl_attr_get_u32(attrs[NETNSA_NSID]);
	return 0;
}

// The id that our namespace has for this one into *ret; -1: none.
static int nsid_of(struct nl *host, int fd, int *ret)
{
	char buf[NL_REQUEST_BYTES];
	struct rtgenmsg *extra;
	struct nlmsghdr *nlh = nl_request(buf, RTM_GETNSID, 0, sizeof(*extra), &extra);

	*ret = -1;
	mnl_attr_put_u32(nlh, NETNSA_FD, (uint32_t)fd);
	return nl_talk(host, nlh, take_nsid, ret);
}

static bool holds_ours(const devices_t *ours, int nsid)
{
	vec_each(struct nl_device, device, ours)
		if (device->peer_nsid == nsid)
			return true;
	return false;
}

// Runs inside the namespace: only what cannot be asked from outside.
static int enter(void *arg)
{
	struct visit *visit = arg;
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (!f || fscanf(f, "%hu %hu", &visit->lo, &visit->hi) != 2) {
		visit->lo = 32768;
		visit->hi = 60999;
	}
	return nl_open(&visit->nl, NETLINK_ROUTE, 0);
}

// A pod side: each of the two devices must name the other.
static int add_pod(void *arg, const struct nlmsghdr *nlh)
{
	struct visit *visit = arg;
	struct nl_device pod;

	if (!nl_device(nlh, &pod) || !pod.veth || !pod.peer)
		return 0;
	vec_each(struct nl_device, host, visit->ours) {
		struct link_pod found = { .ifindex = host->ifindex, .peer_ifindex = pod.ifindex };

		if (host->peer_nsid != visit->nsid || host->peer != pod.ifindex ||
		    pod.peer != host->ifindex)
			continue;
		memcpy(found.mac, pod.mac, sizeof(found.mac));
		found.ephemeral_lo = visit->lo;
		found.ephemeral_hi = visit->hi;
		return vec_push(&visit->pods, found);
	}
	return 0;
}

static struct link_pod *pod_by_ifindex(struct visit *visit, int ifindex)
{
	vec_each(struct link_pod, pod, &visit->pods)
		if (pod->peer_ifindex == ifindex)
			return pod;
	return NULL;
}

static int add_addr(void *arg, const struct nlmsghdr *nlh)
{
	struct link_pod *pod;
	struct bh_addr addr;
	int ifindex;

	if (!nl_device_addr(nlh, &ifindex, &addr))
		return 0;
	pod = pod_by_ifindex(arg, ifindex);
	if (pod && pod->naddrs < ARRAY_SIZE(pod->addrs))
		pod->addrs[pod->naddrs++] = addr;
	return 0;
}

static void set_gateway(struct visit *visit, int ifindex, const struct nlattr *gateway)
{
	struct link_pod *pod = pod_by_ifindex(visit, ifindex);
	struct bh_addr addr, *to;

	if (!pod || !nl_addr(gateway, &addr))
		return;
	to = bh_addr_is4(&addr) ? &pod->gateway4 : &pod->gateway6;
	if (bh_addr_equal(to, &(struct bh_addr){ 0 })) // the best metric comes first
		*to = addr;
}

static void set_gateways(struct visit *visit, const struct nlattr *multipath)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(multipath);
	int rest = mnl_attr_get_payload_len(multipath);

	while (RTNH_OK(hop, rest)) {
		const struct nlattr *attr = (const void *)RTNH_DATA(hop);
		int bytes = hop->rtnh_len - (int)sizeof(*hop);

		for (; mnl_attr_ok(attr, bytes); attr = mnl_attr_next(attr)) {
			if (mnl_attr_get_type(attr) == RTA_GATEWAY)
				set_gateway(visit, hop->rtnh_ifindex, attr);
			bytes -= MNL_ALIGN(attr->nla_len);
		}
		rest -= RTNH_ALIGN(hop->rtnh_len);
		hop = RTNH_NEXT(hop);
	}
}

static int add_route(void *arg, const struct nlmsghdr *nlh)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[RTA_MAX + 1];

	if (nlh->nlmsg_type != RTM_NEWROUTE || route->rtm_dst_len ||
	    route->rtm_table != RT_TABLE_MAIN || route->rtm_type != RTN_UNICAST)
		return 0;
	nl_attrs(nlh, sizeof(*route), attrs, RTA_MAX);
	if (attrs[RTA_MULTIPATH])
		set_gateways(arg, attrs[RTA_MULTIPATH]);
	else if (attrs[RTA_OIF])
		set_gateway(arg, (int)mnl_attr_get_u32(attrs[RTA_OIF]), attrs[RTA_GATEWAY]);
	return 0;
}

static int visit_once(struct visit *visit)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct nl *nl = &visit->nl;
	int r;

	vec_clear(&visit->pods);
	r = dump(nl, RTM_GETLINK, AF_UNSPEC, sizeof(struct ifinfomsg), add_pod, visit);
	if (r < 0 || !visit->pods.n)
		return r;
	r = dump(nl, RTM_GETADDR, AF_UNSPEC, sizeof(struct ifaddrmsg), add_addr, visit);
	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
		r = dump(nl, RTM_GETROUTE, families[i], sizeof(struct rtmsg), add_route, visit);
		if (r == -EOPNOTSUPP) // IPv6 is not in this kernel
			r = 0;
	}
	return r;
}

static int visit_netns(struct scan *scan, struct visit *visit, uint64_t inode)
{
	int r = -EAGAIN;

	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++)
		r = visit_once(visit);
	if (r == -EAGAIN) // a pod that never settles: told as it was seen last
		r = 0;
	for (size_t i = 0; r == 0 && i < visit->pods.n; i++) {
		visit->pods.v[i].netns = inode;
		r = scan->fn(scan->arg, &visit->pods.v[i]);
	}
	return r;
}

static int scan_netns(void *arg, int fd, uint64_t inode)
{
	struct scan *scan = arg;
	struct visit visit = { .ours = &scan->ours };
	int r;

	if (inode == scan->self)
		return 0;
	r = nsid_of(&scan->host, fd, &visit.nsid);
	if (r < 0)
		return r;
	if (visit.nsid < 0 || !holds_ours(&scan->ours, visit.nsid))
		return 0;
	r = netns_run(fd, enter, &visit);
	if (r == 0)
		r = visit_netns(scan, &visit, inode);
	nl_close(&visit.nl);
	vec_fini(&visit.pods);
	return r;
}

int link_scan(link_pod_fn fn, void *arg, struct err *reterr)
{
	struct scan scan = { .fn = fn, .arg = arg, .self = netns_self() };
	int r = nl_open(&scan.host, NETLINK_ROUTE, 0);

	if (r == 0)
		r = dump_ours(&scan);
	if (r == 0)
		r = netns_each(scan_netns, &scan);
	nl_close(&scan.host);
	vec_fini(&scan.ours);
	if (r == -EPERM)
		return err_set(reterr, r,
			       "cannot look into pods' namespaces: CAP_SYS_ADMIN is missing");
	if (r < 0)
		return err_set(reterr, r, "cannot look for pods: %s", strerror(-r));
	return r;
}
