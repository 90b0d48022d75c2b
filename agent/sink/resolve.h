// SPDX-License-Identifier: Apache-2.0
// resolve.h - the addresses of a name, without waiting for them.
//
// World: host, one thread. Pure: no (DNS, /etc/hosts, /etc/resolv.conf). Owns: what it asks.
//
// By libevent's own resolver: the C library's would block or need threads.
#pragma once

#include <event2/event.h>
#include <event2/util.h>
#include <stdint.h>

#include "agent/base/cleanup.h"

struct resolver;

int resolver_new(struct event_base *base, struct resolver **ret);
void resolver_free(struct resolver *resolver); // NULL is fine; nothing is called afterwards
DEFINE_CLEANUP(struct resolver *, resolver_free)

// Calls fn once, from the loop or from within, unless the next call or resolver_cancel() comes before. An address
// needs no DNS. list: NULL, and `why` says it; it is gone after fn.
typedef void (*resolver_fn)(void *arg, const struct evutil_addrinfo *list, const char *why);
void resolver_ask(struct resolver *resolver, const char *host, uint16_t port, int socktype, resolver_fn fn, void *arg);
void resolver_cancel(struct resolver *resolver);
