// SPDX-License-Identifier: Apache-2.0
// load.c - files to objects and places.
#include "agent/review/review.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/base/file.h"
#include "agent/base/hash.h"
#include "agent/base/intern.h"
#include "agent/base/vec.h"
#include "agent/policy/must.h"
#include "agent/review/template.h"
#include "agent/source/manifest.h"

#define IGNORE_ANNOTATION "bulkhead.io/lint-ignore"

struct review {
	struct store *store;
	struct hash places;
	VEC(struct review_problem) problems;
	// Of the object that is being read: what was wrong with it, told before who it is.
	char *pending;
	struct manifest_document document;
};

static const char *intern_or_null(const char *text)
{
	return text ? must((void *)intern(text)) : NULL;
}

// ---- places ------------------------------------------------------------------------------------

static uint64_t place_hash(const char *kind, const char *ns, const char *name)
{
	return hash_mix(hash_string(kind), hash_mix(ns ? hash_string(ns) : 0, hash_string(name)));
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool place_is(const void *item, const void *key)
{
	const struct review_place *a = item, *b = key;

	return same(a->kind, b->kind) && same(a->ns, b->ns) && same(a->name, b->name);
}

const struct review_place *review_place(const struct review *review, const char *kind, const char *ns,
					const char *name)
{
	const struct review_place key = { .kind = kind, .ns = ns, .name = name };

	return hash_find(&review->places, place_hash(kind, ns, name), place_is, &key);
}

static void place_free(struct review_place *place)
{
	const char *const texts[] = { place->kind, place->ns, place->name, place->path, place->ignore };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		intern_put(texts[i]);
	json_object_put(place->json);
	free(place->ports);
	free(place);
}

static struct json_object *field(struct json_object *json, const char *name)
{
	return json_object_is_type(json, json_type_object) ? json_object_object_get(json, name) : NULL;
}

static const char *text_field(struct json_object *json, const char *name)
{
	struct json_object *value = field(json, name);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static void add_problem(struct review *review, struct review_problem problem)
{
	problem.kind = intern_or_null(problem.kind);
	problem.ns = intern_or_null(problem.ns);
	problem.name = intern_or_null(problem.name);
	problem.path = intern_or_null(problem.path);
	problem.text = must(strdup(problem.text));
	must_push(&review->problems, problem);
}

static void written_twice(struct review *review, struct review_place *before, const char *path)
{
	char text[512];

	snprintf(text, sizeof(text), "is written again at %s:%zu, which counts", path,
		 review->document.line);
	add_problem(review, (struct review_problem){ before->kind, before->ns, before->name, before->path,
						     before->line, true, text });
	hash_remove(&review->places, place_hash(before->kind, before->ns, before->name), before);
	place_free(before);
}

static struct review_place *add_place(struct review *review, const char *kind, bool namespaced)
{
	const struct manifest_document *document = &review->document;
	struct json_object *meta = field(document->json, "metadata");
	const char *name = text_field(meta, "name"), *ns = text_field(meta, "namespace");
	struct review_place *place, *before;

	if (!name)
		return NULL;
	ns = !namespaced ? NULL : ns && *ns ? ns : "default";
	before = (struct review_place *)review_place(review, kind, ns, name);
	if (before)
		written_twice(review, before, document->path);
	place = must_new(sizeof(*place));
	place->kind = intern_or_null(kind);
	place->ns = intern_or_null(ns);
	place->name = intern_or_null(name);
	place->path = intern_or_null(document->path);
	place->line = document->line;
	place->ignore = intern_or_null(text_field(field(meta, "annotations"), IGNORE_ANNOTATION));
	must_ok(hash_add(&review->places, place_hash(kind, ns, name), place));
	return place;
}

// ---- what a file holds -------------------------------------------------------------------------

// A problem that nobody claimed is the document's.
static void settle(struct review *review)
{
	const struct manifest_document *document = &review->document;

	if (review->pending)
		add_problem(review, (struct review_problem){ .path = document->path,
							     .line = document->line,
							     .text = review->pending });
	free(TAKE_PTR(review->pending));
}

static int put(struct review *review, struct object *object)
{
	int r = store_put(review->store, object);

	return r < 0 ? r : 0;
}

static int put_template(struct review *review, struct review_place *place, struct json_object *spec,
			struct json_object *pod)
{
	struct object *object = NULL;
	struct err err = { 0 };
	int r = object_parse(KIND_POD, pod, &object, &err);

	if (r == -EBADMSG)
		add_problem(review, (struct review_problem){ place->kind, place->ns, place->name,
							     place->path, place->line, false, err.text });
	place->nports = template_ports(spec, &place->ports);
	return r < 0 ? r == -EBADMSG ? 0 : r : put(review, object);
}

static int take_document(void *arg, const struct manifest_document *document)
{
	enum kind kind = object_kind_find(document->api_version, document->kind);
	_cleanup_json_ struct json_object *pod = NULL;
	struct json_object *template;
	struct review *review = arg;
	struct review_place *place;

	settle(review);
	review->document = *document;
	template = kind == KIND_MAX ?
			   template_find(document->api_version, document->kind, document->json) :
			   NULL;
	if (kind == KIND_MAX && !template)
		return 0;
	place = add_place(review, document->kind, kind == KIND_MAX || object_kind(kind)->namespaced);
	if (!place)
		return 0;
	if (kind == KIND_NETPOL)
		place->json = json_object_get(document->json);
	if (kind == KIND_POD)
		place->nports = template_ports(field(document->json, "spec"), &place->ports);
	if (!template)
		return 0;
	pod = template_pod(document->kind, document->json, template);
	return put_template(review, place, field(template, "spec"), pod);
}

static int take_object(void *arg, struct object *object)
{
	struct review *review = arg;

	if (object->problem) // is told from the object
		free(TAKE_PTR(review->pending));
	return put(review, object);
}

static int take_refused(void *arg, enum kind kind, const char *ns, const char *name)
{
	struct review *review = arg;
	const struct manifest_document *document = &review->document;

	add_problem(review, (struct review_problem){ object_kind(kind)->name, ns, name, document->path,
						     document->line, false,
						     review->pending ? review->pending : "" });
	free(TAKE_PTR(review->pending));
	return 0;
}

static void take_problem(void *arg, const char *where, const char *text)
{
	struct review *review = arg;

	settle(review);
	review->pending = must(strdup(text));
}

// ---- files -------------------------------------------------------------------------------------

static int load_text(struct review *review, const char *path, const char *text, size_t len)
{
	const struct manifest_sink sink = { review, take_object, take_refused, take_problem,
					    take_document };
	struct err err = { 0 };
	int r;

	review->document = (struct manifest_document){ .path = path, .line = 1 };
	r = manifest_parse(path, text, len, &sink, &err);
	settle(review);
	if (r == -EBADMSG)
		add_problem(review, (struct review_problem){ .path = path,
							     .line = 1,
							     .text = err.text });
	review->document = (struct manifest_document){ 0 };
	return r == -EBADMSG ? 0 : r;
}

static int load_stdin(struct review *review, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read_fd(STDIN_FILENO, MANIFEST_MAX_BYTES, &text, &len);

	if (r == 0)
		r = load_text(review, "-", text, len);
	return r < 0 ? err_set(reterr, r, "standard input: %s", strerror(-r)) : 0;
}

static int load_file(struct review *review, const char *path, struct err *reterr)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = file_read(path, MANIFEST_MAX_BYTES, &text, &len);

	if (r == 0)
		r = load_text(review, path, text, len);
	return r < 0 ? err_set(reterr, r, "cannot read '%s': %s", path, strerror(-r)) : 0;
}

static void skip(struct review *review, const char *path, const char *text)
{
	add_problem(review,
		    (struct review_problem){ .path = path, .line = 1, .text = (char *)text });
}

static int load_one(void *arg, const char *path)
{
	struct err err = { 0 };

	if (load_file(arg, path, &err) < 0)
		skip(arg, path, err.text);
	return 0;
}

static int skip_one(void *arg, const char *path, int error)
{
	skip(arg, path, manifest_skip_text(error));
	return 0;
}

int review_load(struct review *review, const char *path, struct err *reterr)
{
	const struct manifest_walk walk = { .arg = review, .file = load_one, .skipped = skip_one };
	struct stat st;
	int r;

	assert(review);
	assert(path);

	if (!strcmp(path, "-"))
		return load_stdin(review, reterr);
	if (stat(path, &st) < 0)
		return err_set(reterr, -errno, "cannot read '%s': %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return load_file(review, path, reterr);
	r = manifest_walk(path, &walk);
	return r < 0 ? err_set(reterr, r, "cannot read folder '%s': %s", path, strerror(-r)) : 0;
}

// ---- life --------------------------------------------------------------------------------------

struct review *review_new(void)
{
	struct review *review = must_new(sizeof(*review));

	must_ok(store_new(&review->store));
	return review;
}

void review_free(struct review *review)
{
	struct review_place *place;
	size_t at = 0;

	if (!review)
		return;
	while ((place = hash_next(&review->places, &at)))
		place_free(place);
	hash_fini(&review->places);
	vec_each(struct review_problem, problem, &review->problems) {
		intern_put(problem->kind);
		intern_put(problem->ns);
		intern_put(problem->name);
		intern_put(problem->path);
		free(problem->text);
	}
	vec_fini(&review->problems);
	store_free(review->store);
	free(review->pending);
	free(review);
}

void review_put(struct review *review, struct object *object)
{
	must_ok(put(review, object));
}

const struct store *review_store(const struct review *review)
{
	return review->store;
}

size_t review_problems(const struct review *review, const struct review_problem **ret)
{
	*ret = review->problems.v;
	return review->problems.n;
}

const char *review_workload(const struct pod *pod, char *buf, size_t bytes)
{
	char top[POD_WORKLOAD_BYTES];
	const char *name, *kind = pod_workload(pod, top, &name);

	snprintf(buf, bytes, "%s", kind ? name : pod->object.name);
	return kind ? kind : "Pod";
}

const char *review_workload_title(const struct pod *pod, char *buf, size_t bytes)
{
	char name[256];
	const char *kind = review_workload(pod, name, sizeof(name));

	snprintf(buf, bytes, "%s %s/%s", kind, pod->object.ns, name);
	return buf;
}
