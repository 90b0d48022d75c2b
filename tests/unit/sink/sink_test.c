// SPDX-License-Identifier: Apache-2.0
// Sinks over a real unix socket: each record is delivered, waits, or is counted as lost; nothing waits for a reader. And
// what a URL may say.
#include "tests/unit/sink/rig.h"

#include <fcntl.h>
#include <poll.h>

#define QUEUE "?queue=65536"

static void addr_of(const struct rig *rig, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(addr->sun_path, sizeof(addr->sun_path), "%.90s/sock", rig->dir);
}

static int listen_at(const struct rig *rig)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;

	addr_of(rig, &addr);
	unlink(addr.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

// Complete lines among what is there to read now; of the last piece the seq of its first and last complete record.
struct reader {
	int fd;
	char rest[1 << 16];
	size_t n;
	uint64_t lines, first, last;
	bool in_order;
};

static void read_line(struct reader *reader, const char *line)
{
	_cleanup_json_ struct json_object *json = json_tokener_parse(line);
	struct json_object *seq;
	uint64_t now;

	if (!json || !json_object_object_get_ex(json, "seq", &seq))
		fail_msg("no record: %s", line);
	now = json_object_get_uint64(seq);
	reader->in_order &= now > reader->last;
	reader->last = now;
	if (!reader->lines)
		reader->first = now;
	reader->lines++;
}

// false: end of file, or nothing there.
static bool read_some(struct reader *reader)
{
	ssize_t n = recv(reader->fd, reader->rest + reader->n, sizeof(reader->rest) - reader->n - 1, MSG_DONTWAIT);
	char *line = reader->rest, *end;

	if (n <= 0)
		return false;
	reader->n += (size_t)n;
	reader->rest[reader->n] = 0;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		read_line(reader, line);
	}
	reader->n -= (size_t)(line - reader->rest);
	memmove(reader->rest, line, reader->n);
	return true;
}

static void read_all(struct reader *reader)
{
	while (read_some(reader))
		;
}

static bool has_connected(struct rig *rig)
{
	return sink_stats(rig->sink)->connects > 0;
}

static bool has_connected_twice(struct rig *rig)
{
	return sink_stats(rig->sink)->connects > 1;
}

static bool has_failed(struct rig *rig)
{
	return sink_stats(rig->sink)->failures > 0;
}

static void all_that_is_read_was_told(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int listener = listen_at(rig);
	struct reader reader = { .fd = -1, .in_order = true };

	rig_open(rig, "json+unix", "sock");
	reader.fd = accept(listener, NULL, NULL);
	rig_put(rig, 10);
	assert_int_equal(rig_stats(rig)->queued, 10);
	sink_flush(rig->sink);
	read_all(&reader);
	assert_int_equal(reader.lines, 10);
	assert_true(reader.in_order);
	assert_int_equal(rig_stats(rig)->delivered, 10);
	assert_int_equal(rig_stats(rig)->queued_bytes, 0);
	assert_str(rig_stats(rig)->problem, "");
	close(reader.fd);
}

static void only_what_the_filter_lets_through(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int listener = listen_at(rig);

	rig_open(rig, "json+unix", "sock?filter=verdict%3Ddenied%20pod%3Dweb*");
	rig_put(rig, 5);
	assert_int_equal(rig_stats(rig)->offered, 0);
	rig->record.verdict = FLOW_DENIED;
	rig_put(rig, 2);
	assert_int_equal(rig_stats(rig)->offered, 2);
}

// Far more than the socket and the queue hold, and nobody reads: it comes back at once, and what is missing is counted.
static void a_reader_that_stalls_holds_nobody_up(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int listener = listen_at(rig);
	struct reader reader = { .fd = -1, .in_order = true };

	rig_open(rig, "json+unix", "sock" QUEUE);
	reader.fd = accept(listener, NULL, NULL);
	rig_put(rig, 20000);
	sink_flush(rig->sink);
	assert_true(rig_stats(rig)->lost_full > 0);
	assert_true(rig_stats(rig)->queued_bytes <= 65536);
	assert_int_equal(rig_stats(rig)->lost_error, 0);
	assert_str(rig_stats(rig)->problem, "the reader is too slow: all 65536 bytes of the queue wait");
	while (rig_stats(rig)->queued) {
		read_all(&reader);
		event_base_loop(rig->base, EVLOOP_NONBLOCK);
	}
	read_all(&reader);
	assert_int_equal(reader.n, 0);
	assert_int_equal(reader.lines, rig_stats(rig)->delivered);
	assert_int_equal(reader.lines + rig_stats(rig)->lost_full, 20000);
	assert_true(reader.in_order);
	assert_str(rig_stats(rig)->problem, "");
	close(reader.fd);
}

// A record that broke off is not lost: the next connection begins with it.
static void a_reader_that_goes_away_is_waited_for(void **state)
{
	struct rig *rig = *state;
	_cleanup_close_ int listener = listen_at(rig);
	struct reader reader = { .fd = -1, .in_order = true };
	uint64_t delivered, first = rig->record.seq;

	rig_open(rig, "json+unix", "sock" QUEUE);
	reader.fd = accept(listener, NULL, NULL);
	rig_put(rig, 20000);
	close(reader.fd);
	rig_run(rig, has_failed, "the failure");
	assert_true(rig_stats(rig)->problem[0]);
	assert_int_equal(rig_stats(rig)->lost_error, 0);
	delivered = rig_stats(rig)->delivered;
	rig_put(rig, 20000);
	assert_true(rig_stats(rig)->lost_error > 1);
	rig_run(rig, has_connected_twice, "another connection");
	reader.fd = accept(listener, NULL, NULL);
	read_all(&reader);
	sink_flush(rig->sink);
	read_all(&reader);
	assert_true(reader.lines > 0 && reader.in_order);
	assert_int_equal(reader.first, first + delivered);
	assert_int_equal(reader.lines, rig_stats(rig)->delivered - delivered);
	assert_int_equal(reader.n, 0);
	assert_int_equal(rig_stats(rig)->queued, 0);
	close(reader.fd);
}

static void nobody_there_yet_is_no_error(void **state)
{
	struct rig *rig = *state;
	int listener;

	rig_open(rig, "json+unix", "sock");
	assert_str_contains(rig_stats(rig)->problem, "cannot connect: No such file or directory");
	rig_put(rig, 3);
	sink_flush(rig->sink);
	assert_int_equal(rig_stats(rig)->queued, 3);
	listener = listen_at(rig);
	rig_run(rig, has_connected, "the connection");
	assert_int_equal(rig_stats(rig)->delivered, 3);
	assert_str(rig_stats(rig)->problem, "");
	close(listener);
}

static void what_waits_at_the_end_is_lost(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, "json+unix", "sock");
	rig_put(rig, 3);
	sink_finish(rig->sink);
	rig_put(rig, 1);
	assert_int_equal(rig_stats(rig)->offered, 3);
	assert_int_equal(rig_stats(rig)->lost_error, 3);
}

static void urls(void **state)
{
	static const char *const fine[] = {
		"json+stdout:", "json+stdout:?queue=1M", "json+file:///var/log/flows", "hubble+file:///a%20b?compress=true&max-size=0",
		"json+unix:///run/x.sock?filter=pod%3Da%2Fb", "json+file:///x?max-age=1d&max-files=0&max-size=10M", "json+tcp://[::1]:5170", "hubble+tcp://localhost:1",
	};
	static const char *const bad[][2] = {
		{ "", "sink '': it has to begin with FORMAT+TRANSPORT:, as json+stdout: does" },
		{ "json", "sink 'json': it has to begin" },
		{ "+file:///x", "sink '+file:///x': it has to begin" },
		{ "json+:", "sink 'json+:': it has to begin" },
		{ "xml+file:///x", "sink 'xml+file:///x': there is no format 'xml'" },
		{ "json+ftp://x", "sink 'json+ftp://x': there is no transport 'ftp'" },
		{ "json+file:/x", "sink 'json+file:/x': // has to follow the colon" },
		{ "json+file://x/y", "sink 'json+file://x/y': a file's path begins behind ://, with another /" },
		{ "json+file:///", "sink 'json+file:///': it has no path of a file" },
		{ "json+file:///x/", "sink 'json+file:///x/': it has no path of a file" },
		{ "json+stdout://x", "sink 'json+stdout://x': standard output has no address" },
		{ "json+unix:///", "sink 'json+unix:///': it has no path" },
		{ "json+unix://h:1/x", "sink 'json+unix://h:1/x': a socket's path begins" },
		{ "json+file:///x?size=1", "sink 'json+file:///x': there is no option 'size'" },
		{ "json+unix:///x?max-size=1M", "sink 'json+unix:///x': there is no option 'max-size'" },
		{ "json+file:///x?max-size", "sink 'json+file:///x': option 'max-size' is not NAME=VALUE" },
		{ "json+file:///x?max-size=1", "sink 'json+file:///x': max-size: less than 4096 bytes" },
		{ "json+file:///x?max-size=1T", "sink 'json+file:///x': max-size: '1T' is not a number of bytes (K, M, G may follow)" },
		{ "json+file:///x?max-age=never", "sink 'json+file:///x': max-age: 'never' is not a duration (30s, 5m, 2h, 7d)" },
		{ "json+file:///x?compress=yes", "sink 'json+file:///x': compress: 'yes' is neither true nor false" },
		{ "json+file:///x?max-files=1001", "sink 'json+file:///x': max-files: 1001 is not in 0..1000" },
		{ "json+file:///x?queue=1", "sink 'json+file:///x': queue: 1 is not in 4096..1073741824" },
		{ "json+file:///x?filter=pd%3Dx", "sink 'json+file:///x': filter: there is no field 'pd'; fields are" },
		{ "json+file:///x?filter=a%00b", "sink 'json+file:///x': option 'a%00b' has a zero byte" },
		{ "json+file://me:pw@h/x", "sink 'json+file://me:pw@h/x': a user has no meaning in it" },
		{ "json+file:///x#y", "sink 'json+file:///x': a fragment (#...) has no meaning in it" },
		{ "json+file:///x y", "sink 'json+file:///x y': " },
		{ "json+unix://h:0/x", "sink 'json+unix://h:0/x': port 0 is not in 1..65535" },
	};
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(fine); i++)
		assert_ok_err(sink_check(fine[i], &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (sink_check(bad[i][0], &err) != -EINVAL)
			fail_msg("'%s' is taken", bad[i][0]);
		assert_str_starts(err.text, bad[i][1]);
	}
}

static void long_urls_are_refused(void **state)
{
	char url[9000];
	struct err err = { 0 };

	memset(url, 'x', sizeof(url));
	memcpy(url, "json+unix:///", 13);
	url[8192] = 0;
	assert_err(sink_check(url, &err), -EINVAL);
	assert_str_contains(err.text, ": longer than 8191 bytes");
	url[8191] = 0;
	assert_err(sink_check(url, &err), -EINVAL);
	assert_str_contains(err.text, ": a socket's path has 107 bytes at most");
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(all_that_is_read_was_told),
		WITH_RIG(only_what_the_filter_lets_through),
		WITH_RIG(a_reader_that_stalls_holds_nobody_up),
		WITH_RIG(a_reader_that_goes_away_is_waited_for),
		WITH_RIG(nobody_there_yet_is_no_error),
		WITH_RIG(what_waits_at_the_end_is_lost),
		cmocka_unit_test(urls),
		cmocka_unit_test(long_urls_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
