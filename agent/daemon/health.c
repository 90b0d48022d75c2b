// SPDX-License-Identifier: Apache-2.0
// health.c - is the agent alive, is it ready, and if not why: for `status`, and for probes over HTTP.
#include "agent/daemon/health.h"

#include <string.h>

#include "agent/metrics/expo.h"

bool daemon_hung(const struct daemon *daemon)
{
	return worker_busy_ms(daemon->worker) > HUNG_AFTER_MS;
}

// ---- readiness ---------------------------------------------------------------------------------------------------

static bool source_read(const struct daemon *daemon)
{
	return daemon->source && source_synced(daemon->source);
}

static bool source_fresh(const struct daemon *daemon)
{
	return daemon->source && source_current(daemon->source);
}

static bool devices_seen(const struct daemon *daemon)
{
	return daemon->scanned && !daemon->scan_failed;
}

static bool tables_right(const struct daemon *daemon)
{
	return daemon->tables_adopted && !daemon->stopped;
}

static bool pods_attached(const struct daemon *daemon)
{
	return !daemon->lacking;
}

static bool pods_found(const struct daemon *daemon)
{
	return !endpoints_overdue(daemon->endpoints);
}

static bool not_hung(const struct daemon *daemon)
{
	return !daemon_hung(daemon);
}

// All must hold.
static const struct check {
	const char *name;
	bool (*holds)(const struct daemon *daemon);
	const char *otherwise;
} checks[] = {
	{ "source-read", source_read, "what is there has not been read whole yet" },
	{ "source-current", source_fresh,
	  "some input cannot be read: what was known of it counts" },
	{ "devices-seen", devices_seen,
	  "this node's devices have not been looked at, or not all of them" },
	{ "tables", tables_right, "the kernel's tables do not hold what was compiled" },
	{ "pods-attached", pods_attached, "some pod's programs could not be attached" },
	{ "pods-found", pods_found, "some pod has been waiting for its device" },
	{ "helper-thread", not_hung, "its work does not come back" },
};

bool daemon_ready(const struct daemon *daemon)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (!checks[i].holds(daemon))
			return false;
	return true;
}

void daemon_unready_each(const struct daemon *daemon, daemon_unready_fn fn, void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (!checks[i].holds(daemon))
			fn(arg, checks[i].name, checks[i].otherwise);
}

void daemon_condition_each(const struct daemon *daemon, daemon_condition_fn fn, void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		fn(arg, checks[i].name, checks[i].holds(daemon));
}

// ---- pages -------------------------------------------------------------------------------------------------------

// The loop runs, as it answers.
static int healthz(void *arg, struct http_reply *reply)
{
	bool hung = daemon_hung(arg);

	evbuffer_add_printf(reply->page, hung ? "helper-thread: its work does not come back\n" : "ok\n");
	return hung ? 503 : 200;
}

static int readyz(void *arg, struct http_reply *reply)
{
	const struct daemon *daemon = arg;
	bool ready = true;

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		bool holds = checks[i].holds(daemon);

		evbuffer_add_printf(reply->page, holds ? "[+]%s ok\n" : "[-]%s failed: %s\n",
				    checks[i].name, checks[i].otherwise);
		ready &= holds;
	}
	evbuffer_add_printf(reply->page, ready ? "ready\n" : "not ready\n");
	return ready ? 200 : 503;
}

#define TEXT_PLAIN "text/plain; charset=utf-8"

static const struct http_page pages[] = {
	{ "/healthz", TEXT_PLAIN, healthz },
	{ "/readyz", TEXT_PLAIN, readyz },
	{ "/metrics", EXPO_TYPE_TEXT, daemon_metrics },
	{ NULL },
};

// Enforcing does not depend on it: a port that is taken is a problem, and tried again.
void daemon_http_open(struct daemon *daemon)
{
	const struct config *c = daemon->config;
	struct err err = { 0 };
	int r;

	if (strcmp(c->http, HTTP_OFF) == 0)
		return;
	if (daemon->http) {
		daemon_problem(daemon, "http", http_server_problem(daemon->http));
		return;
	}
	r = http_server_new(daemon->base, c->http, c->http_tls.cert ? &c->http_tls : NULL, pages, daemon, &daemon->http,
			    &err);
	daemon_problem(daemon, "http", r < 0 ? err.text : NULL);
}
