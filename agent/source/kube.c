// SPDX-License-Identifier: Apache-2.0
// kube.c - the Kubernetes source: one reflector a resource, and the store as it says.
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/base/file.h"
#include "agent/base/hash.h"
#include "agent/base/log.h"
#include "agent/base/vec.h"
#include "agent/kube/reflect.h"
#include "agent/source/fetch.h"
#include "agent/source/problems.h"
#include "agent/source/source.h"
#include "agent/source/yaml.h"

LOG_ROOM("source");

#define KUBECONFIG_BYTES (1u << 20)
#define OBJECTS_MAX 2000000 // of one kind
#define WHERE_BYTES 400

// What is watched. Peers may be anywhere, so pods and namespaces are; but what has finished has no address, and what
// is headless or a name only is translated by nobody. A list of names and verbs that RBAC has to grant.
static const struct feed_kind {
	enum kind kind;
	struct reflect_resource resource;
} kinds[] = {
	{ KIND_NAMESPACE, { "v1", "Namespace", "/api/v1/namespaces", "namespaces" } },
	{ KIND_NODE, { "v1", "Node", "/api/v1/nodes", "nodes" } },
	{ KIND_POD,
	  { "v1", "Pod", "/api/v1/pods", "pods",
	    // status.phase!=Succeeded,status.phase!=Failed
	    "fieldSelector=status.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed" } },
	{ KIND_NETPOL,
	  { "networking.k8s.io/v1", "NetworkPolicy", "/apis/networking.k8s.io/v1/networkpolicies",
	    "networkpolicies.networking.k8s.io" } },
	{ KIND_CLUSTERNETPOL,
	  { "policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy",
	    "/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
	    "clusternetworkpolicies.policy.networking.k8s.io", .optional = true } },
	{ KIND_SERVICE,
	  { "v1", "Service", "/api/v1/services", "services",
	    // spec.clusterIP!=None,spec.type!=ExternalName
	    "fieldSelector=spec.clusterIP%21%3DNone%2Cspec.type%21%3DExternalName" } },
	{ KIND_ENDPOINTSLICE,
	  { "discovery.k8s.io/v1", "EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices",
	    "endpointslices.discovery.k8s.io",
	    // kubernetes.io/service-name,!service.kubernetes.io/headless
	    "labelSelector=kubernetes.io%2Fservice-name%2C%21service.kubernetes.io%2Fheadless" } },
};

// An object that is not enforced as written: its problem ends with it, or with what is wrong.
struct trouble {
	char *where;
	unsigned list; // it was last heard of in
};

struct kube;
struct feed {
	struct kube *kube;
	const struct feed_kind *kind;
	struct reflect *reflect;
	unsigned list; // counts lists
	bool sweep; // the store holds what this list may lack
	struct hash seen; // what it does not lack: a reference each
	struct hash troubles; // by where
};

struct kube {
	struct source source;
	struct source_events events;
	struct event_base *base;
	struct store *store;
	struct http *http;
	struct reflect_times times;
	struct problems problems;
	struct event *flush; // tells the owner once a round of the loop
	bool changed, synced;
	struct feed feeds[ARRAY_SIZE(kinds)];
	struct fetches *fetches;
};

static enum kind kind_of(const struct feed *feed)
{
	return feed->kind->kind;
}

static void changed(struct kube *kube)
{
	kube->changed = true;
	event_active(kube->flush, EV_TIMEOUT, 1);
}

// ---- problems of objects --------------------------------------------------------------------------------------

static bool trouble_equal(const void *item, const void *key)
{
	return !strcmp(((const struct trouble *)item)->where, key);
}

static void trouble_free(struct trouble *trouble)
{
	free(trouble->where);
	free(trouble);
}
DEFINE_CLEANUP(struct trouble *, trouble_free)

static struct trouble *trouble_find(const struct feed *feed, const char *where)
{
	return hash_find(&feed->troubles, hash_string(where), trouble_equal, where);
}

static int trouble_tell(struct feed *feed, const char *where, const char *text)
{
	struct trouble *known = trouble_find(feed, where);
	_cleanup_(trouble_freep) struct trouble *trouble = NULL;

	if (!known) {
		known = trouble = calloc(1, sizeof(*trouble));
		if (!trouble)
			return -ENOMEM;
		trouble->where = strdup(where);
		if (!trouble->where || hash_add(&feed->troubles, hash_string(where), trouble) < 0)
			return -ENOMEM;
		TAKE_PTR(trouble);
	}
	known->list = feed->list;
	return problems_set(&feed->kube->problems, where, text);
}

static void trouble_end(struct feed *feed, struct trouble *trouble)
{
	problems_set(&feed->kube->problems, trouble->where, NULL);
	hash_remove(&feed->troubles, hash_string(trouble->where), trouble);
	trouble_free(trouble);
}

// Those of objects that the list lacks, which may never have been in the store.
static void troubles_sweep(struct feed *feed)
{
	struct trouble *trouble;
	size_t at = 0;

	while ((trouble = hash_next(&feed->troubles, &at))) {
		if (trouble->list == feed->list)
			continue;
		trouble_end(feed, trouble);
		at = 0; // the table has changed
	}
}

// "NetworkPolicy ns/name". Names come as they were sent.
static void where_of(const struct feed *feed, const char *ns, const char *name, char *ret, size_t bytes)
{
	snprintf(ret, bytes, "%s %.64s%s%.253s", object_kind(kind_of(feed))->name, ns ? ns : "",
		 ns ? "/" : "", name ? name : "(without a name)");
	for (char *c = ret; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
}

// text NULL: there is nothing wrong with it.
static int say(struct feed *feed, const char *ns, const char *name, const char *text)
{
	char where[WHERE_BYTES];
	struct trouble *trouble;

	if (!text && !feed->troubles.n)
		return 0;
	where_of(feed, ns, name, where, sizeof(where));
	if (text)
		return trouble_tell(feed, where, text);
	trouble = trouble_find(feed, where);
	if (trouble)
		trouble_end(feed, trouble);
	return 0;
}

// ---- what a list lacks ----------------------------------------------------------------------------------------------

static uint64_t seen_hash(const struct object *object)
{
	return hash_mix(hash_pointer(object->ns), hash_pointer(object->name));
}

static bool seen_equal(const void *item, const void *key)
{
	const struct object *a = item, *b = key;

	return a->ns == b->ns && a->name == b->name;
}

static bool is_seen(const struct feed *feed, const struct object *object)
{
	return hash_find(&feed->seen, seen_hash(object), seen_equal, object);
}

// The references keep the names' pointers theirs.
static int mark(struct feed *feed, const struct object *object)
{
	if (!feed->sweep || !object || is_seen(feed, object))
		return 0;
	if (hash_add(&feed->seen, seen_hash(object), (void *)object) < 0)
		return -ENOMEM;
	object_get((struct object *)object);
	return 0;
}

static void seen_clear(struct feed *feed)
{
	struct object *object;
	size_t at = 0;

	while ((object = hash_next(&feed->seen, &at)))
		object_put(object);
	hash_fini(&feed->seen);
}

struct stale {
	const struct feed *feed;
	VEC(struct object *) objects; // a reference each
};

static int note_stale(void *arg, const struct object *object)
{
	struct stale *stale = arg;

	if (is_seen(stale->feed, object))
		return 0;
	if (vec_push(&stale->objects, (struct object *)object) < 0)
		return -ENOMEM;
	object_get((struct object *)object);
	return 0;
}

static int remove_stale(struct feed *feed)
{
	struct stale stale = { feed };
	int r = store_each(feed->kube->store, kind_of(feed), NULL, note_stale, &stale);

	vec_each(struct object *, one, &stale.objects) {
		if (r >= 0)
			store_remove(feed->kube->store, kind_of(feed), (*one)->ns, (*one)->name);
		object_put(*one);
	}
	vec_fini(&stale.objects);
	return r;
}

static void on_listing(void *arg)
{
	struct feed *feed = arg;

	seen_clear(feed);
	if (kind_of(feed) == KIND_POD)
		fetches_listing(feed->kube->fetches);
	feed->list++;
	feed->sweep = store_count(feed->kube->store, kind_of(feed)) > 0;
}

static int on_listed(void *arg)
{
	struct feed *feed = arg;
	int r = feed->sweep ? remove_stale(feed) : 0;

	if (r < 0)
		return r;
	seen_clear(feed);
	feed->sweep = false;
	if (kind_of(feed) == KIND_POD)
		fetches_listed(feed->kube->fetches);
	troubles_sweep(feed);
	changed(feed->kube);
	return 0;
}

// ---- objects ------------------------------------------------------------------------------------------------------------

static const char *meta_text(struct json_object *json, const char *key)
{
	struct json_object *meta = json_object_object_get(json, "metadata"), *value;

	if (!json_object_is_type(meta, json_type_object))
		return NULL;
	value = json_object_object_get(meta, key);
	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

static const struct object *predecessor(const struct feed *feed, const char *ns, const char *name)
{
	return name ? store_find(feed->kube->store, kind_of(feed), ns, name) : NULL;
}

static int take_unreadable(struct feed *feed, struct json_object *json, const char *why)
{
	const char *ns = meta_text(json, "namespace"), *name = meta_text(json, "name");
	const struct object *held = predecessor(feed, ns, name);
	char text[ERR_TEXT_BYTES + 64];
	int r;

	snprintf(text, sizeof(text), "%s; %s", why,
		 held ? "what was known of it stays in force" : "nothing is known of it");
	r = say(feed, ns, name, text);
	return r < 0 ? r : mark(feed, held);
}

// Takes over the reference.
static int take(struct feed *feed, struct object *object)
{
	const char *ns = object->ns, *name = object->name;
	struct store *store = feed->kube->store;
	int r = say(feed, ns, name, object->problem);

	if (r < 0) {
		object_put(object);
		return r;
	}
	object_get(object); // its names are needed
	r = store_put(store, object);
	if (r > 0)
		changed(feed->kube);
	if (r >= 0)
		r = mark(feed, store_find(store, kind_of(feed), ns, name));
	object_put(object);
	return r;
}

static int on_put(void *arg, struct json_object *json)
{
	struct object *object = NULL;
	struct feed *feed = arg;
	struct err err = { 0 };
	int r;

	if (store_count(feed->kube->store, kind_of(feed)) >= OBJECTS_MAX)
		return -E2BIG;
	r = object_parse(kind_of(feed), json, &object, &err);
	if (r == -EBADMSG)
		return take_unreadable(feed, json, err.text);
	if (r < 0)
		return r;
	if (kind_of(feed) == KIND_POD && fetches_put(feed->kube->fetches, (const struct pod *)object)) {
		object_put(object);
		return 0;
	}
	return take(feed, object);
}

static int on_gone(void *arg, struct json_object *json)
{
	const char *ns = meta_text(json, "namespace"), *name = meta_text(json, "name");
	struct feed *feed = arg;

	if (!name)
		return 0;
	if (!object_kind(kind_of(feed))->namespaced)
		ns = NULL;
	if (kind_of(feed) == KIND_POD && fetches_gone(feed->kube->fetches, ns, name, meta_text(json, "uid")))
		return 0;
	if (store_remove(feed->kube->store, kind_of(feed), ns, name) > 0)
		changed(feed->kube);
	return say(feed, ns, name, NULL);
}

static void on_resource_problem(void *arg, const char *text)
{
	struct feed *feed = arg;

	problems_set(&feed->kube->problems, feed->kind->resource.name, text);
}

// ---- single pods ---------------------------------------------------------------------------------------------------------

static struct feed *feed_of(struct kube *kube, enum kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kube->feeds); i++)
		if (kinds[i].kind == kind)
			return &kube->feeds[i];
	return NULL;
}

static bool pods_watched(void *arg)
{
	struct reflect_status status;

	reflect_status(feed_of(arg, KIND_POD)->reflect, &status);
	return status.synced && status.state == REFLECT_WATCHING;
}

static int fetch_put(void *arg, struct object *object)
{
	return take(feed_of(arg, KIND_POD), object);
}

static void fetch_done(void *arg, const char *ns, const char *name, const char *uid, int r, const char *why)
{
	struct kube *kube = arg;

	if (kube->events.fetched)
		kube->events.fetched(kube->events.arg, ns, name, uid, r, why);
}

static void fetch_problem(void *arg, const char *text)
{
	struct kube *kube = arg;
	char sentence[ERR_TEXT_BYTES + 128];

	snprintf(sentence, sizeof(sentence), "%s; pods that the watch has not shown yet start shut",
		 text ? text : "");
	problems_set(&kube->problems, "pods get", text ? sentence : NULL);
}

static int kube_fetch(struct source *source, const char *ns, const char *name, const char *uid)
{
	return fetches_ask(((struct kube *)source)->fetches, ns, name, uid);
}

static int open_fetches(struct kube *kube)
{
	const struct fetch_events events = { kube, pods_watched, fetch_put, fetch_done, fetch_problem };

	return fetches_new(kube->base, kube->http, kube->store, &events, &kube->fetches);
}

// ---- the source -----------------------------------------------------------------------------------------------------------

static bool all_synced(const struct kube *kube)
{
	struct reflect_status status;

	for (size_t i = 0; i < ARRAY_SIZE(kube->feeds); i++) {
		reflect_status(kube->feeds[i].reflect, &status);
		if (!status.synced)
			return false;
	}
	return true;
}

// After all that this round of the loop brought: what came together is compiled together.
static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct kube *kube = arg;

	if (!kube->synced && all_synced(kube)) {
		kube->synced = true;
		log_info("all of the cluster's objects that matter are read");
	}
	if (kube->synced && kube->changed && kube->events.batch)
		kube->events.batch(kube->events.arg);
	kube->changed = false;
}

static int read_document(void *arg, struct json_object *json, size_t line)
{
	struct json_object **ret = arg;

	if (*ret)
		return 0;
	*ret = json_object_get(json);
	return 0;
}

static int read_kubeconfig(const char *path, struct kube_config **ret, struct err *reterr)
{
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_free_ char *text = NULL, *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	size_t len;
	int r;

	if (!folder)
		return err_set(reterr, -ENOMEM, "out of memory");
	if (slash)
		slash[slash == folder] = '\0';
	r = file_read(path, KUBECONFIG_BYTES, &text, &len);
	if (r < 0)
		return err_set(reterr, r, "%s: %s", path, strerror(-r));
	r = yaml_parse(text, len, read_document, &json, reterr);
	if (r >= 0)
		r = kube_config_read(json, slash ? folder : ".", ret, reterr);
	return r < 0 ? err_wrap(reterr, "%s", path) : 0;
}

static int open_config(const char *where, const struct source_server *server, struct kube_config **ret,
		       struct err *reterr)
{
	if (*where)
		return read_kubeconfig(where, ret, reterr);
	return kube_config_in_cluster(server->service_account ? server->service_account :
								KUBE_SERVICE_ACCOUNT,
				      ret, reterr);
}

static void set_times(struct kube *kube)
{
	const struct source_server *server = &kube->events.server;

	kube->times = reflect_times_default;
	if (server->pause_sec)
		kube->times.pause_max_ms = server->pause_sec * 1000;
	if (server->watch_sec)
		kube->times.watch_sec = server->watch_sec;
	if (server->absent_sec)
		kube->times.absent_ms = server->absent_sec * 1000;
}

static int open_feeds(struct kube *kube)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(kinds); i++) {
		struct feed *feed = &kube->feeds[i];
		const struct reflect_events events = { feed, on_listing, on_listed, on_put, on_gone,
						       on_resource_problem };

		*feed = (struct feed){ .kube = kube, .kind = &kinds[i] };
		r = reflect_new(kube->base, kube->http, &kinds[i].resource, &kube->times, &events,
				&feed->reflect);
	}
	return r;
}

static void feed_close(struct feed *feed)
{
	struct trouble *trouble;
	size_t at = 0;

	reflect_free(feed->reflect);
	seen_clear(feed);
	while ((trouble = hash_next(&feed->troubles, &at)))
		trouble_free(trouble);
	hash_fini(&feed->troubles);
}

static void kube_close(struct source *source)
{
	struct kube *kube = (struct kube *)source;

	if (!kube)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(kube->feeds); i++)
		feed_close(&kube->feeds[i]);
	fetches_free(kube->fetches);
	http_free(kube->http);
	if (kube->flush)
		event_free(kube->flush);
	problems_fini(&kube->problems);
	free(kube);
}

static void kube_closep(struct kube **kube)
{
	kube_close((struct source *)*kube);
}

static int kube_open(const char *where, struct event_base *base, struct store *store,
		     const struct source_events *events, struct source **ret, struct err *reterr)
{
	_cleanup_(kube_closep) struct kube *kube = calloc(1, sizeof(*kube));
	struct kube_config *config = NULL;
	int r;

	if (!kube)
		return err_set(reterr, -ENOMEM, "out of memory");
	kube->source.ops = &source_kube;
	if (events)
		kube->events = *events;
	kube->problems.events = &kube->events;
	kube->base = base;
	kube->store = store;
	set_times(kube);
	r = open_config(where, &kube->events.server, &config, reterr);
	if (r >= 0)
		r = http_new(base, config, &kube->http, reterr);
	if (r < 0)
		return r;
	kube->flush = event_new(base, -1, 0, on_flush, kube);
	if (!kube->flush || open_fetches(kube) < 0 || open_feeds(kube) < 0)
		return err_set(reterr, -ENOMEM, "out of memory");
	*ret = &TAKE_PTR(kube)->source;
	return 0;
}

static bool kube_synced(const struct source *source)
{
	return ((const struct kube *)source)->synced;
}

// The longest that a resource has been cut off, and the longest that one was silent (-1: the server never said anything).
static void ages(const struct kube *kube, int64_t *retlost_ms, int64_t *retsilent_ms)
{
	struct reflect_status status;
	int64_t now = reflect_now_ms();

	*retlost_ms = 0;
	*retsilent_ms = -1;
	for (size_t i = 0; i < ARRAY_SIZE(kube->feeds); i++) {
		reflect_status(kube->feeds[i].reflect, &status);
		if (status.lost_ms && now - status.lost_ms > *retlost_ms)
			*retlost_ms = now - status.lost_ms;
		if (status.heard_ms && now - status.heard_ms > *retsilent_ms)
			*retsilent_ms = now - status.heard_ms;
	}
}

static bool kube_current(const struct source *source)
{
	const struct kube *kube = (const struct kube *)source;
	int64_t lost_ms, silent_ms;

	ages(kube, &lost_ms, &silent_ms);
	return !kube->events.server.cut_off_sec || lost_ms < kube->events.server.cut_off_sec * 1000ll;
}

static void add(struct json_object *json, const char *key, int64_t value)
{
	json_object_object_add(json, key, json_object_new_int64(value));
}

static struct json_object *describe_feed(const struct feed *feed)
{
	static const char *const states[] = {
		[REFLECT_LISTING] = "listing",
		[REFLECT_WATCHING] = "watching",
		[REFLECT_ABSENT] = "absent",
	};
	struct json_object *json = json_object_new_object();
	int64_t now = reflect_now_ms();
	struct reflect_status status;

	reflect_status(feed->reflect, &status);
	json_object_object_add(json, "name", json_object_new_string(feed->kind->resource.name));
	json_object_object_add(json, "state", json_object_new_string(states[status.state]));
	json_object_object_add(json, "synced", json_object_new_boolean(status.synced));
	add(json, "objects", (int64_t)store_count(feed->kube->store, kind_of(feed)));
	add(json, "cut_off_sec", status.lost_ms ? (now - status.lost_ms) / 1000 : 0);
	if (status.heard_ms)
		add(json, "heard_sec", (now - status.heard_ms) / 1000);
	add(json, "lists", (int64_t)status.lists);
	add(json, "watches", (int64_t)status.watches);
	add(json, "events", (int64_t)status.events);
	add(json, "failures", (int64_t)status.failures);
	if (*status.error)
		json_object_object_add(json, "last_error", json_object_new_string(status.error));
	return json;
}

static struct json_object *kube_describe(const struct source *source)
{
	const struct kube *kube = (const struct kube *)source;
	const struct kube_config *config = http_config(kube->http);
	struct json_object *json = json_object_new_object(), *list = json_object_new_array();
	int64_t lost_ms, silent_ms;
	char path[512];

	ages(kube, &lost_ms, &silent_ms);
	snprintf(path, sizeof(path), "https://%s%s", config->host, config->prefix);
	json_object_object_add(json, "kind", json_object_new_string("kube"));
	json_object_object_add(json, "path", json_object_new_string(path));
	json_object_object_add(json, "cut_off", json_object_new_boolean(lost_ms > 0));
	add(json, "cut_off_sec", lost_ms / 1000);
	if (silent_ms >= 0)
		add(json, "heard_sec", silent_ms / 1000);
	for (size_t i = 0; i < ARRAY_SIZE(kube->feeds); i++)
		json_object_array_add(list, describe_feed(&kube->feeds[i]));
	json_object_object_add(json, "resources", list);
	json_object_object_add(json, "problems", problems_describe(&kube->problems));
	return json;
}

struct http *source_http(const struct source *source)
{
	return source && source->ops == &source_kube ? ((const struct kube *)source)->http : NULL;
}

const struct source_ops source_kube = {
	.scheme = "kube",
	.open = kube_open,
	.close = kube_close,
	.synced = kube_synced,
	.current = kube_current,
	.fetch = kube_fetch,
	.describe = kube_describe,
};
