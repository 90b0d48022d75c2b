// SPDX-License-Identifier: Apache-2.0
// syslog_test.c - records at rsyslog over UDP, TCP and TLS: the same numbers and names, nothing at whom is not trusted,
// all that waited once it is back, and each lost one counted.
#include "tests/harness/test.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include "tests/harness/flows.h"
#include "tests/harness/net.h"
#include "tests/harness/syslog_reader.h"
#include "tests/sink/collector.h"
#include "tests/sink/feed.h"

static char dir[PATH_MAX];

static int setup(void **state)
{
	test_mkdir(dir);
	certificates_make(dir);
	return net_fresh(state);
}

static int teardown(void **state)
{
	test_rmdir(dir);
	return 0;
}

// Options of one who trusts this authority and has a certificate to show. Good until the next call.
static const char *client(const char *authority, const char *more)
{
	static char *options;

	free(options);
	assert_true(asprintf(&options, "?ca=%s/%s.crt&cert=%s/client.crt&key=%s/client.key%s", dir, authority, dir, dir, more) > 0);
	return options;
}

// ---- what rsyslog wrote --------------------------------------------------------------------------------------------------

static bool has_lines(void *arg)
{
	return lines_count(dir, "messages") >= *(size_t *)arg;
}

static void await_lines(size_t n)
{
	if (!await(has_lines, &n))
		fail_msg("%zu lines of %zu", lines_count(dir, "messages"), n);
}

static void assert_number(const struct syslog_reader *reader, const char *name, uint64_t want)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64, want);
	assert_str(syslog_param(reader, name), text);
}

static void assert_addr(const struct syslog_reader *reader, const char *name, const struct bh_addr *want)
{
	char text[INET6_ADDRSTRLEN];

	assert_str(syslog_param(reader, name), addr_format(want, text, sizeof(text)));
}

// facility severity hostname app msgid [data] sentence
static uint32_t read_line(char *line)
{
	bool deny;
	struct syslog_reader reader = { 0 };
	const struct flow_record *r;
	struct flows flows;
	uint32_t n;

	syslog_read_data(&reader, strchr(line, '['));
	n = (uint32_t)strtoul(syslog_param(&reader, "seq"), NULL, 10);
	r = flows_record(&flows, n);
	deny = r->type == FLOW_DENY;
	assert_str_starts(line, deny ? "local0 warning node-1 bulkheadd deny " : "local0 info node-1 bulkheadd end ");
	assert_str(reader.id, "flow@32473");
	assert_number(&reader, "id", r->id);
	assert_number(&reader, "packets", r->packets[FLOW_FORWARD]);
	assert_number(&reader, "bytes", r->bytes[FLOW_FORWARD]);
	assert_number(&reader, "packets-back", r->packets[FLOW_REVERSE]);
	assert_number(&reader, "bytes-back", r->bytes[FLOW_REVERSE]);
	assert_number(&reader, "src-port", r->src.port);
	assert_number(&reader, "dst-port", r->dst.port);
	assert_addr(&reader, "src-address", &r->src.addr);
	assert_addr(&reader, "dst-address", &r->dst.addr);
	assert_str(syslog_param(&reader, "src-namespace"), "shop");
	assert_str(syslog_param(&reader, "src-name"), r->src.card->name);
	assert_str(syslog_param(&reader, "src-workload"), "web");
	assert_str(syslog_param(&reader, "dst-name"), r->dst.card->name);
	assert_str(syslog_param(&reader, "policy"), "shop/web-out");
	assert_str(syslog_param(&reader, "verdict"), deny ? "denied" : "allowed");
	if (r->backend.card)
		assert_str(syslog_param(&reader, "backend-name"), r->backend.card->name);
	return n;
}

// Each record once, from `from` to `to`, and no other line.
static void expect_records(uint32_t from, uint32_t to)
{
	_cleanup_free_ bool *seen = calloc(to + 1, sizeof(*seen));
	char path[PATH_MAX], line[16384];
	uint32_t lines = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%.4000s/messages", dir);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		uint32_t n = read_line(line);

		assert_in_range(n, from, to);
		assert_false(seen[n]);
		seen[n] = true;
		lines++;
	}
	fclose(file);
	assert_int_equal(lines, to - from + 1);
}

// ---- equal numbers ---------------------------------------------------------------------------------------------------------

static void rsyslog_has_the_same(const char *transport, unsigned int port, const char *options)
{
	enum { N = 300 };
	struct collector rsyslog;
	struct feed feed;

	rsyslog_start(&rsyslog, dir);
	feed_open(&feed, "syslog+%s://127.0.0.1:%u%s", transport, port, options);
	feed_put(&feed, N);
	feed_until_delivered(&feed, N);
	feed_assert_exact(&feed);
	await_lines(N);
	feed_close(&feed);
	rsyslog_stop(&rsyslog);
	expect_records(1, N);
}

static void over_udp(void **state)
{
	rsyslog_has_the_same("udp", RSYSLOG_PORT, "");
}

static void over_tcp(void **state)
{
	rsyslog_has_the_same("tcp", RSYSLOG_PORT, "");
}

// The collector knows us by our certificate and we know it by its address.
static void over_tls(void **state)
{
	rsyslog_has_the_same("tls", RSYSLOG_TLS_PORT, client("ca", ""));
}

static void over_tls_by_name(void **state)
{
	rsyslog_has_the_same("tls", RSYSLOG_TLS_PORT, client("ca", "&server-name=logs.example"));
}

// ---- whom we do not trust gets nothing -------------------------------------------------------------------------------------

static void nothing_is_delivered(const char *options, const char *problem)
{
	struct collector rsyslog;
	struct feed feed;

	rsyslog_start(&rsyslog, dir);
	feed_open(&feed, "syslog+tls://127.0.0.1:%u%s", RSYSLOG_TLS_PORT, options);
	feed_put(&feed, 20);
	feed_until_problem(&feed, problem);
	assert_int_equal(sink_stats(feed.sink)->delivered, 0);
	assert_int_equal(sink_stats(feed.sink)->bytes, 0);
	assert_int_equal(sink_stats(feed.sink)->queued, 20);
	feed_assert_exact(&feed);
	feed_close(&feed);
	rsyslog_stop(&rsyslog);
	assert_int_equal(lines_count(dir, "messages"), 0);
}

static void a_wrong_authority_gets_nothing(void **state)
{
	nothing_is_delivered(client("other", ""), "certificate is refused: self-signed certificate");
}

static void a_wrong_name_gets_nothing(void **state)
{
	nothing_is_delivered(client("ca", "&server-name=mail.example"), "certificate is refused: hostname mismatch");
}

static void assert_refused(const char *url, const char *part)
{
	struct err err = { 0 };

	assert_err(sink_check(url, &err), -EINVAL);
	assert_str_contains(err.text, part);
}

static void files_are_looked_at_before_anything_starts(void **state)
{
	char url[2 * PATH_MAX];

	assert_ok(chdir(dir));
	snprintf(url, sizeof(url), "syslog+tls://127.0.0.1:1%s", client("nothing", ""));
	assert_refused(url, "nothing.crt");
	assert_refused("syslog+tls://127.0.0.1:1?ca=ca.crt&cert=client.crt&key=server.key", "server.key");
	assert_refused("syslog+tls://127.0.0.1:1?ca=ca.crt&cert=client.crt", "cert and key");
	assert_refused("syslog+tls://127.0.0.1?ca=ca.crt", "port");
	assert_refused("syslog+udp://127.0.0.1:1?facility=local9", "local9");
	assert_refused("ipfix+tls://127.0.0.1:1", "tls");
	assert_ok(chdir("/"));
}

// ---- a collector that goes and comes -----------------------------------------------------------------------------------------

static void what_waited_arrives(const char *transport, unsigned int port, const char *options)
{
	enum { BEFORE = 100, MEANWHILE = 200, AFTER = 50, ALL = BEFORE + MEANWHILE + AFTER };
	struct collector rsyslog;
	struct feed feed;

	rsyslog_start(&rsyslog, dir);
	feed_open(&feed, "syslog+%s://127.0.0.1:%u%s", transport, port, options);
	feed_put(&feed, BEFORE);
	feed_until_delivered(&feed, BEFORE);
	await_lines(BEFORE);
	rsyslog_stop(&rsyslog);
	feed_until_problem(&feed, "");
	feed_until_problem(&feed, "c"); // that it closed, or refuses
	feed_put(&feed, MEANWHILE);
	assert_int_equal(sink_stats(feed.sink)->queued, MEANWHILE);
	rsyslog_start(&rsyslog, dir);
	feed_put(&feed, AFTER);
	feed_until_delivered(&feed, ALL);
	await_lines(ALL);
	assert_int_equal(sink_stats(feed.sink)->lost_full + sink_stats(feed.sink)->lost_error, 0);
	feed_assert_exact(&feed);
	feed_close(&feed);
	rsyslog_stop(&rsyslog);
	expect_records(1, ALL);
}

static void over_tcp_it_comes_back(void **state)
{
	what_waited_arrives("tcp", RSYSLOG_PORT, "");
}

static void over_tls_it_comes_back(void **state)
{
	what_waited_arrives("tls", RSYSLOG_TLS_PORT, client("ca", ""));
}

// More than the queue holds: the rest is lost and counted, and the collector has exactly the others.
static void what_the_queue_cannot_hold_is_counted(void **state)
{
	enum { N = 2000 };
	const struct sink_stats *stats;
	struct collector rsyslog;
	struct feed feed;
	uint64_t lost;

	feed_open(&feed, "syslog+tcp://127.0.0.1:%u?queue=65536", RSYSLOG_PORT);
	feed_until_problem(&feed, "refused");
	feed_put(&feed, N);
	stats = sink_stats(feed.sink);
	lost = stats->lost_full + stats->lost_error;
	assert_in_range(stats->queued, 20, 200);
	assert_int_equal(lost + stats->queued, N);
	feed_assert_exact(&feed);
	rsyslog_start(&rsyslog, dir);
	feed_until_delivered(&feed, N - lost);
	await_lines(N - lost);
	feed_put(&feed, 10);
	feed_until_delivered(&feed, N - lost + 10);
	await_lines(N - lost + 10);
	stats = sink_stats(feed.sink);
	assert_int_equal(stats->offered, N + 10);
	assert_int_equal(stats->lost_full + stats->lost_error, lost);
	feed_assert_exact(&feed);
	feed_close(&feed);
	rsyslog_stop(&rsyslog);
	assert_int_equal(lines_count(dir, "messages"), N - lost + 10);
}

// A collector that reads no more holds nobody up.
static void who_reads_nothing_blocks_nothing(void **state)
{
	int listening = net_listen(-1, SOCK_STREAM, "127.0.0.1", 0);
	const struct sink_stats *stats;
	struct feed feed;

	feed_open(&feed, "syslog+tcp://127.0.0.1:%u?queue=65536", net_port(listening));
	for (int i = 0; i < 200; i++) {
		feed_put(&feed, 100);
		feed_turn(&feed);
		feed_assert_exact(&feed);
	}
	stats = sink_stats(feed.sink);
	assert_int_equal(stats->offered, 20000);
	assert_true(stats->lost_full > 0);
	assert_true(stats->delivered > 0);
	feed_close(&feed);
	close(listening);
}

// ---- names -------------------------------------------------------------------------------------------------------------------

static void names_are_resolved(void **state)
{
	struct collector rsyslog;
	struct feed feed;

	rsyslog_start(&rsyslog, dir);
	feed_open(&feed, "syslog+tcp://localhost:%u", RSYSLOG_PORT);
	feed_put(&feed, 10);
	feed_until_delivered(&feed, 10);
	await_lines(10);
	feed_close(&feed);
	rsyslog_stop(&rsyslog);
	expect_records(1, 10);
}

// There is no way to a name server here: the question stands open, nothing waits for it, and freeing forgets it.
static void a_name_server_that_is_silent_blocks_nothing(void **state)
{
	struct feed feed;

	test_write(dir, "resolv.conf", "nameserver 127.0.0.53\n");
	net_run("mount --bind %s/resolv.conf /etc/resolv.conf", dir);
	{
		_cleanup_close_ int silent = net_listen(-1, SOCK_DGRAM, "127.0.0.53", 53);

		feed_open(&feed, "syslog+tcp://logs.example:%u", RSYSLOG_PORT);
		feed_put(&feed, 10);
		for (int i = 0; i < 10; i++)
			feed_turn(&feed);
		assert_int_equal(sink_stats(feed.sink)->queued, 10);
		sink_free(feed.sink);
		feed_turn(&feed);
		event_base_free(feed.base);
	}
	net_run("umount /etc/resolv.conf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
		T(over_udp),
		T(over_tcp),
		T(over_tls),
		T(over_tls_by_name),
		T(a_wrong_authority_gets_nothing),
		T(a_wrong_name_gets_nothing),
		T(files_are_looked_at_before_anything_starts),
		T(over_tcp_it_comes_back),
		T(over_tls_it_comes_back),
		T(what_the_queue_cannot_hold_is_counted),
		T(who_reads_nothing_blocks_nothing),
		T(names_are_resolved),
		T(a_name_server_that_is_silent_blocks_nothing),
#undef T
	};

	signal(SIGPIPE, SIG_IGN);
	return net_private() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
