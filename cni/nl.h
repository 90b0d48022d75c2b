// SPDX-License-Identifier: Apache-2.0
// nl.h - rtnetlink: one request, one answer. Raw, since no static library of it is to be had.
//
// World: host. Pure: no (a socket). Owns: its socket.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/base/cleanup.h"

#define NL_REQUEST_BYTES 512

struct nl_request {
	struct nlmsghdr header;
	char body[NL_REQUEST_BYTES];
};

// Called for an answer that is not the end of it.
typedef void (*nl_fn)(void *arg, const struct nlmsghdr *answer);

int nl_open(void); // an fd, or -errno

// Begins a request whose own header has `bytes` bytes, all 0; returned.
void *nl_begin(struct nl_request *request, uint16_t type, uint16_t flags, size_t bytes);
void nl_put(struct nl_request *request, uint16_t type, const void *data, size_t bytes);
void nl_put_text(struct nl_request *request, uint16_t type, const char *text);
void nl_put_u32(struct nl_request *request, uint16_t type, uint32_t value);
struct rtattr *nl_nest(struct nl_request *request, uint16_t type);
void nl_nest_end(struct nl_request *request, struct rtattr *nest);

// Sends it and hears the answer out. 0 or the kernel's -errno.
int nl_ask(int fd, struct nl_request *request, nl_fn fn, void *arg);

// The first attribute of this type behind a header of `bytes` bytes, or in a nest; NULL: none.
const struct rtattr *nl_find(const struct nlmsghdr *answer, size_t bytes, uint16_t type);
const struct rtattr *nl_find_in(const struct rtattr *nest, uint16_t type);
uint32_t nl_u32(const struct rtattr *attr); // 0: absent or another length
const char *nl_text(const struct rtattr *attr); // "": absent or without its end
