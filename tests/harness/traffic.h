// SPDX-License-Identifier: Apache-2.0
// traffic.h - the parts of `traffic`, the tool that makes and watches flows in end-to-end tests and the demo.
//
// World: host, tests. Pure: no (sockets). Owns: nothing.
// A stream is a flow of numbered messages both ways: the client numbers what it sends, the server echoes
// it and numbers messages of its own. So each side can say exactly what got through, and until when.
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define TRAFFIC_MAGIC 0x62687472u

enum traffic_kind { TRAFFIC_CLIENT = 1, TRAFFIC_SERVER = 2 };

struct traffic_message {
	uint32_t magic;
	uint32_t kind; // enum traffic_kind: who numbered it
	uint64_t seq;
};

// What arrived of a numbered sequence.
struct tally {
	uint64_t count;
	uint64_t next; // one past the highest number seen
	uint64_t gaps; // numbers below next that did not arrive
	uint64_t disorder;
};

void tally_add(struct tally *tally, uint64_t seq);

// An address to talk to. proto: IPPROTO_TCP, _UDP, _ICMP, _ICMPV6.
struct end {
	struct sockaddr_storage addr;
	socklen_t len;
	int proto;
};

// "10.0.0.1" "80" "tcp"; prints a sentence and exits with 2 if it is none. "icmp" ignores the port.
struct end end_parse(const char *addr, const char *port, const char *proto);
int end_type(const struct end *end); // SOCK_STREAM, SOCK_DGRAM, SOCK_RAW
// A non-blocking socket for this end, bound to source and source port where given ("" and 0: not).
int end_socket(const struct end *end, const char *source, unsigned int source_port);
// Datagrams wait for a process that the machine lets wait; where it may not ask for so much, as many as usual.
void lose_nothing(int fd);

uint64_t now_ms(void);
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
unsigned long number_parse(const char *text, unsigned long max);

// A pollable fd that reads SIGUSR1, SIGTERM and SIGINT.
int signal_fd(void);
// The next line of standard input that is there, without its end; NULL: none. *eof: no more will come.
char *command_read(char *buf, size_t bytes, bool *eof);

int probe_main(int argc, char **argv);
int serve_main(int argc, char **argv);
int burst_main(int argc, char **argv);
int stream_main(int argc, char **argv);
int frame_main(int argc, char **argv);
int alive_main(int argc, char **argv);
int flood_main(int argc, char **argv);
int pair_main(int argc, char **argv);
int ask_main(int argc, char **argv);
int tcx_main(int argc, char **argv);
