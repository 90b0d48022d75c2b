// SPDX-License-Identifier: Apache-2.0
// cni.c - what the CNI plugin says, from its records and by the socket; and when what it waits for is in force.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/log.h"
#include "agent/daemon/json.h"

LOG_ROOM("cni");

const char *daemon_cni_folder(const struct config *config, char *buf, size_t bytes)
{
	if (config->cni_records)
		return config->cni_records;
	snprintf(buf, bytes, "%s/cni", config->run_dir);
	return buf;
}

// ---- records --------------------------------------------------------------------------------------------------

static int take_record(void *arg, const struct attachment *attachment)
{
	struct daemon *daemon = arg;

	return endpoints_attachment_add(daemon->endpoints, attachment);
}

static void tell_record(void *arg, const char *where, const char *text)
{
	daemon_problem(arg, where, text);
}

// After the socket listens: what the plugin does from then on it says, what it did before stands here.
int daemon_cni_open(struct daemon *daemon, struct err *reterr)
{
	char buf[256];
	int r = records_read(daemon_cni_folder(daemon->config, buf, sizeof(buf)), take_record, tell_record, daemon);

	return r < 0 ? err_set(reterr, r, "out of memory") : 0;
}

// ---- how far it is ----------------------------------------------------------------------------------------------

static const char *why_device(struct daemon *daemon, const struct attachment *attachment, const struct pod *pod)
{
	const struct endpoint *e = endpoints_by_device(daemon->endpoints, attachment->ifindex);
	const char *state;

	if (!e || strcmp(e->name, pod->object.name) != 0 || strcmp(e->ns, pod->object.ns) != 0)
		return "its device has not been looked at";
	if (e->troubled)
		return "its programs could not be attached: status says why";
	state = e->phase == ENDPOINT_ATTACHED && !e->refresh && !e->missing ? endpoint_state(daemon, e) : "waiting";
	return !strcmp(state, "open") || !strcmp(state, "enforce") ? NULL : "its programs are not in force yet";
}

const char *daemon_cni_why(struct daemon *daemon, const struct attachment *attachment)
{
	const struct pod *pod = endpoints_attachment_pod(daemon->endpoints, attachment);

	if (!daemon->source || !source_synced(daemon->source))
		return "the agent has not read yet what is there";
	if (!pod)
		return "its object is not known, or not as one of this node";
	if (daemon->stopped)
		return "the kernel's tables do not hold what was compiled: status says why";
	return why_device(daemon, attachment, pod);
}

// ---- requests that wait -----------------------------------------------------------------------------------------

static void request_free(struct add_request *request)
{
	if (request->late)
		event_free(request->late);
	free(request);
}

static void request_end(struct daemon *daemon, size_t at, enum meter_add outcome, struct json_object *json,
			const struct err *err)
{
	struct add_request *request = daemon->adds.v[at];

	meter_since(&daemon->meter.adds[outcome], request->since_ns);
	vec_cut(&daemon->adds, at);
	control_answer(request->answer, json, err);
	request_free(request);
}

static struct json_object *state_json(const char *why)
{
	struct json_object *json = json_object_new_object();

	add_text(json, "state", why ? "quarantine" : "enforced");
	if (why)
		add_text(json, "why", why);
	return json;
}

struct json_object *attachment_state_json(struct daemon *daemon, const struct attachment *attachment)
{
	return state_json(daemon_cni_why(daemon, attachment));
}

static const char *request_why(struct daemon *daemon, const struct add_request *request)
{
	const struct attachment *attachment =
		endpoints_attachment_find(daemon->endpoints, &request->name);
	const char *why = attachment ? daemon_cni_why(daemon, attachment) : "it has been taken back";

	if (!why && (attachment->due || daemon->planned < request->generation))
		why = "its policy is not in force yet";
	return why;
}

void daemon_cni_answer(struct daemon *daemon)
{
	for (size_t i = 0; i < daemon->adds.n; i++)
		if (!request_why(daemon, daemon->adds.v[i]))
			request_end(daemon, i--, METER_ADD_ENFORCED, state_json(NULL), NULL);
}

static void request_late(evutil_socket_t fd, short what, void *arg)
{
	const struct add_request *request = arg;
	struct daemon *daemon = request->daemon;
	const char *why = request_why(daemon, request);

	for (size_t i = 0; i < daemon->adds.n; i++) {
		if (daemon->adds.v[i] != request)
			continue;
		request_end(daemon, i, why ? METER_ADD_QUARANTINE : METER_ADD_ENFORCED,
			    state_json(why && request->why[0] ? request->why : why), NULL);
		return;
	}
}

static int request_new(struct daemon *daemon, const struct attachment *name, int64_t wait_ms)
{
	struct timeval late = { wait_ms / 1000, wait_ms % 1000 * 1000 };
	struct add_request *request = calloc(1, sizeof(*request));

	if (!request)
		return -ENOMEM;
	request->daemon = daemon;
	request->name = *name;
	request->since_ns = meter_now_ns();
	request->generation = store_generation(daemon->store);
	request->late = evtimer_new(daemon->base, request_late, request);
	if (!request->late || event_add(request->late, &late) < 0 || vec_reserve(&daemon->adds, 1) < 0) {
		request_free(request);
		return -ENOMEM;
	}
	request->answer = control_defer(daemon->control);
	if (!request->answer) {
		request_free(request);
		return -ENOMEM;
	}
	vec_push(&daemon->adds, request);
	return 0;
}

static bool can_fetch(const struct daemon *daemon)
{
	return daemon->source && daemon->source->ops->fetch;
}

static void fetch(struct daemon *daemon, const struct attachment *attachment)
{
	struct source *source = daemon->source;

	if (!can_fetch(daemon) || !source_synced(source) ||
	    endpoints_attachment_pod(daemon->endpoints, attachment))
		return;
	if (source->ops->fetch(source, attachment->ns, attachment->name,
			       attachment->uid[0] ? attachment->uid : NULL) < 0)
		log_warn("out of memory: '%s/%s' is not asked for, but waited for", attachment->ns,
			 attachment->name);
}

void daemon_cni_ask(struct daemon *daemon)
{
	const struct attachment *attachment;

	if (daemon->source && source_synced(daemon->source))
		while ((attachment = endpoints_attachment_ask(daemon->endpoints)))
			fetch(daemon, attachment);
}

int daemon_cni_add(struct daemon *daemon, const struct attachment *attachment, int64_t wait_ms, struct err *reterr)
{
	struct attachment told = *attachment;
	const struct attachment *known;
	int r;

	told.told = told.due = true;
	told.undecided = !told.uid[0] && !told.is_static && can_fetch(daemon);
	r = endpoints_attachment_add(daemon->endpoints, &told);
	if (r >= 0)
		r = request_new(daemon, &told, wait_ms);
	if (r < 0)
		return err_set(reterr, r, "out of memory");
	known = endpoints_attachment_find(daemon->endpoints, &told);
	if (known && !known->undecided)
		fetch(daemon, known);
	daemon_cni_ask(daemon);
	daemon_hurry(daemon);
	daemon->dirty = true;
	daemon_retry_soon(daemon);
	daemon_kick(daemon);
	return -EINPROGRESS;
}

void daemon_cni_refuse(struct daemon *daemon)
{
	struct err err = { 0 };

	err_set(&err, -ECANCELED, "the agent is leaving");
	while (daemon->adds.n)
		request_end(daemon, 0, METER_ADD_FAILED, NULL, &err);
}

void daemon_cni_refused(struct daemon *daemon, const struct attachment *attachment, int r, const char *why)
{
	struct err err = { 0 };

	err_set(&err, r, "pod %s/%s, container %.64s: %s", attachment->ns, attachment->name,
		attachment->container, why);
	for (size_t i = 0; i < daemon->adds.n; i++)
		if (attachment_same(&daemon->adds.v[i]->name, attachment))
			request_end(daemon, i--, METER_ADD_FAILED, NULL, &err);
}

// ---- objects that were asked for --------------------------------------------------------------------------------

static bool was_fetched(const struct attachment *attachment, const char *ns, const char *name, const char *uid)
{
	return !strcmp(attachment->ns, ns) && !strcmp(attachment->name, name) &&
	       !strcmp(attachment->uid, uid ? uid : "");
}

void daemon_cni_fetched(struct daemon *daemon, const char *ns, const char *name, const char *uid, int r,
			const char *why)
{
	struct attachment gone;
	struct err err = { 0 };

	if (r != -ENOENT) // it is in the store, or what is known must do
		endpoints_attachment_decide(daemon->endpoints, ns, name);
	if (r >= 0) {
		daemon->dirty = true;
		daemon_hurry(daemon);
		daemon_kick(daemon);
		return;
	}
	if (r == -ENOENT && !uid) // a static pod's object may come after its sandbox
		r = -EAGAIN;
	err_set(&err, r, "pod %s/%s: %s", ns, name, why);
	for (size_t i = 0; i < daemon->adds.n; i++) {
		struct add_request *request = daemon->adds.v[i];

		if (!was_fetched(&request->name, ns, name, uid))
			continue;
		snprintf(request->why, sizeof(request->why), "%s", err.text);
		if (r != -ENOENT)
			continue;
		gone = request->name;
		request_end(daemon, i--, METER_ADD_FAILED, NULL, &err);
		endpoints_attachment_remove(daemon->endpoints, &gone);
	}
	daemon_kick(daemon);
}
