// SPDX-License-Identifier: Apache-2.0
// nl.c - netlink by libmnl, with dumps that say when they were interrupted.
#include "agent/bpf/nl.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>

int nl_open(struct nl *nl, int bus, unsigned int groups)
{
	struct mnl_socket *sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int one = 1;

	if (!sock)
		return -errno;
	if (mnl_socket_bind(sock, groups, MNL_SOCKET_AUTOPID) < 0) {
		int r = -errno;

		mnl_socket_close(sock);
		return r;
	}
	mnl_socket_setsockopt(sock, NETLINK_CAP_ACK, &one, sizeof(one));
	*nl = (struct nl){ .sock = sock };
	return 0;
}

void nl_close(struct nl *nl)
{
	if (nl->sock)
		mnl_socket_close(nl->sock);
	free(nl->buf);
	*nl = (struct nl){ 0 };
}

int nl_fd(const struct nl *nl)
{
	return mnl_socket_get_fd(nl->sock);
}

int nl_strict(struct nl *nl)
{
	int one = 1;

	return mnl_socket_setsockopt(nl->sock, NETLINK_GET_STRICT_CHK, &one, sizeof(one)) < 0 ? -errno : 0;
}

struct nlmsghdr *nl_request(char buf[static NL_REQUEST_BYTES], uint16_t type, uint16_t flags,
			    size_t extra, void *retextra)
{
	struct nlmsghdr *nlh;

	memset(buf, 0, NL_REQUEST_BYTES);
	nlh = mnl_nlmsg_put_header(buf);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	if (!(flags & NLM_F_DUMP))
		nlh->nlmsg_flags |= NLM_F_ACK;
	if (extra)
		*(void **)retextra = mnl_nlmsg_put_extra_header(nlh, extra);
	return nlh;
}

struct answer {
	uint32_t seq; // 0: any
	nl_fn fn;
	void *arg;
	bool done, interrupted;
	int result;
};

static int error_code(const struct nlmsghdr *nlh)
{
	const int *code = mnl_nlmsg_get_payload(nlh);

	return mnl_nlmsg_get_payload_len(nlh) >= sizeof(*code) ? *code : 0;
}

static void hear(struct answer *answer, const struct nlmsghdr *nlh)
{
	if (answer->seq && nlh->nlmsg_seq != answer->seq)
		return;
	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		answer->interrupted = true;
	if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
		int code = error_code(nlh);

		if (!answer->result)
			answer->result = code;
		answer->done = true;
	} else if (nlh->nlmsg_type >= NLMSG_MIN_TYPE && answer->fn && !answer->result) {
		answer->result = answer->fn(answer->arg, nlh);
	}
}

static void hear_all(struct answer *answer, const void *buf, ssize_t bytes)
{
	const struct nlmsghdr *nlh = buf;
	int rest = (int)bytes;

	while (mnl_nlmsg_ok(nlh, rest)) {
		hear(answer, nlh);
		nlh = mnl_nlmsg_next(nlh, &rest);
	}
}

// Room for what waits: one message may be of any size (a device of a thousand names), and one that is cut
// short would be taken for a device that is not there.
static int make_room(struct nl *nl, size_t bytes)
{
	char *grown;

	if (bytes <= nl->bytes)
		return 0;
	bytes = bytes < NL_BUFFER_BYTES ? NL_BUFFER_BYTES : bytes;
	grown = realloc(nl->buf, bytes);
	if (!grown)
		return -ENOMEM;
	nl->buf = grown;
	nl->bytes = bytes;
	return 0;
}

static ssize_t receive_once(struct nl *nl, int flags)
{
	ssize_t bytes = recv(nl_fd(nl), NULL, 0, MSG_PEEK | MSG_TRUNC | flags);
	int r;

	if (bytes < 0)
		return -errno;
	r = make_room(nl, (size_t)bytes);
	if (r < 0)
		return r;
	bytes = recv(nl_fd(nl), nl->buf, nl->bytes, MSG_TRUNC | flags);
	if (bytes < 0)
		return -errno;
	return (size_t)bytes > nl->bytes ? -EMSGSIZE : bytes;
}

static ssize_t receive(struct nl *nl, int flags)
{
	ssize_t bytes;

	do {
		bytes = receive_once(nl, flags);
	} while (bytes == -EINTR);
	return bytes;
}

int nl_talk(struct nl *nl, struct nlmsghdr *nlh, nl_fn fn, void *arg)
{
	struct answer answer = { .seq = ++nl->seq, .fn = fn, .arg = arg };

	nlh->nlmsg_seq = answer.seq;
	if (mnl_socket_sendto(nl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (!answer.done) {
		ssize_t bytes = receive(nl, 0);

		if (bytes < 0)
			return (int)bytes;
		hear_all(&answer, nl->buf, bytes);
	}
	if (!answer.result && answer.interrupted)
		return -EAGAIN;
	return answer.result;
}

int nl_listen(struct nl *nl, nl_fn fn, void *arg)
{
	struct answer answer = { .fn = fn, .arg = arg };

	for (;;) {
		ssize_t bytes = receive(nl, MSG_DONTWAIT);

		if (bytes < 0)
			return bytes == -EAGAIN ? 0 : (int)bytes;
		hear_all(&answer, nl->buf, bytes);
		answer.result = 0;
	}
}

void nl_attrs(const struct nlmsghdr *nlh, size_t extra, const struct nlattr **table, uint16_t max)
{
	const struct nlattr *attr;

	memset(table, 0, sizeof(*table) * (max + 1u));
	mnl_attr_for_each(attr, nlh, extra) if (mnl_attr_get_type(attr) <= max)
		table[mnl_attr_get_type(attr)] = attr;
}

void nl_nested(const struct nlattr *nest, const struct nlattr **table, uint16_t max)
{
	const struct nlattr *attr;

	memset(table, 0, sizeof(*table) * (max + 1u));
	mnl_attr_for_each_nested(attr, nest) if (mnl_attr_get_type(attr) <= max)
		table[mnl_attr_get_type(attr)] = attr;
}

bool nl_addr(const struct nlattr *attr, struct bh_addr *ret)
{
	uint16_t len = attr ? mnl_attr_get_payload_len(attr) : 0;
	__be32 addr4;

	if (len == sizeof(*ret)) {
		memcpy(ret, mnl_attr_get_payload(attr), sizeof(*ret));
		return true;
	}
	if (len != sizeof(addr4))
		return false;
	memcpy(&addr4, mnl_attr_get_payload(attr), sizeof(addr4));
	*ret = bh_addr_from4(addr4);
	return true;
}

static bool kind_is(const struct nlattr *info, const char *kind)
{
	const struct nlattr *nested[IFLA_INFO_MAX + 1];

	if (!info)
		return false;
	nl_nested(info, nested, IFLA_INFO_MAX);
	return nested[IFLA_INFO_KIND] && !strncmp(mnl_attr_get_str(nested[IFLA_INFO_KIND]), kind,
						  mnl_attr_get_payload_len(nested[IFLA_INFO_KIND]));
}

bool nl_device(const struct nlmsghdr *nlh, struct nl_device *ret)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[IFLA_MAX + 1];

	if (nlh->nlmsg_type != RTM_NEWLINK && nlh->nlmsg_type != RTM_DELLINK)
		return false;
	if (info->ifi_family != AF_UNSPEC) // a port left a bridge: the device lives on
		return false;
	nl_attrs(nlh, sizeof(*info), attrs, IFLA_MAX);
	*ret = (struct nl_device){ .ifindex = info->ifi_index, .peer_nsid = -1 };
	ret->veth = kind_is(attrs[IFLA_LINKINFO], "veth");
	if (attrs[IFLA_LINK])
		ret->peer = (int)mnl_attr_get_u32(attrs[IFLA_LINK]);
	if (attrs[IFLA_LINK_NETNSID])
		ret->peer_nsid = (int)mnl_attr_get_u32(attrs[IFLA_LINK_NETNSID]);
	if (attrs[IFLA_MASTER])
		ret->master = (int)mnl_attr_get_u32(attrs[IFLA_MASTER]);
	if (attrs[IFLA_ADDRESS] && mnl_attr_get_payload_len(attrs[IFLA_ADDRESS]) == 6)
		memcpy(ret->mac, mnl_attr_get_payload(attrs[IFLA_ADDRESS]), 6);
	return true;
}

bool nl_device_addr(const struct nlmsghdr *nlh, int *retifindex, struct bh_addr *ret)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attrs[IFA_MAX + 1];

	if (nlh->nlmsg_type != RTM_NEWADDR && nlh->nlmsg_type != RTM_DELADDR)
		return false;
	nl_attrs(nlh, sizeof(*info), attrs, IFA_MAX);
	*retifindex = (int)info->ifa_index;
	return nl_addr(attrs[IFA_LOCAL] ? attrs[IFA_LOCAL] : attrs[IFA_ADDRESS], ret);
}
