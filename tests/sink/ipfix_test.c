// SPDX-License-Identifier: Apache-2.0
// ipfix_test.c - records at nfcapd over UDP, and at a reader of RFC 7011 over TCP.
#include "tests/harness/test.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "agent/sink/field.h"
#include "tests/harness/flows.h"
#include "tests/harness/ipfix_reader.h"
#include "tests/harness/net.h"
#include "tests/sink/collector.h"
#include "tests/sink/feed.h"

static char dir[PATH_MAX];

static int setup(void **state)
{
	test_mkdir(dir);
	return net_fresh(state);
}

static int teardown(void **state)
{
	test_rmdir(dir);
	return 0;
}

static char *nfdump(const char *what)
{
	char command[512];

	snprintf(command, sizeof(command), "nfdump -R flows -q -N %s | sort", what);
	return collector_shell(dir, command);
}

static bool has_line(const char *text, const char *line)
{
	size_t len = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at += len)
		if ((at == text || at[-1] == '\n') && at[len] == '\n')
			return true;
	return false;
}

// As nfdump writes a record with fmt:%pr,%sa,%sp,%da,%dp,%ipkt,%ibyt,%opkt,%obyt,%flg, but for spaces.
static void expect_line(const char *text, const struct flow_record *r)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN], line[512];

	addr_format(&r->src.addr, src, sizeof(src));
	addr_format(&r->dst.addr, dst, sizeof(dst));
	snprintf(line, sizeof(line), "%s,%u,%s,%u,%u,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%s", src, r->src.port, dst,
		 r->dst.port, r->proto, r->packets[0], r->bytes[0], r->packets[1], r->bytes[1],
		 r->type == FLOW_DENY ? "........" : "...A..SF");
	if (!has_line(text, line))
		fail_msg("nfdump does not know of %s in\n%.2000s", line, text);
}

#define NFDUMP_LINES "-o 'fmt:%sa,%sp,%da,%dp,%pr,%ipkt,%ibyt,%opkt,%obyt,%flg' | tr -d ' '"

static void expect_records(const char *text, uint32_t from, uint32_t to)
{
	struct flows flows;

	for (uint32_t n = from; n <= to; n++)
		expect_line(text, flows_record(&flows, n));
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

// As nfdump writes it with fmt:%sa,%sp,%nda,%ndp. What it has no place for, as backends of IPv6, it leaves at zero.
static void expect_backends(const char *text, uint32_t from, uint32_t to)
{
	size_t known = 0;

	for (uint32_t n = from; n <= to; n++) {
		char src[INET6_ADDRSTRLEN], backend[INET6_ADDRSTRLEN], line[256];
		struct flows flows;
		const struct flow_record *r = flows_record(&flows, n);

		if (!r->backend.card || !bh_addr_is4(&r->backend.addr))
			continue;
		snprintf(line, sizeof(line), "%s,%u,%s,%u", addr_format(&r->src.addr, src, sizeof(src)), r->src.port,
			 addr_format(&r->backend.addr, backend, sizeof(backend)), r->backend.port);
		if (!has_line(text, line))
			fail_msg("nfdump does not know of %s in\n%.2000s", line, text);
		known++;
	}
	assert_true(known > (to - from) / 10);
}

// ---- nfcapd ------------------------------------------------------------------------------------------------------------

static void nfcapd_has_the_same_numbers(void **state)
{
	enum { N = 300 };
	struct collector nfcapd;
	struct feed feed;
	char *text;

	nfcapd_start(&nfcapd, dir);
	feed_open(&feed, "ipfix+udp://127.0.0.1:%u?domain=9", NFCAPD_PORT);
	feed_put(&feed, N);
	feed_until_delivered(&feed, N);
	feed_assert_exact(&feed);
	nfcapd_stop(&nfcapd);
	text = nfdump(NFDUMP_LINES);
	assert_int_equal(count_lines(text), N);
	expect_records(text, 1, N);
	free(text);
	text = nfdump("-o 'fmt:%sa,%sp,%nda,%ndp' | tr -d ' '");
	expect_backends(text, 1, N);
	free(text);
	text = collector_shell(dir, "cat collector.log");
	assert_str_contains(text, "Flows: 300,");
	assert_str_contains(text, "Sequence Errors: 0, Bad Packets: 0");
	assert_str_contains(text, "Observation domain 9");
	free(text);
	feed_close(&feed);
}

// What lasts is not told unless asked for: sums of a collector are the truth.
static void flows_that_last_are_not_counted_twice(void **state)
{
	struct collector nfcapd;
	struct flows flows;
	struct feed feed;
	char *text;

	nfcapd_start(&nfcapd, dir);
	feed_open(&feed, "ipfix+udp://127.0.0.1:%u", NFCAPD_PORT);
	flows_record(&flows, 1);
	for (int type = FLOW_START; type <= FLOW_END; type++) {
		flows.record.type = type;
		sink_put(feed.sink, &flows.record);
	}
	sink_flush(feed.sink);
	feed_until_delivered(&feed, 1);
	assert_int_equal(sink_stats(feed.sink)->offered, 1);
	nfcapd_stop(&nfcapd);
	text = nfdump(NFDUMP_LINES);
	assert_int_equal(count_lines(text), 1);
	expect_line(text, &flows.record);
	free(text);
	feed_close(&feed);
}

static bool failed_once(const struct sink_stats *stats, const void *arg)
{
	return stats->failures > 0;
}

// The refusal of a datagram breaks the link; what comes next waits, and the new one begins with templates.
static void nfcapd_that_comes_back_understands(void **state)
{
	enum { N = 50 };
	struct collector nfcapd;
	struct feed feed;
	uint64_t delivered;
	char *text;

	feed_open(&feed, "ipfix+udp://127.0.0.1:%u", NFCAPD_PORT);
	feed_put(&feed, 1); // nobody is there
	feed_until(&feed, "no refusal", failed_once, NULL);
	nfcapd_start(&nfcapd, dir);
	delivered = sink_stats(feed.sink)->delivered;
	feed_put(&feed, N);
	feed_until_delivered(&feed, delivered + N);
	feed_assert_exact(&feed);
	nfcapd_stop(&nfcapd);
	text = nfdump(NFDUMP_LINES);
	expect_records(text, 2, 1 + N);
	free(text);
	feed_close(&feed);
}

// ---- TCP ---------------------------------------------------------------------------------------------------------------

// Reads messages of a connection until `records` of them were records; returns how many were templates. Their numbers
// are those of records from `first` on.
static unsigned int read_stream(struct feed *feed, struct ipfix_reader *reader, int sock, uint32_t first, uint32_t records,
				uint32_t *retsequence)
{
	unsigned char buf[65536];
	unsigned int templates = 0;
	size_t have = 0;

	for (uint32_t n = 0; n < records;) {
		size_t len = have >= 4 ? ipfix_number(buf + 2, 2) : SIZE_MAX;
		struct flows flows;
		const struct flow_record *r;
		ssize_t got;

		if (have < len) {
			feed_turn(feed);
			got = recv(sock, buf + have, sizeof(buf) - have, 0);
			if (got <= 0 && errno != EAGAIN)
				fail_msg("recv: %s after %u records", strerror(errno), n);
			have += got > 0 ? (size_t)got : 0;
			continue;
		}
		ipfix_read(reader, buf, len);
		if (reader->set == 2) {
			templates++;
		} else {
			r = flows_record(&flows, first + n);
			if (!n)
				*retsequence = reader->sequence;
			assert_int_equal(reader->sequence, *retsequence + n);
			assert_int_equal(ipfix_value_number(reader, 0, 1), r->bytes[FLOW_FORWARD]);
			assert_int_equal(ipfix_value_number(reader, IPFIX_REVERSE_PEN, 1), r->bytes[FLOW_REVERSE]);
			assert_int_equal(ipfix_value_number(reader, 0, 148), r->id);
			assert_int_equal(ipfix_value(reader, FIELD_PEN, 18)->n, strlen(r->src.card->name));
			n++;
		}
		memmove(buf, buf + len, have - len);
		have -= len;
	}
	return templates;
}

static int accept_one(struct feed *feed, int listening)
{
	struct timeval patience = { .tv_usec = 20000 };
	int sock;

	setsockopt(listening, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (int i = 0; i < 1000; i++) {
		feed_turn(feed);
		sock = accept(listening, NULL, NULL);
		if (sock < 0)
			continue;
		setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		return sock;
	}
	fail_msg("the sink does not connect");
	return -1;
}

static void connections_begin_with_templates(void **state)
{
	int listening = net_listen(-1, SOCK_STREAM, "127.0.0.1", 0), sock;
	struct ipfix_reader reader = { 0 };
	uint32_t sequence;
	struct feed feed;

	feed_open(&feed, "ipfix+tcp://127.0.0.1:%u", net_port(listening));
	feed_put(&feed, 100);
	sock = accept_one(&feed, listening);
	assert_int_equal(read_stream(&feed, &reader, sock, 1, 100, &sequence), 8);
	assert_int_equal(sequence, 0);
	feed_put(&feed, 50);
	assert_int_equal(read_stream(&feed, &reader, sock, 101, 50, &sequence), 0);
	assert_int_equal(sequence, 100);
	close(sock);
	feed_until_problem(&feed, "closed");
	feed_put(&feed, 25);
	sock = accept_one(&feed, listening);
	reader = (struct ipfix_reader){ 0 };
	assert_int_equal(read_stream(&feed, &reader, sock, 151, 25, &sequence), 8);
	assert_int_equal(sequence, 0); // of this connection
	assert_int_equal(sink_stats(feed.sink)->delivered, 175);
	feed_assert_exact(&feed);
	close(sock);
	close(listening);
	feed_close(&feed);
}

// A collector over UDP may come later, or forget.
static void templates_come_again_over_udp(void **state)
{
	int sock = net_listen(-1, SOCK_DGRAM, "127.0.0.1", 0);
	unsigned char buf[2048];
	unsigned int templates = 0;
	struct feed feed;

	feed_open(&feed, "ipfix+udp://127.0.0.1:%u?template-refresh=1&mtu=576", net_port(sock));
	for (unsigned int records = 0; templates < 16;) {
		struct timeval patience = { .tv_usec = 10000 };
		ssize_t got;

		setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		feed_put(&feed, 1);
		feed_turn(&feed);
		while ((got = recv(sock, buf, sizeof(buf), 0)) > 0) {
			assert_true(got <= 576 - 48);
			templates += ipfix_number(buf + 16, 2) == 2;
			records++;
		}
		assert_true(records < 10000);
	}
	close(sock);
	feed_close(&feed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nfcapd_has_the_same_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(flows_that_last_are_not_counted_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(nfcapd_that_comes_back_understands, setup, teardown),
		cmocka_unit_test_setup_teardown(connections_begin_with_templates, setup, teardown),
		cmocka_unit_test_setup_teardown(templates_come_again_over_udp, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
