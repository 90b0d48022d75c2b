// SPDX-License-Identifier: Apache-2.0
// traffic_pair.c - what a resolver does: the questions for A and AAAA at once, on one socket, again and again.
//
// World: host, tests. Pure: no (sockets, standard output). Owns: its sockets.
//
// Each round has a socket of its own and sends its two questions by one call, as the C library does. Nothing is
// asked twice: an answer that does not come within the time-out is lost. Prints `rounds=N lost=N`; ends with
// the first that is lost, and 1.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/traffic.h"

#define QUESTION_BYTES 40

// A question for api.shop.svc.cluster, type A (1) or AAAA (28), class IN.
static void question(uint8_t *out, uint16_t id, uint8_t type)
{
	static const uint8_t name[] = "\3api\4shop\3svc\7cluster"; // and the 0 at its end
	const uint8_t head[12] = { (uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1 };

	memset(out, 0, QUESTION_BYTES);
	memcpy(out, head, sizeof(head));
	memcpy(out + sizeof(head), name, sizeof(name));
	out[sizeof(head) + sizeof(name) + 1] = type;
	out[sizeof(head) + sizeof(name) + 3] = 1;
}

// Both answers have come before the time is up.
static bool answered(int fd, const uint8_t questions[2][QUESTION_BYTES], uint64_t until)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	bool got[2] = { false, false };
	uint8_t buf[512];

	while (!got[0] || !got[1]) {
		uint64_t now = now_ms();
		ssize_t n;

		if (now >= until || poll(&wait, 1, (int)(until - now)) < 1)
			return false;
		n = recv(fd, buf, sizeof(buf), 0);
		for (int i = 0; i < 2; i++)
			if (n == QUESTION_BYTES && !memcmp(buf, questions[i], (size_t)n))
				got[i] = true;
	}
	return true;
}

static bool ask_both(const struct end *end, unsigned int source_port, uint16_t id, unsigned long ms)
{
	uint8_t questions[2][QUESTION_BYTES];
	struct iovec iov[2];
	struct mmsghdr out[2] = { 0 };
	int fd = end_socket(end, "", source_port);
	bool ok;

	if (connect(fd, (const struct sockaddr *)&end->addr, end->len))
		die("pair: connect: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		question(questions[i], (uint16_t)(id + i), i ? 28 : 1);
		iov[i] = (struct iovec){ questions[i], sizeof(questions[i]) };
		out[i].msg_hdr.msg_iov = &iov[i];
		out[i].msg_hdr.msg_iovlen = 1;
	}
	ok = sendmmsg(fd, out, 2, 0) == 2 && answered(fd, questions, now_ms() + ms);
	close(fd);
	return ok;
}

int pair_main(int argc, char **argv)
{
	unsigned long rounds = 100, ms = 5000, done = 0;
	bool lost = false;
	unsigned int source_port = 0;
	struct end end;
	int opt;

	while ((opt = getopt(argc, argv, "+n:p:t:")) != -1) {
		if (opt == 'n')
			rounds = number_parse(optarg, 30000);
		else if (opt == 'p')
			source_port = (unsigned int)number_parse(optarg, 30000);
		else if (opt == 't')
			ms = number_parse(optarg, 600000);
		else
			return 2;
	}
	if (argc - optind != 2)
		die("pair: ADDR PORT");
	end = end_parse(argv[optind], argv[optind + 1], "udp");
	for (; done < rounds && !lost; done++)
		lost = !ask_both(&end, source_port ? source_port + (unsigned int)done : 0,
				 (uint16_t)(2 * done), ms);
	printf("rounds=%lu lost=%d\n", done, lost);
	return lost;
}
