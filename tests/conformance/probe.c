// SPDX-License-Identifier: Apache-2.0
// probe.c - send a burst, let it settle, read what arrived.
#include "tests/conformance/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/conformance/sandbox.h"

#define BURST 64
#define RECV_BYTES 256 // enough for an error that quotes a probe
#define RECV_BUFFER (8 << 20)
#define PORT_LAST 65000
// pod, node, hub, node, pod: a probe and then its answer cross four veths each
#define BARRIERS 10

struct prober {
	int home; // namespace
	int barrier; // a UDP socket that is connected to itself
	uint16_t next_port;
	uint32_t by_port[65536]; // index of the probe plus 1
};

void probe_end_init(struct probe_end *end, int netns)
{
	*end = (struct probe_end){ .netns = netns, .send = { -1, -1 }, .recv = { -1, -1 } };
}

void probe_end_fini(struct probe_end *end)
{
	for (int i = 0; i < 2; i++) {
		closep(&end->send[i]);
		closep(&end->recv[i]);
		end->send[i] = end->recv[i] = -1;
	}
}

// ---- sockets ----------------------------------------------------------------------------------------------

static int recv_socket(bool v6)
{
	// Of one protocol, not ETH_P_ALL: those are served behind the tc hooks, so that a packet which was dropped
	// on its way into a node is not seen there.
	int proto = htons(v6 ? ETH_P_IPV6 : ETH_P_IP), bytes = RECV_BUFFER;
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, proto);

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

static int end_open(struct prober *prober, struct probe_end *end, bool v6, struct err *reterr)
{
	int r;

	if (end->recv[v6] >= 0)
		return 0;
	r = sandbox_enter(end->netns);
	if (r < 0)
		return err_set(reterr, r, "entering a namespace: %s", strerror(-r));
	end->send[v6] = socket(v6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	end->recv[v6] = recv_socket(v6);
	if (end->send[v6] < 0 || end->recv[v6] < 0)
		r = err_set(reterr, -errno, "raw socket: %s", strerror(errno));
	if (sandbox_enter(prober->home) < 0)
		return err_set(reterr, -errno, "back from a namespace: %s", strerror(errno));
	return r;
}

// ---- the prober ---------------------------------------------------------------------------------------------

static int pin(unsigned index)
{
	cpu_set_t may, one;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(may), &may) < 0)
		return -errno;
	index %= (unsigned)CPU_COUNT(&may);
	while (!CPU_ISSET(cpu, &may) || index--)
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) < 0 ? -errno : 0;
}

static int barrier_open(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval deadline = { .tv_sec = 5 };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ||
	    connect(fd, (struct sockaddr *)&addr, len) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)) < 0)
		return -errno;
	return fd;
}

int prober_new(unsigned index, struct prober **ret, struct err *reterr)
{
	_cleanup_(prober_freep) struct prober *prober = calloc(1, sizeof(*prober));
	int r = pin(index);

	if (!prober)
		return err_set(reterr, -ENOMEM, "out of memory");
	if (r < 0)
		return err_set(reterr, r, "sched_setaffinity: %s", strerror(-r));
	prober->next_port = PROBE_PORT_FIRST;
	prober->home = sandbox_here();
	prober->barrier = barrier_open();
	if (prober->home < 0 || prober->barrier < 0)
		return err_set(reterr, -errno, "barrier: %s", strerror(errno));
	*ret = TAKE_PTR(prober);
	return 0;
}

void prober_free(struct prober *prober)
{
	if (!prober)
		return;
	closep(&prober->home);
	closep(&prober->barrier);
	free(prober);
}

static int barrier_pass(struct prober *prober, struct err *reterr)
{
	char c = 0;

	for (int i = 0; i < BARRIERS; i++) {
		if (send(prober->barrier, &c, 1, 0) < 0 || recv(prober->barrier, &c, 1, 0) < 0)
			return err_set(reterr, -errno, "packets do not settle: %s",
				       strerror(errno));
	}
	return 0;
}

// ---- sending ------------------------------------------------------------------------------------------------

struct burst {
	struct mmsghdr messages[BURST];
	struct iovec iov[BURST];
	struct sockaddr_in6 to[BURST];
	uint8_t packets[BURST][FLOW_BYTES];
};

static void burst_add(struct burst *burst, unsigned i, const struct flow *flow)
{
	struct sockaddr_in *to4 = (struct sockaddr_in *)&burst->to[i];
	bool v4 = bh_addr_is4(&flow->dst);

	memset(&burst->to[i], 0, sizeof(burst->to[i]));
	if (v4) {
		to4->sin_family = AF_INET;
		to4->sin_addr.s_addr = flow->dst.w[3];
	} else {
		burst->to[i].sin6_family = AF_INET6;
		memcpy(&burst->to[i].sin6_addr, flow->dst.w, 16);
	}
	burst->iov[i].iov_base = burst->packets[i];
	burst->iov[i].iov_len = flow_build(burst->packets[i], flow);
	burst->messages[i].msg_hdr = (struct msghdr){
		.msg_name = &burst->to[i],
		.msg_namelen = v4 ? sizeof(*to4) : sizeof(burst->to[i]),
		.msg_iov = &burst->iov[i],
		.msg_iovlen = 1,
	};
}

static int burst_send(struct burst *burst, int fd, unsigned n, struct err *reterr)
{
	unsigned done = 0;

	while (done < n) {
		int r = sendmmsg(fd, burst->messages + done, n - done, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_set(reterr, -errno, "sending a probe: %s", strerror(errno));
		done += (unsigned)r;
	}
	return 0;
}

static uint16_t port_next(struct prober *prober)
{
	uint16_t port = prober->next_port;

	prober->next_port = port == PORT_LAST ? PROBE_PORT_FIRST : port + 1;
	return port;
}

static int send_all(struct prober *prober, struct probe *probes, size_t n, bool v6,
		    struct err *reterr)
{
	static struct burst burst;
	unsigned count = 0;
	int r;

	for (size_t i = 0; i < n; i++) {
		struct probe *probe = &probes[i];

		if (!probe->flow.source_port)
			probe->flow.source_port = port_next(prober);
		prober->by_port[probe->flow.source_port] = (uint32_t)i + 1;
		burst_add(&burst, count++, &probe->flow);
		if (count < BURST && i + 1 < n && probes[i + 1].from == probe->from)
			continue;
		r = burst_send(&burst, probe->from->send[v6], count, reterr);
		if (r < 0)
			return r;
		count = 0;
	}
	return 0;
}

// ---- receiving ----------------------------------------------------------------------------------------------

static void see(struct prober *prober, struct probe *probes, const struct probe_end *at,
		const uint8_t *data, size_t bytes)
{
	struct flow seen, outer;
	struct probe *probe;
	uint32_t index;
	bool error;

	if (!flow_parse(data, bytes, &seen, &error, &outer))
		return;
	index = prober->by_port[seen.source_port];
	probe = index ? &probes[index - 1] : NULL;
	if (probe && flow_equal(&seen, &probe->flow)) {
		if (error)
			probe->answered |= at == probe->from;
		else
			probe->delivered |= at == probe->to;
	}
	index = prober->by_port[seen.port];
	probe = index ? &probes[index - 1] : NULL;
	if (probe && at == probe->from && !error && seen.proto == probe->flow.proto &&
	    seen.source_port == probe->flow.port && bh_addr_equal(&seen.src, &probe->flow.dst) &&
	    bh_addr_equal(&seen.dst, &probe->flow.src))
		probe->answered = true;
}

// Reads until nothing is left; probes NULL: of an earlier batch, thrown away.
static void read_all(struct prober *prober, struct probe *probes, struct probe_end *end, bool v6)
{
	static uint8_t packets[BURST][RECV_BYTES];
	struct mmsghdr messages[BURST];
	struct iovec iov[BURST];
	int n;

	memset(messages, 0, sizeof(messages));
	for (int i = 0; i < BURST; i++) {
		iov[i] = (struct iovec){ packets[i], RECV_BYTES };
		messages[i].msg_hdr.msg_iov = &iov[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	do {
		n = recvmmsg(end->recv[v6], messages, BURST, MSG_DONTWAIT, NULL);
		for (int i = 0; probes && i < n; i++)
			see(prober, probes, end, packets[i], messages[i].msg_len);
	} while (n == BURST || (n < 0 && errno == EINTR));
}

// Every end once: opens it and empties it, or reads it. *used tells the two passes apart.
static int each_end(struct prober *prober, struct probe *probes, size_t n, bool v6, bool reading,
		    struct err *reterr)
{
	for (size_t i = 0; i < n; i++) {
		struct probe_end *ends[] = { probes[i].from, probes[i].to };

		for (int e = 0; e < 2; e++) {
			int r = 0;

			if (ends[e]->used == !reading)
				continue;
			ends[e]->used = !reading;
			r = end_open(prober, ends[e], v6, reterr);
			if (r < 0)
				return r;
			read_all(prober, reading ? probes : NULL, ends[e], v6);
		}
	}
	return 0;
}

int probe_run(struct prober *prober, struct probe *probes, size_t n, struct err *reterr)
{
	bool v6;
	int r;

	if (!n)
		return 0;
	if (n > (PORT_LAST - PROBE_PORT_FIRST) / 2)
		return err_set(reterr, -E2BIG, "too many probes at once: %zu", n);
	v6 = !bh_addr_is4(&probes[0].flow.dst);
	for (size_t i = 0; i < n; i++)
		probes[i].delivered = probes[i].answered = probes[i].from->used =
			probes[i].to->used = false;
	memset(prober->by_port, 0, sizeof(prober->by_port));
	r = each_end(prober, probes, n, v6, /* reading= */ false, reterr);
	if (r == 0)
		r = send_all(prober, probes, n, v6, reterr);
	if (r == 0)
		r = barrier_pass(prober, reterr);
	if (r == 0)
		r = each_end(prober, probes, n, v6, /* reading= */ true, reterr);
	return r;
}
