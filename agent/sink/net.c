// SPDX-License-Identifier: Apache-2.0
// net.c - the transports over a network: udp, tcp, tls.
//
// Nothing is held back here: what write() takes the kernel has, so that a record is delivered or it is not.
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/sink/private.h"
#include "agent/sink/resolve.h"
#include "agent/sink/tls.h"

#define OPEN_SEC 10 // to resolve, connect and shake hands
#define DEAD_SEC 30 // a peer that acknowledges nothing for so long is gone

enum carrier { UDP, TCP, TLS };

struct net {
	struct tls tls; // options, of tls alone
	enum carrier carrier;
	struct sink *sink;
	const char *host;
	struct resolver *resolver;
	unsigned int attempts; // which of several addresses is next
	struct event *late; // opening takes too long
	struct event *told; // what is to be said from the loop
	struct err verdict; // of told; code 0: it is open

	int socket; // a file descriptor + 1; 0: none
	SSL *ssl;
	bool up;
	bool stalled; // sink_writable() is due
	struct event *readable, *writable;
};

static int fd_of(const struct net *net)
{
	return net->socket - 1;
}

// ---- what is told, always from the loop --------------------------------------------------------------------------------

__attribute__((format(printf, 3, 4))) static void tell(struct net *net, int code, const char *fmt, ...)
{
	va_list args;
	char text[ERR_TEXT_BYTES];

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	err_set(&net->verdict, code, "%s", text);
	event_active(net->told, EV_TIMEOUT, 0);
}

static void tell_open(struct net *net)
{
	net->verdict = (struct err){ 0 };
	event_active(net->told, EV_TIMEOUT, 0);
}

// The peer's doing; err may hold a sentence already.
static void tell_broken(struct net *net, int code, const struct err *err)
{
	if (err && err->code)
		tell(net, err->code, "%s", err->text);
	else if (code == -EPIPE)
		tell(net, code, "it closed the connection");
	else
		tell(net, code, "%s", strerror(-code));
}

static void on_told(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;
	struct err err = net->verdict;

	if (err.code)
		return sink_broken(net->sink, &err);
	event_del(net->late);
	net->up = true;
	sink_opened(net->sink);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;

	tell(net, -ETIMEDOUT, net->socket ? "it does not answer" : "its name cannot be resolved: no answer");
}

// ---- while it is open ----------------------------------------------------------------------------------------------------

static void resume(struct net *net)
{
	if (!net->stalled)
		return;
	net->stalled = false;
	sink_writable(net->sink);
}

static ssize_t take(struct net *net, char *buf, size_t bytes, struct err *reterr)
{
	bool wants_write = false;
	ssize_t n;

	if (net->ssl)
		return tls_read(net->ssl, buf, bytes, &wants_write, reterr);
	n = recv(fd_of(net), buf, bytes, MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	return n || net->carrier == UDP ? n : -EPIPE;
}

// Nothing is expected: what can be read is the end, an error, or rubbish.
static void look(struct net *net)
{
	struct err err = { 0 };
	char rubbish[1024];
	ssize_t n = take(net, rubbish, sizeof(rubbish), &err);

	if (n < 0 && n != -EAGAIN && n != -EINTR)
		tell_broken(net, (int)n, &err);
	else
		resume(net); // TLS may have to read before it can write
}

static int wait_for(struct net *net, bool writing)
{
	return event_add(writing ? net->writable : net->readable, NULL) < 0 ? -ENOMEM : 0;
}

static int write_datagram(struct net *net, const struct iovec *iov, int n)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t sent = sendmsg(fd_of(net), &message, MSG_NOSIGNAL);

	return sent < 0 ? -errno : (int)sent;
}

static ssize_t net_write(void *self, const struct iovec *iov, int n, struct err *reterr)
{
	struct net *net = self;
	bool wants_write = true;
	ssize_t r;

	if (net->ssl)
		r = tls_write(net->ssl, iov[0].iov_base, iov[0].iov_len, &wants_write, reterr);
	else
		r = write_datagram(net, iov, n);
	if (r != -EAGAIN && r != -ENOBUFS && r != -EINTR)
		return r;
	net->stalled = true;
	if (wants_write && wait_for(net, true) < 0)
		return -ENOMEM;
	return -EAGAIN;
}

static ssize_t datagram_room(void *self, size_t bytes, struct err *reterr)
{
	return (ssize_t)bytes;
}

// ---- opening -------------------------------------------------------------------------------------------------------------

static void shake_hands(struct net *net)
{
	bool wants_write = false;
	struct err err = { 0 };
	int r = tls_handshake(net->ssl, &wants_write, &err);

	if (r == -EAGAIN)
		r = wants_write ? wait_for(net, true) : 0; // readable stays armed
	else if (r > 0)
		return tell_open(net);
	if (r < 0)
		tell_broken(net, r, &err);
}

static void connected(struct net *net)
{
	socklen_t len = sizeof(int);
	struct err err = { 0 };
	int error = 0, r;

	if (getsockopt(fd_of(net), SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error)
		return tell_broken(net, -error, NULL);
	r = net->carrier == TLS ? tls_client_new(&net->tls, net->host, &net->ssl, &err) : 0;
	if (r == 0 && net->ssl && SSL_set_fd(net->ssl, fd_of(net)) != 1)
		r = -ENOMEM;
	if (r == 0)
		r = wait_for(net, false);
	if (r < 0)
		return tell_broken(net, r, &err);
	if (net->ssl)
		shake_hands(net);
	else
		tell_open(net);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;

	if (net->ssl && !net->up)
		shake_hands(net);
	else
		look(net);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct net *net = arg;

	if (net->up)
		resume(net);
	else if (net->ssl)
		shake_hands(net);
	else
		connected(net);
}

// A peer that vanished is noticed in time.
static void watch_peer(int fd)
{
	int on = 1, idle_sec = DEAD_SEC, dead_ms = DEAD_SEC * 1000;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_sec, sizeof(idle_sec));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_sec, sizeof(idle_sec));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &dead_ms, sizeof(dead_ms));
}

static int begin(struct net *net, const struct evutil_addrinfo *to)
{
	int type = net->carrier == UDP ? SOCK_DGRAM : SOCK_STREAM;
	_cleanup_close_ int fd = socket(to->ai_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (type == SOCK_STREAM)
		watch_peer(fd);
	net->readable = event_new(sink_base(net->sink), fd, EV_READ | EV_PERSIST, on_readable, net);
	net->writable = event_new(sink_base(net->sink), fd, EV_WRITE, on_writable, net);
	if (!net->readable || !net->writable)
		return -ENOMEM;
	if (connect(fd, to->ai_addr, to->ai_addrlen) < 0 && errno != EINPROGRESS)
		return -errno;
	net->socket = TAKE_FD(fd) + 1;
	return wait_for(net, true);
}

// Each attempt takes the next address of a name.
static void on_resolved(void *arg, const struct evutil_addrinfo *list, const char *why)
{
	struct net *net = arg;
	const struct evutil_addrinfo *to = list;
	unsigned int n = 0;
	int r;

	if (!list)
		return tell(net, -EHOSTUNREACH, "its name cannot be resolved: %s", why);
	for (const struct evutil_addrinfo *each = list; each; each = each->ai_next)
		n++;
	for (unsigned int skip = net->attempts++ % n; skip; skip--)
		to = to->ai_next;
	r = begin(net, to);
	if (r < 0)
		tell_broken(net, r, NULL);
}

static int prepare(struct net *net, struct sink *sink)
{
	net->sink = sink;
	if (!net->late)
		net->late = evtimer_new(sink_base(sink), on_late, net);
	if (!net->told)
		net->told = evtimer_new(sink_base(sink), on_told, net);
	if (!net->resolver && resolver_new(sink_base(sink), &net->resolver) < 0)
		return -ENOMEM;
	return net->late && net->told ? evtimer_add(net->late, &(struct timeval){ .tv_sec = OPEN_SEC }) : -ENOMEM;
}

static int open_as(struct net *net, enum carrier carrier, struct sink *sink, const struct sink_where *where)
{
	net->carrier = carrier;
	net->host = where->host;
	if (prepare(net, sink) < 0)
		return -ENOMEM;
	resolver_ask(net->resolver, where->host, where->port, carrier == UDP ? SOCK_DGRAM : SOCK_STREAM, on_resolved, net);
	return -EINPROGRESS;
}

static int open_udp(void *self, struct sink *sink, const struct sink_where *where, struct err *reterr)
{
	return open_as(self, UDP, sink, where);
}

static int open_tcp(void *self, struct sink *sink, const struct sink_where *where, struct err *reterr)
{
	return open_as(self, TCP, sink, where);
}

static int open_tls(void *self, struct sink *sink, const struct sink_where *where, struct err *reterr)
{
	return open_as(self, TLS, sink, where);
}

// ---- closing -------------------------------------------------------------------------------------------------------------

static void drop(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

static void net_close(void *self)
{
	struct net *net = self;

	if (net->resolver)
		resolver_cancel(net->resolver);
	if (net->late)
		event_del(net->late);
	if (net->told)
		event_del(net->told);
	drop(&net->readable);
	drop(&net->writable);
	if (net->ssl && net->up)
		SSL_shutdown(net->ssl); // says that nothing more comes; an answer is not waited for
	SSL_free(net->ssl);
	net->ssl = NULL;
	if (net->socket)
		close(fd_of(net));
	net->socket = 0;
	net->up = net->stalled = false;
}

static void net_fini(void *self)
{
	struct net *net = self;

	drop(&net->late);
	drop(&net->told);
	resolver_free(net->resolver);
}

// ---- what a URL has to say -------------------------------------------------------------------------------------------------

static int net_check(void *self, const struct sink_where *where, struct err *reterr)
{
	if (!where->host[0])
		return err_set(reterr, -EINVAL, "the URL names no host");
	if (!where->port)
		return err_set(reterr, -EINVAL, "the URL names no port");
	if (where->path[0] && strcmp(where->path, "/"))
		return err_set(reterr, -EINVAL, "a path ('%s') makes no sense for a host", where->path);
	return 0;
}

static int tls_check(void *self, const struct sink_where *where, struct err *reterr)
{
	struct net *net = self;
	_cleanup_(SSL_freep) SSL *ssl = NULL;
	int r = net_check(self, where, reterr);

	return r < 0 ? r : tls_client_new(&net->tls, where->host, &ssl, reterr);
}

static const struct option tls_options[] = {
	{ "ca", 0, OPTION_TEXT, offsetof(struct net, tls.ca), "FILE", "certificates that are trusted; else the system's" },
	{ "cert", 0, OPTION_TEXT, offsetof(struct net, tls.cert), "FILE", "certificate to show to the peer" },
	{ "key", 0, OPTION_TEXT, offsetof(struct net, tls.key), "FILE", "its key" },
	{ "server-name", 0, OPTION_TEXT, offsetof(struct net, tls.server_name), "NAME",
	  "what the peer's certificate has to be for; else the host" },
	{ NULL },
};

const struct sink_transport sink_udp = {
	.name = "udp", .bytes = sizeof(struct net), .check = net_check, .open = open_udp, .room = datagram_room,
	.write = net_write, .close = net_close, .fini = net_fini,
};
const struct sink_transport sink_tcp = {
	.name = "tcp", .bytes = sizeof(struct net), .check = net_check, .open = open_tcp,
	.write = net_write, .close = net_close, .fini = net_fini,
};
const struct sink_transport sink_tls = {
	.name = "tls", .bytes = sizeof(struct net), .options = tls_options, .check = tls_check, .open = open_tls,
	.write = net_write, .close = net_close, .fini = net_fini,
};
