// SPDX-License-Identifier: Apache-2.0
// admin.c - the control socket of the stand-in: what a test does to it and asks of it. README.md lists the operations.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "agent/source/manifest.h"
#include "agent/source/yaml.h"
#include "tests/apiserver/apiserver.h"

#define LOAD_BYTES (1u << 30)

enum await_what { AWAIT_REQUESTS, AWAIT_WATCHES, AWAIT_FAULTS };
struct await {
	struct control_deferred *deferred;
	enum await_what what;
	char on[128];
	uint64_t count;
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static struct json_object *revision(const struct apiserver *server)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "rv", json_object_new_int64((int64_t)server->db.rv));
	json_object_object_add(json, "ns", json_object_new_int64(now_ns()));
	return json;
}

bool on_matches(const char *on, const char *pattern)
{
	size_t verb = strcspn(pattern, " ");

	if (!strcmp(pattern, "*"))
		return true;
	if (strncmp(pattern, "* ", 2) && (strncmp(on, pattern, verb) || on[verb] != ' '))
		return false;
	return !strcmp(pattern + verb, " *") || !strcmp(strchr(on, ' '), pattern + verb);
}

// ---- waiting ---------------------------------------------------------------------------------------------------------
static uint64_t counted(const struct apiserver *server, const char *pattern)
{
	uint64_t n = 0;

	vec_each(struct count, c, &server->counts)
		n += on_matches(c->on, pattern) ? c->n : 0;
	return n;
}

static bool has_come(struct apiserver *server, const struct await *await)
{
	bool sent;

	if (await->what == AWAIT_REQUESTS)
		return counted(server, await->on) >= await->count;
	if (await->what == AWAIT_FAULTS)
		return !fault_left(server);
	return watch_count(server, await->on, &sent) >= await->count && sent;
}

void admin_check(struct apiserver *server)
{
	for (size_t i = server->awaits.n; i-- > 0;) {
		struct await *await = server->awaits.v[i];

		if (!has_come(server, await))
			continue;
		vec_cut(&server->awaits, i);
		control_answer(await->deferred, revision(server), NULL);
		free(await);
	}
}

void admin_counted(struct apiserver *server, const char *on)
{
	struct count fresh = { .n = 1 };

	vec_each(struct count, c, &server->counts)
		if (!strcmp(c->on, on)) {
			c->n++;
			admin_check(server);
			return;
		}
	snprintf(fresh.on, sizeof(fresh.on), "%s", on);
	vec_push(&server->counts, fresh);
	admin_check(server);
}

static int op_await(void *arg, struct json_object *request, struct json_object **ret,
		    struct err *reterr)
{
	static const char *const fields[] = { "requests", "watches", "faults" };
	struct apiserver *server = arg;
	struct await await = { 0 }, *kept;
	int64_t count;
	int r = control_number(request, "count", 0, INT64_MAX, 1, &count, reterr);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *on = json_object_get_string(json_object_object_get(request, fields[i]));

		if (!on)
			continue;
		await.what = (enum await_what)i;
		snprintf(await.on, sizeof(await.on), "%s", on);
	}
	if (!*await.on)
		return err_set(reterr, -EINVAL, "await: say requests, watches or faults");
	await.count = (uint64_t)count;
	if (has_come(server, &await)) {
		*ret = revision(server);
		return 0;
	}
	kept = malloc(sizeof(*kept));
	*kept = await;
	kept->deferred = control_defer(server->control);
	vec_push(&server->awaits, kept);
	return -EINPROGRESS;
}

// ---- objects -----------------------------------------------------------------------------------------------------------
static int put(struct apiserver *server, struct json_object *json, const char *api,
	       const char *kind, struct err *reterr)
{
	const struct resource *resource = resource_of(api, kind);
	struct json_object *copy = NULL;
	int r;

	if (!resource)
		return err_set(reterr, -EINVAL, "'%s' of '%s' is none of the stand-in's kinds",
			       kind, api);
	if (!json_object_object_get(json, "metadata"))
		return err_set(reterr, -EINVAL, "%s: metadata is missing", kind);
	json_object_deep_copy(json, &copy, NULL);
	r = db_put(&server->db, resource, copy, NULL, reterr);
	json_object_put(copy);
	return r;
}

struct loading {
	struct apiserver *server;
	bool some; // kinds that are not served are passed over: manifests may hold any
	struct err *reterr;
};

static int load_document(void *arg, struct json_object *json, size_t line)
{
	struct loading *loading = arg;
	const char *kind = json_object_get_string(json_object_object_get(json, "kind"));
	const char *api = json_object_get_string(json_object_object_get(json, "apiVersion"));
	struct json_object *items = json_object_object_get(json, "items");
	char item_kind[128];
	int r = 0;

	if (!kind || !api)
		return json ? err_set(loading->reterr, -EINVAL,
				      "an object without kind or apiVersion") :
			      0;
	if (!items && loading->some && !resource_of(api, kind))
		return 0;
	if (!items)
		return put(loading->server, json, api, kind, loading->reterr);
	snprintf(item_kind, sizeof(item_kind), "%.*s", (int)strlen(kind) - 4, kind); // PodList
	for (size_t i = 0; i < json_object_array_length(items) && r == 0; i++) {
		struct json_object *item = json_object_array_get_idx(items, i);

		if (json_object_object_get(item, "kind"))
			r = load_document(loading, item, line);
		else
			r = put(loading->server, item, api, item_kind, loading->reterr);
	}
	return r;
}

static int load_file(void *arg, const char *path)
{
	struct loading *loading = arg;
	_cleanup_free_ char *text = NULL;
	const char *end = strrchr(path, '.');
	size_t len;
	int r = file_read(path, LOAD_BYTES, &text, &len);

	if (r < 0)
		return err_set(loading->reterr, r, "%s: %s", path, strerror(-r));
	r = (end && !strncmp(end, ".json", 5) ? json_parse : yaml_parse)(text, len, load_document,
									 loading, loading->reterr);
	return r < 0 ? err_wrap(loading->reterr, "%s", path) : 0;
}

static int load_skipped(void *arg, const char *path, int error)
{
	struct loading *loading = arg;

	return err_set(loading->reterr, -error, "%s: %s", path, manifest_skip_text(error));
}

int admin_load(struct apiserver *server, const char *path, struct err *reterr)
{
	struct loading loading = { server, true, reterr };
	struct manifest_walk walk = { .arg = &loading, .file = load_file, .skipped = load_skipped };
	const char *end = strrchr(path, '.');

	if (end && (!strcmp(end, ".jsonl") || !strcmp(end, ".json")))
		return load_file(&loading, path);
	return manifest_walk(path, &walk);
}

static int op_load(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	const char *path;
	int r = control_string(request, "path", &path, reterr);

	if (r == 0)
		r = admin_load(arg, path, reterr);
	if (r == 0)
		*ret = revision(arg);
	return r;
}

static int op_put(void *arg, struct json_object *request, struct json_object **ret,
		  struct err *reterr)
{
	struct loading loading = { arg, false, reterr };
	struct json_object *one = json_object_object_get(request, "object");
	struct json_object *many = json_object_object_get(request, "objects");
	int r = one ? load_document(&loading, one, 0) : 0;

	for (size_t i = 0; many && r == 0 && i < json_object_array_length(many); i++)
		r = load_document(&loading, json_object_array_get_idx(many, i), 0);
	if (r == 0)
		*ret = revision(arg);
	return r;
}

// resource, namespace and name of a request.
static int named(struct json_object *request, const struct resource **ret, const char **retns,
		 const char **retname, struct err *reterr)
{
	const char *plural;
	int r = control_string(request, "resource", &plural, reterr);

	if (r == 0)
		r = control_string_or(request, "namespace", "", retns, reterr);
	if (r == 0)
		r = control_string_or(request, "name", "", retname, reterr);
	if (r < 0)
		return r;
	*ret = resource_named(NULL, plural);
	return *ret ? 0 :
		      err_set(reterr, -EINVAL, "'%s' is none of the stand-in's resources", plural);
}

static int op_delete(void *arg, struct json_object *request, struct json_object **ret,
		     struct err *reterr)
{
	const struct resource *resource;
	const char *ns, *name;
	struct apiserver *server = arg;
	int r = named(request, &resource, &ns, &name, reterr);

	if (r < 0)
		return r;
	r = db_remove(&server->db, resource, ns, name);
	if (r < 0)
		return err_set(reterr, r, "%s '%s/%s' is not there", resource->plural, ns, name);
	*ret = revision(server);
	return 0;
}

static int op_get(void *arg, struct json_object *request, struct json_object **ret,
		  struct err *reterr)
{
	const struct resource *resource;
	const char *ns, *name;
	struct apiserver *server = arg;
	const struct entry *entry;
	int r = named(request, &resource, &ns, &name, reterr);

	if (r < 0)
		return r;
	entry = db_find(&server->db, resource, ns, name);
	if (!entry)
		return err_set(reterr, -ENOENT, "%s '%s/%s' is not there", resource->plural, ns,
			       name);
	*ret = entry_object(entry);
	return 0;
}

static int op_list(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	const struct resource *resource;
	const char *ns, *name;
	struct apiserver *server = arg;
	struct json_object *items = json_object_new_array();
	int r = named(request, &resource, &ns, &name, reterr);

	if (r < 0) {
		json_object_put(items);
		return r;
	}
	vec_each(struct entry *, entry, &server->db.objects[resource_index(resource)])
		if (!*ns || !strcmp(ns, (*entry)->traits.ns))
			json_object_array_add(items, entry_object(*entry));
	*ret = revision(server);
	json_object_object_add(*ret, "items", items);
	return 0;
}

static int op_crd(void *arg, struct json_object *request, struct json_object **ret,
		  struct err *reterr)
{
	const struct resource *resource;
	const char *ns, *name;
	struct apiserver *server = arg;
	bool present = json_object_get_boolean(json_object_object_get(request, "present"));
	int r = named(request, &resource, &ns, &name, reterr);
	entry_vec *objects;
	char on[96];

	if (r < 0)
		return r;
	objects = &server->db.objects[resource_index(resource)];
	while (!present && objects->n) {
		const struct entry *last = objects->v[objects->n - 1];

		db_remove(&server->db, resource, last->traits.ns, last->traits.name);
	}
	server->db.present[resource_index(resource)] = present;
	snprintf(on, sizeof(on), "watch %s", resource->plural);
	if (!present)
		watch_end(server, on, WATCH_END_CLEAN);
	*ret = revision(server);
	return 0;
}

static int op_compact(void *arg, struct json_object *request, struct json_object **ret,
		      struct err *reterr)
{
	struct apiserver *server = arg;
	int64_t rv;
	int r = control_number(request, "rv", 0, INT64_MAX, (int64_t)server->db.rv, &rv, reterr);

	if (r < 0)
		return r;
	db_compact(&server->db, (uint64_t)rv);
	snapshots_drop(server);
	*ret = revision(server);
	return 0;
}

// ---- connections ---------------------------------------------------------------------------------------------------------
static int op_end(void *arg, struct json_object *request, struct json_object **ret,
		  struct err *reterr)
{
	static const char *const words[] = { "clean", "cut", "reset", "silent" };
	struct apiserver *server = arg;
	const char *on, *how;
	int r = control_string_or(request, "on", "*", &on, reterr);

	if (r == 0)
		r = control_string_or(request, "how", "clean", &how, reterr);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i], how))
			continue;
		*ret = revision(server);
		json_object_object_add(
			*ret, "ended",
			json_object_new_int64((int64_t)watch_end(server, on, (enum watch_end)i)));
		return 0;
	}
	return r < 0 ? r :
		       err_set(reterr, -EINVAL, "how '%s': say clean, cut, reset or silent", how);
}

static int op_drop(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	struct apiserver *server = arg;

	http_drop_all(server->http, true);
	*ret = revision(server);
	return 0;
}

static void on_up(evutil_socket_t fd, short what, void *arg)
{
	struct apiserver *server = arg;
	struct err err = { 0 };

	if (http_up(server->http, &err) < 0)
		fprintf(stderr, "apiserver: %s\n", err.text);
}

// Everything that a process would lose is lost: connections, pages begun, the watch cache.
static int op_down(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	struct apiserver *server = arg;
	int64_t ms;
	int r = control_number(request, "up_ms", -1, 3600000, -1, &ms, reterr);
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	if (r < 0)
		return r;
	http_down(server->http);
	db_compact(&server->db, server->db.rv);
	snapshots_drop(server);
	if (!server->up)
		server->up = evtimer_new(server->base, on_up, server);
	if (ms >= 0)
		evtimer_add(server->up, &tv);
	*ret = revision(server);
	return 0;
}

static int op_up(void *arg, struct json_object *request, struct json_object **ret,
		 struct err *reterr)
{
	struct apiserver *server = arg;
	int r = http_up(server->http, reterr);

	if (r == 0)
		*ret = revision(server);
	return r;
}

static int op_bookmark(void *arg, struct json_object *request, struct json_object **ret,
		       struct err *reterr)
{
	watch_bookmarks(arg);
	*ret = revision(arg);
	return 0;
}

// ---- faults, settings, credentials ------------------------------------------------------------------------------------
static int op_fault(void *arg, struct json_object *request, struct json_object **ret,
		    struct err *reterr)
{
	struct json_object *many = json_object_object_get(request, "faults");
	int r = many ? 0 : fault_add(arg, request, reterr);

	for (size_t i = 0; many && r == 0 && i < json_object_array_length(many); i++)
		r = fault_add(arg, json_object_array_get_idx(many, i), reterr);
	if (r == 0)
		*ret = revision(arg);
	return r;
}

static int op_clear(void *arg, struct json_object *request, struct json_object **ret,
		    struct err *reterr)
{
	fault_clear(arg);
	*ret = revision(arg);
	return 0;
}

static int op_set(void *arg, struct json_object *request, struct json_object **ret,
		  struct err *reterr)
{
	struct apiserver *server = arg;
	struct json_object *watchlist = json_object_object_get(request, "watchlist");
	int64_t slice, delay;
	int r = control_number(request, "slice", 0, 1 << 20, server->slice, &slice, reterr);

	if (r == 0)
		r = control_number(request, "delay_ms", 0, 3600000, server->delay_ms, &delay,
				   reterr);
	if (r < 0)
		return r;
	server->slice = (uint32_t)slice;
	server->delay_ms = delay;
	if (watchlist)
		server->no_watchlist = !json_object_get_boolean(watchlist);
	*ret = revision(server);
	return 0;
}

static int op_token(void *arg, struct json_object *request, struct json_object **ret,
		    struct err *reterr)
{
	struct apiserver *server = arg;
	int r = who_rotate(&server->who,
			   json_object_get_boolean(json_object_object_get(request, "write")),
			   reterr);

	if (r == 0)
		*ret = revision(server);
	return r;
}

static int op_rbac(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	struct apiserver *server = arg;
	const char *path;
	int r = control_string(request, "path", &path, reterr);

	if (r < 0)
		return r;
	rbac_fini(&server->rbac);
	server->rbac = (struct rbac){ 0 };
	r = rbac_load(&server->rbac, path, reterr);
	if (r == 0)
		*ret = revision(server);
	return r;
}

static int op_asked(void *arg, struct json_object *request, struct json_object **ret,
		    struct err *reterr)
{
	struct apiserver *server = arg;
	char user[256];

	snprintf(user, sizeof(user), "system:serviceaccount:%s", server->who.account);
	*ret = json_object_new_object();
	json_object_object_add(*ret, "asked", rbac_asked(&server->rbac));
	json_object_object_add(*ret, "unused", rbac_unused(&server->rbac, user));
	return 0;
}

static int op_status(void *arg, struct json_object *request, struct json_object **ret,
		     struct err *reterr)
{
	struct apiserver *server = arg;
	struct json_object *requests = json_object_new_object();
	bool sent;

	vec_each(struct count, c, &server->counts)
		json_object_object_add(requests, c->on, json_object_new_int64((int64_t)c->n));
	*ret = revision(server);
	json_object_object_add(*ret, "requests", requests);
	json_object_object_add(*ret, "asked", json_object_new_int64((int64_t)counted(server, "*")));
	json_object_object_add(*ret, "watches",
			       json_object_new_int64((int64_t)watch_count(server, "*", &sent)));
	json_object_object_add(*ret, "connections",
			       json_object_new_int64((int64_t)http_connections(server->http)));
	json_object_object_add(*ret, "faults", json_object_new_int64((int64_t)fault_left(server)));
	return 0;
}

const struct control_op admin_ops[] = {
	{ "await", op_await },       { "put", op_put },         { "load", op_load },
	{ "delete", op_delete },     { "get", op_get },         { "list", op_list },
	{ "crd", op_crd },           { "compact", op_compact }, { "end", op_end },
	{ "drop", op_drop },         { "down", op_down },       { "up", op_up },
	{ "bookmark", op_bookmark }, { "fault", op_fault },     { "clear", op_clear },
	{ "set", op_set },           { "token", op_token },     { "rbac", op_rbac },
	{ "asked", op_asked },       { "status", op_status },   { NULL },
};
