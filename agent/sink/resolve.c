// SPDX-License-Identifier: Apache-2.0
// resolve.c - one question at a time.
#include "agent/sink/resolve.h"

#include <errno.h>
#include <event2/dns.h>
#include <stdio.h>
#include <stdbool.h>

struct resolver {
	struct event_base *base;
	struct evdns_base *dns;
	struct question *asked; // whose answer somebody waits for; NULL: none
	unsigned int pending; // questions not answered, cancelled ones too
	bool gone; // freed, but for what the last answer needs
};

// The library answers each question at some time, and cannot be made to forget one.
struct question {
	struct resolver *resolver;
	resolver_fn fn; // NULL: cancelled
	void *arg;
};

int resolver_new(struct event_base *base, struct resolver **ret)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	if (!resolver)
		return -ENOMEM;
	resolver->base = base;
	*ret = resolver;
	return 0;
}

void resolver_cancel(struct resolver *resolver)
{
	if (resolver->asked)
		resolver->asked->fn = NULL;
	resolver->asked = NULL;
}

void resolver_free(struct resolver *resolver)
{
	if (!resolver)
		return;
	resolver_cancel(resolver);
	if (resolver->dns)
		evdns_base_free(resolver->dns, 1);
	resolver->dns = NULL;
	resolver->gone = true;
	if (!resolver->pending)
		free(resolver);
}

static void on_answer(int error, struct evutil_addrinfo *list, void *arg)
{
	struct question *question = arg;
	struct resolver *resolver = question->resolver;

	if (question->fn) {
		resolver->asked = NULL;
		question->fn(question->arg, error ? NULL : list, error ? evutil_gai_strerror(error) : NULL);
	}
	if (list)
		evutil_freeaddrinfo(list);
	free(question);
	resolver->pending--;
	if (resolver->gone && !resolver->pending)
		free(resolver);
}

// Name servers are read anew, as long as none is being asked.
static int begin(struct resolver *resolver)
{
	if (resolver->dns && resolver->pending)
		return 0;
	if (resolver->dns)
		evdns_base_free(resolver->dns, 0);
	resolver->dns = evdns_base_new(resolver->base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	return resolver->dns ? 0 : -ENOENT;
}

void resolver_ask(struct resolver *resolver, const char *host, uint16_t port, int socktype, resolver_fn fn, void *arg)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = socktype,
					 .ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV };
	struct evutil_addrinfo *list = NULL;
	struct question *question;
	char service[8];

	resolver_cancel(resolver);
	snprintf(service, sizeof(service), "%u", port);
	if (!evutil_getaddrinfo(host, service, &hints, &list)) {
		fn(arg, list, NULL);
		evutil_freeaddrinfo(list);
		return;
	}
	if (begin(resolver) < 0)
		return fn(arg, NULL, "/etc/resolv.conf cannot be used");
	question = malloc(sizeof(*question));
	if (!question)
		return fn(arg, NULL, "no memory");
	*question = (struct question){ resolver, fn, arg };
	resolver->asked = question;
	resolver->pending++;
	hints.ai_flags = EVUTIL_AI_NUMERICSERV | EVUTIL_AI_ADDRCONFIG;
	evdns_getaddrinfo(resolver->dns, host, service, &hints, on_answer, question);
}
