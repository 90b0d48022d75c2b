// SPDX-License-Identifier: Apache-2.0
// traffic_burst.c - what a process sends as the very first thing it does, each message once.
//
// World: host, tests; also in containers. Pure: no (sockets, standard output). Owns: its sockets.
//
// `burst` sends -n datagrams to each target (TCP: opens one connection and sends one byte), the last targets first,
// and nothing a second time: what is lost stays lost. It ends when all that it sent to the first -w targets has come
// back, or after -t ms, and prints `ADDR PORT PROTO sent=N back=N` for each. Exit: 0 if all of that came back and nothing
// from the other targets, 1 if some is missing, 3 if others answered. With -l it listens on that UDP port before it sends,
// prints `heard=N` last, how many datagrams came that nobody asked for, and exits with 4 if any did.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/harness/traffic.h"

#define TARGETS_MAX 64

struct target {
	struct end end;
	int fd;
	unsigned long sent, back;
	bool opening; // a connection that is not there yet
	bool dead; // nothing more will come
};

static bool is_stream(const struct target *target)
{
	return end_type(&target->end) == SOCK_STREAM;
}

static void push(struct target *target)
{
	if (send(target->fd, "?", 1, MSG_NOSIGNAL) == 1)
		target->sent++;
	else if (errno != ECONNREFUSED) // an answer to an earlier one: it is told in place of this one's fate
		target->dead = true;
}

static void begin(struct target *target)
{
	int r;

	target->fd = end_socket(&target->end, "", 0);
	r = connect(target->fd, (struct sockaddr *)&target->end.addr, target->end.len);
	target->opening = r && errno == EINPROGRESS;
	target->dead = r && !target->opening;
}

static void step(struct target *target, short events)
{
	char byte;
	int error = 0;
	socklen_t len = sizeof(error);

	if (target->opening && events) {
		target->opening = false;
		getsockopt(target->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error)
			target->dead = true;
		else
			push(target);
	}
	while (!target->dead && !target->opening && events & (POLLIN | POLLERR | POLLHUP)) {
		ssize_t n = recv(target->fd, &byte, sizeof(byte), 0);

		if (n == 1)
			target->back++;
		else if (n < 0 && errno == EAGAIN)
			return;
		else if (n == 0 || is_stream(target))
			target->dead = true;
	}
}

static int listen_to(const char *port)
{
	struct end end = end_parse("::1", port, "udp");

	return end_socket(&end, "::", (unsigned int)number_parse(port, 65535));
}

static unsigned long heard(int fd)
{
	unsigned long n = 0;
	char byte;

	while (recv(fd, &byte, sizeof(byte), 0) >= 0)
		n++;
	return n;
}

static bool is_done(const struct target *targets, size_t n, unsigned long messages)
{
	for (size_t i = 0; i < n; i++)
		if (targets[i].back < (is_stream(&targets[i]) ? 1 : messages))
			return false;
	return true;
}

static bool is_silent(const struct target *targets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (targets[i].back)
			return false;
	return true;
}

static void await(struct target *targets, size_t n, size_t awaited, unsigned long messages, uint64_t until)
{
	struct pollfd fds[TARGETS_MAX];

	while (!is_done(targets, awaited, messages) && now_ms() < until) {
		for (size_t i = 0; i < n; i++)
			fds[i] = (struct pollfd){ targets[i].dead ? -1 : targets[i].fd,
						  targets[i].opening ? POLLOUT : POLLIN };
		poll(fds, n, 20);
		for (size_t i = 0; i < n; i++)
			step(&targets[i], fds[i].revents);
	}
}

int burst_main(int argc, char **argv)
{
	static struct target targets[TARGETS_MAX];
	unsigned long messages = 1, ms = 5000, awaited = TARGETS_MAX, unasked = 0;
	const char *listening = "";
	size_t n = 0;
	int opt, fd;

	while ((opt = getopt(argc, argv, "+n:t:w:l:")) != -1) {
		if (opt == 'n')
			messages = number_parse(optarg, 1000);
		else if (opt == 't')
			ms = number_parse(optarg, 600000);
		else if (opt == 'w')
			awaited = number_parse(optarg, TARGETS_MAX);
		else if (opt == 'l')
			listening = optarg;
		else
			return 2;
	}
	if (optind == argc || (argc - optind) % 3 || (argc - optind) / 3 > TARGETS_MAX)
		die("burst: ADDR PORT PROTO, up to %d times", TARGETS_MAX);
	for (int i = optind; i < argc; i += 3)
		targets[n++].end = end_parse(argv[i], argv[i + 1], argv[i + 2]);
	fd = *listening ? listen_to(listening) : -1;
	for (size_t i = n; i--;)
		begin(&targets[i]);
	for (unsigned long round = 0; round < messages; round++)
		for (size_t i = n; i--;)
			if (!targets[i].dead && !is_stream(&targets[i]))
				push(&targets[i]);
	if (awaited > n)
		awaited = n;
	await(targets, n, awaited, messages, now_ms() + ms);
	for (size_t i = 0; i < n; i++) {
		char **target = argv + optind + 3 * i;

		printf("%s %s %s sent=%lu back=%lu\n", target[0], target[1], target[2], targets[i].sent,
		       targets[i].back);
	}
	if (fd >= 0) {
		unasked = heard(fd);
		printf("heard=%lu\n", unasked);
	}
	if (unasked)
		return 4;
	if (!is_silent(targets + awaited, n - awaited))
		return 3;
	return is_done(targets, awaited, messages) ? 0 : 1;
}
