// SPDX-License-Identifier: Apache-2.0
// http.c - libcurl's transfers on the agent's loop: sockets and timers in, ends of calls out.
#include "agent/kube/http.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "agent/kube/http_private.h"

// One of libcurl's, which keeps this for us.
struct http_socket {
	struct http *http;
	struct event *ready;
	struct event *later; // looks at it again
	int64_t looked_ms;
	LIST_ENTRY(http_socket) link;
};

struct http {
	struct event_base *base;
	struct kube_config *config;
	CURLM *multi;
	struct event *timer; // libcurl's
	struct event *poke; // calls to add to it, or to take from it
	struct http_call *calls;
	LIST_HEAD(, http_socket) sockets;
};

// ---- ends ---------------------------------------------------------------------------------------------------------

static void call_unlink(struct http_call *call)
{
	if (call->added)
		curl_multi_remove_handle(call->http->multi, call->easy);
	call->added = false;
	if (call->next)
		call->next->prev = call->prev;
	*call->prev = call->next;
}

static void call_end(struct http_call *call, struct http_answer *answer)
{
	call_unlink(call);
	if (!call->cancelled && call->events.done)
		call->events.done(call->events.arg, answer);
	http_call_free(call);
}

// libcurl's own functions may not be called from its callbacks: whoever ends or begins a call there has it done here.
static void collect_ends(struct http *http)
{
	struct http_answer answer;
	struct http_call *call;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		if (message->msg != CURLMSG_DONE ||
		    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call) !=
			    CURLE_OK)
			continue;
		http_call_answer(call, message->data.result, &answer);
		call_end(call, &answer);
	}
}

static void call_failed(struct http_call *call, int error, const char *text)
{
	struct http_answer answer;

	http_call_answer(call, CURLE_OK, &answer);
	answer.error = error;
	answer.text = text;
	call_end(call, &answer);
}

static void on_call_time(evutil_socket_t fd, short what, void *arg)
{
	struct http_call *call = arg;
	const char *over = http_call_watch(call);

	if (over)
		call_failed(call, -ETIMEDOUT, over);
}

// ---- libcurl on the loop -------------------------------------------------------------------------------------------

static bool is_paced(const struct http *http)
{
	const struct http_call *call = http->calls;

	while (call && call->paced)
		call = call->next;
	return !call;
}

static void on_socket_ready(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval pace = { 0, HTTP_PACE_MS * 1000 };
	int mask = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
	struct http_socket *socket = arg;
	struct http *http = socket->http;
	int64_t now = http_now_ms(), before = socket->looked_ms;
	int running;

	socket->looked_ms = now;
	if (mask == CURL_CSELECT_IN && now - before < 2 * HTTP_PACE_MS && is_paced(http)) {
		event_del(socket->ready);
		event_add(socket->later, &pace);
	}
	curl_multi_socket_action(http->multi, fd, mask, &running); // the socket may be gone after this
	collect_ends(http);
}

static void look_again(evutil_socket_t fd, short what, void *arg)
{
	struct http_socket *socket = arg;

	event_del(socket->later);
	if (socket->ready)
		event_add(socket->ready, NULL);
}

static void look_at_all(struct http *http)
{
	struct http_socket *socket;

	LIST_FOREACH(socket, &http->sockets, link)
		look_again(-1, 0, socket);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct http *http = arg;
	int running;

	curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect_ends(http);
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
	struct http *http = arg;
	struct timeval delay = { ms / 1000, ms % 1000 * 1000 };

	return ms < 0 ? event_del(http->timer) : event_add(http->timer, &delay);
}

static void socket_free(struct http_socket *socket)
{
	LIST_REMOVE(socket, link);
	if (socket->ready)
		event_free(socket->ready);
	if (socket->later)
		event_free(socket->later);
	free(socket);
}

static struct http_socket *socket_new(struct http *http)
{
	struct http_socket *socket = calloc(1, sizeof(*socket));

	if (!socket)
		return NULL;
	socket->http = http;
	LIST_INSERT_HEAD(&http->sockets, socket, link);
	socket->later = evtimer_new(http->base, look_again, socket);
	if (socket->later)
		return socket;
	socket_free(socket);
	return NULL;
}

static int want_socket(CURL *easy, curl_socket_t fd, int want, void *arg, void *own)
{
	struct http *http = arg;
	struct http_socket *socket = own;
	short what = (short)(EV_PERSIST | (want & CURL_POLL_IN ? EV_READ : 0) |
			     (want & CURL_POLL_OUT ? EV_WRITE : 0));

	if (want == CURL_POLL_REMOVE) {
		if (socket)
			socket_free(socket);
		curl_multi_assign(http->multi, fd, NULL);
		return 0;
	}
	if (!socket && !(socket = socket_new(http)))
		return -1;
	curl_multi_assign(http->multi, fd, socket);
	if (socket->ready)
		event_free(socket->ready);
	socket->ready = event_new(http->base, fd, what, on_socket_ready, socket);
	if (!socket->ready)
		return -1;
	look_again(fd, 0, socket);
	return 0;
}

// ---- calls ------------------------------------------------------------------------------------------------------------

static void call_add(struct http_call *call)
{
	call->added = curl_multi_add_handle(call->http->multi, call->easy) == CURLM_OK;
	if (!call->added)
		call_failed(call, -ENOMEM, "out of memory");
}

static void on_poke(evutil_socket_t fd, short what, void *arg)
{
	struct http *http = arg;
	struct http_call *call, *next;

	for (call = http->calls; call; call = next) {
		next = call->next;
		if (call->cancelled)
			call_end(call, NULL);
	}
	do { // done() of one that fails at once may have changed the list
		for (call = http->calls; call && call->added; call = call->next)
			;
		if (call)
			call_add(call);
	} while (call);
}

int http_start(struct http *http, const struct http_request *request,
	       const struct http_events *events, struct http_call **ret)
{
	struct http_call *call = NULL;
	struct err ignored = { 0 };
	int r;

	assert(http && request && request->path && events);
	assert(!request->body || request->content_type);

	kube_config_refresh(http->config, &ignored); // what cannot be read now stays as it was
	r = http_call_new(http, request, events, &call);
	if (r < 0)
		return r;
	call->timer = evtimer_new(http->base, on_call_time, call);
	if (!call->timer) {
		http_call_free(call);
		return -ENOMEM;
	}
	http_call_watch(call);
	call->next = http->calls;
	call->prev = &http->calls;
	if (call->next)
		call->next->prev = &call->next;
	http->calls = call;
	event_active(http->poke, EV_TIMEOUT, 1);
	look_at_all(http);
	if (ret)
		*ret = call;
	return 0;
}

void http_pace(struct http_call *call)
{
	if (call)
		call->paced = true;
}

void http_cancel(struct http_call *call)
{
	if (!call)
		return;
	call->cancelled = true;
	event_del(call->timer);
	event_active(call->http->poke, EV_TIMEOUT, 1);
}

char *http_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0), *copy = escaped ? strdup(escaped) : NULL;

	curl_free(escaped);
	return copy;
}

// ---- opening -----------------------------------------------------------------------------------------------------------

const struct kube_config *http_config(const struct http *http)
{
	return http->config;
}

static int open_multi(struct http *http)
{
	http->timer = evtimer_new(http->base, on_timer, http);
	http->poke = event_new(http->base, -1, 0, on_poke, http);
	http->multi = curl_multi_init();
	if (!http->timer || !http->poke || !http->multi)
		return -ENOMEM;
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
	curl_multi_setopt(http->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	return 0;
}

int http_new(struct event_base *base, struct kube_config *config, struct http **ret,
	     struct err *reterr)
{
	_cleanup_(http_freep) struct http *http = calloc(1, sizeof(*http));

	assert(base && config && ret);

	if (!http || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		kube_config_free(config);
		free(TAKE_PTR(http));
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	http->base = base;
	http->config = config;
	if (open_multi(http) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	*ret = TAKE_PTR(http);
	return 0;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	while (http->calls) {
		http->calls->cancelled = true;
		call_end(http->calls, NULL);
	}
	if (http->multi)
		curl_multi_cleanup(http->multi);
	while (!LIST_EMPTY(&http->sockets))
		socket_free(LIST_FIRST(&http->sockets));
	if (http->timer)
		event_free(http->timer);
	if (http->poke)
		event_free(http->poke);
	kube_config_free(http->config);
	free(http);
	curl_global_cleanup();
}
