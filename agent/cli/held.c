// SPDX-License-Identifier: Apache-2.0
// held.c - the pages of the operation `objects`, and in words what they are of.
#include "agent/cli/held.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "agent/object/write.h"

// ---- objects ---------------------------------------------------------------------------------------

static void set_audit(struct object *object)
{
	if (object->kind == KIND_NETPOL)
		((struct netpol *)object)->audit = true;
	if (object->kind == KIND_CLUSTERNETPOL)
		((struct clusternetpol *)object)->audit = true;
}

static int take_page(const struct cli *cli, struct json_object *page, bool audit, struct review *review)
{
	for (size_t i = 0; i < json_length(page, "objects"); i++) {
		struct object *object = NULL;
		struct err err = { 0 };

		if (object_read(json_item(page, "objects", i), &object, &err) < 0)
			return cli_fail(cli, CLI_AGENT, "an object of the agent's %s: are agent and command line of one version?",
					err.text);
		if (audit)
			set_audit(object);
		review_put(review, object);
	}
	return CLI_OK;
}

static struct json_object *page_request(int64_t snapshot, int64_t after)
{
	struct json_object *request = cli_request("objects");

	if (snapshot)
		json_object_object_add(request, "snapshot", json_object_new_int64(snapshot));
	json_object_object_add(request, "after", json_object_new_int64(after));
	return request;
}

static int read_pages(const struct cli *cli, struct review *review, struct json_object **retfirst)
{
	_cleanup_json_ struct json_object *first = NULL;
	int64_t snapshot = 0, next = 0, total = 1;

	while (next < total) {
		_cleanup_json_ struct json_object *page = NULL;
		int64_t after = next;
		int r = cli_ask(cli, page_request(snapshot, after), &page);

		if (r != CLI_OK)
			return r;
		if (!first)
			first = json_object_get(page);
		snapshot = json_number(page, "snapshot");
		total = json_number(page, "total");
		next = json_number(page, "next");
		if (next - after != (int64_t)json_length(page, "objects") || (next == after && next < total))
			return cli_fail(cli, CLI_AGENT, "the agent's answer is not whole");
		r = take_page(cli, page, !strcmp(json_text(first, "scope.mode"), "audit"), review);
		if (r != CLI_OK)
			return r;
	}
	*retfirst = TAKE_PTR(first);
	return CLI_OK;
}

// ---- what they are of ------------------------------------------------------------------------------

static void note(struct json_object *notes, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	json_object_array_add(notes, json_object_new_string(text));
}

static void note_absent(struct json_object *notes, struct json_object *scope)
{
	for (size_t i = 0; i < json_length(scope, "source.resources"); i++) {
		struct json_object *resource = json_item(scope, "source.resources", i);

		if (!strcmp(json_text(resource, "state"), "absent"))
			note(notes, "the server has no %s", json_text(resource, "name"));
	}
}

static void note_all(struct json_object *notes, struct json_object *scope, bool server)
{
	int64_t behind = json_number(scope, "generation.seen") - json_number(scope, "generation.applied");

	note(notes, "the pods of all nodes that have not finished; of workloads without pods nothing");
	if (!server)
		note(notes, "the folder is all that the agent knows: whether it is the whole cluster cannot be told");
	note(notes, "what policies say: whether an agent runs on each node is not asked");
	note_absent(notes, scope);
	if (json_true(scope, "source.cut_off"))
		note(notes, "the server could not be read for %" PRId64 " s: what happened since is not in it",
		     json_number(scope, "source.cut_off_sec"));
	if (!json_true(scope, "current"))
		note(notes, "some of it is what was known before, as it cannot be read now");
	if (behind)
		note(notes, "of what was read, the last %" PRId64 " changes are not in force on this node yet", behind);
	if (!strcmp(json_text(scope, "mode"), "audit"))
		note(notes, "the agent runs in audit mode: on its node no policy isolates or denies");
}

static struct json_object *problems_of(struct json_object *scope)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < json_length(scope, "problems"); i++) {
		struct json_object *one = json_object_new_object();

		cli_put_text(one, "object", json_text(json_item(scope, "problems", i), "where"));
		cli_put_text(one, "text", json_text(json_item(scope, "problems", i), "text"));
		json_object_array_add(list, one);
	}
	return list;
}

static struct json_object *describe(struct json_object *scope)
{
	struct json_object *json = json_object_new_object(), *notes = json_object_new_array();
	const char *path = json_text(scope, "source.path"), *node = json_text(scope, "node");
	bool server = !strcmp(json_text(scope, "source.kind"), "kube");
	char text[1024];

	snprintf(text, sizeof(text), "the cluster as the agent of node %s holds it, read from %s %s", node,
		 server ? "the API server" : "the folder", path);
	cli_put_text(json, "of", "agent");
	cli_put_text(json, "node", node);
	cli_put_text(json, "source", json_text(scope, "source.kind"));
	cli_put_text(json, "path", path);
	cli_put_text(json, "text", text);
	note_all(notes, scope, server);
	json_object_object_add(json, "notes", notes);
	json_object_object_add(json, "problems", problems_of(scope));
	return json;
}

int held_load(const struct cli *cli, struct review *review, struct json_object **retscope)
{
	_cleanup_json_ struct json_object *first = NULL;
	int r = read_pages(cli, review, &first);

	if (r == CLI_OK)
		*retscope = describe(json_at(first, "scope"));
	return r;
}
