// SPDX-License-Identifier: Apache-2.0
// flows.c - the live sockets of a pod, by sock_diag in its namespace.
#include "agent/bpf/link.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "agent/base/bitset.h"
#include "agent/bpf/netns.h"
#include "agent/bpf/nl.h"

#define PORTS 65536
#define LISTENING                                                                                  \
	(1u << TCP_LISTEN | 1u << TCP_CLOSE) // TCP_CLOSE: a bound UDP socket without a peer
#define CONNECTED (~(LISTENING | 1u << TCP_TIME_WAIT))
#define DUMP_TRIES 3

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
static const uint8_t families[] = { AF_INET, AF_INET6 };

struct flows {
	struct nl nl;
	uint64_t ports[ARRAY_SIZE(protocols)][BITSET_WORDS(PORTS)]; // with a listener
	size_t proto; // the one that is asked now
	link_flow_fn fn;
	void *arg;
};

static struct bh_addr diag_addr(uint8_t family, const __be32 words[4])
{
	struct bh_addr addr;

	if (family == AF_INET)
		return bh_addr_from4(words[0]);
	memcpy(&addr, words, sizeof(addr));
	return addr;
}

static int add_listener(void *arg, const struct nlmsghdr *nlh)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	struct flows *flows = arg;

	if (nlh->nlmsg_type == SOCK_DIAG_BY_FAMILY)
		bitset_set(flows->ports[flows->proto], ntohs(msg->id.idiag_sport));
	return 0;
}

static int tell_flow(void *arg, const struct nlmsghdr *nlh)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	struct flows *flows = arg;
	struct link_flow flow = { .proto = protocols[flows->proto] };

	if (nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY || !msg->id.idiag_dport)
		return 0;
	flow.local = diag_addr(msg->idiag_family, msg->id.idiag_src);
	flow.remote = diag_addr(msg->idiag_family, msg->id.idiag_dst);
	flow.local_port = ntohs(msg->id.idiag_sport);
	flow.remote_port = ntohs(msg->id.idiag_dport);
	flow.listening = bitset_test(flows->ports[flows->proto], flow.local_port);
	flow.tcp_state = msg->idiag_state;
	return flows->fn(flows->arg, &flow);
}

static int ask(struct flows *flows, uint8_t family, uint32_t states, nl_fn fn)
{
	struct inet_diag_req_v2 *request;
	char buf[NL_REQUEST_BYTES];
	struct nlmsghdr *nlh;

	nlh = nl_request(buf, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sizeof(*request), &request);
	request->sdiag_family = family;
	request->sdiag_protocol = protocols[flows->proto];
	request->idiag_states = states;
	return nl_talk(&flows->nl, nlh, fn, flows);
}

// All protocols and families. A kernel without udp_diag knows no UDP sockets: not an error, their
// flows are found by the adoption window then.
static int ask_all(struct flows *flows, uint32_t states, nl_fn fn)
{
	int r = 0;

	for (flows->proto = 0; flows->proto < ARRAY_SIZE(protocols); flows->proto++) {
		for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
			r = -EAGAIN;
			for (int n = 0; n < DUMP_TRIES && r == -EAGAIN; n++)
				r = ask(flows, families[i], states, fn);
			if (r == -ENOENT || r == -EAGAIN)
				r = 0;
			if (r)
				return r;
		}
	}
	return r;
}

static int enter(void *arg)
{
	return nl_open(arg, NETLINK_SOCK_DIAG, 0);
}

int link_flows(int ifindex, link_flow_fn fn, void *arg, struct err *reterr)
{
	_cleanup_free_ struct flows *flows = calloc(1, sizeof(*flows));
	_cleanup_close_ int fd = link_netns_open(ifindex);
	int r;

	if (!flows)
		return err_set(reterr, -ENOMEM, "no memory");
	if (fd < 0)
		return err_set(reterr, fd, "the network namespace behind ifindex %d cannot be found: %s",
			       ifindex, strerror(-fd));
	flows->fn = fn;
	flows->arg = arg;
	r = netns_run(fd, enter, &flows->nl);
	if (r == 0)
		r = ask_all(flows, LISTENING, add_listener);
	if (r == 0)
		r = ask_all(flows, CONNECTED, tell_flow);
	nl_close(&flows->nl);
	if (r < 0)
		return err_set(reterr, r, "cannot list sockets behind ifindex %d: %s", ifindex,
			       strerror(-r));
	return r;
}
