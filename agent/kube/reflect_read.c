// SPDX-License-Identifier: Apache-2.0
// reflect_read.c - events and lists: from bytes to objects that are put and gone.
#include <errno.h>
#include <string.h>

#include "agent/kube/prune.h"
#include "agent/kube/reflect_private.h"

#define SCRATCH_KEEP_BYTES (64u << 10) // for the next value
#define INITIAL_END "k8s.io/initial-events-end"

static struct json_object *field(struct json_object *json, const char *key)
{
	return json_object_is_type(json, json_type_object) ? json_object_object_get(json, key) : NULL;
}

static const char *text(struct json_object *json, const char *key)
{
	struct json_object *value = field(json, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static struct json_object *parse(struct reflect *reflect, const char *from, size_t len)
{
	struct json_tokener *tokener = reflect->tokener;
	struct json_object *json;
	size_t pruned = 0;

	if (vec_reserve(&reflect->scratch, len) == 0)
		pruned = prune(from, len, reflect->scratch.v);
	if (pruned) {
		from = reflect->scratch.v;
		len = pruned;
	}
	json_tokener_reset(tokener);
	json = json_tokener_parse_ex(tokener, from, (int)len);
	if (reflect->scratch.cap > SCRATCH_KEEP_BYTES)
		vec_fini(&reflect->scratch);
	if (json && json_tokener_get_error(tokener) == json_tokener_success &&
	    json_tokener_get_parse_end(tokener) == len)
		return json;
	json_object_put(json);
	err_set(&reflect->reading.why, -EBADMSG, "no JSON: %s",
		json_tokener_error_desc(json_tokener_get_error(tokener)));
	return NULL;
}

// Items of built-in lists carry neither kind nor apiVersion; where they stand they must be ours.
static int check_kind(struct reflect *reflect, struct json_object *json)
{
	const char *kind = text(json, "kind"), *version = text(json, "apiVersion");

	if ((!kind || !strcmp(kind, reflect->resource->kind)) &&
	    (!version || !strcmp(version, reflect->resource->api_version)))
		return 0;
	return err_set(&reflect->reading.why, -EBADMSG, "it holds an object of kind %.64s (%.64s)",
		       kind ? kind : "", version ? version : "");
}

static int taken(struct reflect *reflect, int r)
{
	return r < 0 ? err_set(&reflect->reading.why, r, "%s",
			       r == -E2BIG ? "there are more objects than the agent takes" :
					     strerror(-r)) :
		       0;
}

// A resourceVersion or continue token: opaque, but not endless. *ret is replaced.
static int keep(struct reflect *reflect, const char *value, size_t max, char **ret)
{
	char *copy;

	if (!value || !*value)
		return 0;
	if (strlen(value) > max)
		return err_set(&reflect->reading.why, -EMSGSIZE,
			       "a resourceVersion or continue token has more than %zu bytes", max);
	copy = strdup(value);
	if (!copy)
		return taken(reflect, -ENOMEM);
	free(*ret);
	*ret = copy;
	return 0;
}

// ---- events ---------------------------------------------------------------------------------------------------

// Where the watch would go on after this one. While a list streams in there is no such place.
static int advance(struct reflect *reflect, struct json_object *object)
{
	if (reflect->ask != ASK_WATCH)
		return 0;
	reflect->reading.lively = true;
	return keep(reflect, text(field(object, "metadata"), "resourceVersion"), REFLECT_VERSION_MAX,
		    &reflect->version);
}

static int on_bookmark(struct reflect *reflect, struct json_object *object)
{
	struct json_object *meta = field(object, "metadata");
	const char *end = text(field(meta, "annotations"), INITIAL_END);
	const char *version = text(meta, "resourceVersion");
	char *copy = NULL;
	int r;

	if (reflect->ask == ASK_WATCH || !end || strcmp(end, "true"))
		return advance(reflect, object);
	if (!version || !*version)
		return err_set(&reflect->reading.why, -EBADMSG,
			       "the initial events end without a resourceVersion");
	r = keep(reflect, version, REFLECT_VERSION_MAX, &copy);
	return r < 0 ? r : taken(reflect, reflect_listed(reflect, copy));
}

static int on_refusal(struct reflect *reflect, struct json_object *object)
{
	kube_status_read(object, &reflect->reading.refusal);
	if (!reflect->reading.refusal.code)
		err_set(&reflect->reading.why, -EBADMSG, "an ERROR event without a Status");
	return -ECANCELED;
}

static int on_event(struct reflect *reflect, struct json_object *event)
{
	struct json_object *object = field(event, "object");
	const char *type = text(event, "type");
	int r;

	if (!type || !json_object_is_type(object, json_type_object))
		return err_set(&reflect->reading.why, -EBADMSG, "no event of a watch");
	if (!strcmp(type, "ERROR"))
		return on_refusal(reflect, object);
	r = check_kind(reflect, object);
	if (r < 0)
		return r;
	reflect->nevents++;
	if (!strcmp(type, "BOOKMARK"))
		return on_bookmark(reflect, object);
	if (!strcmp(type, "ADDED") || !strcmp(type, "MODIFIED"))
		r = reflect->events.put(reflect->events.arg, object);
	else if (!strcmp(type, "DELETED"))
		r = reflect->events.gone(reflect->events.arg, object);
	else
		return err_set(&reflect->reading.why, -EBADMSG, "an event of type %.32s", type);
	return r < 0 ? taken(reflect, r) : advance(reflect, object);
}

// ---- lists ------------------------------------------------------------------------------------------------------

static int on_item(struct reflect *reflect, struct json_object *item)
{
	int r = check_kind(reflect, item);

	return r < 0 ? r : taken(reflect, reflect->events.put(reflect->events.arg, item));
}

static int on_metadata(struct reflect *reflect, struct json_object *meta)
{
	struct reading *reading = &reflect->reading;
	int r = keep(reflect, text(meta, "resourceVersion"), REFLECT_VERSION_MAX, &reading->version);

	return r < 0 ? r :
		       keep(reflect, text(meta, "continue"), REFLECT_PAGE_TOKEN_MAX, &reading->next);
}

static int check_list_kind(struct reflect *reflect, const char *from, size_t len)
{
	char want[80];
	int n = snprintf(want, sizeof(want), "\"%sList\"", reflect->resource->kind);

	if (len == (size_t)n && !memcmp(from, want, len))
		return 0;
	return err_set(&reflect->reading.why, -EBADMSG, "it is of kind %.*s, not %s",
		       (int)(len < 64 ? len : 64), from, want);
}

// ---- bytes ------------------------------------------------------------------------------------------------------

static int on_value(void *arg, enum split_part part, const char *from, size_t len)
{
	_cleanup_json_ struct json_object *json = NULL;
	struct reflect *reflect = arg;

	if (part == SPLIT_KIND)
		return check_list_kind(reflect, from, len);
	json = parse(reflect, from, len);
	if (!json)
		return -EBADMSG;
	return part == SPLIT_VALUE ? on_event(reflect, json) :
	       part == SPLIT_ITEM  ? on_item(reflect, json) :
				     on_metadata(reflect, json);
}

int reading_feed(struct reflect *reflect, const char *data, size_t len)
{
	struct err err = { 0 };
	int r = split_feed(reflect->reading.split, data, len, &err);

	if (r < 0 && !reflect->reading.why.code && !reflect->reading.refusal.code)
		reflect->reading.why = err;
	return r;
}

int reading_begin(struct reflect *reflect)
{
	reading_fini(&reflect->reading);
	return split_new(reflect->ask == ASK_PAGE ? SPLIT_LIST : SPLIT_VALUES, on_value, reflect,
			 &reflect->reading.split);
}

void reading_fini(struct reading *reading)
{
	split_free(reading->split);
	free(reading->version);
	free(reading->next);
	memset(reading, 0, sizeof(*reading));
}
