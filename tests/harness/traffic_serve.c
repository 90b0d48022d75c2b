// SPDX-License-Identifier: Apache-2.0
// traffic_serve.c - an echo server on TCP and UDP ports of both families, and the far end of streams.
//
// World: host, tests. Pure: no (sockets, standard streams). Owns: its sockets.
//
// Prints `ready` when all ports listen. What is no stream message is echoed as it is. A flow whose first
// bytes are a stream message is a stream: its messages are counted and echoed, and from then on the
// server sends numbered messages of its own. Commands on standard input: `report PORT` prints
// `got=N gaps=N said=N flows=N` of that port's streams, after reading all that is there; SIGUSR1 reports
// every port, SIGTERM ends.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/harness/traffic.h"

#define PORTS_MAX 64
#define FLOWS_MAX 512
#define TALK_MS 10

struct listener {
	int fd;
	int proto;
	uint16_t port;
};

// Where a datagram came from and which of our addresses it was sent to: the answer leaves from there.
struct peer {
	struct sockaddr_storage from;
	socklen_t len;
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] __attribute__((aligned(8)));
	size_t control_len;
};

struct flow {
	int fd; // TCP: the connection's, UDP: the listener's; -1: free
	int proto;
	uint16_t port;
	bool stream;
	bool closed;
	struct peer peer; // UDP
	struct tally got;
	uint64_t said;
	struct traffic_message out;
	size_t out_left; // of `out`, which TCP took in part: until it takes the rest nothing is read or said
	size_t used;
	uint8_t buf[4096];
};

static struct listener listeners[PORTS_MAX];
static size_t nlisteners;
static struct flow flows[FLOWS_MAX];
static size_t nflows;

static void listen_on(const char *spec)
{
	struct listener *l = &listeners[nlisteners];
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
	char port[8], proto[8];
	int one = 1, zero = 0, type;

	if (nlisteners == PORTS_MAX || sscanf(spec, "%7[0-9]/%7[a-z]", port, proto) != 2)
		die("serve: '%s' is no PORT/PROTO, or too many of them", spec);
	l->port = (uint16_t)number_parse(port, 65535);
	l->proto = strcmp(proto, "udp") ? IPPROTO_TCP : IPPROTO_UDP;
	type = l->proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
	l->fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	setsockopt(l->fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type == SOCK_DGRAM)
		lose_nothing(l->fd);
	addr.sin6_port = htons(l->port);
	if (bind(l->fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    (type == SOCK_STREAM && listen(l->fd, 128)))
		die("serve %s: %s", spec, strerror(errno));
	nlisteners++;
}

static struct flow *flow_new(int fd, const struct listener *l)
{
	struct flow *flow = NULL;

	for (size_t i = 0; i < nflows && !flow; i++)
		if (flows[i].fd < 0)
			flow = &flows[i];
	if (!flow && nflows < FLOWS_MAX)
		flow = &flows[nflows++];
	if (flow)
		*flow = (struct flow){ .fd = fd, .proto = l->proto, .port = l->port };
	return flow;
}

static ssize_t peer_send(int fd, const struct peer *peer, const void *data, size_t len)
{
	struct iovec iov = { (void *)data, len };
	struct msghdr msg = { .msg_name = (void *)&peer->from, .msg_namelen = peer->len,
			      .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = (void *)peer->control,
			      .msg_controllen = peer->control_len };

	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static ssize_t flow_send(const struct flow *flow, const void *data, size_t len)
{
	return flow->proto == IPPROTO_UDP ? peer_send(flow->fd, &flow->peer, data, len) :
					    send(flow->fd, data, len, MSG_NOSIGNAL);
}

// True: TCP has taken all of the last message.
static bool flow_flush(struct flow *flow)
{
	ssize_t n = 0;

	if (flow->out_left)
		n = flow_send(flow, (uint8_t *)(&flow->out + 1) - flow->out_left, flow->out_left);
	if (n > 0)
		flow->out_left -= (size_t)n;
	return !flow->out_left;
}

static void flow_say(struct flow *flow, const struct traffic_message *message)
{
	if (flow->proto == IPPROTO_UDP) {
		flow_send(flow, message, sizeof(*message));
		return;
	}
	flow->out = *message;
	flow->out_left = sizeof(flow->out);
	flow_flush(flow);
}

static bool is_message(const void *data, size_t len)
{
	uint32_t magic;

	if (len < sizeof(struct traffic_message))
		return false;
	memcpy(&magic, data, sizeof(magic));
	return magic == TRAFFIC_MAGIC;
}

static void take_message(struct flow *flow, const void *data)
{
	struct traffic_message message;

	memcpy(&message, data, sizeof(message));
	flow->stream = true;
	tally_add(&flow->got, message.seq);
	flow_say(flow, &message);
}

static struct flow *flow_find(const struct listener *l, const struct peer *peer)
{
	for (size_t i = 0; i < nflows; i++)
		if (flows[i].fd == l->fd && flows[i].peer.len == peer->len &&
		    !memcmp(&flows[i].peer.from, &peer->from, peer->len))
			return &flows[i];
	return NULL;
}

static void read_datagrams(const struct listener *l)
{
	static uint8_t data[65536];

	for (;;) {
		struct peer peer = { .len = sizeof(peer.from) };
		struct iovec iov = { data, sizeof(data) };
		struct msghdr msg = { .msg_name = &peer.from, .msg_namelen = peer.len,
				      .msg_iov = &iov, .msg_iovlen = 1,
				      .msg_control = peer.control,
				      .msg_controllen = sizeof(peer.control) };
		ssize_t n = recvmsg(l->fd, &msg, 0);
		struct cmsghdr *cmsg = n < 0 ? NULL : CMSG_FIRSTHDR(&msg);
		struct flow *flow;

		if (n < 0 && errno == ECONNREFUSED)
			continue;
		if (n < 0)
			return;
		if (cmsg && cmsg->cmsg_type == IPV6_PKTINFO) // any device may lead back
			((struct in6_pktinfo *)CMSG_DATA(cmsg))->ipi6_ifindex = 0;
		peer.len = msg.msg_namelen;
		peer.control_len = msg.msg_controllen;
		if (!is_message(data, (size_t)n)) {
			peer_send(l->fd, &peer, data, (size_t)n);
			continue;
		}
		flow = flow_find(l, &peer);
		if (!flow)
			flow = flow_new(l->fd, l);
		if (!flow)
			continue;
		flow->peer = peer;
		take_message(flow, data);
	}
}

static void close_flow(struct flow *flow)
{
	close(flow->fd);
	flow->closed = true;
	if (!flow->stream)
		flow->fd = -1; // its slot is free; a stream's tally stays to be reported
}

// Messages that were read, as far as their echoes can leave.
static void take_messages(struct flow *flow)
{
	size_t at = 0;

	while (flow_flush(flow) && is_message(flow->buf + at, flow->used - at)) {
		take_message(flow, flow->buf + at);
		at += sizeof(struct traffic_message);
	}
	if (!flow->stream) {
		flow_send(flow, flow->buf, flow->used);
		at = flow->used;
	}
	flow->used -= at;
	memmove(flow->buf, flow->buf + at, flow->used);
}

static void read_connection(struct flow *flow)
{
	for (take_messages(flow); !flow->out_left; take_messages(flow)) {
		ssize_t n = recv(flow->fd, flow->buf + flow->used, sizeof(flow->buf) - flow->used, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			close_flow(flow);
			return;
		}
		flow->used += (size_t)n;
	}
}

static void accept_all(const struct listener *l)
{
	int fd;

	while ((fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		if (!flow_new(fd, l))
			close(fd);
}

static void talk(void)
{
	for (size_t i = 0; i < nflows; i++) {
		struct flow *flow = &flows[i];
		struct traffic_message message = { TRAFFIC_MAGIC, TRAFFIC_SERVER, flow->said };

		if (!flow->stream || flow->closed || !flow_flush(flow))
			continue;
		flow_say(flow, &message);
		flow->said++;
	}
}

static void drain(void)
{
	for (size_t i = 0; i < nlisteners; i++)
		if (listeners[i].proto == IPPROTO_UDP)
			read_datagrams(&listeners[i]);
		else
			accept_all(&listeners[i]);
	for (size_t i = 0; i < nflows; i++)
		if (flows[i].proto == IPPROTO_TCP && flows[i].fd >= 0 && !flows[i].closed)
			read_connection(&flows[i]);
}

static void report(uint16_t port)
{
	uint64_t got = 0, gaps = 0, said = 0, n = 0;

	drain();
	for (size_t i = 0; i < nflows; i++) {
		if (!flows[i].stream || (port && flows[i].port != port))
			continue;
		got += flows[i].got.count;
		gaps += flows[i].got.gaps;
		said += flows[i].said;
		n++;
	}
	printf("got=%llu gaps=%llu said=%llu flows=%llu\n", (unsigned long long)got,
	       (unsigned long long)gaps, (unsigned long long)said, (unsigned long long)n);
}

static bool on_signal(int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGUSR1)
			return false;
		report(0);
	}
	return true;
}

static void on_command(bool *eof)
{
	char line[128];

	while (command_read(line, sizeof(line), eof))
		if (!strncmp(line, "report", 6))
			report(line[6] ? (uint16_t)number_parse(line + 7, 65535) : 0);
}

static size_t fill(struct pollfd *fds, int signals, int timer, bool eof)
{
	size_t n = 0;

	fds[n++] = (struct pollfd){ eof ? -1 : STDIN_FILENO, POLLIN, 0 };
	fds[n++] = (struct pollfd){ signals, POLLIN, 0 };
	fds[n++] = (struct pollfd){ timer, POLLIN, 0 };
	for (size_t i = 0; i < nlisteners; i++)
		fds[n++] = (struct pollfd){ listeners[i].fd, POLLIN, 0 };
	for (size_t i = 0; i < nflows; i++)
		if (flows[i].proto == IPPROTO_TCP && flows[i].fd >= 0 && !flows[i].closed)
			fds[n++] = (struct pollfd){ flows[i].fd, flows[i].out_left ? POLLOUT : POLLIN, 0 };
	return n;
}

int serve_main(int argc, char **argv)
{
	static struct pollfd fds[PORTS_MAX + FLOWS_MAX + 3];
	int signals = signal_fd(), timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	struct itimerspec tick = { { 0, TALK_MS * 1000000 }, { 0, TALK_MS * 1000000 } };
	uint64_t ticks;
	bool eof = false;

	if (argc < 2)
		die("serve: PORT/PROTO...");
	for (int i = 1; i < argc; i++)
		listen_on(argv[i]);
	timerfd_settime(timer, 0, &tick, NULL);
	puts("ready");
	for (;;) {
		poll(fds, fill(fds, signals, timer, eof), -1);
		drain();
		if (read(timer, &ticks, sizeof(ticks)) > 0)
			talk();
		if (fds[0].revents)
			on_command(&eof);
		if (!on_signal(signals))
			return 0;
	}
}
