// SPDX-License-Identifier: Apache-2.0
// net.c - namespaces, veth pairs and sockets for tests.
#include "tests/harness/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "tests/harness/test.h"

#define SELF "/proc/thread-self/ns/net"

int net_private(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 || mkdir("/run/netns", 0755) < 0 ||
	    mkdir("/run/bpf", 0755) < 0 || mount("bpf", "/run/bpf", "bpf", 0, NULL) < 0) {
		fprintf(stderr, "a private network needs root: %s\n", strerror(errno));
		return -errno;
	}
	return 0;
}

int net_fresh(void **state)
{
	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	return system("ip link set lo up && umount -q -l /run/netns/* 2>/dev/null; "
		      "rm -f /run/netns/*");
}

void net_run(const char *fmt, ...)
{
	char command[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (system(command) != 0)
		fail_msg("command failed: %s", command);
}

void net_pod(const char *name, const char *host, unsigned int net)
{
	net_run("ip netns add %s && ip -n %s link set lo up && "
		"ip link add %s type veth peer name eth0 netns %s address 02:00:00:00:%02x:02",
		name, name, host, name, net);
	net_run("ip -n %s addr add 10.%u.0.2/24 dev eth0 && "
		"ip -n %s addr add fd00:%x::2/64 dev eth0 nodad && ip -n %s link set eth0 up",
		name, net, name, net, name);
	net_run("ip addr add 10.%u.0.1/24 dev %s && ip addr add fd00:%x::1/64 dev %s nodad && "
		"ip link set %s up",
		net, host, net, host, host);
	net_run("ip -n %s route add default via 10.%u.0.1 && "
		"ip -n %s -6 route add default via fd00:%x::1",
		name, net, name, net);
}

int net_open(const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return fd;
}

uint64_t net_inode(const char *name)
{
	_cleanup_close_ int fd = net_open(name);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

int net_ifindex(const char *device)
{
	unsigned int ifindex = if_nametoindex(device);

	if (!ifindex)
		fail_msg("%s: %s", device, strerror(errno));
	return (int)ifindex;
}

void net_enter(int fd)
{
	if (setns(fd, CLONE_NEWNET) < 0)
		fail_msg("setns: %s", strerror(errno));
}

int net_self(void)
{
	int fd = open(SELF, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static socklen_t to_sockaddr(const char *addr, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in6 *v6 = (void *)ret;
	struct sockaddr_in *v4 = (void *)ret;

	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, addr, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	assert_int_equal(inet_pton(AF_INET6, addr, &v6->sin6_addr), 1);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

static int open_in(int fd, int family, int type)
{
	_cleanup_close_ int self = net_self();
	struct timeval wait = {.tv_sec = 2};
	int one = 1, sock;

	if (fd >= 0)
		net_enter(fd);
	sock = socket(family, type | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		net_enter(self);
	assert_true(sock >= 0);
	setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return sock;
}

int net_listen(int fd, int type, const char *addr, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t len = to_sockaddr(addr, port, &to);
	int sock = open_in(fd, to.ss_family, type);

	if (bind(sock, (void *)&to, len) < 0)
		fail_msg("bind %s: %s", addr, strerror(errno));
	if (type == SOCK_STREAM)
		assert_int_equal(listen(sock, 16), 0);
	return sock;
}

int net_connect(int fd, int type, const char *addr, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t len = to_sockaddr(addr, port, &to);
	int sock = open_in(fd, to.ss_family, type);

	if (connect(sock, (void *)&to, len) < 0) {
		int r = -errno;

		close(sock);
		return r;
	}
	return sock;
}

uint16_t net_port(int sock)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	assert_int_equal(getsockname(sock, (void *)&addr, &len), 0);
	return ntohs(addr.ss_family == AF_INET ? ((struct sockaddr_in *)&addr)->sin_port
					       : ((struct sockaddr_in6 *)&addr)->sin6_port);
}

static void connect_to(int sock, const char *addr, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t len = to_sockaddr(addr, port, &to);

	assert_int_equal(connect(sock, (void *)&to, len), 0);
}

void net_udp(int fd, const char *here, const char *there, int ret[2])
{
	ret[0] = net_listen(-1, SOCK_DGRAM, here, 0);
	ret[1] = net_listen(fd, SOCK_DGRAM, there, 0);
	connect_to(ret[0], there, net_port(ret[1]));
	connect_to(ret[1], here, net_port(ret[0]));
}
