// SPDX-License-Identifier: Apache-2.0
// scan.c - the host's devices, and behind its veths what can be seen from here.
//
// Dumping our own devices makes the kernel give each namespace that holds a far side an id in ours.
// By that id a far side is asked for without entering its namespace or finding a name for it: a pod cannot
// hide its device, and a scan opens no files of pods. Processes are asked only when a pod has no device yet.
#include "agent/bpf/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "agent/bpf/netns.h"
#include "agent/bpf/nl.h"

#define DUMP_TRIES 5
#define EPHEMERAL_LO 32768 // the kernel's default
#define EPHEMERAL_HI 60999

struct host_addr {
	int ifindex;
	uint8_t prefixlen; // of 128
	struct bh_addr addr;
};

// A namespace with processes; nsid -1: no far side of ours is there.
struct space {
	uint64_t inode;
	int nsid;
};

struct scan {
	struct nl host;
	const struct link_known *known;
	struct link_view *view;
	VEC(int) masters; // of view->pods, in step
	VEC(struct host_addr) addrs;
	VEC(struct space) spaces;
	VEC(int) ways; // devices over which the host sends to others
	struct link_pod *at; // the one whose far side is being asked
};

int link_addr_order(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct bh_addr));
}

static int int_order(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

bool link_view_has(const struct link_view *view, int ifindex)
{
	return view->devices.n && bsearch(&ifindex, view->devices.v, view->devices.n, sizeof(ifindex), int_order);
}

void link_known_fini(struct link_known *known)
{
	vec_fini(&known->addrs);
	vec_fini(&known->asked);
	vec_fini(&known->held);
	vec_fini(&known->only);
}

void link_view_fini(struct link_view *view)
{
	vec_fini(&view->devices);
	vec_fini(&view->pods);
}

static bool is_known(const struct link_known *known, const struct bh_addr *addr)
{
	return known->addrs.n &&
	       bsearch(addr, known->addrs.v, known->addrs.n, sizeof(*addr), link_addr_order);
}

static bool is_held(const struct link_known *known, int ifindex)
{
	vec_each(const int, held, &known->held)
		if (*held == ifindex)
			return true;
	return false;
}

// ---- the host's own -------------------------------------------------------------------------------------

static int add_device(void *arg, const struct nlmsghdr *nlh)
{
	struct scan *scan = arg;
	struct nl_device device;
	struct link_pod pod = { 0 };
	int r;

	if (!nl_device(nlh, &device))
		return 0;
	r = vec_push(&scan->view->devices, device.ifindex);
	if (r < 0 || !device.veth || !device.peer || device.peer_nsid < 0)
		return r;
	pod.ifindex = device.ifindex;
	pod.peer_ifindex = device.peer;
	pod.nsid = device.peer_nsid;
	pod.unasked = true;
	r = vec_push(&scan->masters, device.master);
	return r < 0 ? r : vec_push(&scan->view->pods, pod);
}

static int add_host_addr(void *arg, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(nlh);
	struct scan *scan = arg;
	struct host_addr addr = { 0 };

	if (!nl_device_addr(nlh, &addr.ifindex, &addr.addr))
		return 0;
	addr.prefixlen = (uint8_t)(info->ifa_prefixlen + (bh_addr_is4(&addr.addr) ? 96 : 0));
	return vec_push(&scan->addrs, addr);
}

static int dump(struct scan *scan, uint16_t type, size_t header, nl_fn fn)
{
	char buf[NL_REQUEST_BYTES];
	void *extra;

	return nl_talk(&scan->host, nl_request(buf, type, NLM_F_DUMP, header, &extra), fn, scan);
}

static int dump_host(struct scan *scan)
{
	int r = -EAGAIN;

	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) {
		vec_clear(&scan->view->devices);
		vec_clear(&scan->view->pods);
		vec_clear(&scan->masters);
		vec_clear(&scan->addrs);
		r = dump(scan, RTM_GETLINK, sizeof(struct ifinfomsg), add_device);
		if (r == 0)
			r = dump(scan, RTM_GETADDR, sizeof(struct ifaddrmsg), add_host_addr);
	}
	vec_sort(&scan->view->devices, int_order);
	return r;
}

static bool prefix_has(const struct host_addr *prefix, const struct bh_addr *addr)
{
	uint32_t bytes = prefix->prefixlen / 8u, bits = prefix->prefixlen % 8u;
	const uint8_t *a = (const uint8_t *)&prefix->addr, *b = (const uint8_t *)addr;

	if (memcmp(a, b, bytes) != 0)
		return false;
	return !bits || (a[bytes] ^ b[bytes]) >> (8 - bits) == 0;
}

static bool is_linklocal(const struct bh_addr *addr)
{
	return (ntohl(addr->w[0]) & 0xffc00000u) == 0xfe800000u;
}

// Which of the host's addresses on the veth or its bridge the pod has for its gateway: the one in whose
// subnet it is, else any that is not link-local, else that.
static int gateway_rank(const struct host_addr *host, const struct link_pod *pod)
{
	for (uint32_t i = 0; i < pod->naddrs; i++)
		if (prefix_has(host, &pod->addrs[i]))
			return 3;
	return is_linklocal(&host->addr) ? 1 : 2;
}

static void set_gateways(const struct scan *scan, struct link_pod *pod, int master)
{
	int rank4 = 0, rank6 = 0;

	vec_each(const struct host_addr, host, &scan->addrs) {
		bool v4 = bh_addr_is4(&host->addr);
		int *best = v4 ? &rank4 : &rank6, rank;

		if (host->ifindex != pod->ifindex && (!master || host->ifindex != master))
			continue;
		rank = gateway_rank(host, pod);
		if (rank <= *best)
			continue;
		*best = rank;
		*(v4 ? &pod->gateway4 : &pod->gateway6) = host->addr;
	}
}

// The pod's own range would be the pod's word.
static void read_port_range(struct link_view *view)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (f && fscanf(f, "%hu %hu", &view->ephemeral_lo, &view->ephemeral_hi) == 2)
		return;
	view->ephemeral_lo = EPHEMERAL_LO;
	view->ephemeral_hi = EPHEMERAL_HI;
}

// ---- the host's routes ----------------------------------------------------------------------------------

static int take_route(void *arg, const struct nlmsghdr *nlh)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[RTA_MAX + 1];

	nl_attrs(nlh, sizeof(*route), attrs, RTA_MAX);
	if (nlh->nlmsg_type != RTM_NEWROUTE || route->rtm_type != RTN_UNICAST ||
	    route->rtm_dst_len != (route->rtm_family == AF_INET ? 32 : 128) || attrs[RTA_GATEWAY])
		return 0;
	if (attrs[RTA_OIF])
		*(int *)arg = (int)mnl_attr_get_u32(attrs[RTA_OIF]);
	return 0;
}

// The device that a route of exactly this address leads to; 0: none.
static int route_of(struct scan *scan, const struct bh_addr *addr, int *ret)
{
	bool v4 = bh_addr_is4(addr);
	char buf[NL_REQUEST_BYTES];
	struct rtmsg *route;
	struct nlmsghdr *nlh = nl_request(buf, RTM_GETROUTE, 0, sizeof(*route), &route);
	int r;

	*ret = 0;
	route->rtm_family = v4 ? AF_INET : AF_INET6;
	route->rtm_dst_len = v4 ? 32 : 128;
	route->rtm_flags = RTM_F_FIB_MATCH;
	mnl_attr_put(nlh, RTA_DST, v4 ? 4 : 16, v4 ? &addr->w[3] : &addr->w[0]);
	r = nl_talk(&scan->host, nlh, take_route, ret);
	return r == -ENOMEM || r == -ENOBUFS ? r : 0;
}

static int ask_routes(struct scan *scan)
{
	vec_each(const struct bh_addr, addr, &scan->known->asked) {
		int ifindex, r = route_of(scan, addr, &ifindex);

		if (r < 0)
			return r;
		vec_each(struct link_pod, pod, &scan->view->pods)
			if (pod->ifindex == ifindex && pod->nrouted < LINK_ADDRS_MAX)
				pod->routed[pod->nrouted++] = *addr;
	}
	return 0;
}

// ---- the host's ways out ----------------------------------------------------------------------------------

static int add_next_hops(struct scan *scan, const struct nlattr *list)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(list);
	int left = mnl_attr_get_payload_len(list), r = 0;

	for (; r == 0 && left >= (int)sizeof(*hop) && RTNH_OK(hop, left); hop = RTNH_NEXT(hop)) {
		r = vec_push(&scan->ways, hop->rtnh_ifindex);
		left -= RTNH_ALIGN(hop->rtnh_len);
	}
	return r;
}

// Routes by way of somebody, and those to everywhere. The host reaches pods directly.
static int add_way(void *arg, const struct nlmsghdr *nlh)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[RTA_MAX + 1];
	struct scan *scan = arg;

	nl_attrs(nlh, sizeof(*route), attrs, RTA_MAX);
	if (nlh->nlmsg_type != RTM_NEWROUTE || route->rtm_type != RTN_UNICAST)
		return 0;
	if (attrs[RTA_MULTIPATH])
		return add_next_hops(scan, attrs[RTA_MULTIPATH]);
	if (!attrs[RTA_OIF] || (route->rtm_dst_len && !attrs[RTA_GATEWAY] && !attrs[RTA_VIA]))
		return 0;
	return vec_push(&scan->ways, (int)mnl_attr_get_u32(attrs[RTA_OIF]));
}

static bool is_way(const struct scan *scan, int ifindex)
{
	vec_each(const int, way, &scan->ways)
		if (*way == ifindex)
			return true;
	return false;
}

// A pod alone has no subnet of the host's on its veth; many on a bridge do.
static bool has_subnet(const struct scan *scan, int ifindex)
{
	vec_each(const struct host_addr, host, &scan->addrs)
		if (host->ifindex == ifindex && host->prefixlen < 128 && !is_linklocal(&host->addr))
			return true;
	return false;
}

static int dump_ways(struct scan *scan, uint8_t family)
{
	char buf[NL_REQUEST_BYTES];
	struct rtmsg *route;
	struct nlmsghdr *nlh = nl_request(buf, RTM_GETROUTE, NLM_F_DUMP, sizeof(*route), &route);

	route->rtm_family = family;
	return nl_talk(&scan->host, nlh, add_way, scan);
}

static int ask_ways(struct scan *scan)
{
	int r = -EAGAIN;

	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) {
		vec_clear(&scan->ways);
		r = dump_ways(scan, AF_INET);
		if (r == 0)
			r = dump_ways(scan, AF_INET6);
	}
	for (size_t i = 0; r == 0 && i < scan->view->pods.n; i++) {
		struct link_pod *pod = &scan->view->pods.v[i];
		int master = scan->masters.v[i];

		pod->way_out = is_way(scan, pod->ifindex) || (master && is_way(scan, master)) ||
			       has_subnet(scan, pod->ifindex);
	}
	return r;
}

// ---- behind a veth --------------------------------------------------------------------------------------

static int take_peer(void *arg, const struct nlmsghdr *nlh)
{
	struct scan *scan = arg;
	struct nl_device peer;

	if (!nl_device(nlh, &peer) || !peer.veth || peer.peer != scan->at->ifindex)
		return 0;
	memcpy(scan->at->mac, peer.mac, sizeof(scan->at->mac));
	scan->at->unread = false;
	return 0;
}

// Of an address that no pod object tells of.
static bool may_be_pods(const struct scan *scan, const struct nlmsghdr *nlh, const struct bh_addr *addr)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(nlh);

	if (!scan->known->early || info->ifa_scope != RT_SCOPE_UNIVERSE)
		return false;
	vec_each(const struct host_addr, host, &scan->addrs)
		if (bh_addr_equal(&host->addr, addr))
			return false;
	return true;
}

static int take_addr(void *arg, const struct nlmsghdr *nlh)
{
	struct scan *scan = arg;
	struct link_pod *pod = scan->at;
	struct bh_addr addr;
	int ifindex;

	if (!nl_device_addr(nlh, &ifindex, &addr) || ifindex != pod->peer_ifindex ||
	    !(is_known(scan->known, &addr) || may_be_pods(scan, nlh, &addr)))
		return 0;
	if (pod->naddrs == LINK_ADDRS_MAX)
		pod->more = true;
	else
		pod->addrs[pod->naddrs++] = addr;
	return 0;
}

static int ask_peer(struct scan *scan)
{
	char buf[NL_REQUEST_BYTES];
	struct ifinfomsg *info;
	struct nlmsghdr *nlh = nl_request(buf, RTM_GETLINK, 0, sizeof(*info), &info);

	info->ifi_index = scan->at->peer_ifindex;
	mnl_attr_put_u32(nlh, IFLA_TARGET_NETNSID, (uint32_t)scan->at->nsid);
	return nl_talk(&scan->host, nlh, take_peer, scan);
}

static int ask_addrs(struct scan *scan, uint8_t family)
{
	char buf[NL_REQUEST_BYTES];
	struct ifaddrmsg *info;
	struct nlmsghdr *nlh =
		nl_request(buf, RTM_GETADDR, NLM_F_DUMP, sizeof(*info), &info);

	info->ifa_family = family;
	info->ifa_index = (uint32_t)scan->at->peer_ifindex;
	mnl_attr_put_u32(nlh, IFA_TARGET_NETNSID, (uint32_t)scan->at->nsid);
	return nl_talk(&scan->host, nlh, take_addr, scan);
}

static int ask_both(struct scan *scan)
{
	int r = ask_peer(scan);

	scan->at->naddrs = 0;
	scan->at->more = false;
	if (r == 0 && !scan->at->unread)
		r = ask_addrs(scan, AF_INET);
	if (r != 0 || scan->at->unread)
		return r;
	r = ask_addrs(scan, AF_INET6);
	return r == -EOPNOTSUPP ? 0 : r;
}

// A pod that never settles is told as it was seen last; one that went meanwhile is unread without a word.
static int read_pod(struct scan *scan, struct link_pod *pod)
{
	int r = -EAGAIN;

	scan->at = pod;
	pod->unread = true;
	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++)
		r = ask_both(scan);
	if (r == 0 || r == -EAGAIN)
		return 0;
	pod->unread = true;
	if (r == -ENODEV || r == -EINVAL)
		return 0;
	scan->view->unread++;
	err_set(&scan->view->why, r, "ifindex %d: what is behind it cannot be read: %s", pod->ifindex, strerror(-r));
	return 0;
}

// ---- whose processes live there -------------------------------------------------------------------------

static int take_nsid(void *arg, const struct nlmsghdr *nlh)
{
	const struct nlattr *attrs[NETNSA_MAX + 1];

	nl_attrs(nlh, sizeof(struct rtgenmsg), attrs, NETNSA_MAX);
	if (attrs[NETNSA_NSID])
		*(int *)arg = (int)mnl_attr_get_u32(attrs[NETNSA_NSID]);
	return 0;
}

// The id that our namespace has for a process's or an open one; -1: none.
static int ask_nsid(struct nl *nl, uint16_t attr, int value, int *ret)
{
	char buf[NL_REQUEST_BYTES];
	struct rtgenmsg *extra;
	struct nlmsghdr *nlh = nl_request(buf, RTM_GETNSID, 0, sizeof(*extra), &extra);
	int r;

	*ret = -1;
	mnl_attr_put_u32(nlh, attr, (uint32_t)value);
	r = nl_talk(nl, nlh, take_nsid, ret);
	return r == -ENOMEM || r == -ENOBUFS ? r : 0;
}

static int space_of(struct scan *scan, int pid, uint64_t inode, int *retnsid)
{
	struct space space = { inode, -1 };
	int r;

	vec_each(struct space, known, &scan->spaces) {
		if (known->inode == inode) {
			*retnsid = known->nsid;
			return 0;
		}
	}
	r = ask_nsid(&scan->host, NETNSA_PID, pid, &space.nsid);
	*retnsid = space.nsid;
	return r < 0 ? r : vec_push(&scan->spaces, space);
}

static void add_uid(struct link_pod *pod, const char *uid)
{
	for (uint32_t i = 0; i < pod->nuids; i++)
		if (!strcmp(pod->uids[i], uid))
			return;
	if (pod->nuids < LINK_UIDS_MAX)
		memcpy(pod->uids[pod->nuids++], uid, LINK_UID_BYTES);
}

static int read_uid(int pid, char ret[static LINK_UID_BYTES])
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;
	char path[64];

	ret[0] = 0;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT || errno == ESRCH ? 0 : -errno;
	while (getline(&line, &cap, f) > 0)
		if (link_cgroup_uid(line, ret))
			return 0;
	ret[0] = 0;
	return 0;
}

static int add_process(void *arg, int pid, uint64_t inode)
{
	struct scan *scan = arg;
	char uid[LINK_UID_BYTES] = "";
	bool asked = false;
	int nsid, r = space_of(scan, pid, inode, &nsid);

	if (r < 0 || nsid < 0)
		return r;
	vec_each(struct link_pod, pod, &scan->view->pods) {
		if (pod->nsid != nsid || is_held(scan->known, pod->ifindex))
			continue;
		r = asked ? 0 : read_uid(pid, uid);
		if (r < 0)
			return r;
		asked = true;
		if (uid[0])
			add_uid(pod, uid);
	}
	return 0;
}

static bool somebody_waits(const struct scan *scan)
{
	vec_each(const struct link_pod, pod, &scan->view->pods)
		if (!is_held(scan->known, pod->ifindex))
			return scan->known->uids || scan->known->asked.n > 0;
	return false;
}

static void ask_processes(struct scan *scan)
{
	int r = netns_processes(add_process, scan, &scan->view->strangers);

	vec_each(struct link_pod, pod, &scan->view->pods)
		pod->unasked = is_held(scan->known, pod->ifindex);
	if (r == 0)
		return;
	scan->view->hidden = r;
	err_set(&scan->view->why, r, "cannot ask processes whose they are: %s", strerror(-r));
}

// ---- some of it -----------------------------------------------------------------------------------------

static int ask_device(struct scan *scan, int ifindex)
{
	char buf[NL_REQUEST_BYTES];
	struct ifinfomsg *info;
	struct nlmsghdr *nlh = nl_request(buf, RTM_GETLINK, 0, sizeof(*info), &info);
	int r;

	info->ifi_index = ifindex;
	r = nl_talk(&scan->host, nlh, add_device, scan);
	return r == -ENODEV ? 0 : r;
}

static int ask_host_addrs(struct scan *scan, int ifindex)
{
	char buf[NL_REQUEST_BYTES];
	struct ifaddrmsg *info;
	struct nlmsghdr *nlh;
	int r = -EAGAIN;

	vec_each(const struct host_addr, addr, &scan->addrs)
		if (addr->ifindex == ifindex)
			return 0;
	for (int i = 0; i < DUMP_TRIES && r == -EAGAIN; i++) { // what is told twice does no harm
		nlh = nl_request(buf, RTM_GETADDR, NLM_F_DUMP, sizeof(*info), &info);
		info->ifa_index = (uint32_t)ifindex;
		r = nl_talk(&scan->host, nlh, add_host_addr, scan);
	}
	return r == -ENODEV ? 0 : r;
}

static int look_at_some(struct scan *scan)
{
	struct link_view *view = scan->view;
	int r = 0;

	vec_each(const int, ifindex, &scan->known->only)
		r = r ?: ask_device(scan, *ifindex);
	vec_sort(&view->devices, int_order);
	for (size_t i = 0; r == 0 && i < view->pods.n; i++) {
		r = ask_host_addrs(scan, view->pods.v[i].ifindex);
		if (r == 0 && scan->masters.v[i])
			r = ask_host_addrs(scan, scan->masters.v[i]);
	}
	return r;
}

// ---- all of it ------------------------------------------------------------------------------------------

static bool hurries(const struct scan *scan)
{
	return scan->known->hurry && __atomic_load_n(scan->known->hurry, __ATOMIC_RELAXED);
}

static int look(struct scan *scan)
{
	struct link_view *view = scan->view;
	int r = scan->known->only.n ? look_at_some(scan) : dump_host(scan);

	if (r < 0)
		return r;
	for (size_t i = 0; i < view->pods.n; i++) {
		if (hurries(scan))
			return -ECANCELED;
		read_pod(scan, &view->pods.v[i]);
		set_gateways(scan, &view->pods.v[i], scan->masters.v[i]);
	}
	read_port_range(view);
	if (scan->known->only.n)
		return 0;
	if (scan->known->early)
		return ask_ways(scan);
	if (!somebody_waits(scan))
		return 0;
	ask_processes(scan);
	return ask_routes(scan);
}

int link_scan(const struct link_known *known, struct link_view *ret, struct err *reterr)
{
	struct scan scan = { .known = known, .view = ret };
	int r = nl_open(&scan.host, NETLINK_ROUTE, 0);

	*ret = (struct link_view){ 0 };
	if (r == 0)
		r = nl_strict(&scan.host);
	if (r == 0)
		r = look(&scan);
	nl_close(&scan.host);
	vec_fini(&scan.masters);
	vec_fini(&scan.addrs);
	vec_fini(&scan.spaces);
	vec_fini(&scan.ways);
	if (r == 0)
		return 0;
	link_view_fini(ret);
	return err_set(reterr, r, "cannot look for pods: %s", strerror(-r));
}

// ---- the way into the namespace behind a veth, for flows.c ---------------------------------------------------

struct finding {
	struct nl host;
	int nsid, fd;
};

static int keep_behind(void *arg, int fd, uint64_t inode)
{
	struct finding *finding = arg;
	int nsid, r = ask_nsid(&finding->host, NETNSA_FD, fd, &nsid);

	if (r < 0 || nsid != finding->nsid)
		return r;
	finding->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return finding->fd < 0 ? -errno : 1;
}

static int take_behind(void *arg, const struct nlmsghdr *nlh)
{
	struct nl_device device;

	if (nl_device(nlh, &device) && device.veth && device.peer)
		*(int *)arg = device.peer_nsid;
	return 0;
}

int link_netns_open(int ifindex)
{
	struct finding finding = { .nsid = -1, .fd = -1 };
	char buf[NL_REQUEST_BYTES];
	struct ifinfomsg *info;
	struct nlmsghdr *nlh = nl_request(buf, RTM_GETLINK, 0, sizeof(*info), &info);
	int r = nl_open(&finding.host, NETLINK_ROUTE, 0);

	if (r < 0)
		return r;
	info->ifi_index = ifindex;
	r = nl_talk(&finding.host, nlh, take_behind, &finding.nsid);
	if (r == -ENODEV || (r == 0 && finding.nsid < 0))
		r = -ESRCH;
	if (r == 0)
		r = netns_each(keep_behind, &finding);
	nl_close(&finding.host);
	if (r < 0)
		return r;
	return finding.fd >= 0 ? finding.fd : -ESRCH;
}
