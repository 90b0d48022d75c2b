// SPDX-License-Identifier: Apache-2.0
// http_test.c - the agent's pages, asked over a real socket by clients that mean well and by others.
#include "tests/harness/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/metrics/http.h"

static int fine(void *arg, struct http_reply *reply)
{
	evbuffer_add_printf(reply->page, "fine\n");
	return 200;
}

static int broken(void *arg, struct http_reply *reply)
{
	evbuffer_add_printf(reply->page, "[-]tables\n");
	return 503;
}

static int large(void *arg, struct http_reply *reply)
{
	for (int i = 0; i < 1 << 20; i++)
		evbuffer_add(reply->page, "0123456789abcdef", 16);
	return 200;
}

static const struct http_page pages[] = {
	{ "/fine", "text/plain", fine },
	{ "/broken", "text/plain", broken },
	{ "/large", "text/plain", large },
	{ NULL },
};

struct rig {
	struct event_base *base;
	struct http_server *server;
};

static int rig_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct err err = { 0 };

	rig->base = event_base_new();
	assert_ok_err(http_server_new(rig->base, "127.0.0.1:0", NULL, pages, NULL, &rig->server, &err), &err);
	*state = rig;
	return 0;
}

static int rig_down(void **state)
{
	struct rig *rig = *state;

	http_server_free(rig->server);
	event_base_free(rig->base);
	free(rig);
	return 0;
}

static int visit(struct rig *rig)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(http_server_port(rig->server)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_ok(connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0);
	assert_ok(fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0);
	return fd;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// Runs the loop until the server has closed the connection; the answer, malloc'd.
static char *answer(struct rig *rig, int fd)
{
	char *text = calloc(1, 1 << 16);
	size_t len = 0;
	ssize_t n;

	for (;;) {
		n = recv(fd, text + len, (1 << 16) - 1 - len, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		if (n > 0)
			len += (size_t)n;
		else
			event_base_loop(rig->base, EVLOOP_ONCE);
	}
	close(fd);
	return text;
}

static char *ask(struct rig *rig, const char *request)
{
	int fd = visit(rig);

	say(fd, request);
	return answer(rig, fd);
}

static void pages_are_answered(void **state)
{
	_cleanup_free_ char *ok = ask(*state, "GET /fine HTTP/1.1\r\nHost: x\r\n\r\n");
	_cleanup_free_ char *query = ask(*state, "GET /fine?verbose=1 HTTP/1.1\r\nHost: x\r\n\r\n");
	_cleanup_free_ char *no = ask(*state, "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n");
	_cleanup_free_ char *none = ask(*state, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n");

	assert_str_starts(ok, "HTTP/1.1 200 ");
	assert_str_contains(ok, "\r\n\r\nfine\n");
	assert_str_contains(ok, "Connection: close");
	assert_str_starts(query, "HTTP/1.1 200 ");
	assert_str_starts(no, "HTTP/1.1 503 ");
	assert_str_contains(no, "[-]tables\n");
	assert_str_starts(none, "HTTP/1.1 404 ");
}

static void head_has_a_length_and_no_body(void **state)
{
	_cleanup_free_ char *text = ask(*state, "HEAD /fine HTTP/1.1\r\nHost: x\r\n\r\n");

	assert_str_starts(text, "HTTP/1.1 200 ");
	assert_str_contains(text, "Content-Length: 5");
	assert_str_lacks(text, "fine");
}

static void only_get_and_head(void **state)
{
	static const char *const methods[] = { "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW" };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		_cleanup_free_ char *text = NULL;
		char request[96];

		snprintf(request, sizeof(request), "%s /fine HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
			 methods[i]);
		text = ask(*state, request);
		assert_str_starts(text, "HTTP/1.1 405 ");
		assert_str_contains(text, "Allow: GET, HEAD");
	}
}

static void nothing_behind_the_headers_is_a_request(void **state)
{
	static const char *const behind[] = {
		"Content-Length: 5\r\n\r\nhello",
		"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"\r\nGET /broken HTTP/1.1\r\nHost: x\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(behind); i++) {
		_cleanup_free_ char *text = NULL;
		char request[160];

		snprintf(request, sizeof(request), "GET /fine HTTP/1.1\r\nHost: x\r\n%s", behind[i]);
		text = ask(*state, request);
		assert_str_starts(text, "HTTP/1.1 200 ");
		assert_null(strstr(text + 1, "HTTP/1.1"));
	}
}

static void headers_may_come_in_pieces(void **state)
{
	struct rig *rig = *state;
	_cleanup_free_ char *text = NULL;
	int fd = visit(rig);

	for (const char *c = "GET /fine HTTP/1.0\nHost: x\n\n"; *c; c++) {
		send(fd, c, 1, MSG_NOSIGNAL);
		event_base_loop(rig->base, EVLOOP_NONBLOCK);
	}
	text = answer(rig, fd);
	assert_str_starts(text, "HTTP/1.1 200 ");
}

static void long_headers_are_refused(void **state)
{
	_cleanup_free_ char *request = NULL, *text;
	char filler[HTTP_HEADER_BYTES + 1];

	memset(filler, 'a', sizeof(filler) - 1);
	filler[sizeof(filler) - 1] = 0;
	assert_true(asprintf(&request, "GET /fine HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", filler) > 0);
	text = ask(*state, request);
	assert_str_starts(text, "HTTP/1.1 431 ");
}

static void noise_is_refused(void **state)
{
	static const char *const noise[] = { "\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\r\n\r\n",
					     "GET http://[::1 HTTP/1.1\r\n\r\n", "GET * HTTP/1.1\r\nHost: x\r\n\r\n" };

	for (size_t i = 0; i < ARRAY_SIZE(noise); i++) {
		_cleanup_free_ char *text = ask(*state, noise[i]);

		assert_str_starts(text, "HTTP/1.1 400 ");
	}
}

// Nobody waits here: those who say nothing, or read nothing, are cut when too many others come.
static void the_oldest_connection_makes_room(void **state)
{
	struct rig *rig = *state;
	int idle[HTTP_CONNECTIONS];
	char byte;
	ssize_t n;

	for (int i = 0; i < HTTP_CONNECTIONS; i++) {
		idle[i] = visit(rig);
		say(idle[i], i % 2 == 0 ? "GET /fi" : "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
		for (int turn = 0; turn < 5; turn++)
			event_base_loop(rig->base, EVLOOP_NONBLOCK);
	}
	for (int i = 0; i < 4; i++) {
		_cleanup_free_ char *text = ask(rig, "GET /fine HTTP/1.1\r\nHost: x\r\n\r\n");

		assert_str_starts(text, "HTTP/1.1 200 ");
	}
	n = recv(idle[0], &byte, 1, 0); // its place went to one of the four
	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	for (int i = 0; i < HTTP_CONNECTIONS; i++)
		close(idle[i]);
	for (int turn = 0; turn < 100; turn++)
		event_base_loop(rig->base, EVLOOP_NONBLOCK);
}

// A byte now and then is no progress: the whole visit has its time. (Awaits the deadline itself.)
static void a_slow_client_is_cut(void **state)
{
	struct rig *rig = *state;
	int fd = visit(rig), said = 0;
	struct timeval tick = { 0, 200000 };
	char byte;
	ssize_t n;

	for (;;) {
		event_base_loopexit(rig->base, &tick);
		event_base_loop(rig->base, 0);
		n = recv(fd, &byte, 1, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		assert_true(++said < 100); // twenty seconds
		send(fd, "G", 1, MSG_NOSIGNAL);
	}
	close(fd);
}

static void addresses_are_checked(void **state)
{
	static const char *const good[] = { "127.0.0.1:9964", "[::1]:1", "0.0.0.0:0", "off" };
	static const char *const bad[] = { "", "x", "127.0.0.1", "127.0.0.1:", "127.0.0.1:99999", "localhost:1", ":1", "[::1]", "::1" };
	struct err err = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_ok_err(http_address_check(good[i], &err), &err);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		err.text[0] = 0;
		if (http_address_check(bad[i], &err) >= 0)
			fail_msg("'%s' is taken for an address", bad[i]);
		assert_str_contains(err.text, bad[i]);
	}
}

static void a_port_in_use_is_said(void **state)
{
	struct rig *rig = *state;
	struct http_server *other = NULL;
	struct err err = { 0 };
	char address[32];

	snprintf(address, sizeof(address), "127.0.0.1:%u", http_server_port(rig->server));
	assert_err(http_server_new(rig->base, address, NULL, pages, NULL, &other, &err), -EADDRINUSE);
	assert_str_contains(err.text, address);
	assert_null(other);
}

// ---- beside other work ---------------------------------------------------------------------------------------------
#define SCRAPES (4 * HTTP_CONNECTIONS)

// Work of the loop that comes while a page is written, and the pages that are written before it is done.
static struct {
	int fd;
	bool waits;
	unsigned pages, done, before, before_most;
} work;

static int scraped(void *arg, struct http_reply *reply)
{
	uint64_t one = 1;

	work.pages++;
	if (work.waits && ++work.before > work.before_most)
		work.before_most = work.before;
	if (!work.waits) {
		work.waits = true;
		work.before = 0;
		assert_int_equal(write(work.fd, &one, sizeof(one)), sizeof(one));
	}
	for (int i = 0; i < 4096; i++)
		evbuffer_add(reply->page, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n", 64);
	return 200;
}

static void work_due(evutil_socket_t fd, short what, void *arg)
{
	uint64_t one;

	assert_int_equal(read(fd, &one, sizeof(one)), sizeof(one));
	work.waits = false;
	work.done++;
}

// So many that want a page at once, of which none reads it: work waits for one page, never for a second.
static void work_goes_before_a_flood_of_scrapes(void **state)
{
	static const struct http_page table[] = { { "/metrics", "text/plain", scraped }, { NULL } };
	struct event_base *base = http_loop_new();
	struct rig rig = { .base = base };
	struct event *due;
	struct err err = { 0 };
	int fds[SCRAPES];

	memset(&work, 0, sizeof(work));
	work.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	due = event_new(base, work.fd, EV_READ | EV_PERSIST, work_due, NULL);
	assert_ok(event_add(due, NULL));
	assert_ok_err(http_server_new(base, "127.0.0.1:0", NULL, table, NULL, &rig.server, &err), &err);
	for (int i = 0; i < SCRAPES; i++) {
		fds[i] = visit(&rig);
		say(fds[i], "GET /metrics HTTP/1.1\r\n\r\n");
		if (i % HTTP_CONNECTIONS == HTTP_CONNECTIONS - 1) // the queue of those who connect is as long
			for (unsigned until = work.pages + HTTP_CONNECTIONS; work.pages < until;)
				event_base_loop(base, EVLOOP_ONCE);
	}
	while (work.waits)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(work.pages, SCRAPES);
	assert_int_equal(work.done, SCRAPES);
	assert_int_equal(work.before_most, 0);
	for (int i = 0; i < SCRAPES; i++)
		close(fds[i]);
	http_server_free(rig.server);
	event_free(due);
	close(work.fd);
	event_base_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_are_answered, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(head_has_a_length_and_no_body, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(only_get_and_head, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(nothing_behind_the_headers_is_a_request, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(headers_may_come_in_pieces, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(long_headers_are_refused, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(noise_is_refused, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(the_oldest_connection_makes_room, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(a_slow_client_is_cut, rig_up, rig_down),
		cmocka_unit_test_setup_teardown(a_port_in_use_is_said, rig_up, rig_down),
		cmocka_unit_test(work_goes_before_a_flood_of_scrapes),
		cmocka_unit_test(addresses_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
