// SPDX-License-Identifier: Apache-2.0
// offer.c - new TCP connections at a rate: from several network namespaces to a server in another, a few bytes each way.
//
// World: host; root; a process for each of two CPUs, with a port each from PORT on. Usage: offer RATE SECONDS SERVER_NS
// ADDRESS PORT CLIENT_NS... Prints `N connections, N failed, N.N s`. The server closes first, so that no client runs out
// of ports.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QUESTION 100 // bytes
#define ANSWER 300
#define CLIENTS_MAX 64
#define PROCESSES 2
#define AT_ONCE 16 // as waking up and entering a namespace have a price
#define NS 1000000000ull

static void die(const char *what)
{
	fprintf(stderr, "offer: %s: %s\n", what, strerror(errno));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec at = { (time_t)(ns / NS), (long)(ns % NS) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static int open_ns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(path);
	return fd;
}

static int socket_new(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	return fd;
}

static int listen_at(const struct sockaddr_in *at)
{
	int fd = socket_new(), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const void *)at, sizeof(*at)) < 0 || listen(fd, 128) < 0)
		die("listen");
	return fd;
}

// One connection, both its ends; false: it did not come to be.
static bool converse(int listener, const struct sockaddr_in *at)
{
	static const char bytes[ANSWER];
	char got[ANSWER];
	int client = socket_new(), server;
	bool done = false;

	if (connect(client, (const void *)at, sizeof(*at)) < 0) {
		close(client);
		return false;
	}
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (server >= 0) {
		done = send(client, bytes, QUESTION, MSG_NOSIGNAL) == QUESTION &&
		       recv(server, got, QUESTION, MSG_WAITALL) == QUESTION &&
		       send(server, bytes, ANSWER, MSG_NOSIGNAL) == ANSWER;
		close(server);
		done = done && recv(client, got, ANSWER, MSG_WAITALL) == ANSWER;
	}
	close(client);
	return done;
}

struct offer {
	uint64_t rate, total;
	struct sockaddr_in at;
	int clients[CLIENTS_MAX], nclients, server;
};

// How many failed.
static uint64_t run(const struct offer *offer)
{
	uint64_t began, failed = 0;
	int listener;

	if (setns(offer->server, CLONE_NEWNET) < 0)
		die("setns");
	listener = listen_at(&offer->at);
	began = now_ns();
	for (uint64_t i = 0; i < offer->total; i++) {
		if (i % AT_ONCE == 0) {
			sleep_until(began + i * NS / offer->rate);
			if (setns(offer->clients[i / AT_ONCE % (uint64_t)offer->nclients], CLONE_NEWNET) < 0)
				die("setns");
		}
		failed += !converse(listener, &offer->at);
	}
	return failed;
}

static pid_t start(struct offer offer, int number, int result)
{
	pid_t pid = fork();
	uint64_t failed;

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	offer.at.sin_port = htons((uint16_t)(ntohs(offer.at.sin_port) + number));
	failed = run(&offer);
	_exit(write(result, &failed, sizeof(failed)) != sizeof(failed));
}

static void read_arguments(int argc, char **argv, struct offer *ret)
{
	int n = argc - 6;

	errno = EINVAL;
	if (n < 1 || n > CLIENTS_MAX)
		die("usage: offer RATE SECONDS SERVER_NS ADDRESS PORT CLIENT_NS...");
	*ret = (struct offer){ .rate = strtoull(argv[1], NULL, 10) / PROCESSES, .at.sin_family = AF_INET, .nclients = n };
	ret->total = ret->rate * strtoull(argv[2], NULL, 10);
	if (!ret->total || inet_pton(AF_INET, argv[4], &ret->at.sin_addr) != 1)
		die("RATE, SECONDS or ADDRESS");
	ret->at.sin_port = htons((uint16_t)atoi(argv[5]));
	ret->server = open_ns(argv[3]);
	for (int i = 0; i < n; i++)
		ret->clients[i] = open_ns(argv[6 + i]);
}

int main(int argc, char **argv)
{
	uint64_t failed = 0, began, some;
	struct offer offer;
	int result[2], status;

	read_arguments(argc, argv, &offer);
	if (pipe2(result, O_CLOEXEC) < 0)
		die("pipe2");
	began = now_ns();
	for (int i = 0; i < PROCESSES; i++)
		start(offer, i, result[1]);
	for (int i = 0; i < PROCESSES; i++) {
		if (wait(&status) < 0 || status || read(result[0], &some, sizeof(some)) != sizeof(some))
			return 2;
		failed += some;
	}
	printf("%llu connections, %llu failed, %.1f s\n", (unsigned long long)(offer.total * PROCESSES),
	       (unsigned long long)failed, (double)(now_ns() - began) / 1e9);
	return failed != 0;
}
