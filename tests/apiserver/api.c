// SPDX-License-Identifier: Apache-2.0
// api.c - a request's way: who asks, for what, may they, does a test want another answer, then the answer.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/apiserver/apiserver.h"

static void answer_forbidden(struct call *call)
{
	const struct target *t = &call->target;
	char title[160], resource[128], where[96] = "at the cluster scope", name[300] = "";

	target_title(t, title, sizeof(title));
	snprintf(resource, sizeof(resource), "%s%s%s", t->plural, *t->sub ? "/" : "", t->sub);
	if (*t->name)
		snprintf(name, sizeof(name), " \"%s\"", t->name);
	if (*t->ns && t->resource && t->resource->namespaced)
		snprintf(where, sizeof(where), "in the namespace \"%s\"", t->ns);
	if (t->is_resource)
		answer_status(
			call, 403, "Forbidden", DETAIL_TARGET,
			"%s%s is forbidden: User \"%s\" cannot %s resource \"%s\" in API group \"%s\" %s",
			title, name, call->identity.user, t->verb, resource, t->group, where);
	else
		answer_status(call, 403, "Forbidden", DETAIL_EMPTY,
			      "forbidden: User \"%s\" cannot %s path \"%s\"", call->identity.user,
			      t->verb, call->request->path);
}

static bool present(const struct call *call)
{
	const struct resource *r = call->target.resource;

	return r && call->server->db.present[resource_index(r)];
}

static void answer_absent(struct call *call)
{
	static const char text[] = "404 page not found\n";

	if (call->target.group_known)
		answer_status(call, 404, "NotFound", DETAIL_EMPTY,
			      "the server could not find the requested resource");
	else
		conn_reply(call->conn, 404, "text/plain; charset=utf-8",
			   "X-Content-Type-Options: nosniff\r\n", text, strlen(text));
}

void api_call(struct call *call)
{
	static const struct {
		const char *verb;
		void (*answer)(struct call *call);
	} verbs[] = {
		{ "get", answer_get },       { "list", answer_list },     { "watch", answer_watch },
		{ "create", answer_create }, { "update", answer_update }, { "patch", answer_patch },
		{ "delete", answer_delete },
	};

	if (!call->target.is_resource) {
		answer_discovery(call);
		return;
	}
	if (!present(call)) {
		answer_absent(call);
		return;
	}
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(verbs[i].verb, call->target.verb)) {
			verbs[i].answer(call);
			return;
		}
	answer_status(call, 405, "MethodNotAllowed", DETAIL_EMPTY,
		      "the server does not allow this method on the requested resource");
}

static void run(struct call *call)
{
	struct apiserver *server = call->server;

	conn_shape(call->conn, &(struct shape){ .slice = server->slice });
	if (fault_serve(call))
		return;
	if (!who_asks(&server->who, call->conn, call->request, &call->identity))
		answer_status(call, 401, "Unauthorized", DETAIL_NONE, "Unauthorized");
	else if (!rbac_allows(&server->rbac, &call->identity, &call->target))
		answer_forbidden(call);
	else
		api_call(call);
}

const char *call_name(struct call *call, char *buf, size_t bytes)
{
	const struct target *t = &call->target;

	target_parse(call->request->method, call->request->path, &call->request->query,
		     &call->target);
	if (t->is_resource)
		snprintf(buf, bytes, "%s %s%s%s", t->verb, t->plural, *t->sub ? "/" : "", t->sub);
	else
		snprintf(buf, bytes, "%s %s", t->verb, call->request->path);
	return buf;
}

static void begin(void *arg, struct conn *conn)
{
	struct apiserver *server = arg;
	struct call call = { .server = server, .conn = conn, .request = conn_request(conn) };
	char on[128];

	call.on = call_name(&call, on, sizeof(on));
	run(&call);
	admin_counted(server, on);
}

static void serve(void *arg, struct conn *conn, const struct request *request)
{
	struct apiserver *server = arg;

	if (server->delay_ms)
		conn_after(conn, server->delay_ms, begin, server);
	else
		begin(server, conn);
}

const struct http_ops api_ops = { .serve = serve, .gone = watch_gone, .drained = watch_drained };
