// SPDX-License-Identifier: Apache-2.0
// traffic_flood.c - as many new flows as it takes: one datagram to every port of a range, without waiting for
// answers; of more bytes than a packet holds, each is in pieces.
//
// World: host, tests. Pure: no (sockets, standard output). Owns: its socket.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/traffic.h"

#define BYTES_MAX 60000

static void set_port(struct end *end, uint16_t port)
{
	if (end->addr.ss_family == AF_INET)
		((struct sockaddr_in *)&end->addr)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)&end->addr)->sin6_port = htons(port);
}

// What the kernel has no room for now is sent again: a flood is complete or is none.
static void send_one(int fd, const struct end *end, const char *data, size_t bytes)
{
	struct pollfd wait = { .fd = fd, .events = POLLOUT };

	while (sendto(fd, data, bytes, 0, (const struct sockaddr *)&end->addr, end->len) < 0) {
		if (errno == ECONNREFUSED)
			continue; // of an earlier one
		if (errno != EAGAIN && errno != ENOBUFS)
			die("sendto: %s", strerror(errno));
		poll(&wait, 1, 100);
	}
}

int flood_main(int argc, char **argv)
{
	static const char data[BYTES_MAX];
	unsigned long bytes = 1, rounds = 1, lo, hi;
	struct end end;
	int opt, fd;

	while ((opt = getopt(argc, argv, "+b:n:")) != -1) {
		if (opt == 'b')
			bytes = number_parse(optarg, BYTES_MAX);
		else if (opt == 'n')
			rounds = number_parse(optarg, 1000000);
		else
			return 2;
	}
	if (argc - optind != 3)
		die("flood: ADDR FIRSTPORT LASTPORT");
	end = end_parse(argv[optind], argv[optind + 1], "udp");
	lo = number_parse(argv[optind + 1], 65535);
	hi = number_parse(argv[optind + 2], 65535);
	fd = end_socket(&end, "", 0);
	for (unsigned long round = 0; round < rounds; round++)
		for (unsigned long port = lo; port <= hi; port++) {
			set_port(&end, (uint16_t)port);
			send_one(fd, &end, data, bytes);
		}
	printf("sent=%lu\n", rounds * (hi - lo + 1));
	close(fd);
	return 0;
}
