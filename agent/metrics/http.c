// SPDX-License-Identifier: Apache-2.0
// http.c - one request, one answer, and a place in a queue that the oldest loses. evhttp bounds neither the number of
// connections nor the time that one takes as a whole, so what is needed of HTTP is here.
#include "agent/metrics/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "agent/base/log.h"

LOG_ROOM("metrics");

#define ACCEPT_AGAIN_SEC 1 // after the process ran out of file descriptors

struct visit {
	struct http_server *server;
	struct bufferevent *socket;
	struct event *deadline;
	bool answered; // what it sends now is not read
	TAILQ_ENTRY(visit) link;
};

struct http_server {
	struct event_base *base;
	struct evconnlistener *listener;
	struct event *again;
	struct tls *tls; // NULL: plain
	const struct http_page *pages;
	void *arg;
	uint16_t port;
	unsigned nvisits, naccepted; // naccepted: at once
	TAILQ_HEAD(visits, visit) visits; // oldest first
};

// ---- ranks on the loop -------------------------------------------------------------------------------------------

#define RANKS 3 // an event that says nothing has the middle one
#define RANK_LAST (RANKS - 1)

struct event_base *http_loop_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config && event_config_set_max_dispatch_interval(config, NULL, 1, RANK_LAST) == 0)
		base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	if (base && event_base_priority_init(base, RANKS) < 0) {
		event_base_free(base);
		return NULL;
	}
	return base;
}

static int last_rank(const struct http_server *server)
{
	return event_base_get_npriorities(server->base) - 1;
}

static void visit_free(struct visit *visit)
{
	TAILQ_REMOVE(&visit->server->visits, visit, link);
	visit->server->nvisits--;
	if (visit->deadline)
		event_free(visit->deadline);
	bufferevent_free(visit->socket);
	free(visit);
}

// ---- requests and answers ----------------------------------------------------------------------------------------

struct request {
	char *method, *target;
};

// "GET /readyz?verbose HTTP/1.1": false when it is no such line. The query is cut off.
static bool request_parse(char *line, struct request *ret)
{
	char *version;

	ret->method = strsep(&line, " ");
	ret->target = strsep(&line, " ");
	version = line;
	if (!version || ret->target[0] != '/' || strncmp(version, "HTTP/1.", 7) != 0 ||
	    strlen(version) != 8)
		return false;
	ret->target[strcspn(ret->target, "?#")] = 0;
	return true;
}

static const struct http_page *find_page(const struct http_server *server, const char *path)
{
	for (const struct http_page *page = server->pages; page->path; page++)
		if (strcmp(page->path, path) == 0)
			return page;
	return NULL;
}

static const char *phrase(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	default:
		return "Service Unavailable";
	}
}

static void send_page(struct visit *visit, int status, const char *type, struct evbuffer *page,
		      bool body)
{
	struct evbuffer *out = bufferevent_get_output(visit->socket);

	visit->answered = true;
	evbuffer_add_printf(out,
			    "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s"
			    "Connection: close\r\n\r\n",
			    status, phrase(status), type, evbuffer_get_length(page),
			    status == 405 ? "Allow: GET, HEAD\r\n" : "");
	if (body)
		evbuffer_add_buffer(out, page);
}

static void send_status(struct visit *visit, int status, struct evbuffer *page)
{
	evbuffer_add_printf(page, "%s\n", phrase(status));
	send_page(visit, status, "text/plain; charset=utf-8", page, true);
}

// The value of the first Accept header behind the first line, malloc'd; NULL: there is none.
static char *read_accept(struct evbuffer *in)
{
	static const char name[] = "accept:";

	for (;;) {
		_cleanup_free_ char *line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);

		if (!line || !*line)
			return NULL;
		if (strncasecmp(line, name, sizeof(name) - 1) == 0)
			return strdup(line + sizeof(name) - 1);
	}
}

static void send_found(struct visit *visit, const struct http_page *found, const char *accept,
		       struct evbuffer *page, bool body)
{
	struct http_reply reply = { accept, found->type, page };
	int status = found->write(visit->server->arg, &reply);

	send_page(visit, status, reply.type, page, body);
}

static void answer(struct visit *visit, char *line, const char *accept, struct evbuffer *page)
{
	const struct http_page *found;
	struct request request;
	bool head;

	if (!line || !request_parse(line, &request)) {
		send_status(visit, 400, page);
		return;
	}
	head = strcmp(request.method, "HEAD") == 0;
	found = find_page(visit->server, request.target);
	if (!head && strcmp(request.method, "GET") != 0)
		send_status(visit, 405, page);
	else if (!found)
		send_status(visit, 404, page);
	else
		send_found(visit, found, accept, page, !head);
}

// All headers are there or too many: the first line says what, and Accept in which form.
static void headers_read(struct visit *visit, struct evbuffer *in, bool whole)
{
	struct evbuffer *page = evbuffer_new();
	_cleanup_free_ char *line = whole ? evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF) : NULL;
	_cleanup_free_ char *accept = line ? read_accept(in) : NULL;

	if (!page)
		visit_free(visit);
	else if (whole)
		answer(visit, line, accept, page);
	else
		send_status(visit, 431, page);
	if (page)
		evbuffer_free(page);
}

static bool blank_line(struct evbuffer *in)
{
	return evbuffer_search(in, "\r\n\r\n", 4, NULL).pos >= 0 ||
	       evbuffer_search(in, "\n\n", 2, NULL).pos >= 0;
}

static void can_read(struct bufferevent *socket, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(socket);
	struct visit *visit = arg;
	bool whole;

	if (visit->answered) {
		evbuffer_drain(in, evbuffer_get_length(in));
		return;
	}
	whole = blank_line(in);
	if (whole || evbuffer_get_length(in) >= HTTP_HEADER_BYTES)
		headers_read(visit, in, whole);
}

// The answer is out. It is closed when the client has read it and closes, since what the client may still send
// would make the kernel throw the answer away.
static void has_written(struct bufferevent *socket, void *arg)
{
	SSL *ssl = ((struct visit *)arg)->server->tls ? bufferevent_openssl_get_ssl(socket) : NULL;

	if (!((struct visit *)arg)->answered)
		return;
	if (ssl)
		SSL_shutdown(ssl);
	shutdown(bufferevent_getfd(socket), SHUT_WR);
}

static void has_ended(struct bufferevent *socket, short what, void *arg)
{
	if (!(what & BEV_EVENT_CONNECTED)) // TLS is agreed on
		visit_free(arg);
}

static void out_of_time(evutil_socket_t fd, short what, void *arg)
{
	visit_free(arg);
}

// ---- connections -------------------------------------------------------------------------------------------------

// NULL: no memory; fd is still the caller's.
static struct bufferevent *visit_socket(struct http_server *server, evutil_socket_t fd)
{
	struct bufferevent *socket;
	SSL *ssl;

	if (!server->tls)
		return bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	ssl = tls_accept(server->tls);
	if (!ssl)
		return NULL;
	socket = bufferevent_openssl_socket_new(server->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
						BEV_OPT_CLOSE_ON_FREE);
	if (!socket)
		SSL_free(ssl);
	else
		bufferevent_openssl_set_allow_dirty_shutdown(socket, 1);
	return socket;
}

static void visit_new(struct http_server *server, evutil_socket_t fd)
{
	struct timeval deadline = { HTTP_DEADLINE_SEC, 0 };
	struct visit *visit = calloc(1, sizeof(*visit));

	if (visit)
		visit->socket = visit_socket(server, fd);
	if (!visit || !visit->socket) {
		close(fd);
		free(visit);
		return;
	}
	if (server->nvisits >= HTTP_CONNECTIONS)
		visit_free(TAILQ_FIRST(&server->visits));
	visit->server = server;
	TAILQ_INSERT_TAIL(&server->visits, visit, link);
	server->nvisits++;
	visit->deadline = evtimer_new(server->base, out_of_time, visit);
	bufferevent_priority_set(visit->socket, last_rank(server));
	bufferevent_setcb(visit->socket, can_read, has_written, has_ended, visit);
	bufferevent_setwatermark(visit->socket, EV_READ, 0, HTTP_HEADER_BYTES);
	if (!visit->deadline || event_add(visit->deadline, &deadline) < 0 ||
	    bufferevent_enable(visit->socket, EV_READ | EV_WRITE) < 0)
		visit_free(visit);
}

static void accept_later(struct http_server *server, struct timeval pause)
{
	evconnlistener_disable(server->listener);
	event_add(server->again, &pause);
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
		     int len, void *arg)
{
	struct http_server *server = arg;

	visit_new(server, fd);
	if (++server->naccepted >= HTTP_ACCEPTS)
		accept_later(server, (struct timeval){ 0 });
}

static void accept_failed(struct evconnlistener *listener, void *arg)
{
	log_debug("no connection is taken for a moment: %s", strerror(errno));
	accept_later(arg, (struct timeval){ ACCEPT_AGAIN_SEC, 0 });
}

static void accept_again(evutil_socket_t fd, short what, void *arg)
{
	struct http_server *server = arg;

	server->naccepted = 0;
	evconnlistener_enable(server->listener);
}

// ---- listening -----------------------------------------------------------------------------------------------

// Numbers only: "10.0.0.1:80", "[fd00::1]:80".
static bool address_read(const char *text, struct sockaddr_storage *ret)
{
	const struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(text, ':');
	bool v6 = *text == '[';
	struct addrinfo *found;
	unsigned long port;
	char host[64], *end;

	if (!colon || colon - text < 2 || colon - text >= (ptrdiff_t)sizeof(host) ||
	    (v6 && colon[-1] != ']'))
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * v6, text + v6);
	port = strtoul(colon + 1, &end, 10);
	if (colon[1] < '0' || colon[1] > '9' || *end || port > UINT16_MAX ||
	    !!strchr(host, ':') != v6 || getaddrinfo(host, NULL, &numeric, &found) != 0)
		return false;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	if (v6)
		((struct sockaddr_in6 *)ret)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)ret)->sin_port = htons((uint16_t)port);
	return true;
}

static int address_parse(const char *text, struct sockaddr_storage *ret, struct err *reterr)
{
	return address_read(text, ret) ?
		       0 :
		       err_set(reterr, -EINVAL, "'%.80s' is no ADDRESS:PORT", text);
}

int http_address_check(const char *address, struct err *reterr)
{
	struct sockaddr_storage parsed;

	return strcmp(address, HTTP_OFF) == 0 ? 0 : address_parse(address, &parsed, reterr);
}

// The address may come to the host later.
static int listen_on(const struct sockaddr_storage *address)
{
	_cleanup_close_ int fd =
		socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool v6 = address->ss_family == AF_INET6;
	int on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on,
		       sizeof(on)) < 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    listen(fd, HTTP_CONNECTIONS) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);

	getsockname(fd, (struct sockaddr *)&address, &len);
	return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port :
						     ((struct sockaddr_in *)&address)->sin_port);
}

static int serve(struct http_server *server, int *fd)
{
	server->again = evtimer_new(server->base, accept_again, server);
	if (!server->again)
		return -ENOMEM;
	event_priority_set(server->again, last_rank(server));
	server->listener =
		evconnlistener_new(server->base, accepted, server,
				   LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, 0, *fd);
	if (!server->listener)
		return -ENOMEM;
	*fd = -1; // the listener's
	evconnlistener_set_error_cb(server->listener, accept_failed);
	return 0;
}

int http_server_new(struct event_base *base, const char *address, const struct tls_files *tls,
		    const struct http_page *pages, void *arg, struct http_server **ret, struct err *reterr)
{
	_cleanup_(http_server_freep) struct http_server *server = calloc(1, sizeof(*server));
	struct sockaddr_storage parsed;
	_cleanup_close_ int fd = -1;
	int r;

	r = address_parse(address, &parsed, reterr);
	if (r < 0)
		return r;
	if (!server)
		return err_set(reterr, -ENOMEM, "out of memory");
	TAILQ_INIT(&server->visits);
	server->base = base;
	server->pages = pages;
	server->arg = arg;
	r = tls ? tls_new(tls, &server->tls, reterr) : 0;
	if (r < 0)
		return r;
	fd = listen_on(&parsed);
	if (fd < 0)
		return err_set(reterr, fd, "%s: %s", address, strerror(-fd));
	server->port = port_of(fd);
	r = serve(server, &fd);
	if (r < 0)
		return err_set(reterr, r, "out of memory");
	*ret = TAKE_PTR(server);
	return 0;
}

void http_server_free(struct http_server *server)
{
	if (!server)
		return;
	while (!TAILQ_EMPTY(&server->visits))
		visit_free(TAILQ_FIRST(&server->visits));
	if (server->listener)
		evconnlistener_free(server->listener);
	if (server->again)
		event_free(server->again);
	tls_free(server->tls);
	free(server);
}

const char *http_server_problem(const struct http_server *server)
{
	return server->tls ? tls_problem(server->tls) : NULL;
}

uint16_t http_server_port(const struct http_server *server)
{
	return server->port;
}
