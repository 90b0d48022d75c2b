// SPDX-License-Identifier: Apache-2.0
// traffic_stream.c - one flow kept alive with numbered messages; says exactly what got through, both ways.
//
// World: host, tests. Pure: no (sockets, standard streams). Owns: its socket.
//
// Prints `ready` after the first message's echo. Commands on standard input, each answered by one report:
//	report		now, after reading all that is there
//	sent N		when N more messages were sent
//	echoed N MS	when N more echoes came, at the latest after MS
//	drain MS	sends nothing until every message is echoed, at the latest after MS
// SIGUSR1 is `report`; SIGTERM and the end of standard input are `drain 1000` and the end.
// Report: sent=N echoed=N gaps=N disorder=N heard=N heard_gaps=N retrans=N state=open|closed|ERRNO
// (echoed and gaps are of our own numbers, heard and heard_gaps of the server's).
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tests/harness/traffic.h"

#define CONNECT_MS 5000
#define LEAVE_MS 1000 // of silence

enum wait { WAIT_NONE, WAIT_SENT, WAIT_ECHOED, WAIT_DRAIN };

static struct stream {
	struct end end;
	int fd;
	int timer;
	struct tally echoed, heard;
	uint64_t sent;
	int error; // errno; -1: closed by the other side
	uint8_t out[sizeof(struct traffic_message)];
	size_t out_left; // of a message that TCP took in part
	uint8_t in[4096];
	size_t used;
	enum wait wait;
	uint64_t wait_count, wait_until;
	bool ending;
} s;

static unsigned int retransmits(void)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (s.end.proto != IPPROTO_TCP ||
	    getsockopt(s.fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return 0;
	return info.tcpi_total_retrans;
}

static void take(const uint8_t *data)
{
	struct traffic_message message;

	memcpy(&message, data, sizeof(message));
	if (message.magic != TRAFFIC_MAGIC)
		die("stream: no message of ours came back");
	tally_add(message.kind == TRAFFIC_CLIENT ? &s.echoed : &s.heard, message.seq);
}

static void receive(void)
{
	while (!s.error) {
		size_t at = 0;
		ssize_t n = recv(s.fd, s.in + s.used, sizeof(s.in) - s.used, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0 && s.end.proto == IPPROTO_UDP)
			continue; // an ICMP error says nothing about the next datagram
		if (n <= 0) {
			s.error = n < 0 ? errno : -1;
			return;
		}
		s.used += (size_t)n;
		for (; s.used - at >= sizeof(struct traffic_message);
		     at += sizeof(struct traffic_message))
			take(s.in + at);
		s.used -= at;
		memmove(s.in, s.in + at, s.used);
	}
}

static void transmit(void)
{
	struct traffic_message message = { TRAFFIC_MAGIC, TRAFFIC_CLIENT, s.sent };
	ssize_t n;

	if (s.error || s.wait == WAIT_DRAIN)
		return;
	if (!s.out_left) {
		memcpy(s.out, &message, sizeof(message));
		s.out_left = sizeof(message);
		s.sent++;
	}
	n = send(s.fd, s.out + sizeof(s.out) - s.out_left, s.out_left, MSG_NOSIGNAL);
	if (n > 0)
		s.out_left -= (size_t)n;
	else if (s.end.proto == IPPROTO_UDP)
		s.out_left = 0; // refused by an ICMP error of an earlier one: this one counts as lost
	else if (errno != EAGAIN && errno != EINTR)
		s.error = errno;
}

static void report(void)
{
	receive();
	printf("sent=%llu echoed=%llu gaps=%llu disorder=%llu heard=%llu heard_gaps=%llu retrans=%u state=%s\n",
	       (unsigned long long)s.sent, (unsigned long long)s.echoed.count,
	       (unsigned long long)s.echoed.gaps, (unsigned long long)s.echoed.disorder,
	       (unsigned long long)s.heard.count, (unsigned long long)s.heard.gaps, retransmits(),
	       !s.error ? "open" : s.error < 0 ? "closed" : strerrorname_np(s.error));
}

// All that was sent came back: the connection ends by FIN both ways, whatever the server still says.
static void leave(void)
{
	struct pollfd fd = { s.fd, POLLIN, 0 };

	if (s.end.proto == IPPROTO_UDP || s.error || s.echoed.count < s.sent || shutdown(s.fd, SHUT_WR))
		return;
	while (!s.error && poll(&fd, 1, LEAVE_MS) == 1)
		receive();
}

static void wait_for(enum wait wait, uint64_t count, uint64_t ms)
{
	s.wait = wait;
	s.wait_count = count;
	s.wait_until = now_ms() + ms;
}

static bool wait_over(void)
{
	if (s.error || now_ms() >= s.wait_until)
		return true;
	if (s.wait == WAIT_SENT)
		return s.sent >= s.wait_count;
	if (s.wait == WAIT_ECHOED)
		return s.echoed.count >= s.wait_count;
	return s.echoed.count >= s.sent;
}

static void on_command(const char *line)
{
	unsigned long long n = 0;
	unsigned long ms = 0;

	if (sscanf(line, "sent %llu", &n) == 1)
		wait_for(WAIT_SENT, s.sent + n, 60000);
	else if (sscanf(line, "echoed %llu %lu", &n, &ms) == 2)
		wait_for(WAIT_ECHOED, s.echoed.count + n, ms);
	else if (sscanf(line, "drain %lu", &ms) == 1)
		wait_for(WAIT_DRAIN, 0, ms);
	else
		report();
}

static void on_signal(int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1)
			report();
		else
			s.ending = true;
	}
}

static void open_flow(const char *source, unsigned int source_port)
{
	struct pollfd fd;
	int error = 0;
	socklen_t len = sizeof(error);

	s.fd = end_socket(&s.end, source, source_port);
	if (s.end.proto == IPPROTO_UDP)
		lose_nothing(s.fd);
	fd = (struct pollfd){ s.fd, POLLOUT, 0 };
	if (connect(s.fd, (struct sockaddr *)&s.end.addr, s.end.len) && errno != EINPROGRESS)
		die("stream: connect: %s", strerror(errno));
	if (poll(&fd, 1, CONNECT_MS) != 1)
		die("stream: no connection: silence");
	getsockopt(s.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		die("stream: no connection: %s", strerror(error));
	setsockopt(s.fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	transmit();
	fd.events = POLLIN;
	while (!s.echoed.count) {
		if (poll(&fd, 1, CONNECT_MS) != 1)
			die("stream: no echo");
		receive();
		if (s.error)
			die("stream: the connection ended at once");
	}
	puts("ready");
}

static int loop(void)
{
	int signals = signal_fd();
	bool eof = false;
	char line[128];
	uint64_t ticks;

	while (true) {
		struct pollfd fds[] = { { eof || s.wait ? -1 : STDIN_FILENO, POLLIN, 0 },
					{ signals, POLLIN, 0 },
					{ s.timer, POLLIN, 0 },
					{ s.error ? -1 : s.fd, POLLIN, 0 } };

		poll(fds, 4, -1);
		if (read(s.timer, &ticks, sizeof(ticks)) > 0)
			transmit();
		receive();
		if (s.wait && wait_over()) {
			s.wait = WAIT_NONE;
			report();
			if (s.ending) {
				leave();
				return 0;
			}
		}
		if (!s.wait && !eof && command_read(line, sizeof(line), &eof))
			on_command(line);
		on_signal(signals);
		if ((eof || s.ending) && !s.wait) {
			s.ending = true;
			wait_for(WAIT_DRAIN, 0, 1000);
		}
	}
}

int stream_main(int argc, char **argv)
{
	struct itimerspec tick = { 0 };
	unsigned int source_port = 0;
	const char *source = "";
	unsigned long ms = 10;
	int opt;

	while ((opt = getopt(argc, argv, "+i:s:p:")) != -1) {
		if (opt == 'i')
			ms = number_parse(optarg, 999);
		else if (opt == 's')
			source = optarg;
		else if (opt == 'p')
			source_port = (unsigned int)number_parse(optarg, 65535);
		else
			return 2;
	}
	if (argc - optind != 3)
		die("stream: ADDR PORT PROTO");
	s.end = end_parse(argv[optind], argv[optind + 1], argv[optind + 2]);
	open_flow(source, source_port);
	s.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	tick.it_interval.tv_nsec = tick.it_value.tv_nsec = (long)ms * 1000000;
	timerfd_settime(s.timer, 0, &tick, NULL);
	return loop();
}
