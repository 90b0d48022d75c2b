// SPDX-License-Identifier: Apache-2.0
// nl.c - rtnetlink by hand.
#include "cni/nl.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_BYTES                                                                               \
	131072 // a device's message is the longest; its further names have up to 64 KiB

int nl_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return fd < 0 ? -errno : fd;
}

static void *grow(struct nl_request *request, size_t bytes)
{
	size_t at = NLMSG_ALIGN(request->header.nlmsg_len);

	assert(at + bytes <= sizeof(*request));
	request->header.nlmsg_len = (uint32_t)(at + bytes);
	return (char *)request + at;
}

void *nl_begin(struct nl_request *request, uint16_t type, uint16_t flags, size_t bytes)
{
	memset(request, 0, sizeof(*request));
	request->header.nlmsg_len = NLMSG_HDRLEN;
	request->header.nlmsg_type = type;
	request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	return grow(request, bytes);
}

void nl_put(struct nl_request *request, uint16_t type, const void *data, size_t bytes)
{
	struct rtattr *attr = grow(request, RTA_LENGTH(bytes));

	attr->rta_type = type;
	attr->rta_len = (uint16_t)RTA_LENGTH(bytes);
	if (bytes)
		memcpy(RTA_DATA(attr), data, bytes);
}

void nl_put_text(struct nl_request *request, uint16_t type, const char *text)
{
	nl_put(request, type, text, strlen(text) + 1);
}

void nl_put_u32(struct nl_request *request, uint16_t type, uint32_t value)
{
	nl_put(request, type, &value, sizeof(value));
}

struct rtattr *nl_nest(struct nl_request *request, uint16_t type)
{
	size_t at = NLMSG_ALIGN(request->header.nlmsg_len);

	nl_put(request, type | NLA_F_NESTED, NULL, 0);
	return (struct rtattr *)((char *)request + at);
}

void nl_nest_end(struct nl_request *request, struct rtattr *nest)
{
	nest->rta_len = (uint16_t)((char *)request + request->header.nlmsg_len - (char *)nest);
}

// 1: the conversation is over, *result says how.
static int hear(const struct nlmsghdr *answer, int bytes, nl_fn fn, void *arg, int *result)
{
	for (; NLMSG_OK(answer, (unsigned int)bytes); answer = NLMSG_NEXT(answer, bytes)) {
		const struct nlmsgerr *error = NLMSG_DATA(answer);

		if (answer->nlmsg_type == NLMSG_ERROR) {
			*result = answer->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) ? error->error :
										   -EBADMSG;
			return 1;
		}
		if (fn)
			fn(arg, answer);
	}
	return 0;
}

int nl_ask(int fd, struct nl_request *request, nl_fn fn, void *arg)
{
	static char buf[ANSWER_BYTES] __attribute__((aligned(NLMSG_ALIGNTO)));
	int result = 0;

	if (send(fd, request, request->header.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		ssize_t bytes = recv(fd, buf, sizeof(buf), MSG_TRUNC);

		if (bytes < 0 && errno == EINTR)
			continue;
		if (bytes < 0)
			return -errno;
		if ((size_t)bytes > sizeof(buf))
			return -EMSGSIZE;
		if (hear((const struct nlmsghdr *)buf, (int)bytes, fn, arg, &result))
			return result;
	}
}

static const struct rtattr *find(const struct rtattr *attr, int bytes, uint16_t type)
{
	for (; RTA_OK(attr, bytes); attr = RTA_NEXT(attr, bytes))
		if ((attr->rta_type & NLA_TYPE_MASK) == type)
			return attr;
	return NULL;
}

const struct rtattr *nl_find(const struct nlmsghdr *answer, size_t bytes, uint16_t type)
{
	size_t header = NLMSG_LENGTH(NLMSG_ALIGN(bytes));

	if (answer->nlmsg_len < header)
		return NULL;
	return find((const struct rtattr *)((const char *)answer + header),
		    (int)(answer->nlmsg_len - header), type);
}

const struct rtattr *nl_find_in(const struct rtattr *nest, uint16_t type)
{
	return nest ? find(RTA_DATA(nest), (int)RTA_PAYLOAD(nest), type) : NULL;
}

uint32_t nl_u32(const struct rtattr *attr)
{
	uint32_t value = 0;

	if (attr && RTA_PAYLOAD(attr) == sizeof(value))
		memcpy(&value, RTA_DATA(attr), sizeof(value));
	return value;
}

const char *nl_text(const struct rtattr *attr)
{
	return attr && memchr(RTA_DATA(attr), '\0', RTA_PAYLOAD(attr)) ? RTA_DATA(attr) : "";
}
