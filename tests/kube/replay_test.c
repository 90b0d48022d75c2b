// SPDX-License-Identifier: Apache-2.0
// replay_test.c - what a real API server sent is read as it was meant, and every way in which it failed ends well.
#include "tests/harness/test.h"

#include <dirent.h>

#include "agent/kube/status.h"
#include "tests/kube/mirror.h"

static struct standin standin;
static struct mirror mirror;

// ---- files ------------------------------------------------------------------------------------------------------
static char root[PATH_MAX / 2];

static const char *fixture_path(const char *name, char path[static PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", root, name);
	return path;
}

static bool exists(const char *name)
{
	char path[PATH_MAX];

	return !access(fixture_path(name, path), R_OK);
}

static char *fixture(const char *name, size_t *retlen)
{
	char path[PATH_MAX];

	return test_read(fixture_path(name, path), retlen);
}

static struct json_object *fixture_json(const char *name)
{
	_cleanup_free_ char *text = fixture(name, NULL);
	struct json_object *json = json_tokener_parse(text);

	if (!json)
		fail_msg("%s is no JSON", name);
	return json;
}

// ---- scripts ----------------------------------------------------------------------------------------------------
// A recorded answer, without its end: "errors/403-list"; to the next request that is `on`.
static void script(const char *on, const char *name, const char *more)
{
	static const char *const ends[] = { "json", "jsonl", "txt", "json.gz" };
	char head[300], body[300], head_path[PATH_MAX], body_path[PATH_MAX];

	snprintf(body, sizeof(body), "%s.http", name);
	if (exists(body)) {
		standin_do(&standin, "{'op':'fault','on':'%s','http':'%s'%s}", on,
			   fixture_path(body, body_path), more);
		return;
	}
	snprintf(head, sizeof(head), "%s.headers", name);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(body, sizeof(body), "%s.%s", name, ends[i]);
		if (!exists(body))
			continue;
		standin_do(&standin, "{'op':'fault','on':'%s','head':'%s','body':'%s'%s}", on,
			   fixture_path(head, head_path), fixture_path(body, body_path), more);
		return;
	}
	fail_msg("%s has no body", name);
}

// Nothing is said to whatever is asked behind the script.
static void script_silence(void)
{
	standin_do(&standin, "{'op':'fault','on':'* *','times':-1,'silent':true}");
}

static int64_t requests(void)
{
	return standin_number(&standin, "status", "asked");
}

static bool asked_again(struct mirror *m, void *arg)
{
	return requests() >= *(const int64_t *)arg;
}

// Plays what is scripted (n answers) to a reflector of this kind; returns when it asked what comes behind.
static void play(const char *kind, int n)
{
	int64_t want = requests() + n + 1;

	script_silence();
	mirror_start(&mirror, kind);
	mirror_until(&mirror, "the script is played", asked_again, &want);
}

static void holds(const char *what, struct json_object *want)
{
	const char *name = objects_differ(mirror.objects, want);

	if (name)
		fail_msg("%s: '%s' differs; %d objects, want %d", what, name,
			 json_object_object_length(mirror.objects),
			 json_object_object_length(want));
	standin_do(&standin, "{'op':'clear'}");
	mirror_stop(&mirror);
}

// ---- lists ------------------------------------------------------------------------------------------------------
static const struct {
	const char *kind, *plural, *name;
} lists[] = {
	{ "Pod", "pods", "list/pods" },
	{ "Pod", "pods", "list/pods-resourceVersion0" },
	{ "Pod", "pods", "list/pods-labelSelector" },
	{ "Pod", "pods", "list/pods-fieldSelector-nodeName" },
	{ "Pod", "pods", "list/pods-empty" },
	{ "Pod", "pods", "list/pods-small-accept-gzip" },
	{ "Pod", "pods", "errors/200-etcd-down-list-resourceVersion0" },
	{ "Namespace", "namespaces", "list/namespaces" },
	{ "Namespace", "namespaces", "list/namespaces-pretty" },
	{ "NetworkPolicy", "networkpolicies", "list/networkpolicies" },
	{ "Service", "services", "list/services" },
	{ "EndpointSlice", "endpointslices", "list/endpointslices" },
	{ "Node", "nodes", "list/nodes" },
	{ "ClusterNetworkPolicy", "clusternetworkpolicies", "policyapi/clusternetworkpolicies" },
	{ "AdminNetworkPolicy", "adminnetworkpolicies", "policyapi/adminnetworkpolicies" },
	{ "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies",
	  "policyapi/baselineadminnetworkpolicies" },
};

// Streaming lists are refused, so pages are asked for.
static void script_refusal(const char *plural)
{
	char on[128];

	snprintf(on, sizeof(on), "watch %s", plural);
	script(on, "errors/422-sendInitialEvents-without-match", "");
}

static void a_list_gives_its_items(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		_cleanup_json_ struct json_object *want = json_object_new_object(), *list = NULL;
		char on[128], body[128];

		snprintf(on, sizeof(on), "list %s", lists[i].plural);
		snprintf(body, sizeof(body), "%s.json", lists[i].name);
		list = fixture_json(body);
		script_refusal(lists[i].plural);
		script(on, lists[i].name, i % 2 ? ",'slice':97" : "");
		play(lists[i].kind, 2);
		holds(lists[i].name, objects_of_list(list, want));
	}
}

static void pages_are_one_list(void **state)
{
	_cleanup_json_ struct json_object *want = json_object_new_object();
	char name[64];

	script_refusal("pods");
	for (int page = 1; page <= 5; page++) {
		_cleanup_json_ struct json_object *list = NULL;

		snprintf(name, sizeof(name), "list/pods-limit2-page%d.json", page);
		list = fixture_json(name);
		objects_of_list(list, want);
		snprintf(name, sizeof(name), "list/pods-limit2-page%d", page);
		script("list pods", name, "");
	}
	play("Pod", 6);
	assert_int_equal(mirror.lists, 1);
	holds("pages", want);
}

// Both begin a list whose further pages have expired: it is read again, whole.
static void bulk_lists_in_chunks_and_packed(void **state)
{
	static const struct {
		const char *name;
		unsigned int items;
	} bulks[] = {
		{ "raw/list-pods-bulk-identity-chunked", 20 },
		{ "raw/list-pods-bulk-gzip", 150 },
		{ "list/pods-bulk-gzip", 150 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bulks); i++) {
		_cleanup_json_ struct json_object *list = fixture_json("list/pods.json");
		_cleanup_json_ struct json_object *want =
			objects_of_list(list, json_object_new_object());
		bool whole = bulks[i].items == 150;

		script_refusal("pods");
		script("list pods", bulks[i].name, "");
		if (!whole) {
			script("list pods", "errors/410-list-continue-expired", "");
			script("list pods", "list/pods", "");
		}
		play("Pod", whole ? 2 : 4);
		assert_int_equal(
			mirror.events,
			bulks[i].items +
				(whole ? 0 : (unsigned int)json_object_object_length(want)));
		if (whole)
			assert_int_equal(json_object_object_length(mirror.objects), bulks[i].items);
		holds(bulks[i].name, whole ? mirror.objects : want);
	}
}

static void a_list_of_another_kind_is_not_believed(void **state)
{
	_cleanup_json_ struct json_object *list = fixture_json("list/namespaces.json");
	_cleanup_json_ struct json_object *want = objects_of_list(list, json_object_new_object());

	script_refusal("namespaces");
	script("list namespaces", "list/namespaces-partialmetadata", "");
	script("list namespaces", "list/namespaces", "");
	play("Namespace", 3);
	assert_int_equal(mirror.lists, 1);
	holds("partial metadata", want);
}

// ---- watches ----------------------------------------------------------------------------------------------------
static const struct {
	const char *kind, *plural, *list, *watch;
} watches[] = {
	{ "Pod", "pods", "list/pods", "watch/pods" },
	{ "Pod", "pods", "list/pods-empty", "watch/pods-labelSelector-canary" },
	{ "Pod", "pods", "list/pods-fieldSelector-nodeName", "watch/pods-fieldSelector-node-a" },
	{ "Pod", "pods", "list/pods-empty", "watch/pods-resourceVersion0" },
	{ "Namespace", "namespaces", "list/namespaces", "watch/namespaces" },
	{ "Namespace", "namespaces", "list/pods-empty", "watch/namespaces-no-resourceVersion" },
	{ "NetworkPolicy", "networkpolicies", "list/networkpolicies", "watch/networkpolicies" },
	{ "NetworkPolicy", "networkpolicies", "raw/list-networkpolicies",
	  "raw/watch-networkpolicies" },
	{ "EndpointSlice", "endpointslices", "list/endpointslices", "watch/endpointslices" },
	{ "ClusterNetworkPolicy", "clusternetworkpolicies", "policyapi/clusternetworkpolicies",
	  "policyapi/watch-crd-deleted" },
};

// The chunks of an answer as recorded, put together; malloc'd.
static char *unchunk(const char *http)
{
	const char *at = strstr(http, "\r\n\r\n") + 4;
	char *out = calloc(1, strlen(http) + 1), *end;

	for (unsigned long n; (n = strtoul(at, &end, 16)) && end != at; at = end + 2 + n + 2)
		strncat(out, end + 2, n);
	return out;
}

// Of an answer that was recorded by its exact bytes or by head and body.
static char *body_of(const char *name)
{
	static const char *const ends[] = { "json", "jsonl", "txt" };
	_cleanup_free_ char *raw = NULL;
	char file[300];

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(file, sizeof(file), "%s.%s", name, ends[i]);
		if (exists(file))
			return fixture(file, NULL);
	}
	snprintf(file, sizeof(file), "%s.http", name);
	raw = fixture(file, NULL);
	return strstr(raw, "chunked") ? unchunk(raw) : strdup(strstr(raw, "\r\n\r\n") + 4);
}

static void list_then_watch(size_t i, unsigned int slice)
{
	_cleanup_free_ char *list_text = body_of(watches[i].list),
			    *events = body_of(watches[i].watch);
	_cleanup_json_ struct json_object *list = json_tokener_parse(list_text);
	_cleanup_json_ struct json_object *want = objects_of_list(list, json_object_new_object());
	char on[128], more[64] = "";

	objects_apply(want, events);
	if (slice)
		snprintf(more, sizeof(more), ",'slice':%u", slice);
	script_refusal(watches[i].plural);
	snprintf(on, sizeof(on), "list %s", watches[i].plural);
	if (!strcmp(watches[i].list, "list/pods-empty") && strcmp(watches[i].kind, "Pod"))
		standin_do(&standin, "{'op':'fault','on':'%s','skip':0}", on); // live and empty
	else
		script(on, watches[i].list, more);
	snprintf(on, sizeof(on), "watch %s", watches[i].plural);
	script(on, watches[i].watch, strstr(watches[i].watch, "raw/") ? "" : more);
	play(watches[i].kind, 3);
	holds(watches[i].watch, want);
}

static void events_change_the_list(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(watches); i++)
		list_then_watch(i, 0);
}

static void events_in_chunks_of_any_size(void **state)
{
	static const unsigned int sizes[] = { 1, 7, 1000 };

	for (size_t i = 0; i < ARRAY_SIZE(watches); i++)
		list_then_watch(i, sizes[i % 3]);
}

// ---- streaming lists ----------------------------------------------------------------------------------------------
static const struct {
	const char *kind, *plural, *name;
} streams[] = {
	{ "Pod", "pods", "watchlist/pods" },
	{ "Pod", "pods", "watchlist/pods-empty-namespace" },
	{ "Pod", "pods", "raw/watchlist-pods-gzip-requested" },
	{ "Node", "nodes", "watchlist/nodes" },
	{ "Namespace", "namespaces", "watchlist/namespaces" },
	{ "Namespace", "namespaces", "watchlist/namespaces-resourceVersion0" },
	{ "NetworkPolicy", "networkpolicies", "watchlist/networkpolicies" },
	{ "NetworkPolicy", "networkpolicies", "raw/watchlist-networkpolicies" },
	{ "Service", "services", "watchlist/services" },
	{ "EndpointSlice", "endpointslices", "watchlist/endpointslices" },
	{ "ClusterNetworkPolicy", "clusternetworkpolicies",
	  "policyapi/watchlist-clusternetworkpolicies" },
	{ "AdminNetworkPolicy", "adminnetworkpolicies",
	  "policyapi/watchlist-adminnetworkpolicies" },
	{ "BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies",
	  "policyapi/watchlist-baselineadminnetworkpolicies" },
};

static void a_streaming_list_gives_its_items(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(streams); i++) {
		_cleanup_free_ char *events = body_of(streams[i].name);
		_cleanup_json_ struct json_object *want = json_object_new_object();
		char on[128];

		objects_apply(want, events);
		snprintf(on, sizeof(on), "watch %s", streams[i].plural);
		script(on, streams[i].name, "");
		play(streams[i].kind, 1);
		assert_int_equal(mirror.lists, 1);
		holds(streams[i].name, want);
	}
}

// ---- errors -------------------------------------------------------------------------------------------------------
static const struct {
	const char *name, *problem; // what is told of it where it lasts
} errors[] = {
	{ "errors/400-bad-continue", "invalid continue token" },
	{ "errors/400-bad-field-selector", "field label not supported" },
	{ "errors/400-bad-json", "unrecognized" },
	{ "errors/400-bad-label-selector", "unable to parse requirement" },
	{ "errors/401-bad-token", "Unauthorized" },
	{ "errors/403-anonymous", "system:anonymous" },
	{ "errors/403-list", "kube-system:powerless" },
	{ "errors/403-namespaced", "kube-system:powerless" },
	{ "errors/403-unknown-resource-without-rbac", "kube-system:agent" },
	{ "errors/403-watch", "kube-system:powerless" },
	{ "errors/404-object", "not found" },
	{ "errors/404-unknown-resource", "could not find the requested resource" },
	{ "errors/404-unknown-version", "could not find the requested resource" },
	{ "policyapi/crd-absent-list", "404 page not found" },
	{ "policyapi/crd-absent-group", "404 page not found" },
	{ "errors/405-method", "does not allow this method" },
	{ "errors/406-not-acceptable", "406" },
	{ "errors/409-already-exists", "already exists" },
	{ "errors/409-conflict", "has been modified" },
	{ "errors/410-list-continue-expired", "too old" },
	{ "errors/410-list-exact", "too old" },
	{ "errors/410-watch-instream", NULL },
	{ "errors/410-watch-instream-raw", NULL },
	{ "errors/410-watch-events-uncached", NULL },
	{ "errors/415-media-type", "415" },
	{ "errors/422-resourceVersionMatch-without-rv", "resourceVersionMatch" },
	{ "errors/422-sendInitialEvents-without-match", "sendInitialEvents" },
	{ "errors/429-list", "Too many requests" },
	{ "errors/429-watch", "Too many requests" },
	{ "errors/500-watch-bad-resourceVersion", "Invalid value" },
	{ "errors/500-etcd-down-readyz", "" },
	{ "errors/500-etcd-down-watchlist-instream", NULL },
	{ "errors/504-etcd-down-list", "Timeout" },
	{ "errors/504-etcd-down-create", "Timeout" },
	{ "errors/504-resourceVersion-too-large", "Too large resource version" },
	{ "errors/504-watchlist-resourceVersion-too-large", NULL },
	{ "raw/watch-etcd-lost", NULL },
	{ "raw/watch-server-shutdown", NULL },
};

static void put_pod(const char *name)
{
	standin_do(&standin,
		   "{'op':'put','object':{'apiVersion':'v1','kind':'Pod','metadata':"
		   "{'name':'%s','namespace':'shop'},'spec':{'nodeName':'node-a'}}}",
		   name);
}

// What the server has is there, and what comes next arrives: nothing was lost, nothing invented.
static void recovers(const char *what)
{
	_cleanup_json_ struct json_object *now = objects_of_standin(&standin, "pods"),
					  *later = NULL;

	mirror_until(&mirror, what, mirror_holds, now);
	put_pod("newcomer");
	later = objects_of_standin(&standin, "pods");
	mirror.known = json_object_get(later);
	mirror_until(&mirror, what, mirror_holds, later);
	standin_do(&standin,
		   "{'op':'delete','resource':'pods','namespace':'shop','name':'newcomer'}");
	mirror_until(&mirror, what, mirror_holds, now);
}

// raw/watch-server-shutdown holds an event of a Namespace: for pods it is nonsense, which is survived as well.
static void after_a_first_refusal(bool pages)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		standin_do(&standin, "{'op':'set','watchlist':%s}", pages ? "false" : "true");
		script(pages ? "list pods" : "watch pods", errors[i].name,
		       strstr(errors[i].name, "shutdown") ? ",'then':'break'" : "");
		mirror_start(&mirror, "Pod");
		mirror.known = objects_of_standin(&standin, "pods");
		mirror_until(&mirror, errors[i].name, mirror_played, NULL);
		mirror.known = (json_object_put(mirror.known), NULL);
		recovers(errors[i].name);
		mirror_stop(&mirror);
	}
	standin_do(&standin, "{'op':'set','watchlist':true}");
}

static void a_page_that_is_refused_comes_later(void **state)
{
	after_a_first_refusal(true);
}

static void a_stream_that_is_refused_comes_later(void **state)
{
	after_a_first_refusal(false);
}

static void a_watch_that_is_refused_loses_nothing(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		mirror_start(&mirror, "Pod");
		mirror_until(&mirror, "synced", mirror_synced, NULL);
		mirror.stays = objects_of_standin(&standin, "pods");
		mirror.known = json_object_get(mirror.stays);
		script("watch pods", errors[i].name,
		       strstr(errors[i].name, "shutdown") ? ",'then':'break'" : "");
		standin_do(&standin, "{'op':'end','on':'watch pods','how':'clean'}");
		mirror_until(&mirror, errors[i].name, mirror_played, NULL);
		mirror.known = (json_object_put(mirror.known), NULL);
		recovers(errors[i].name);
		mirror_stop(&mirror);
	}
}

static bool has_problem(struct mirror *m, void *arg)
{
	return m->problems > 0;
}

// An error that lasts is told of, in words that say what to do.
static void what_lasts_is_told(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		if (!errors[i].problem || strstr(errors[i].name, "429"))
			continue;
		mirror_start(&mirror, "Pod");
		script("* pods", errors[i].name, ",'times':-1");
		mirror_until(&mirror, errors[i].name, has_problem, NULL);
		assert_str_contains(mirror.problem, errors[i].problem);
		assert_int_equal(json_object_object_length(mirror.objects), 0);
		assert_false(mirror_synced(&mirror, NULL));
		standin_do(&standin, "{'op':'clear'}");
		recovers(errors[i].name);
		mirror_stop(&mirror);
	}
}

static void forbidden_names_verb_resource_and_user(void **state)
{
	mirror_start(&mirror, "NetworkPolicy");
	script("* networkpolicies", "errors/403-watch", ",'times':-1");
	mirror_until(&mirror, "403", has_problem, NULL);
	assert_str_contains(mirror.problem, "system:serviceaccount:kube-system:powerless");
	assert_str_contains(mirror.problem, "watch");
	assert_str_contains(mirror.problem, "networkpolicies");
	assert_str_contains(mirror.problem, "networking.k8s.io");
	standin_do(&standin, "{'op':'clear'}");
	mirror_until(&mirror, "granted later", mirror_synced, NULL);
	mirror_stop(&mirror);
}

static void an_absent_resource_counts_as_synced_and_may_come(void **state)
{
	mirror_start(&mirror, "ClusterNetworkPolicy");
	script("* clusternetworkpolicies", "policyapi/crd-absent-list", ",'times':3");
	mirror_until(&mirror, "absent is synced", mirror_synced, NULL);
	assert_int_equal(mirror.problems, 0);
	standin_do(&standin,
		   "{'op':'put','object':{'apiVersion':'policy.networking.k8s.io/v1alpha2',"
		   "'kind':'ClusterNetworkPolicy','metadata':{'name':'later'},'spec':{}}}");
	{
		_cleanup_json_ struct json_object *want =
			objects_of_standin(&standin, "clusternetworkpolicies");

		mirror_until(&mirror, "it comes", mirror_holds, want);
		assert_int_equal(json_object_object_length(want), 1);
	}
	mirror_stop(&mirror);
}

// Silence under a watch: the server's etcd is gone, or the path to it.
static void a_watch_that_falls_silent_is_left(void **state)
{
	mirror_start(&mirror, "Pod");
	mirror_until(&mirror, "synced", mirror_synced, NULL);
	mirror.stays = objects_of_standin(&standin, "pods");
	standin_do(&standin, "{'op':'end','on':'watch pods','how':'silent'}");
	recovers("silence");
	mirror_stop(&mirror);
}

// ---- each file, byte by byte ---------------------------------------------------------------------------------------
struct fetched {
	bool done;
	int status, error;
	char *body;
	size_t len;
	char text[400];
	struct kube_status why;
};

static void on_done(void *arg, const struct http_answer *answer)
{
	struct fetched *fetched = arg;

	*fetched = (struct fetched){ .done = true,
				     .status = answer->status,
				     .error = answer->error,
				     .body = calloc(1, answer->len + 1),
				     .len = answer->len };
	memcpy(fetched->body, answer->body, answer->len);
	snprintf(fetched->text, sizeof(fetched->text), "%s", answer->text);
	kube_status_of(answer, &fetched->why);
}

static bool is_fetched(struct mirror *m, void *arg)
{
	return ((const struct fetched *)arg)->done;
}

// Of a recorded answer: its first line, and the body where it is not framed.
static int status_of(const char *head)
{
	return atoi(strchr(head, ' '));
}

static void fetch(const char *name, const char *head, const char *body, size_t len)
{
	struct http_request request = { .path = "/replay" };
	struct fetched fetched = { 0 };
	struct http_events events = { .arg = &fetched, .done = on_done };
	struct http_call *call;

	script("* *", name, strstr(name, "shutdown") ? ",'then':'break'" : "");
	assert_ok(http_start(mirror.http, &request, &events, &call));
	mirror_until(&mirror, name, is_fetched, &fetched);
	if (strstr(name, "shutdown")) {
		assert_int_not_equal(fetched.error, 0);
		assert_true(*fetched.text);
	} else if (fetched.error || fetched.status != status_of(head) || fetched.len != len ||
		   memcmp(fetched.body, body, len)) {
		fail_msg("%s: status %d error %d (%s), %zu bytes, want %zu", name, fetched.status,
			 fetched.error, fetched.text, fetched.len, len);
	}
	if (fetched.status >= 400) {
		assert_int_equal(fetched.why.code, fetched.status);
		assert_true(*fetched.why.message);
	}
	free(fetched.body);
}

// Compressed ones are read by the tests of lists. False: no answer of its own.
static bool replay_one(const char *folder, const char *file)
{
	_cleanup_free_ char *head = NULL, *body = NULL;
	char name[300], path[400];
	const char *end = strrchr(file, '.');

	snprintf(name, sizeof(name), "%s/%.*s", folder, (int)(end - file), file);
	if ((strcmp(end, ".http") && strcmp(end, ".headers")) || !strcmp(name, "list/pods-http2") ||
	    (strstr(name, "gzip") && !strstr(name, "small")))
		return false;
	snprintf(path, sizeof(path), "%s/%s", folder, file);
	head = fixture(path, NULL);
	body = body_of(name);
	fetch(name, head, body, strlen(body));
	return true;
}

// Heads of all recorded answers there are, but of those that the tests of lists read, and of one without a body.
static unsigned int heads_below(const char *folder)
{
	_cleanup_free_ char *list = NULL;
	char command[PATH_MAX + 200];
	size_t len = 0;
	unsigned int n = 0;
	FILE *found;

	snprintf(command, sizeof(command),
		 "find '%s' '(' -name '*.http' -o -name '*.headers' ')' -a '(' -name '*-small-*' -o "
		 "-not -name '*gzip*' ')' -a -not -name pods-http2.headers",
		 folder);
	found = popen(command, "r");
	assert_non_null(found);
	while (getline(&list, &len, found) > 0)
		n++;
	assert_int_equal(pclose(found), 0);
	return n;
}

static void every_file_arrives_as_it_was_sent(void **state)
{
	static const char *const folders[] = { "list",      "watch",     "watchlist",
					       "policyapi", "errors",    "invalid",
					       "write",     "discovery", "raw" };
	char path[PATH_MAX];
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		struct dirent *file;
		DIR *dir;

		dir = opendir(fixture_path(folders[i], path));
		assert_non_null(dir);
		while ((file = readdir(dir)))
			if (*file->d_name != '.')
				n += replay_one(folders[i], file->d_name);
		closedir(dir);
	}
	assert_int_equal(n, heads_below(root));
}

static int setup(void **state)
{
	char path[PATH_MAX];

	snprintf(root, sizeof(root), "%s", test_shared(path, "fixtures/apiserver"));
	standin_start(&standin, NULL);
	mirror_open(&mirror, &standin, "kubeconfig");
	return 0;
}

// Whatever the last test left: no script, no reflector.
static int quiet(void **state)
{
	mirror_stop(&mirror);
	standin_do(&standin, "{'op':'clear'}");
	standin_do(&standin, "{'op':'set','watchlist':true}");
	return 0;
}

static int with_pods(void **state)
{
	char path[PATH_MAX];

	quiet(state);
	standin_do(&standin, "{'op':'load','path':'%s'}", fixture_path("list/pods.json", path));
	return 0;
}

static int teardown(void **state)
{
	mirror_close(&mirror);
	standin_stop(&standin);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_list_gives_its_items, quiet),
		cmocka_unit_test_setup(pages_are_one_list, quiet),
		cmocka_unit_test_setup(bulk_lists_in_chunks_and_packed, quiet),
		cmocka_unit_test_setup(a_list_of_another_kind_is_not_believed, quiet),
		cmocka_unit_test_setup(events_change_the_list, quiet),
		cmocka_unit_test_setup(events_in_chunks_of_any_size, quiet),
		cmocka_unit_test_setup(a_streaming_list_gives_its_items, quiet),
		cmocka_unit_test_setup(every_file_arrives_as_it_was_sent, quiet),
		cmocka_unit_test_setup(a_page_that_is_refused_comes_later, with_pods),
		cmocka_unit_test_setup(a_stream_that_is_refused_comes_later, with_pods),
		cmocka_unit_test_setup(a_watch_that_is_refused_loses_nothing, with_pods),
		cmocka_unit_test_setup(what_lasts_is_told, with_pods),
		cmocka_unit_test_setup(forbidden_names_verb_resource_and_user, quiet),
		cmocka_unit_test_setup(an_absent_resource_counts_as_synced_and_may_come, quiet),
		cmocka_unit_test_setup(a_watch_that_falls_silent_is_left, with_pods),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
