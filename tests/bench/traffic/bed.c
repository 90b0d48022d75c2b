// SPDX-License-Identifier: Apache-2.0
// bed.c - namespaces, devices, routes and sockets of one engine.
#include "tests/harness/test.h"

#include "tests/bench/traffic/traffic.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include "tests/harness/net.h"

#define PORT 5201
#define BUFFER (8 << 20)

static void own_neighbours(const char *pod, const char *host, int net)
{
	net_run("ip link set %s address 02:00:00:00:%02x:01", host, net);
	net_run("ip -n %s neigh replace 10.%d.0.1 lladdr 02:00:00:00:%02x:01 dev eth0 nud permanent",
		pod, net, net);
	net_run("ip neigh replace 10.%d.0.2 lladdr 02:00:00:00:%02x:02 dev %s nud permanent", net,
		net, host);
}

// Closed connections are kept by the server, and only so many of them: what a real one would have kept by
// now would only make finding a free port slower, for every engine.
static void make_namespaces(struct bed *bed)
{
	if (net_fresh(NULL))
		traffic_die("a fresh network");
	net_run("echo 1 >/proc/sys/net/ipv4/ip_forward");
	net_pod("a", "ha", 1);
	net_pod("b", "hb", 2);
	own_neighbours("a", "ha", 1);
	own_neighbours("b", "hb", 2);
	net_run("ip -n b addr add " STRANGER "/24 dev eth0 && "
		"ip neigh replace " STRANGER " lladdr 02:00:00:00:02:02 dev hb nud permanent");
	net_run("ip netns exec a sysctl -qw net.ipv4.ip_local_port_range='1024 65535'");
	net_run("ip netns exec b sysctl -qw net.ipv4.tcp_max_tw_buckets=1024");
	bed->host = net_self();
	bed->ns[BED_A] = net_open("a");
	bed->ns[BED_B] = net_open("b");
}

static void tune(int sock, int level, int option, int value)
{
	if (setsockopt(sock, level, option, &value, sizeof(value)) < 0)
		traffic_die("a socket's option");
}

static void connect_tcp(struct bed *bed)
{
	bed->tcp[BED_A] = net_connect(bed->ns[BED_A], SOCK_STREAM, POD_B, PORT);
	if (bed->tcp[BED_A] < 0)
		traffic_die(bed->engine->name);
	bed->tcp[BED_B] = accept4(bed->listener, NULL, NULL, SOCK_CLOEXEC);
	if (bed->tcp[BED_B] < 0)
		traffic_die("accept");
	for (int end = 0; end < BED_ENDS; end++)
		tune(bed->tcp[end], IPPROTO_TCP, TCP_NODELAY, 1);
}

// The datagram to the stranger's address comes first: if that of the policy's own arrives, it would have.
static void try_policy(const struct bed *bed)
{
	int stray = net_listen(bed->ns[BED_B], SOCK_DGRAM, STRANGER, PORT);
	int from = net_connect(bed->ns[BED_A], SOCK_DGRAM, STRANGER, PORT);
	bool arrived;
	char byte;

	if (send(from, "s", 1, 0) != 1 && errno != EPERM && errno != ECONNREFUSED)
		traffic_die("a datagram to a stranger");
	if (send(bed->udp[BED_A], "p", 1, 0) != 1 || recv(bed->udp[BED_B], &byte, 1, 0) != 1 ||
	    send(bed->udp[BED_B], "p", 1, 0) != 1 || recv(bed->udp[BED_A], &byte, 1, 0) != 1)
		traffic_die(bed->engine->name);
	arrived = recv(stray, &byte, 1, MSG_DONTWAIT) == 1;
	close(stray);
	close(from);
	if (arrived != bed->engine->denies)
		return;
	errno = EPROTO;
	traffic_die(bed->engine->name);
}

static void open_sockets(struct bed *bed)
{
	socklen_t len = sizeof(bed->at);

	net_enter(bed->ns[BED_A]);
	net_udp(bed->ns[BED_B], POD_A, POD_B, bed->udp);
	net_enter(bed->host);
	tune(bed->udp[BED_B], SOL_SOCKET, SO_RCVBUFFORCE, BUFFER);
	try_policy(bed);
	bed->listener = net_listen(bed->ns[BED_B], SOCK_STREAM, POD_B, PORT);
	if (getsockname(bed->listener, (void *)&bed->at, &len) < 0)
		traffic_die("getsockname");
	connect_tcp(bed);
}

bool bed_make(struct bed *bed, const struct engine *engine)
{
	*bed = (struct bed){ .engine = engine };
	make_namespaces(bed);
	if (!engine->put(bed, engine))
		return false;
	open_sockets(bed);
	return true;
}
