// SPDX-License-Identifier: Apache-2.0
// server.c - the agent's side of the control socket.
#include "agent/control/control.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "agent/base/log.h"
#include "agent/base/utf8.h"
#include "agent/control/listen.h"

LOG_ROOM("control");

#define REQUESTS_PER_TURN 16 // then other events have theirs

struct client {
	struct control_server *server;
	struct bufferevent *events;
	struct client *next, **link;
	bool eof;     // it sends no more; what it asked is still answered
	bool closing; // once the answers are written
	struct control_deferred *deferred; // an answer that is still to come
};

struct control_deferred {
	struct client *client; // NULL: it left
};

struct control_server {
	struct event_base *base;
	struct event *accept;
	struct event *resume; // accepting, after the process ran out of fds
	const struct control_op *ops;
	void *arg;
	struct client *clients;
	struct client *serving; // whose operation runs now
	unsigned nclients;
	int fd;
	char path[PATH_MAX];
	struct stat file; // what we bound, so that free() removes no other's
};

static void client_free(struct client *client)
{
	*client->link = client->next;
	if (client->next)
		client->next->link = client->link;
	client->server->nclients--;
	if (client->deferred)
		client->deferred->client = NULL;
	bufferevent_free(client->events);
	free(client);
}

// ---- answers -----------------------------------------------------------------------------------

static struct json_object *error_json(int code, const char *text)
{
	const char *name = strerrorname_np(-code);
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "ok", json_object_new_boolean(false));
	json_object_object_add(json, "error", json_object_new_string(text));
	json_object_object_add(json, "code", json_object_new_string(name ? name : "EIO"));
	return json;
}

static void answer(struct client *client, struct json_object *json)
{
	struct evbuffer *out = bufferevent_get_output(client->events);
	size_t len = 0;
	const char *raw = json_object_to_json_string_length(
		json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	// Names of files and texts that were cut may be any bytes; an answer is JSON all the same.
	_cleanup_free_ char *text = raw ? utf8_escape_json(raw, len, &len) : NULL;

	if (!text || len > CONTROL_ANSWER_BYTES || evbuffer_add(out, text, len) < 0 ||
	    evbuffer_add(out, "\n", 1) < 0)
		evbuffer_add_printf(out, "{\"ok\":false,\"error\":\"the answer is too long: ask "
					 "for less\",\"code\":\"EMSGSIZE\"}\n");
}

static void answer_error(struct client *client, int code, const char *text)
{
	_cleanup_json_ struct json_object *json = error_json(code, text);

	answer(client, json);
}

// Nothing more is taken from this client; what is written goes out first.
static void refuse(struct client *client, int code, const char *text)
{
	answer_error(client, code, text);
	client->closing = true;
	bufferevent_disable(client->events, EV_READ);
}

static const struct control_op *find_op(const struct control_server *server, const char *name)
{
	for (const struct control_op *op = server->ops; op->name; op++) {
		if (!strcmp(op->name, name))
			return op;
	}
	return NULL;
}

static int run_op(struct control_server *server, struct json_object *request,
		  struct json_object **ret, struct err *reterr)
{
	const struct control_op *op;
	const char *name;
	int r;

	r = control_string(request, "op", &name, reterr);
	if (r < 0)
		return r;
	op = find_op(server, name);
	if (!op)
		return err_set(reterr, -EOPNOTSUPP, "this agent knows no operation '%.64s'", name);
	r = op->run(server->arg, request, ret, reterr);
	if (r < 0 && r != -EINPROGRESS && !reterr->text[0])
		return err_set(reterr, r, "%s", strerror(-r));
	return r;
}

static void serve(struct client *client, const char *text, size_t len)
{
	_cleanup_json_ struct json_object *request = NULL, *result = NULL;
	struct err err = {0};
	int r;

	r = control_json(text, len, CONTROL_JSON_DEPTH, &request, &err);
	client->server->serving = client;
	if (r == 0)
		r = run_op(client->server, request, &result, &err);
	client->server->serving = NULL;
	if (r == -EINPROGRESS && client->deferred)
		return;
	if (r < 0) {
		answer_error(client, r, err.text);
		return;
	}
	if (!result)
		result = json_object_new_object();
	json_object_object_add(result, "ok", json_object_new_boolean(true));
	answer(client, result);
}

// ---- connections -------------------------------------------------------------------------------

static bool queue_full(const struct client *client)
{
	return evbuffer_get_length(bufferevent_get_output(client->events)) >= CONTROL_QUEUE_BYTES;
}

// Serves whole lines of what was read. A turn ends with no line left, too many answers unread, or
// REQUESTS_PER_TURN.
static void serve_lines(struct client *client)
{
	struct evbuffer *in = bufferevent_get_input(client->events);

	for (int i = 0; !client->closing && !client->deferred && !queue_full(client); i++) {
		_cleanup_free_ char *text = NULL;
		size_t len = 0;

		if (i == REQUESTS_PER_TURN) {
			bufferevent_trigger(client->events, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
			return;
		}
		text = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);
		if (!text && evbuffer_get_length(in) <= CONTROL_REQUEST_BYTES) {
			client->closing = client->eof;
			return;
		}
		if (!text || len > CONTROL_REQUEST_BYTES)
			refuse(client, -EMSGSIZE, "the request is longer than 65536 bytes");
		else if (len > 0)
			serve(client, text, len);
	}
}

// Goes on with a client as far as its input, its reading and the turn allow. May free it.
static void advance(struct client *client)
{
	struct evbuffer *out = bufferevent_get_output(client->events);

	serve_lines(client);
	if (client->closing && evbuffer_get_length(out) == 0)
		client_free(client);
	else if (client->closing || client->eof || queue_full(client))
		bufferevent_disable(client->events, EV_READ);
	else
		bufferevent_enable(client->events, EV_READ);
}

// ---- answers that come later -------------------------------------------------------------------

struct control_deferred *control_defer(struct control_server *server)
{
	struct control_deferred *deferred = calloc(1, sizeof(*deferred));

	assert(server->serving && !server->serving->deferred);

	if (!deferred)
		return NULL;
	deferred->client = server->serving;
	deferred->client->deferred = deferred;
	bufferevent_set_timeouts(deferred->client->events, NULL, NULL);
	return deferred;
}

void control_answer(struct control_deferred *deferred, struct json_object *json,
		    const struct err *err)
{
	const struct timeval idle = {.tv_sec = CONTROL_IDLE_SEC};
	_cleanup_json_ struct json_object *result = json;
	struct client *client = deferred->client;

	free(deferred);
	if (!client)
		return;
	client->deferred = NULL;
	bufferevent_set_timeouts(client->events, &idle, &idle);
	if (json) {
		json_object_object_add(json, "ok", json_object_new_boolean(true));
		answer(client, json);
	} else {
		answer_error(client, err->code, err->text);
	}
	bufferevent_trigger(client->events, EV_READ, BEV_TRIG_DEFER_CALLBACKS);
}

static void on_ready(struct bufferevent *events, void *arg)
{
	advance(arg);
}

static void on_event(struct bufferevent *events, short what, void *arg)
{
	struct client *client = arg;

	if (!(what & BEV_EVENT_EOF)) {
		client_free(client);
		return;
	}
	// Who shuts down its sending side may still read, but not wait for something to happen.
	if (client->deferred) {
		client_free(client);
		return;
	}
	client->eof = true;
	advance(client);
}

static struct client *client_new(struct control_server *server, int fd)
{
	const struct timeval idle = {.tv_sec = CONTROL_IDLE_SEC};
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->events = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!client->events) {
		free(client);
		return NULL;
	}
	client->server = server;
	client->next = server->clients;
	client->link = &server->clients;
	if (client->next)
		client->next->link = &client->next;
	server->clients = client;
	server->nclients++;
	bufferevent_setcb(client->events, on_ready, on_ready, on_event, client);
	bufferevent_setwatermark(client->events, EV_READ, 0, CONTROL_REQUEST_BYTES + 1);
	bufferevent_set_timeouts(client->events, &idle, &idle);
	return client;
}

static bool is_root(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == 0;
}

// Best effort, never waits: the socket's empty buffer takes a sentence.
static void turn_away(int fd, int code, const char *text)
{
	_cleanup_json_ struct json_object *json = error_json(code, text);
	char line[256];
	int len = snprintf(line, sizeof(line), "%s\n",
			   json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN));

	if (send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("a client that was turned away did not hear why: %m");
}

// The connection stays in the queue: without a pause the loop would do nothing but fail to accept
// it.
static void accept_failed(struct control_server *server)
{
	const struct timeval pause = {.tv_sec = 1};

	if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
		return;
	log_warn("cannot accept control connections: %m, trying again in a second");
	event_del(server->accept);
	evtimer_add(server->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
	struct control_server *server = arg;

	event_add(server->accept, NULL);
}

static void on_accept(evutil_socket_t listener, short what, void *arg)
{
	struct control_server *server = arg;
	_cleanup_close_ int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct client *client;

	if (fd < 0) {
		accept_failed(server);
		return;
	}
	if (!is_root(fd)) {
		turn_away(fd, -EPERM, "only root may speak to the agent");
		return;
	}
	if (server->nclients >= CONTROL_CLIENTS) {
		turn_away(fd, -EBUSY, "too many control connections: try again later");
		return;
	}
	client = client_new(server, fd);
	if (!client)
		return;
	TAKE_FD(fd);
	bufferevent_enable(client->events, EV_READ | EV_WRITE);
}

// ---- life --------------------------------------------------------------------------------------

int control_server_new(struct event_base *base, const char *path, const struct control_op *ops,
		       void *arg, struct control_server **ret, struct err *reterr)
{
	_cleanup_(control_server_freep) struct control_server *server = calloc(1, sizeof(*server));

	assert(base);
	assert(ops);
	assert(ret);

	if (!server)
		return err_set(reterr, -ENOMEM, "out of memory");
	server->fd = -1;
	server->base = base;
	server->ops = ops;
	server->arg = arg;
	snprintf(server->path, sizeof(server->path), "%s", path);
	server->fd = control_listen(path, &server->file, reterr);
	if (server->fd < 0)
		return server->fd;
	server->accept = event_new(base, server->fd, EV_READ | EV_PERSIST, on_accept, server);
	server->resume = evtimer_new(base, on_resume, server);
	if (!server->accept || !server->resume || event_add(server->accept, NULL) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	*ret = TAKE_PTR(server);
	return 0;
}

// Best effort, never waits: who was answered last hears it, though the loop does not turn again.
static void say_rest(struct client *client)
{
	struct evbuffer *out = bufferevent_get_output(client->events);

	evbuffer_unfreeze(out, 1); // only its bufferevent may take from it otherwise
	if (evbuffer_get_length(out) && evbuffer_write(out, bufferevent_getfd(client->events)) < 0)
		log_debug("a client did not hear its last answer: %m");
}

void control_server_free(struct control_server *server)
{
	struct stat st;

	if (!server)
		return;
	while (server->clients) {
		say_rest(server->clients);
		client_free(server->clients);
	}
	if (server->accept)
		event_free(server->accept);
	if (server->resume)
		event_free(server->resume);
	if (server->file.st_ino && lstat(server->path, &st) == 0 &&
	    st.st_ino == server->file.st_ino && st.st_dev == server->file.st_dev)
		unlink(server->path);
	if (server->fd >= 0)
		close(server->fd);
	free(server);
}
