// SPDX-License-Identifier: Apache-2.0
// fetch.c - asks for single pods, and remembers which the watch has not shown yet.
#include "agent/source/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/base/intern.h"
#include "agent/base/vec.h"
#include "agent/kube/status.h"

enum fetch_state {
	FETCH_WAITS, // to be asked
	FETCH_ASKED,
	FETCH_TAKEN, // in the store; the watch has not shown it
};

struct fetch {
	struct fetches *fetches;
	enum fetch_state state;
	const char *ns, *name, *uid; // interned; uid: wanted (NULL: any), then that which it has
	struct http_call *call;
	bool worthless; // its answer
};

struct fetches {
	struct http *http;
	const struct store *store;
	struct fetch_events events;
	struct event *turn;
	VEC(struct fetch *) all; // those that wait in the order in which they came
};

static void fetch_free(struct fetch *fetch)
{
	http_cancel(fetch->call);
	intern_put(fetch->ns);
	intern_put(fetch->name);
	intern_put(fetch->uid);
	free(fetch);
}
DEFINE_CLEANUP(struct fetch *, fetch_free)

static void forget(struct fetch *fetch)
{
	struct fetches *fetches = fetch->fetches;

	for (size_t i = 0; i < fetches->all.n; i++)
		if (fetches->all.v[i] == fetch) {
			vec_cut(&fetches->all, i);
			break;
		}
	fetch_free(fetch);
}

static struct fetch *fetch_find(const struct fetches *fetches, const char *ns, const char *name)
{
	vec_each(struct fetch *, fetch, &fetches->all)
		if (!strcmp((*fetch)->name, name) && !strcmp((*fetch)->ns, ns))
			return *fetch;
	return NULL;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static void turn_soon(struct fetches *fetches)
{
	event_active(fetches->turn, EV_TIMEOUT, 1);
}

// Told last: whoever is told may ask for another.
static void end(struct fetch *fetch, int r, const char *why)
{
	_cleanup_(fetch_freep) struct fetch *copy = calloc(1, sizeof(*copy));
	struct fetches *fetches = fetch->fetches;

	if (copy) {
		copy->ns = intern_get(fetch->ns);
		copy->name = intern_get(fetch->name);
		copy->uid = intern_get(fetch->uid);
	}
	if (fetch->state != FETCH_TAKEN)
		forget(fetch);
	turn_soon(fetches);
	if (copy && fetches->events.done)
		fetches->events.done(fetches->events.arg, copy->ns, copy->name, copy->uid, r, why);
}

// ---- answers --------------------------------------------------------------------------------------------------

// The watch has shown it, and where it runs.
static bool is_held(const struct fetches *fetches, const struct pod *pod)
{
	const struct object *object = store_find(fetches->store, KIND_POD, pod->object.ns, pod->object.name);
	const struct pod *held = (const struct pod *)object;

	return held && same(held->object.uid, pod->object.uid) && (held->node || !pod->node);
}

static void take(struct fetch *fetch, struct object *object)
{
	_cleanup_(object_putp) struct object *owned = object;
	const struct pod *pod = (const struct pod *)object;
	const char *uid;
	int r;

	if (!same(object->ns, fetch->ns) || !same(object->name, fetch->name)) {
		end(fetch, -EPROTO, "the API server answers with another object");
		return;
	}
	if (fetch->uid && !same(object->uid, fetch->uid)) {
		end(fetch, -ENOENT, "the pod of this name has another UID");
		return;
	}
	if (pod->finished) { // watches leave out what has ended: nobody would say when it goes
		end(fetch, -ENOENT, "the pod has ended");
		return;
	}
	if (is_held(fetch->fetches, pod)) {
		end(fetch, 0, "");
		return;
	}
	uid = object->uid ? intern(object->uid) : NULL;
	r = object->uid && !uid ? -ENOMEM :
				  fetch->fetches->events.put(fetch->fetches->events.arg, object_get(object));
	if (r >= 0) {
		intern_put(fetch->uid);
		fetch->uid = TAKE_PTR(uid);
		fetch->state = FETCH_TAKEN;
	}
	intern_put(uid);
	end(fetch, r, r < 0 ? strerror(-r) : "");
}

static void read_answer(struct fetch *fetch, const struct http_answer *answer)
{
	_cleanup_json_ struct json_object *json = json_tokener_parse(answer->body);
	struct object *object = NULL;
	struct err err = { 0 };
	int r = json ? object_parse(KIND_POD, json, &object, &err) : err_set(&err, -EBADMSG, "no JSON");

	if (r < 0)
		end(fetch, r, err.text);
	else
		take(fetch, object);
}

static void refused(struct fetch *fetch, const struct http_answer *answer)
{
	void (*problem)(void *arg, const char *text) = fetch->fetches->events.problem;
	_cleanup_json_ struct json_object *json = json_tokener_parse(answer->body);
	struct kube_status status;
	struct err err = { 0 };
	char text[ERR_TEXT_BYTES + 16];

	kube_status_read(json, &status);
	if (answer->status == 404 && status.code == 404) { // and no proxy's
		end(fetch, -ENOENT, "the API server knows no such pod");
		return;
	}
	kube_status_of(answer, &status);
	if (answer->status != 403) {
		end(fetch, -EAGAIN, status.message);
		return;
	}
	kube_status_forbidden(&status, &err);
	snprintf(text, sizeof(text), "get pods %s", err.text);
	if (problem)
		problem(fetch->fetches->events.arg, text);
	end(fetch, -EACCES, text);
}

static void on_done(void *arg, const struct http_answer *answer)
{
	struct fetch *fetch = arg;
	struct fetches *fetches = fetch->fetches;

	fetch->call = NULL;
	if (fetch->worthless) {
		fetch->state = FETCH_WAITS;
		turn_soon(fetches);
		return;
	}
	if (answer->status && answer->status != 403 && fetches->events.problem)
		fetches->events.problem(fetches->events.arg, NULL);
	if (answer->status == 200 && !answer->error)
		read_answer(fetch, answer);
	else
		refused(fetch, answer);
}

// ---- asking -----------------------------------------------------------------------------------------------------

static int ask(struct fetch *fetch)
{
	struct fetches *fetches = fetch->fetches;
	struct http_events events = { .arg = fetch, .done = on_done };
	char path[512];
	struct http_request request = { .path = path, .total_ms = FETCH_MS };
	int r;

	snprintf(path, sizeof(path), "/api/v1/namespaces/%s/pods/%s", fetch->ns, fetch->name);
	r = http_start(fetches->http, &request, &events, &fetch->call);
	if (r < 0)
		return r;
	fetch->worthless = false;
	fetch->state = FETCH_ASKED;
	return 0;
}

static size_t asked(const struct fetches *fetches)
{
	size_t n = 0;

	vec_each(struct fetch *, fetch, &fetches->all)
		n += (*fetch)->state == FETCH_ASKED;
	return n;
}

// While pods are listed, the list may bring them.
static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct fetches *fetches = arg;
	size_t n = asked(fetches);

	if (!fetches->events.watched(fetches->events.arg))
		return;
	for (size_t i = 0; i < fetches->all.n && n < FETCH_CALLS; i++) {
		struct fetch *fetch = fetches->all.v[i];

		if (fetch->state != FETCH_WAITS)
			continue;
		if (ask(fetch) < 0) {
			end(fetch, -ENOMEM, "out of memory");
			return;
		}
		n++;
	}
}

int fetches_ask(struct fetches *fetches, const char *ns, const char *name, const char *uid)
{
	struct fetch *known = fetch_find(fetches, ns, name);
	_cleanup_(fetch_freep) struct fetch *fetch = NULL;

	if (known && (known->state == FETCH_TAKEN || !same(known->uid, uid)))
		forget(known); // of a pod that is gone, as another one of its name is asked for
	else if (known)
		return 0;
	fetch = calloc(1, sizeof(*fetch));
	if (!fetch)
		return -ENOMEM;
	fetch->fetches = fetches;
	fetch->ns = intern(ns);
	fetch->name = intern(name);
	fetch->uid = uid ? intern(uid) : NULL;
	if (!fetch->ns || !fetch->name || (uid && !fetch->uid) || vec_push(&fetches->all, fetch) < 0)
		return -ENOMEM;
	TAKE_PTR(fetch);
	turn_soon(fetches);
	return 0;
}

// ---- what the watch says --------------------------------------------------------------------------------------

bool fetches_put(struct fetches *fetches, const struct pod *pod)
{
	struct fetch *fetch = fetch_find(fetches, pod->object.ns, pod->object.name);

	if (!fetch || fetch->state != FETCH_TAKEN)
		return false;
	if (!same(fetch->uid, pod->object.uid) || !pod->node)
		return true;
	forget(fetch);
	return false;
}

bool fetches_gone(struct fetches *fetches, const char *ns, const char *name, const char *uid)
{
	struct fetch *fetch = ns ? fetch_find(fetches, ns, name) : NULL;

	if (!fetch)
		return false;
	fetch->worthless |= !uid || !fetch->uid || same(fetch->uid, uid);
	if (fetch->state != FETCH_TAKEN)
		return false;
	if (uid && !same(fetch->uid, uid))
		return true;
	forget(fetch);
	return false;
}

void fetches_listing(struct fetches *fetches)
{
	for (size_t i = fetches->all.n; i-- > 0;) {
		struct fetch *fetch = fetches->all.v[i];

		fetch->worthless = true;
		if (fetch->state == FETCH_TAKEN)
			forget(fetch);
	}
}

void fetches_listed(struct fetches *fetches)
{
	turn_soon(fetches);
}

// ---- life -------------------------------------------------------------------------------------------------------

int fetches_new(struct event_base *base, struct http *http, const struct store *store,
		const struct fetch_events *events, struct fetches **ret)
{
	_cleanup_(fetches_freep) struct fetches *fetches = calloc(1, sizeof(*fetches));

	if (!fetches)
		return -ENOMEM;
	fetches->http = http;
	fetches->store = store;
	fetches->events = *events;
	fetches->turn = event_new(base, -1, 0, on_turn, fetches);
	if (!fetches->turn)
		return -ENOMEM;
	*ret = TAKE_PTR(fetches);
	return 0;
}

void fetches_free(struct fetches *fetches)
{
	if (!fetches)
		return;
	while (fetches->all.n)
		forget(fetches->all.v[fetches->all.n - 1]);
	vec_fini(&fetches->all);
	if (fetches->turn)
		event_free(fetches->turn);
	free(fetches);
}
