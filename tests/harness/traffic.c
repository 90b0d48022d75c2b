// SPDX-License-Identifier: Apache-2.0
// traffic.c - table of verbs, and what they share: addresses, tallies, signals, commands.
//
//	traffic serve  PORT/PROTO...                         echo on these ports, v4 and v6
//	traffic probe  [-t MS] [-s SRC] [-b BYTES] ADDR PORT PROTO...   new connections: open, silent or refused
//	traffic burst  [-n N] [-t MS] [-w K] [-l PORT] ADDR PORT PROTO...   each message once, K targets waited for
//	traffic stream [-i MS] [-s SRC] [-p PORT] ADDR PORT PROTO   one flow of numbered messages
//	traffic flood  [-b BYTES] [-n ROUNDS] ADDR FIRST LAST   a datagram to each port, without answers
//	traffic pair   [-n ROUNDS] [-p SRCPORT] [-t MS] ADDR PORT   A and AAAA at once on one socket
//	traffic ask    [-t MS] SOCKET REQUEST                one request line to a control socket
//	traffic frame  DEVICE                                raw frames out, and which come in
//	traffic alive  [KIND ID]...                          which maps, progs, links still exist
//	traffic tcx    DEVICE HOOK first|last PROGRAM LINK   a foreign program on a tcx hook
//	traffic tcx    DEVICE HOOK list                      ids of the programs there
//
// World: host, tests. Pure: no. Owns: nothing.
#include "tests/harness/traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *usage;
} verbs[] = {
	{ "serve", serve_main, "PORT/PROTO..." },
	{ "probe", probe_main, "[-t MS] [-s SRC] [-b BYTES] [-n ROUNDS] ADDR PORT[@SRCPORT] PROTO [ADDR PORT PROTO...]" },
	{ "burst", burst_main, "[-n N] [-t MS] [-w K] [-l PORT] ADDR PORT PROTO [ADDR PORT PROTO...]" },
	{ "stream", stream_main, "[-i MS] [-s SRC] [-p SRCPORT] ADDR PORT PROTO" },
	{ "frame", frame_main, "DEVICE" },
	{ "alive", alive_main, "[map|prog|link ID]..." },
	{ "flood", flood_main, "[-b BYTES] [-n ROUNDS] ADDR FIRSTPORT LASTPORT" },
	{ "pair", pair_main, "[-n ROUNDS] [-p SRCPORT] [-t MS] ADDR PORT" },
	{ "ask", ask_main, "[-t MS] SOCKET REQUEST" },
	{ "tcx", tcx_main, "DEVICE ingress|egress first|last PROGRAM-PIN LINK-PIN | DEVICE ingress|egress list" },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fputs("traffic: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
	va_end(args);
	exit(2);
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

unsigned long number_parse(const char *text, unsigned long max)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!*text || *end || n > max)
		die("'%s' is no number in 0..%lu", text, max);
	return n;
}

void tally_add(struct tally *tally, uint64_t seq)
{
	tally->count++;
	if (seq >= tally->next) {
		tally->gaps += seq - tally->next;
		tally->next = seq + 1;
	} else {
		tally->disorder++;
		if (tally->gaps)
			tally->gaps--;
	}
}

struct end end_parse(const char *addr, const char *port, const char *proto)
{
	struct end end = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *)&end.addr;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&end.addr;
	in_port_t n = htons((in_port_t)number_parse(port, 65535));

	if (inet_pton(AF_INET, addr, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = n;
		end.len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, addr, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = n;
		end.len = sizeof(*v6);
	} else {
		die("'%s' is no address", addr);
	}
	if (!strcmp(proto, "tcp"))
		end.proto = IPPROTO_TCP;
	else if (!strcmp(proto, "udp"))
		end.proto = IPPROTO_UDP;
	else if (!strcmp(proto, "icmp"))
		end.proto = end.addr.ss_family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	else
		die("'%s' is none of tcp, udp, icmp", proto);
	if (end_type(&end) == SOCK_RAW) // a raw socket's port would be its protocol
		*(end.addr.ss_family == AF_INET ? &v4->sin_port : &v6->sin6_port) = 0;
	return end;
}

int end_type(const struct end *end)
{
	return end->proto == IPPROTO_TCP ? SOCK_STREAM :
	       end->proto == IPPROTO_UDP ? SOCK_DGRAM :
					   SOCK_RAW;
}

int end_socket(const struct end *end, const char *source, unsigned int source_port)
{
	int one = 1, fd = socket(end->addr.ss_family, end_type(end) | SOCK_NONBLOCK | SOCK_CLOEXEC,
				 end->proto);
	struct end from;
	char port[8];

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!*source && !source_port)
		return fd;
	if (!*source)
		source = end->addr.ss_family == AF_INET ? "0.0.0.0" : "::";
	snprintf(port, sizeof(port), "%u", source_port);
	from = end_parse(source, port, "tcp");
	if (bind(fd, (struct sockaddr *)&from.addr, from.len))
		die("bind to %s %s: %s", source, port, strerror(errno));
	return fd;
}

void lose_nothing(int fd)
{
	const int bytes = 16 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
}

int signal_fd(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd: %s", strerror(errno));
	fcntl(STDIN_FILENO, F_SETFL, fcntl(STDIN_FILENO, F_GETFL) | O_NONBLOCK);
	return fd;
}

char *command_read(char *buf, size_t bytes, bool *eof)
{
	static char pending[512];
	static size_t used;
	char *end;
	ssize_t n = read(STDIN_FILENO, pending + used, sizeof(pending) - used);

	if (n > 0)
		used += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		*eof = true;
	end = memchr(pending, '\n', used);
	if (!end)
		return NULL;
	snprintf(buf, bytes, "%.*s", (int)(end - pending), pending);
	used -= (size_t)(end + 1 - pending);
	memmove(pending, end + 1, used);
	return buf;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; argc > 1 && i < VERBS; i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	for (size_t i = 0; i < VERBS; i++)
		fprintf(stderr, "usage: traffic %s %s\n", verbs[i].name, verbs[i].usage);
	return 2;
}
