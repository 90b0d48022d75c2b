// SPDX-License-Identifier: Apache-2.0
// ops_objects.c - the operation `objects`: what the agent holds of the cluster, as manifests, page by page.
//
// All pages are of one moment: objects never change, so a snapshot is a reference to each, held until its last page is read
// or nobody has asked for a while.
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "agent/base/hash.h"
#include "agent/daemon/json.h"
#include "agent/object/write.h"

#define OBJECTS_PAGE_BYTES (1u << 20) // of manifests: a page ends behind the object that goes beyond
#define OBJECTS_SNAPSHOTS 4 // at once; for a fifth the one that was asked for longest ago goes
#define OBJECTS_IDLE_SEC 30 // between two pages
#define WHOLE_TITLE_BYTES 480

struct snapshot {
	struct daemon *daemon;
	uint64_t id;
	VEC(struct object *) objects; // a reference each
	struct event *idle;
};

// ---- life ----------------------------------------------------------------------------------------

static void snapshot_free(struct snapshot *snapshot)
{
	if (!snapshot)
		return;
	vec_each(struct object *, object, &snapshot->objects)
		object_put(*object);
	vec_fini(&snapshot->objects);
	if (snapshot->idle)
		event_free(snapshot->idle);
	free(snapshot);
}
DEFINE_CLEANUP(struct snapshot *, snapshot_free)

static void snapshot_drop(struct snapshot *snapshot)
{
	struct daemon *daemon = snapshot->daemon;

	for (size_t i = 0; i < daemon->snapshots.n; i++)
		if (daemon->snapshots.v[i] == snapshot)
			vec_cut(&daemon->snapshots, i--);
	snapshot_free(snapshot);
}

static void on_idle(evutil_socket_t fd, short what, void *arg)
{
	snapshot_drop(arg);
}

static int snapshot_touch(struct snapshot *snapshot)
{
	const struct timeval idle = { .tv_sec = OBJECTS_IDLE_SEC };

	return event_add(snapshot->idle, &idle) < 0 ? -ENOMEM : 0;
}

static int take_object(void *arg, const struct object *object)
{
	struct snapshot *snapshot = arg;

	if (vec_push(&snapshot->objects, (struct object *)object) < 0)
		return -ENOMEM;
	object_get((struct object *)object);
	return 0;
}

static int snapshot_fill(struct snapshot *snapshot)
{
	static const enum kind kinds[] = { KIND_NAMESPACE, KIND_NODE, KIND_POD, KIND_CLUSTERNETPOL, KIND_NETPOL };
	struct daemon *daemon = snapshot->daemon;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(kinds); i++)
		r = store_each(daemon->store, kinds[i], NULL, take_object, snapshot);
	snapshot->idle = evtimer_new(daemon->base, on_idle, snapshot);
	if (r == 0 && (!snapshot->idle || snapshot_touch(snapshot) < 0 || vec_reserve(&daemon->snapshots, 1) < 0))
		r = -ENOMEM;
	return r;
}

// Numbers as JSON's readers all know them; one of an agent before this one is hardly ever met again.
static uint64_t new_id(void)
{
	uint64_t id = 0;

	while (!id && getrandom(&id, sizeof(id), 0) == sizeof(id))
		id >>= 12;
	return id;
}

static int snapshot_new(struct daemon *daemon, struct snapshot **ret, struct err *reterr)
{
	_cleanup_(snapshot_freep) struct snapshot *snapshot = NULL;

	if (!daemon->source || !source_synced(daemon->source))
		return err_set(reterr, -EAGAIN, "the agent has not read all of its source yet: try again");
	snapshot = calloc(1, sizeof(*snapshot));
	if (!snapshot)
		return err_set(reterr, -ENOMEM, "out of memory");
	snapshot->daemon = daemon;
	snapshot->id = new_id();
	if (snapshot_fill(snapshot) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	if (daemon->snapshots.n == OBJECTS_SNAPSHOTS)
		snapshot_drop(daemon->snapshots.v[0]);
	vec_push(&daemon->snapshots, snapshot);
	*ret = TAKE_PTR(snapshot);
	return 0;
}

// What is found stands last from now on: the first is the one that nobody has asked for longest.
static int snapshot_find(struct daemon *daemon, uint64_t id, struct snapshot **ret, struct err *reterr)
{
	for (size_t i = 0; i < daemon->snapshots.n; i++) {
		struct snapshot *snapshot = daemon->snapshots.v[i];

		if (snapshot->id != id)
			continue;
		vec_cut(&daemon->snapshots, i);
		vec_push(&daemon->snapshots, snapshot);
		*ret = snapshot;
		return 0;
	}
	return err_set(reterr, -ESTALE, "this snapshot of objects is gone, as it was read too slowly, others were asked for "
					"meanwhile or the agent was started again: ask for a new one");
}

void daemon_objects_close(struct daemon *daemon)
{
	vec_each(struct snapshot *, snapshot, &daemon->snapshots)
		snapshot_free(*snapshot);
	vec_fini(&daemon->snapshots);
}

// ---- what the snapshot is of -----------------------------------------------------------------------

// "NetworkPolicy shop/web" into buf, returned.
static const char *whole_title(const struct object *object, char *buf, size_t bytes)
{
	char title[400];

	snprintf(buf, bytes, "%s %s", object_kind(object->kind)->name, object_title(object, title, sizeof(title)));
	return buf;
}

// Of "NetworkPolicy shop/web", or the same behind a file's path: the last two words, as no name has a space.
static const char *title_in(const char *where)
{
	const char *at = strrchr(where, ' ');

	while (at && at > where && at[-1] != ' ')
		at--;
	return at ? at : where;
}

static bool has_title(const void *item, const void *key)
{
	char title[WHOLE_TITLE_BYTES];

	return !strcmp(whole_title(item, title, sizeof(title)), key);
}

// The objects that say themselves what is wrong with them, by title: a source may have thousands. For lack of memory
// some are left out, and told twice.
static void index_troubled(const struct snapshot *snapshot, struct hash *rettroubled)
{
	char title[WHOLE_TITLE_BYTES];

	vec_each(struct object *const, object, &snapshot->objects)
		if ((*object)->problem)
			hash_add(rettroubled, hash_string(whole_title(*object, title, sizeof(title))), *object);
}

static bool is_told_by_object(const struct hash *troubled, const char *where, const char *text)
{
	const char *title = title_in(where);
	const struct object *object = hash_find(troubled, hash_string(title), has_title, title);

	return object && !strcmp(object->problem, text);
}

// Of inputs that are no objects, or none that can be read.
static struct json_object *other_problems(const struct snapshot *snapshot, struct json_object *list)
{
	struct json_object *others = json_object_new_array();
	struct hash troubled = { 0 };

	index_troubled(snapshot, &troubled);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		const char *where = json_object_get_string(json_object_object_get(one, "where"));
		const char *text = json_object_get_string(json_object_object_get(one, "text"));

		if (where && text && !is_told_by_object(&troubled, where, text))
			json_object_array_add(others, json_object_get(one));
	}
	hash_fini(&troubled);
	return others;
}

static void add_scope(struct json_object *json, const struct snapshot *snapshot)
{
	struct json_object *scope = add_object(json, "scope"), *generation, *source, *list;
	const struct daemon *daemon = snapshot->daemon;

	source = daemon->source->ops->describe(daemon->source);
	list = json_object_object_get(source, "problems");
	add_text(scope, "node", daemon->config->node);
	add_text(scope, "mode", daemon->config->policies_mode ? "audit" : "enforce");
	add_bool(scope, "current", source_current(daemon->source));
	generation = add_object(scope, "generation");
	add_number(generation, "seen", store_generation(daemon->store));
	add_number(generation, "applied", daemon->applied);
	json_object_object_add(scope, "problems", other_problems(snapshot, list));
	json_object_object_del(source, "problems");
	json_object_object_add(scope, "source", source);
}

// ---- the operation ---------------------------------------------------------------------------------

// Returns where the next page begins; nothing is added for lack of memory.
static size_t add_objects(struct json_object *json, const struct snapshot *snapshot, size_t at, size_t max)
{
	struct json_object *list;
	struct jsonw w;
	size_t n = 0;

	jsonw_init(&w);
	jsonw_open(&w, NULL, '[');
	for (; n < max && at < snapshot->objects.n && w.n < OBJECTS_PAGE_BYTES; n++)
		object_write(&w, snapshot->objects.v[at++]);
	jsonw_close(&w, ']');
	list = jsonw_json(&w);
	jsonw_fini(&w);
	if (list)
		json_object_object_add(json, "objects", list);
	return at;
}

int op_objects(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct daemon *daemon = arg;
	struct snapshot *snapshot = NULL;
	int64_t id, after, max;
	int r;

	r = control_number(request, "snapshot", 0, INT64_MAX, 0, &id, reterr);
	if (r >= 0)
		r = control_number(request, "after", 0, UINT32_MAX, 0, &after, reterr);
	if (r >= 0)
		r = control_number(request, "max", 1, UINT32_MAX, UINT32_MAX, &max, reterr);
	if (r >= 0)
		r = id ? snapshot_find(daemon, (uint64_t)id, &snapshot, reterr) : snapshot_new(daemon, &snapshot, reterr);
	if (r < 0)
		return r;
	*ret = json_object_new_object();
	add_number(*ret, "snapshot", snapshot->id);
	add_number(*ret, "total", snapshot->objects.n);
	if (!id)
		add_scope(*ret, snapshot);
	after = (int64_t)add_objects(*ret, snapshot, (size_t)after, (size_t)max);
	if (!json_object_object_get_ex(*ret, "objects", NULL)) {
		json_object_put(TAKE_PTR(*ret));
		return err_set(reterr, -ENOMEM, "out of memory");
	}
	add_number(*ret, "next", (uint64_t)after);
	if ((size_t)after >= snapshot->objects.n)
		snapshot_drop(snapshot);
	else
		snapshot_touch(snapshot);
	return 0;
}
