// SPDX-License-Identifier: Apache-2.0
// object.c - kinds by name, metadata, counts of references.
#include "agent/object/object.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/object/kind.h"
#include "agent/object/names.h"

#define DEFAULT_NAMESPACE "default"

static const struct kind_ops *const kinds[KIND_MAX] = {
	[KIND_POD] = &pod_kind,
	[KIND_NAMESPACE] = &namespace_kind,
	[KIND_NODE] = &node_kind,
	[KIND_NETPOL] = &netpol_kind,
	[KIND_CLUSTERNETPOL] = &clusternetpol_kind,
	[KIND_SERVICE] = &service_kind,
	[KIND_ENDPOINTSLICE] = &endpointslice_kind,
};

const struct kind_ops *object_kind(enum kind kind)
{
	assert(kind < KIND_MAX);

	return kinds[kind];
}

enum kind object_kind_find(const char *api_version, const char *kind)
{
	for (int i = 0; i < KIND_MAX; i++)
		if (!strcmp(kinds[i]->name, kind) && !strcmp(kinds[i]->api_version, api_version))
			return (enum kind)i;
	return KIND_MAX;
}

int no_memory(struct err *reterr)
{
	return err_set(reterr, -ENOMEM, "out of memory");
}

int object_set_problem(struct object *object, const char *text)
{
	if (object->problem)
		return 0;
	object->problem = strdup(text);
	return object->problem ? 0 : -ENOMEM;
}

bool object_says_true(const struct at *root, const char *map, const char *key)
{
	struct at meta = at_field(root, "metadata");
	struct at pairs = at_field(&meta, map);
	struct at value = at_field(&pairs, key);
	const char *text = NULL;

	return at_string(&value, &text, NULL) > 0 && !strcmp(text, "true");
}

static int read_name(const struct at *meta, enum kind kind, struct object *object,
		     struct err *reterr)
{
	struct at name = at_field(meta, "name");
	const char *text = NULL, *wrong;
	int r = at_string(&name, &text, reterr);

	if (r < 0)
		return r;
	if (!text || !*text)
		return at_fail(&name, reterr, "is missing");
	wrong = kind == KIND_NAMESPACE ? name_check_label(text) : name_check_subdomain(text);
	if (wrong)
		return at_fail(&name, reterr, "\"%.80s\" %s", text, wrong);
	object->name = intern(text);
	return object->name ? 0 : no_memory(reterr);
}

// A file may leave the namespace out, as with kubectl.
static int read_namespace(const struct at *meta, struct object *object, struct err *reterr)
{
	struct at ns = at_field(meta, "namespace");
	const char *text = DEFAULT_NAMESPACE, *wrong;
	int r = at_string(&ns, &text, reterr);

	if (r < 0)
		return r;
	if (!*text)
		text = DEFAULT_NAMESPACE;
	wrong = name_check_label(text);
	if (wrong)
		return at_fail(&ns, reterr, "\"%.80s\" %s", text, wrong);
	object->ns = intern(text);
	return object->ns ? 0 : no_memory(reterr);
}

static int read_meta(const struct at *root, struct object *object, struct err *reterr)
{
	struct at meta = at_field(root, "metadata");
	struct at uid = at_field(&meta, "uid");
	const char *text;
	int r;

	r = at_object(&meta, reterr);
	if (r < 0)
		return r;
	r = read_name(&meta, object->kind, object, reterr);
	if (r < 0)
		return r;
	if (kinds[object->kind]->namespaced) {
		r = read_namespace(&meta, object, reterr);
		if (r < 0)
			return r;
	}
	r = at_string(&uid, &text, reterr);
	return r < 0 ? r : 0;
}

static const char *uid_of(const struct at *root)
{
	struct at meta = at_field(root, "metadata");
	struct at uid = at_field(&meta, "uid");
	const char *text = NULL;

	return at_string(&uid, &text, NULL) > 0 ? text : NULL;
}

// uid may be NULL.
static struct object *object_new(enum kind kind, const char *uid)
{
	size_t size = kinds[kind]->size, len = uid ? strlen(uid) : 0;
	struct object *object = calloc(1, size + len + 1);

	if (!object)
		return NULL;
	object->kind = kind;
	object->refs = 1;
	if (len)
		object->uid = memcpy((char *)object + size, uid, len);
	return object;
}

int object_parse(enum kind kind, struct json_object *json, struct object **ret, struct err *reterr)
{
	_cleanup_(object_putp) struct object *object = NULL;
	struct at root = at_root(json);
	int r;

	assert(kind < KIND_MAX);
	assert(ret);

	if (!json_object_is_type(json, json_type_object))
		return err_set(reterr, -EBADMSG, "is %s, not an object", at_type_name(&root));
	object = object_new(kind, uid_of(&root));
	if (!object)
		return no_memory(reterr);
	r = read_meta(&root, object, reterr);
	if (r < 0)
		return r;
	r = kinds[kind]->parse(json, object, reterr);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(object);
	return 0;
}

struct object *object_copy(const struct object *object)
{
	_cleanup_(object_putp) struct object *copy = object_new(object->kind, object->uid);

	if (!copy)
		return NULL;
	copy->ns = intern_get(object->ns);
	copy->name = intern_get(object->name);
	if (object->problem && object_set_problem(copy, object->problem) < 0)
		return NULL;
	return TAKE_PTR(copy);
}

struct object *object_get(struct object *object)
{
	assert(object->refs > 0);

	object->refs++;
	return object;
}

void object_put(struct object *object)
{
	if (!object)
		return;
	assert(object->refs > 0);
	if (--object->refs)
		return;
	kinds[object->kind]->fini(object);
	intern_put(object->ns);
	intern_put(object->name);
	free((void *)object->problem);
	free(object);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

bool object_equal(const struct object *a, const struct object *b)
{
	if (a == b)
		return true;
	return a->kind == b->kind && a->ns == b->ns && a->name == b->name && same_text(a->uid, b->uid) &&
	       same_text(a->problem, b->problem) && kinds[a->kind]->equal(a, b);
}

const char *object_title(const struct object *object, char *buf, size_t bytes)
{
	snprintf(buf, bytes, "%s%s%s", object->ns ? object->ns : "", object->ns ? "/" : "",
		 object->name);
	return buf;
}
