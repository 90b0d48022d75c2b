// SPDX-License-Identifier: Apache-2.0
// traffic_frame.c - frames as they are written, onto a device, and what arrives there from others.
//
// World: host, tests. Pure: no (AF_PACKET, standard streams). Owns: its socket.
//
// Prints `ready`. Commands on standard input, each answered by one line:
//	send N FRAME	`sent=N`: N equal frames leave by the device
//	spray N A FRAME	`sent=N`: N frames, each from the next port, in turn to the next of A addresses
//	watch FRAME	`watch=BYTES`: from now on frames are counted that arrive and begin with these bytes
//	got N MS	`got=N`: how many did, when N are there or MS have passed
// FRAME is words: `eth SRC DST TYPE`, then layers in the order in which they stand (layers[] below). Lengths
// and checksums are made right.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/packet.h"
#include "tests/harness/traffic.h"

#define ARGS_MAX 6

static struct frames {
	int fd;
	struct packet watched;
	unsigned long got;
} f;

// ---- words ----------------------------------------------------------------------------------------------
static unsigned long number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 0);

	if (!*text || *end)
		die("frame: '%s' is no number", text);
	return n;
}

static void mac(const char *text, uint8_t ret[static 6])
{
	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &ret[0], &ret[1], &ret[2], &ret[3],
		   &ret[4], &ret[5]) != 6)
		die("frame: '%s' is no MAC address", text);
}

static void add_eth(struct packet *p, char **arg)
{
	uint8_t src[6], dst[6];

	mac(arg[0], src);
	mac(arg[1], dst);
	packet_eth(p, src, dst, (uint16_t)number(arg[2]));
}

static void add_arp(struct packet *p, char **arg)
{
	struct packet arp;
	uint8_t sender[6];

	mac(arg[1], sender);
	packet_arp(&arp, sender, (uint16_t)number(arg[0]), arg[2], arg[3]);
	packet_bytes(p, arp.data + ETH_HLEN, arp.len - ETH_HLEN);
}

static void add_ip(struct packet *p, char **arg)
{
	packet_ip(p, arg[0], arg[1], (uint8_t)number(arg[2]));
}

static void add_hops(struct packet *p, char **arg)
{
	p->data[p->l3 + (p->v6 ? 7 : 8)] = (uint8_t)number(arg[0]);
}

static void add_alert(struct packet *p, char **arg)
{
	static const uint8_t option[] = { 5, 2, 0, 0, 1, 0 };

	(void)arg;
	packet_ext(p, IPPROTO_HOPOPTS, 0);
	memcpy(p->data + p->len - sizeof(option), option, sizeof(option));
}

static void add_ext(struct packet *p, char **arg)
{
	packet_ext(p, (uint8_t)number(arg[0]), 0);
}

static void add_icmp(struct packet *p, char **arg)
{
	packet_icmp(p, (uint8_t)number(arg[0]), (uint8_t)number(arg[1]), (uint16_t)number(arg[2]));
}

static void add_address(struct packet *p, char **arg)
{
	struct bh_addr addr = packet_addr(arg[0]);

	packet_bytes(p, &addr, sizeof(addr));
}

static void add_option(struct packet *p, char **arg)
{
	uint8_t option[8] = { (uint8_t)number(arg[0]), 1 };

	mac(arg[1], option + 2);
	packet_bytes(p, option, sizeof(option));
}

static void add_udp(struct packet *p, char **arg)
{
	packet_udp(p, (uint16_t)number(arg[0]), (uint16_t)number(arg[1]));
}

static void add_sctp(struct packet *p, char **arg)
{
	packet_sctp(p, (uint16_t)number(arg[0]), (uint16_t)number(arg[1]), (uint8_t)number(arg[2]));
}

static void add_tcp(struct packet *p, char **arg)
{
	uint32_t seq = htonl((uint32_t)number(arg[3])), ack = htonl((uint32_t)number(arg[4]));

	packet_tcp(p, (uint16_t)number(arg[0]), (uint16_t)number(arg[1]), (uint8_t)number(arg[2]));
	memcpy(p->data + p->len - 16, &seq, 4);
	memcpy(p->data + p->len - 12, &ack, 4);
}

static void add_word(struct packet *p, char **arg)
{
	uint16_t value = htons((uint16_t)number(arg[0]));

	packet_bytes(p, &value, sizeof(value));
}

static void add_data(struct packet *p, char **arg)
{
	packet_data(p, (uint32_t)number(arg[0]));
}

static const struct layer {
	const char *name;
	int args;
	void (*add)(struct packet *p, char **arg);
} layers[] = {
	{ "eth", 3, add_eth }, // SRC DST TYPE
	{ "word", 1, add_word }, // 16 bits: a tag, a type
	{ "arp", 4, add_arp }, // OPERATION SENDER-MAC SENDER TARGET
	{ "ip", 3, add_ip }, // SRC DST PROTOCOL, of either family
	{ "hops", 1, add_hops },
	{ "alert", 0, add_alert }, // IPv6 router alert
	{ "ext", 1, add_ext }, // KIND: an IPv6 extension header of 8 bytes
	{ "icmp", 3, add_icmp }, // TYPE CODE ID, of either family
	{ "address", 1, add_address }, // 16 bytes: a target
	{ "option", 2, add_option }, // KIND MAC: of neighbour discovery
	{ "udp", 2, add_udp }, // SPORT DPORT
	{ "sctp", 3, add_sctp }, // SPORT DPORT CHUNK
	{ "tcp", 5, add_tcp }, // SPORT DPORT FLAGS SEQ ACK
	{ "data", 1, add_data }, // BYTES
};
#define LAYERS (sizeof(layers) / sizeof(layers[0]))

static const struct layer *layer_find(const char *name)
{
	for (size_t i = 0; i < LAYERS; i++)
		if (!strcmp(layers[i].name, name))
			return &layers[i];
	die("frame: '%s' is no layer", name);
}

static void frame_parse(struct packet *p, char *text)
{
	char *word, *arg[ARGS_MAX];

	memset(p, 0, sizeof(*p));
	while ((word = strsep(&text, " "))) {
		const struct layer *layer = *word ? layer_find(word) : NULL;

		for (int i = 0; layer && i < layer->args; i++) {
			arg[i] = strsep(&text, " ");
			if (!arg[i])
				die("frame: '%s' takes %d words", word, layer->args);
		}
		if (layer)
			layer->add(p, arg);
	}
	if (!p->len)
		die("frame: no frame begins without eth");
	if (p->l3) {
		packet_end(p);
		packet_sum(p);
	}
}

// ---- the device -------------------------------------------------------------------------------------------
static void device_open(const char *name)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET,
				    .sll_protocol = htons(ETH_P_ALL),
				    .sll_ifindex = (int)if_nametoindex(name) };
	int one = 1, bytes = 8 << 20;

	f.fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f.fd < 0 || !addr.sll_ifindex)
		die("frame: %s: %s", name, strerror(errno));
	setsockopt(f.fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	setsockopt(f.fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (bind(f.fd, (struct sockaddr *)&addr, sizeof(addr)))
		die("frame: %s: %s", name, strerror(errno));
}

// Frames that one process sends keep their order only while it stays on one CPU.
static void stay_here(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void receive(void)
{
	uint8_t frame[PACKET_MAX];
	ssize_t n;

	while ((n = recv(f.fd, frame, sizeof(frame), MSG_TRUNC)) >= 0)
		f.got += f.watched.len && n >= (ssize_t)f.watched.len &&
			 !memcmp(frame, f.watched.data, f.watched.len);
}

static void transmit(unsigned long n, const struct packet *p)
{
	for (unsigned long i = 0; i < n; i++)
		while (send(f.fd, p->data, p->len, 0) < 0)
			if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
				die("frame: send: %s", strerror(errno));
}

static void add16(uint8_t *at, unsigned long n)
{
	unsigned long sum = (unsigned long)(at[0] << 8 | at[1]) + n;

	at[0] = (uint8_t)(sum >> 8);
	at[1] = (uint8_t)sum;
}

static void spray(unsigned long n, unsigned long addrs, const struct packet *p)
{
	for (unsigned long i = 0; i < n; i++) {
		struct packet one = *p;

		add16(one.data + one.l4, i);
		add16(one.data + one.l3 + (one.v6 ? 38 : 18), i % addrs);
		packet_end(&one);
		packet_sum(&one);
		transmit(1, &one);
	}
}

static void wait_for(unsigned long n, unsigned long ms)
{
	struct pollfd fd = { f.fd, POLLIN, 0 };
	uint64_t until = now_ms() + ms, now;

	for (receive(); f.got < n && (now = now_ms()) < until; receive())
		poll(&fd, 1, (int)(until - now));
	printf("got=%lu\n", f.got);
}

static void on_command(char *line)
{
	unsigned long n = 0, ms = 0, addrs = 1;
	struct packet p;
	int at = 0;

	if (sscanf(line, "send %lu %n", &n, &at) == 1 && at) {
		frame_parse(&p, line + at);
		transmit(n, &p);
		printf("sent=%lu\n", n);
	} else if (sscanf(line, "spray %lu %lu %n", &n, &addrs, &at) == 2 && at && addrs) {
		frame_parse(&p, line + at);
		if (!p.l3)
			die("frame: only IP packets have ports and addresses to count up");
		spray(n, addrs, &p);
		printf("sent=%lu\n", n);
	} else if (!strncmp(line, "watch ", 6)) {
		receive();
		frame_parse(&f.watched, line + 6);
		f.got = 0;
		printf("watch=%u\n", f.watched.len);
	} else if (sscanf(line, "got %lu %lu", &n, &ms) == 2) {
		wait_for(n, ms);
	} else {
		die("frame: '%s' is no command", line);
	}
}

int frame_main(int argc, char **argv)
{
	char line[512];
	bool eof = false;

	if (argc != 2)
		die("frame: DEVICE");
	stay_here();
	device_open(argv[1]);
	puts("ready");
	while (!eof) {
		struct pollfd fds[] = { { STDIN_FILENO, POLLIN, 0 }, { f.fd, POLLIN, 0 } };

		poll(fds, 2, -1);
		receive();
		if (fds[0].revents && command_read(line, sizeof(line), &eof))
			on_command(line);
	}
	return 0;
}
