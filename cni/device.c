// SPDX-License-Identifier: Apache-2.0
// device.c - both ways: the pod's interface names our device, and our device names the pod's interface.
#include "cni/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "agent/base/cleanup.h"
#include "cni/nl.h"
#include "cni/result.h"

#define OWN "/proc/self/ns/net"
#define NO_ID -1

// ---- namespaces -------------------------------------------------------------------------------------

int netns_not_own(const char *path, struct err *reterr)
{
	struct stat theirs, own;

	if (stat(path, &theirs) == 0 && stat(OWN, &own) == 0 && theirs.st_dev == own.st_dev &&
	    theirs.st_ino == own.st_ino)
		return err_set(reterr, -CNI_NETNS,
			       "CNI_NETNS '%.256s' is the plugin's own network namespace", path);
	return 0;
}

int netns_open(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(reterr, -CNI_NETNS, "CNI_NETNS '%.256s' cannot be opened: %s", path,
			       strerror(errno));
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(reterr, -CNI_NETNS, "CNI_NETNS '%.256s' is no network namespace",
			       path);
	return netns_not_own(path, reterr) < 0 ? -CNI_NETNS : TAKE_FD(fd);
}

static void take_id(void *arg, const struct nlmsghdr *answer)
{
	const struct rtattr *attr = nl_find(answer, sizeof(struct rtgenmsg), NETNSA_NSID);

	if (attr)
		*(int *)arg = (int)nl_u32(attr);
}

static int ask_id(int fd, int netns, int *ret)
{
	struct nl_request request;

	nl_begin(&request, RTM_GETNSID, 0, sizeof(struct rtgenmsg));
	nl_put_u32(&request, NETNSA_FD, (uint32_t)netns);
	return nl_ask(fd, &request, take_id, ret);
}

// What our namespace calls that one; the kernel gives it an id if nobody has asked before.
static int id_of(int fd, int netns, int *ret)
{
	struct nl_request request;
	int r;

	*ret = NO_ID;
	r = ask_id(fd, netns, ret);
	if (r < 0 || *ret != NO_ID)
		return r;
	nl_begin(&request, RTM_NEWNSID, 0, sizeof(struct rtgenmsg));
	nl_put_u32(&request, NETNSA_NSID, (uint32_t)NO_ID);
	nl_put_u32(&request, NETNSA_FD, (uint32_t)netns);
	r = nl_ask(fd, &request, NULL, NULL);
	if (r < 0 && r != -EEXIST) // somebody else asked meanwhile
		return r;
	r = ask_id(fd, netns, ret);
	return r == 0 && *ret == NO_ID ? -ESRCH : r;
}

// ---- devices ----------------------------------------------------------------------------------------

struct link {
	int ifindex, other; // other: of a veth's other side
	int other_id; // the namespace in which that is, NO_ID: ours
	bool veth;
	char name[IFNAMSIZ], kind[32];
	uint8_t mac[6];
};

static void take_link(void *arg, const struct nlmsghdr *answer)
{
	const size_t header = sizeof(struct ifinfomsg);
	const struct ifinfomsg *info = NLMSG_DATA(answer);
	const struct rtattr *mac = nl_find(answer, header, IFLA_ADDRESS);
	const struct rtattr *id = nl_find(answer, header, IFLA_LINK_NETNSID);
	struct link *link = arg;

	if (answer->nlmsg_type != RTM_NEWLINK || answer->nlmsg_len < NLMSG_LENGTH(header))
		return;
	*link = (struct link){ .ifindex = info->ifi_index,
			       .other_id = id ? (int)nl_u32(id) : NO_ID };
	link->other = (int)nl_u32(nl_find(answer, header, IFLA_LINK));
	snprintf(link->name, sizeof(link->name), "%s",
		 nl_text(nl_find(answer, header, IFLA_IFNAME)));
	snprintf(link->kind, sizeof(link->kind), "%s",
		 nl_text(nl_find_in(nl_find(answer, header, IFLA_LINKINFO), IFLA_INFO_KIND)));
	link->veth = !strcmp(link->kind, "veth");
	if (mac && RTA_PAYLOAD(mac) == sizeof(link->mac))
		memcpy(link->mac, RTA_DATA(mac), sizeof(link->mac));
}

// By name (or by index where name is NULL), in the namespace of this id.
static int ask_link(int fd, int id, const char *name, int ifindex, struct link *ret)
{
	struct nl_request request;
	struct ifinfomsg *info = nl_begin(&request, RTM_GETLINK, 0, sizeof(*info));
	int r;

	memset(ret, 0, sizeof(*ret));
	info->ifi_index = ifindex;
	if (id != NO_ID)
		nl_put_u32(&request, IFLA_TARGET_NETNSID, (uint32_t)id);
	if (name)
		nl_put_text(&request, IFLA_IFNAME, name);
	r = nl_ask(fd, &request, take_link, ret);
	return r == 0 && !ret->ifindex ? -ENODEV : r;
}

static void take_pair(const struct link *ours, const struct link *pods, struct device *ret)
{
	*ret = (struct device){ .ifindex = ours->ifindex };
	memcpy(ret->name, ours->name, sizeof(ret->name));
	memcpy(ret->mac, pods->mac, sizeof(ret->mac));
}

static int no_veth(struct err *reterr, const char *ifname, const struct link *pods)
{
	if (pods->veth)
		return err_set(reterr, -CNI_NO_VETH,
			       "the other side of '%s' is not in this network namespace", ifname);
	return err_set(reterr, -CNI_NO_VETH, "'%s' is no veth but %s: its traffic cannot be judged",
		       ifname, pods->kind[0] ? pods->kind : "another kind of device");
}

static int find_peer(int fd, int id, const char *ifname, const struct link *pods,
		     struct device *ret, struct err *reterr)
{
	struct link ours = { 0 };
	int r = pods->veth && pods->other ? ask_link(fd, NO_ID, NULL, pods->other, &ours) : -ENODEV;

	if (r < 0 && r != -ENODEV)
		return err_set(reterr, -CNI_IO, "cannot ask for the other side of '%s': %s", ifname,
			       strerror(-r));
	if (r < 0 || !ours.veth || ours.other != pods->ifindex || ours.other_id != id)
		return no_veth(reterr, ifname, pods);
	take_pair(&ours, pods, ret);
	return 0;
}

// 1: the host's device of this name leads there, 0: it does not.
static int leads_there(int fd, int id, const char *name, struct device *ret)
{
	struct link ours, pods;
	int r = ask_link(fd, NO_ID, name, 0, &ours);

	if (r == 0 && ours.veth && ours.other_id == id)
		r = ask_link(fd, id, NULL, ours.other, &pods);
	else if (r == 0)
		return 0;
	if (r < 0)
		return r == -ENODEV ? 0 : r;
	if (pods.other != ours.ifindex)
		return 0;
	take_pair(&ours, &pods, ret);
	ret->guessed = true;
	return 1;
}

// The pod's interface has another name than we were told: the host's devices that prevResult names lead to it.
static int find_named(int fd, int id, const struct prev *prev, const char *ifname,
		      struct device *ret, struct err *reterr)
{
	unsigned int found = 0;

	for (unsigned int i = 0; prev && i < prev->nhost; i++) {
		int r = leads_there(fd, id, prev->host[i], ret);

		if (r < 0)
			return err_set(reterr, -CNI_IO, "cannot ask for '%s' of prevResult: %s",
				       prev->host[i], strerror(-r));
		found += (unsigned int)r;
	}
	if (found == 1)
		return 0;
	return err_set(
		reterr, found ? -CNI_MANY_VETHS : -CNI_NO_VETH,
		"there is no '%s' in the pod's namespace, and %s veth of prevResult leads there",
		ifname, found ? "more than one" : "no");
}

int device_find(int netns, const char *ifname, const struct prev *prev, struct device *ret,
		struct err *reterr)
{
	_cleanup_close_ int fd = nl_open();
	struct link pods;
	int id, r = fd;

	if (r >= 0)
		r = id_of(fd, netns, &id);
	if (r >= 0)
		r = ask_link(fd, id, ifname, 0, &pods);
	if (r == -ENODEV)
		return find_named(fd, id, prev, ifname, ret, reterr);
	if (r < 0)
		return err_set(reterr, -CNI_IO, "cannot ask for '%s' of the pod: %s", ifname,
			       strerror(-r));
	return find_peer(fd, id, ifname, &pods, ret, reterr);
}
