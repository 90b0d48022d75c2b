// SPDX-License-Identifier: Apache-2.0
#include "tests/apiserver/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/apiserver/http_private.h"

static void conn_free(struct conn *conn, bool rst)
{
	struct linger linger = { .l_onoff = 1 };
	struct http *http = conn->http;

	http->n--;
	LIST_REMOVE(conn, link);
	if (conn->kept)
		http->ops->gone(http->arg, conn, conn->kept);
	if (rst) {
		setsockopt(bufferevent_getfd(conn->bev), SOL_SOCKET, SO_LINGER, &linger,
			   sizeof(linger));
	} else {
		SSL_set_shutdown(conn->ssl, SSL_RECEIVED_SHUTDOWN);
		SSL_shutdown(conn->ssl);
	}
	bufferevent_free(conn->bev);
	event_free(conn->end);
	event_free(conn->later);
	request_fini(&conn->request);
	free(conn);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	conn_free(conn, conn->shape.rst);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	conn->fn(conn->fn_arg, conn);
}

static void next(struct conn *conn)
{
	int r;

	if (conn->busy || conn->broken || conn->ending)
		return;
	r = request_read(&conn->request, bufferevent_get_input(conn->bev),
			 bufferevent_get_output(conn->bev));
	if (r < 0) {
		conn_break(conn, false);
	} else if (r > 0) {
		conn->busy = true;
		conn->chunked = false;
		conn->sent = 0;
		conn->shape = (struct shape){ 0 };
		conn->http->ops->serve(conn->http->arg, conn, &conn->request);
	}
}

static void on_read(struct bufferevent *bev, void *arg)
{
	next(arg);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct conn *conn = arg;

	if (conn->ending) {
		conn->broken = true;
		event_active(conn->end, 0, 0);
	} else if (conn->kept && !conn->broken) {
		conn->http->ops->drained(conn->http->arg, conn, conn->kept);
	}
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *conn = arg;

	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		conn->broken = true;
		event_active(conn->end, 0, 0);
	}
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
		      int len, void *arg)
{
	struct http *http = arg;
	struct conn *conn = calloc(1, sizeof(*conn));
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn->http = http;
	conn->ssl = SSL_new(http->tls);
	conn->bev =
		bufferevent_openssl_socket_new(http->base, fd, conn->ssl, BUFFEREVENT_SSL_ACCEPTING,
					       BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	conn->end = event_new(http->base, -1, 0, on_end, conn);
	conn->later = evtimer_new(http->base, on_later, conn);
	bufferevent_setcb(conn->bev, on_read, on_write, on_event, conn);
	bufferevent_enable(conn->bev, EV_READ | EV_WRITE);
	LIST_INSERT_HEAD(&http->conns, conn, link);
	http->n++;
}

// ---- the listener ------------------------------------------------------------------------------------------------
int http_up(struct http *http, struct err *reterr)
{
	struct sockaddr_storage ss = { 0 };
	int len = sizeof(ss);
	socklen_t got = sizeof(ss);

	if (http->listener)
		return 0;
	if (evutil_parse_sockaddr_port(http->addr, (struct sockaddr *)&ss, &len) < 0)
		return err_set(reterr, -EINVAL, "'%s' is no address", http->addr);
	if (ss.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&ss)->sin6_port = htons(http->port);
	else
		((struct sockaddr_in *)&ss)->sin_port = htons(http->port);
	http->listener = evconnlistener_new_bind(http->base, on_accept, http,
						 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE |
							 LEV_OPT_CLOSE_ON_EXEC,
						 128, (struct sockaddr *)&ss, len);
	if (!http->listener)
		return err_set(reterr, -errno, "%s port %u: %s", http->addr, http->port,
			       strerror(errno));
	getsockname(evconnlistener_get_fd(http->listener), (struct sockaddr *)&ss, &got);
	http->port = ntohs(ss.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port :
						      ((struct sockaddr_in *)&ss)->sin_port);
	return 0;
}

void http_down(struct http *http)
{
	if (http->listener)
		evconnlistener_free(TAKE_PTR(http->listener));
	http_drop_all(http, true);
}

int http_new(struct event_base *base, SSL_CTX *tls, const char *addr, uint16_t port, uint64_t seed,
	     const struct http_ops *ops, void *arg, struct http **ret, struct err *reterr)
{
	struct http *http = calloc(1, sizeof(*http));
	int r;

	if (!http)
		return -ENOMEM;
	*http = (struct http){
		.base = base, .tls = tls, .port = port, .random = seed | 1, .ops = ops, .arg = arg
	};
	snprintf(http->addr, sizeof(http->addr), "%s", addr);
	r = http_up(http, reterr);
	if (r < 0)
		free(http);
	else
		*ret = http;
	return r;
}

void http_free(struct http *http)
{
	struct conn *conn;

	if (!http)
		return;
	if (http->listener)
		evconnlistener_free(http->listener);
	while ((conn = LIST_FIRST(&http->conns)))
		conn_free(conn, true);
	free(http);
}

uint16_t http_port(const struct http *http)
{
	return http->port;
}

size_t http_connections(const struct http *http)
{
	return http->n;
}

void http_each(struct http *http, void (*fn)(void *arg, struct conn *conn, void *kept), void *arg)
{
	struct conn *conn, *after;

	for (conn = LIST_FIRST(&http->conns); conn; conn = after) {
		after = LIST_NEXT(conn, link);
		if (conn->kept && !conn->broken)
			fn(arg, conn, conn->kept);
	}
}

void http_drop_all(struct http *http, bool rst)
{
	struct conn *conn;

	LIST_FOREACH(conn, &http->conns, link)
	conn_break(conn, rst);
}

// ---- a connection ------------------------------------------------------------------------------------------------
bool conn_subject(struct conn *conn, char *name, size_t name_bytes, char *group, size_t group_bytes)
{
	X509 *peer = SSL_get1_peer_certificate(conn->ssl);
	X509_NAME *subject = peer ? X509_get_subject_name(peer) : NULL;

	*name = *group = 0;
	if (subject) {
		X509_NAME_get_text_by_NID(subject, NID_commonName, name, (int)name_bytes);
		X509_NAME_get_text_by_NID(subject, NID_organizationName, group, (int)group_bytes);
	}
	X509_free(peer);
	return peer;
}

void conn_set(struct conn *conn, void *kept)
{
	conn->kept = kept;
}

void *conn_kept(struct conn *conn)
{
	return conn->kept;
}

void conn_shape(struct conn *conn, const struct shape *shape)
{
	conn->shape = *shape;
}

const struct request *conn_request(const struct conn *conn)
{
	return &conn->request;
}

void conn_after(struct conn *conn, int64_t ms, void (*fn)(void *arg, struct conn *conn), void *arg)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	conn->fn = fn;
	conn->fn_arg = arg;
	evtimer_add(conn->later, &tv);
}

size_t conn_pending(const struct conn *conn)
{
	return evbuffer_get_length(bufferevent_get_output(conn->bev));
}

void conn_raw(struct conn *conn, const char *data, size_t len)
{
	if (!conn->broken && !conn->ending)
		bufferevent_write(conn->bev, data, len);
}

void conn_break(struct conn *conn, bool rst)
{
	if (conn->broken || conn->ending)
		return;
	conn->shape.rst = rst;
	if (!rst && conn_pending(conn)) {
		conn->ending = true;
		return;
	}
	conn->broken = true;
	event_active(conn->end, 0, 0);
}

static void on_next(void *arg, struct conn *conn)
{
	next(conn);
}

void conn_done(struct conn *conn)
{
	conn->busy = false;
	if (conn->request.close)
		conn_break(conn, false);
	else
		conn_after(conn, 0, on_next, NULL);
}
