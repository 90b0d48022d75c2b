// SPDX-License-Identifier: Apache-2.0
// main.c - a stand-in for a Kubernetes API server, for tests only: options, parts in order, the loop.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "agent/base/option.h"
#include "tests/apiserver/apiserver.h"

struct flags {
	const char *dir, *listen, *account;
	struct option_list rbac, load;
	uint64_t port, revision, seed, bookmark_sec;
	bool no_watchlist, old_tls;
};

static const struct option options[] = {
	{ "dir", 'd', OPTION_TEXT, offsetof(struct flags, dir), "DIR",
	  "folder for the control socket and the files that clients read", .required = true },
	{ "listen", 'l', OPTION_TEXT, offsetof(struct flags, listen), "ADDRESS",
	  "address to listen at", .fallback = "127.0.0.1" },
	{ "port", 'p', OPTION_NUMBER, offsetof(struct flags, port), "N",
	  "port to listen at, 0 for any", .max = 65535 },
	{ "account", 'a', OPTION_TEXT, offsetof(struct flags, account), "NAMESPACE:NAME",
	  "service account that the token is of", .fallback = "bulkhead-system:bulkhead" },
	{ "rbac", 0, OPTION_LIST, offsetof(struct flags, rbac), "FILE",
	  "manifests with roles and bindings; without any everybody with a name may do everything" },
	{ "load", 0, OPTION_LIST, offsetof(struct flags, load), "PATH",
	  "manifests, or a file of JSON, to begin with" },
	{ "revision", 0, OPTION_NUMBER, offsetof(struct flags, revision), "N",
	  "revision to begin with", .fallback = "1000" },
	{ "bookmark-sec", 0, OPTION_NUMBER, offsetof(struct flags, bookmark_sec), "N",
	  "time between bookmarks", .fallback = "60", .min = 1, .max = 3600 },
	{ "seed", 0, OPTION_NUMBER, offsetof(struct flags, seed), "N",
	  "seed of sizes that are random", .fallback = "1" },
	{ "no-watchlist", 0, OPTION_FLAG, offsetof(struct flags, no_watchlist),
	  .help = "forbid streaming lists, as older servers do" },
	{ "old-tls", 0, OPTION_FLAG, offsetof(struct flags, old_tls),
	  .help = "speak TLS 1.1 only, which no client may take" },
	{ "help", 'h', OPTION_HELP, .help = "this list" },
	{ NULL },
};
static const struct option *const tables[] = { options, NULL };
static const struct option_page page = {
	.program = "apiserver", .summary = "a stand-in for tests", .tables = tables, .section = 1
};

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct apiserver *server = arg;

	event_base_loopbreak(server->base);
}

static void on_bookmark(evutil_socket_t fd, short what, void *arg)
{
	watch_bookmarks(arg);
}

static int open_all(struct apiserver *server, const struct flags *flags, struct err *reterr)
{
	char path[4200];
	int r;

	db_init(&server->db, flags->revision, watch_changed, server);
	for (size_t i = 0; i < flags->rbac.n; i++)
		if ((r = rbac_load(&server->rbac, flags->rbac.v[i], reterr)) < 0)
			return r;
	for (size_t i = 0; i < flags->load.n; i++)
		if ((r = admin_load(server, flags->load.v[i], reterr)) < 0)
			return r;
	snprintf(path, sizeof(path), "%s/control.sock", flags->dir);
	r = who_init(&server->who, flags->dir, flags->account, reterr);
	if (r == 0 && flags->old_tls)
		cert_server_old(server->who.tls);
	if (r < 0 ||
	    (r = http_new(server->base, server->who.tls, flags->listen, (uint16_t)flags->port,
			  flags->seed, &api_ops, server, &server->http, reterr)) < 0 ||
	    (r = who_write(&server->who, flags->listen, http_port(server->http), reterr)) < 0)
		return r;
	return control_server_new(server->base, path, admin_ops, server, &server->control, reterr);
}

static void run(struct apiserver *server, const struct flags *flags)
{
	struct event *term = evsignal_new(server->base, SIGTERM, on_signal, server);
	struct event *intr = evsignal_new(server->base, SIGINT, on_signal, server);
	struct timeval tv = { (time_t)flags->bookmark_sec, 0 };

	server->bookmarks = event_new(server->base, -1, EV_PERSIST, on_bookmark, server);
	event_add(server->bookmarks, &tv);
	event_add(term, NULL);
	event_add(intr, NULL);
	printf("ready https://%s:%u\n", flags->listen, http_port(server->http));
	fflush(stdout);
	event_base_dispatch(server->base);
	event_free(term);
	event_free(intr);
}

static void close_all(struct apiserver *server)
{
	http_free(server->http);
	control_server_free(server->control);
	vec_each(struct await *, await, &server->awaits)
		free(*await);
	vec_fini(&server->awaits);
	vec_fini(&server->counts);
	fault_fini(server);
	snapshots_drop(server);
	rbac_fini(&server->rbac);
	db_fini(&server->db);
	who_fini(&server->who);
	if (server->up)
		event_free(server->up);
	if (server->bookmarks)
		event_free(server->bookmarks);
}

int main(int argc, char **argv)
{
	struct flags flags = { 0 };
	struct option_list rest;
	struct apiserver server = { .no_watchlist = false };
	struct err err = { 0 };
	int r = option_defaults(tables, &flags, &err);

	signal(SIGPIPE, SIG_IGN);
	if (r == 0)
		r = option_parse(&page, argc, argv, &flags, &rest, &err);
	if (r == OPTION_WANTS_HELP) {
		option_help(stdout, &page);
		return EXIT_SUCCESS;
	}
	server.base = event_base_new();
	server.no_watchlist = flags.no_watchlist;
	if (r == 0)
		r = open_all(&server, &flags, &err);
	if (r < 0)
		fprintf(stderr, "apiserver: %s\n", err.text);
	else
		run(&server, &flags);
	close_all(&server);
	event_base_loop(server.base, EVLOOP_NONBLOCK); // a callback put off holds its connection: event_base_free would leak it
	event_base_free(server.base);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
