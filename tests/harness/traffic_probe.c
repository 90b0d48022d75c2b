// SPDX-License-Identifier: Apache-2.0
// traffic_probe.c - new connections, all at once, and what became of each; one request to a control socket.
//
// World: host, tests. Pure: no (sockets, standard output). Owns: its sockets.
//
// `probe` prints open (a byte, or -b BYTES in one datagram, went there and came back whole), silent or refused: one word for one target, else
// a line `ADDR PORT PROTO WORD` for each, in order. Exit: 0 all open, 1 some silent, 3 some refused. With -n N it tries one
// target N times, one after another, and prints `open=N median_us=N`: how many opened, and what half of all took at most.
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/harness/traffic.h"

#define PROBES_MAX 512
#define ROUNDS_MAX 1000
#define RESEND_MS 100
#define DATAGRAM_MAX 65536

static const uint8_t message[DATAGRAM_MAX] = "?";

enum outcome { PENDING, OPEN, SILENT, REFUSED };
static const char *const outcome_names[] = { "pending", "open", "silent", "refused" };

struct probe {
	struct end end;
	size_t bytes; // of a message
	int fd;
	unsigned int source_port; // 0: any
	bool connected;
	enum outcome outcome;
	uint64_t sent_ms;
};

static uint16_t sum16(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void send_ping(struct probe *probe)
{
	bool v4 = probe->end.proto == IPPROTO_ICMP;
	uint8_t packet[16] = { v4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST };
	uint16_t id = (uint16_t)(getpid() + probe->fd), sum;

	packet[4] = (uint8_t)(id >> 8);
	packet[5] = (uint8_t)id;
	if (v4) { // the kernel sums ICMPv6 itself
		sum = sum16(packet, sizeof(packet));
		packet[2] = (uint8_t)(sum >> 8);
		packet[3] = (uint8_t)sum;
	}
	send(probe->fd, packet, sizeof(packet), 0);
}

static bool is_pong(const struct probe *probe, const uint8_t *packet, size_t len)
{
	bool v4 = probe->end.proto == IPPROTO_ICMP;
	size_t skip = v4 && len ? (size_t)(packet[0] & 15) * 4 : 0;
	uint16_t id = (uint16_t)(getpid() + probe->fd);

	return len >= skip + 8 && packet[skip] == (v4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) &&
	       packet[skip + 4] == id >> 8 && packet[skip + 5] == (id & 0xff);
}

static void fail(struct probe *probe, int error)
{
	if (error == ECONNREFUSED || error == ECONNRESET || error == EHOSTUNREACH ||
	    error == ENETUNREACH || error == EACCES)
		probe->outcome = REFUSED;
	else if (error != EAGAIN && error != EINTR && error != EINPROGRESS)
		probe->outcome = SILENT;
}

static void start(struct probe *probe, const char *source)
{
	probe->fd = end_socket(&probe->end, source, probe->source_port);
	if (connect(probe->fd, (struct sockaddr *)&probe->end.addr, probe->end.len))
		fail(probe, errno);
	probe->connected = end_type(&probe->end) != SOCK_STREAM;
}

static void push(struct probe *probe, uint64_t now)
{
	bool stream = end_type(&probe->end) == SOCK_STREAM;

	if (!probe->connected || (probe->sent_ms && (stream || now < probe->sent_ms + RESEND_MS)))
		return;
	probe->sent_ms = now;
	if (end_type(&probe->end) == SOCK_RAW)
		send_ping(probe);
	else if (send(probe->fd, message, probe->bytes, MSG_NOSIGNAL) < 0)
		fail(probe, errno);
}

static void step(struct probe *probe, short events, uint64_t now)
{
	static uint8_t buf[DATAGRAM_MAX];
	ssize_t n;
	int error = 0;
	socklen_t len = sizeof(error);

	if (!probe->connected && events) {
		getsockopt(probe->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error)
			fail(probe, error);
		else if (events & POLLOUT)
			probe->connected = true;
	}
	if (probe->outcome == PENDING && probe->connected && events & (POLLIN | POLLERR)) {
		n = recv(probe->fd, buf, sizeof(buf), 0);
		if (n < 0)
			fail(probe, errno);
		else if (end_type(&probe->end) == SOCK_DGRAM)
			probe->outcome = (size_t)n == probe->bytes ? OPEN : REFUSED;
		else if (end_type(&probe->end) != SOCK_RAW || is_pong(probe, buf, (size_t)n))
			probe->outcome = n > 0 ? OPEN : REFUSED;
	}
	if (probe->outcome == PENDING)
		push(probe, now);
}

static void run(struct probe *probes, size_t n, uint64_t until)
{
	struct pollfd fds[PROBES_MAX];
	size_t pending = n;

	while (pending && now_ms() < until) {
		for (size_t i = 0; i < n; i++) {
			fds[i].fd = probes[i].outcome == PENDING ? probes[i].fd : -1;
			fds[i].events = probes[i].connected ? POLLIN : POLLOUT;
			fds[i].revents = 0;
		}
		poll(fds, n, 20);
		pending = 0;
		for (size_t i = 0; i < n; i++) {
			if (probes[i].outcome == PENDING)
				step(&probes[i], fds[i].revents, now_ms());
			pending += probes[i].outcome == PENDING;
		}
	}
}

// ADDR PORT[@SOURCEPORT] PROTO
static void target_parse(struct probe *probe, char **target)
{
	char port[16];
	const char *at = strchr(target[1], '@');

	snprintf(port, sizeof(port), "%.*s", (int)strcspn(target[1], "@"), target[1]);
	probe->end = end_parse(target[0], port, target[2]);
	probe->source_port = at ? (unsigned int)number_parse(at + 1, 65535) : 0;
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int by_time(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int repeat(char **target, const char *source, size_t bytes, unsigned long rounds, unsigned long ms)
{
	static uint64_t took[ROUNDS_MAX];
	unsigned long opened = 0;

	for (unsigned long i = 0; i < rounds; i++) {
		struct probe probe = { .bytes = bytes };
		uint64_t begun = now_us();

		target_parse(&probe, target);
		start(&probe, source);
		push(&probe, now_ms());
		run(&probe, 1, now_ms() + ms);
		took[i] = now_us() - begun;
		opened += probe.outcome == OPEN;
		close(probe.fd);
	}
	qsort(took, rounds, sizeof(*took), by_time);
	printf("open=%lu median_us=%llu\n", opened, (unsigned long long)took[(rounds - 1) / 2]);
	return opened == rounds ? 0 : 1;
}

int probe_main(int argc, char **argv)
{
	static struct probe probes[PROBES_MAX];
	const char *source = "";
	unsigned long ms = 1000, bytes = 1, rounds = 0;
	size_t n = 0;
	int opt, code = 0;

	while ((opt = getopt(argc, argv, "+t:s:b:n:")) != -1) {
		if (opt == 't')
			ms = number_parse(optarg, 600000);
		else if (opt == 'b')
			bytes = number_parse(optarg, DATAGRAM_MAX);
		else if (opt == 's')
			source = optarg;
		else if (opt == 'n')
			rounds = number_parse(optarg, ROUNDS_MAX);
		else
			return 2;
	}
	if (rounds && argc - optind == 3)
		return repeat(argv + optind, source, bytes, rounds, ms);
	if (rounds || optind == argc || (argc - optind) % 3 || (argc - optind) / 3 > PROBES_MAX)
		die("probe: ADDR PORT[@SOURCEPORT] PROTO, up to %d times", PROBES_MAX);
	for (int i = optind; i < argc; i += 3) {
		target_parse(&probes[n], argv + i);
		probes[n].bytes = bytes;
		start(&probes[n++], source);
	}
	run(probes, n, now_ms() + ms);
	for (size_t i = 0; i < n; i++) {
		char **target = argv + optind + 3 * i;

		if (probes[i].outcome == PENDING)
			probes[i].outcome = SILENT;
		if (n > 1)
			printf("%s %s %s ", target[0], target[1], target[2]);
		puts(outcome_names[probes[i].outcome]);
		if (probes[i].outcome == REFUSED)
			code = 3;
		else if (probes[i].outcome == SILENT && !code)
			code = 1;
	}
	return code;
}

// ---- one request ------------------------------------------------------------------------------------

// The agent may be starting: a socket that is not there yet, or that nobody serves, is tried again.
static int ask_connect(const char *path, uint64_t until)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timespec pause = { .tv_nsec = 5000000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		if ((errno != ENOENT && errno != ECONNREFUSED) || now_ms() >= until) {
			fprintf(stderr, "traffic: %s: %s\n", path, strerror(errno));
			exit(1);
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

int ask_main(int argc, char **argv)
{
	unsigned long ms = 5000;
	static char answer[1 << 24];
	size_t used = 0;
	struct pollfd fd;
	uint64_t until;
	int opt;

	while ((opt = getopt(argc, argv, "+t:")) != -1) {
		if (opt != 't')
			return 2;
		ms = number_parse(optarg, 600000);
	}
	if (argc - optind != 2)
		die("ask: SOCKET REQUEST");
	until = now_ms() + ms;
	fd = (struct pollfd){ .fd = ask_connect(argv[optind], until), .events = POLLIN };
	dprintf(fd.fd, "%s\n", argv[optind + 1]);
	while (used < sizeof(answer) - 1 && !memchr(answer, '\n', used) && now_ms() < until) {
		ssize_t n;

		if (poll(&fd, 1, (int)(until - now_ms())) != 1)
			break;
		n = read(fd.fd, answer + used, sizeof(answer) - 1 - used);
		if (n <= 0)
			break;
		used += (size_t)n;
	}
	close(fd.fd);
	fputs(answer, stdout);
	if (!memchr(answer, '\n', used)) {
		fprintf(stderr, "traffic: %s: no answer\n", argv[optind]);
		return 1;
	}
	return strstr(answer, "\"ok\":true") || strstr(answer, "\"ok\": true") ? 0 : 1;
}
