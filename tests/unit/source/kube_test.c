// SPDX-License-Identifier: Apache-2.0
// kube_test.c - an API server as a source: what is in the store, when something leaves it, and what is told of objects
// that are not as they should be.
#include "tests/harness/test.h"

#include "agent/base/log.h"
#include "agent/source/source.h"
#include "tests/harness/standin.h"

#define DEADLINE_SEC 20

struct rig {
	struct standin standin;
	struct event_base *base;
	struct store *store;
	struct source *source;
	int batches, early; // early: before it was synced
	char story[4096]; // what the store told
	char problems[4096]; // "where: text\n", of those that are
	size_t least; // policies that the store held at least, since it was set
	int fetches, fetched; // told; what the last one came to
	char why[512];
};

static void on_batch(void *arg)
{
	struct rig *rig = arg;

	rig->batches++;
	rig->early += !source_synced(rig->source);
}

static void on_changed(void *arg, const struct object *before, const struct object *after)
{
	const struct object *any = after ? after : before;
	struct rig *rig = arg;
	size_t len = strlen(rig->story), held = store_count(rig->store, KIND_NETPOL);
	char title[512];

	if (held < rig->least)
		rig->least = held;
	if (any->kind == KIND_NETPOL || any->kind == KIND_POD)
		snprintf(rig->story + len, sizeof(rig->story) - len, "%c%s", !before ? '+' : !after ? '-' : '~',
			 object_title(any, title, sizeof(title)));
}

static void on_fetched(void *arg, const char *ns, const char *name, const char *uid, int r, const char *why)
{
	struct rig *rig = arg;

	rig->fetches++;
	rig->fetched = r;
	snprintf(rig->why, sizeof(rig->why), "%s/%s %s: %s", ns, name, uid ? uid : "-", why);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	log_set_levels("error");
	standin_start(&rig->standin, NULL);
	rig->base = event_base_new();
	assert_ok(store_new(&rig->store));
	assert_ok(store_subscribe(rig->store, on_changed, rig));
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	source_close(rig->source);
	store_free(rig->store);
	event_base_free(rig->base);
	standin_stop(&rig->standin);
	free(rig);
	return 0;
}

static void open_source(struct rig *rig)
{
	const struct source_events events = { .arg = rig, .batch = on_batch, .fetched = on_fetched,
					      .server = { .pause_sec = 1, .cut_off_sec = 1 } };
	char path[PATH_MAX], spec[PATH_MAX + 8];
	struct err err = { 0 };

	snprintf(spec, sizeof(spec), "kube:%s", standin_path(&rig->standin, "kubeconfig", path));
	assert_ok_err(source_open(spec, rig->base, rig->store, &events, &rig->source, &err), &err);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

static const char *describe(struct rig *rig)
{
	_cleanup_json_ struct json_object *json = rig->source->ops->describe(rig->source);
	struct json_object *list = json_object_object_get(json, "problems");
	size_t len = 0;

	rig->problems[0] = '\0';
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		len += (size_t)snprintf(rig->problems + len, sizeof(rig->problems) - len, "%s: %s\n",
					json_object_get_string(json_object_object_get(one, "where")),
					json_object_get_string(json_object_object_get(one, "text")));
	}
	return rig->problems;
}

static void run_until(struct rig *rig, bool (*done)(struct rig *rig, const void *arg), const void *arg)
{
	const struct timeval deadline = { DEADLINE_SEC, 0 };
	bool late = false;
	struct event *timer = evtimer_new(rig->base, on_deadline, &late);

	event_add(timer, &deadline);
	while (!late && !done(rig, arg))
		event_base_loop(rig->base, EVLOOP_ONCE);
	event_free(timer);
	if (late)
		fail_msg("nothing more in %d s; story: %s; problems: %s", DEADLINE_SEC, rig->story,
			 describe(rig));
}

static bool told(struct rig *rig, const void *arg)
{
	return strstr(rig->story, arg);
}

static bool is_synced(struct rig *rig, const void *arg)
{
	return source_synced(rig->source) && rig->batches;
}

static bool is_current(struct rig *rig, const void *arg)
{
	return source_current(rig->source) == (arg != NULL);
}

static bool has_problem(struct rig *rig, const void *arg)
{
	return arg ? strstr(describe(rig), arg) != NULL : !*describe(rig);
}

static void wait_story(struct rig *rig, const char *part)
{
	run_until(rig, told, part);
	rig->story[0] = '\0';
}

#define PUT(object) "{'op':'put','object':" object "}"
#define NETPOL(ns, name, spec) \
	"{'apiVersion':'networking.k8s.io/v1','kind':'NetworkPolicy','metadata':{'namespace':'" ns \
	"','name':'" name "'},'spec':{" spec "}}"
#define POD(ns, name, status) \
	"{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'" ns "','name':'" name \
	"'},'spec':{'containers':[]},'status':{" status "}}"

static void put_policies(struct rig *rig)
{
	standin_do(&rig->standin, PUT(NETPOL("shop", "one", "'podSelector':{}")));
	standin_do(&rig->standin, PUT(NETPOL("shop", "two", "'podSelector':{}")));
	standin_do(&rig->standin, PUT(NETPOL("shop", "three", "'podSelector':{}")));
}

static void synced(struct rig *rig)
{
	open_source(rig);
	run_until(rig, is_synced, NULL);
	assert_int_equal(rig->early, 0);
	rig->story[0] = '\0';
}

static void nothing_is_compiled_before_everything_is_read(void **state)
{
	struct rig *rig = *state;

	put_policies(rig);
	standin_do(&rig->standin, "{'op':'fault','on':'* nodes','status':503,'times':2}");
	open_source(rig);
	run_until(rig, told, "+shop/three");
	assert_false(source_synced(rig->source));
	assert_int_equal(rig->batches, 0);
	run_until(rig, is_synced, NULL);
	assert_int_equal(rig->early, 0);
	assert_int_equal(store_count(rig->store, KIND_NETPOL), 3);
}

static void what_is_gone_leaves_when_the_new_list_is_whole(void **state)
{
	struct rig *rig = *state;

	put_policies(rig);
	synced(rig);
	rig->least = SIZE_MAX;
	standin_do(&rig->standin, "{'op':'set','watchlist':false}");
	standin_do(&rig->standin, "{'op':'down'}");
	standin_do(&rig->standin, "{'op':'delete','resource':'networkpolicies','namespace':'shop','name':'two'}");
	standin_do(&rig->standin, PUT(NETPOL("shop", "four", "'podSelector':{}")));
	standin_do(&rig->standin, "{'op':'compact'}");
	// the first list that comes breaks off inside of its items
	standin_do(&rig->standin, "{'op':'fault','on':'list networkpolicies','cut':600}");
	standin_do(&rig->standin, "{'op':'up'}");
	run_until(rig, told, "-shop/two");
	assert_str(rig->story, "+shop/four-shop/two"); // and nothing else went or came
	assert_int_equal(rig->least, 3);
}

static void a_policy_that_cannot_be_read_keeps_its_predecessor(void **state)
{
	struct rig *rig = *state;

	put_policies(rig);
	synced(rig);
	standin_do(&rig->standin, PUT(NETPOL("shop", "two", "'podSelector':7")));
	run_until(rig, has_problem, "NetworkPolicy shop/two: spec.podSelector: ");
	assert_str_contains(rig->problems, "; what was known of it stays in force");
	assert_non_null(store_find(rig->store, KIND_NETPOL, "shop", "two"));
	// a list does not make it go either
	standin_do(&rig->standin, "{'op':'down'}");
	standin_do(&rig->standin, PUT(NETPOL("shop", "four", "'podSelector':{}")));
	standin_do(&rig->standin, PUT(NETPOL("shop", "five", "'podSelector':{}")));
	standin_do(&rig->standin, "{'op':'delete','resource':'networkpolicies','namespace':'shop','name':'five'}");
	standin_do(&rig->standin, "{'op':'delete','resource':'networkpolicies','namespace':'shop','name':'one'}");
	standin_do(&rig->standin, "{'op':'compact'}");
	standin_do(&rig->standin, "{'op':'up'}");
	wait_story(rig, "-shop/one");
	assert_non_null(store_find(rig->store, KIND_NETPOL, "shop", "two"));
	assert_true(has_problem(rig, "NetworkPolicy shop/two: spec.podSelector: "));
	// mended, then removed
	standin_do(&rig->standin, PUT(NETPOL("shop", "two", "'podSelector':{'matchLabels':{'a':'b'}}")));
	wait_story(rig, "~shop/two");
	assert_true(has_problem(rig, NULL));
	standin_do(&rig->standin, "{'op':'delete','resource':'networkpolicies','namespace':'shop','name':'two'}");
	wait_story(rig, "-shop/two");
}

static void problems_go_with_their_objects(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, PUT(NETPOL("shop", "one", "'podSelector':{},'ingress':[{'ports':[{'port':0}]}]")));
	standin_do(&rig->standin, PUT(NETPOL("shop", "two", "'podSelector':7")));
	synced(rig);
	assert_true(has_problem(rig, "NetworkPolicy shop/one: spec.ingress[0].ports[0].port: "));
	assert_true(has_problem(rig, "NetworkPolicy shop/two: spec.podSelector: "));
	assert_str_contains(rig->problems, "; nothing is known of it");
	assert_int_equal(store_count(rig->store, KIND_NETPOL), 1);
	// one by an event, the other while nobody watches
	standin_do(&rig->standin, "{'op':'delete','resource':'networkpolicies','namespace':'shop','name':'one'}");
	wait_story(rig, "-shop/one");
	assert_false(has_problem(rig, "shop/one"));
	standin_do(&rig->standin, "{'op':'down'}");
	standin_do(&rig->standin, "{'op':'delete','resource':'networkpolicies','namespace':'shop','name':'two'}");
	standin_do(&rig->standin, "{'op':'compact'}");
	standin_do(&rig->standin, "{'op':'up'}");
	run_until(rig, has_problem, NULL);
}

static void names_are_told_as_text(void **state)
{
	struct rig *rig = *state;

	// two streams in place of the server's own
	test_write(rig->standin.dir, "evil",
		   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
		   "{\"type\":\"ADDED\",\"object\":{\"kind\":\"NetworkPolicy\",\"metadata\":{\"name\":\"a\\u001b[2J\\nb\","
		   "\"namespace\":\"../x\"}}}\n"
		   "{\"type\":\"ADDED\",\"object\":{\"kind\":\"NetworkPolicy\",\"metadata\":{\"name\":7}}}\n"
		   "{\"type\":\"ADDED\",\"object\":{\"kind\":\"NetworkPolicy\"}}\n"
		   "{\"type\":\"DELETED\",\"object\":{\"kind\":\"NetworkPolicy\",\"metadata\":[]}}\n"
		   "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\",\"annotations\":"
		   "{\"k8s.io/initial-events-end\":\"true\"}}}}\n");
	standin_do(&rig->standin, "{'op':'fault','on':'watch networkpolicies','http':'%s/evil','then':'hang'}",
		   rig->standin.dir);
	synced(rig);
	assert_true(has_problem(rig, "NetworkPolicy ../x/a?[2J?b: metadata."));
	assert_true(has_problem(rig, "NetworkPolicy (without a name): metadata"));
	assert_int_equal(store_count(rig->store, KIND_NETPOL), 0);
}

static void what_cannot_matter_is_not_watched(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, PUT(POD("shop", "runs", "'phase':'Running','podIP':'10.0.0.1'")));
	standin_do(&rig->standin, PUT(POD("shop", "ran", "'phase':'Succeeded','podIP':'10.0.0.2'")));
	standin_do(&rig->standin, PUT("{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'shop','name':'none'},"
				      "'spec':{'clusterIP':'None','type':'ClusterIP'}}"));
	standin_do(&rig->standin, PUT("{'apiVersion':'v1','kind':'Service','metadata':{'namespace':'shop','name':'some'},"
				      "'spec':{'clusterIP':'10.96.0.1','clusterIPs':['10.96.0.1'],'type':'ClusterIP',"
				      "'ports':[{'port':80}]}}"));
	standin_do(&rig->standin,
		   PUT("{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','addressType':'IPv4','endpoints':[],"
		       "'metadata':{'namespace':'shop','name':'none-1','labels':{'kubernetes.io/service-name':'none',"
		       "'service.kubernetes.io/headless':''}}}"));
	standin_do(&rig->standin,
		   PUT("{'apiVersion':'discovery.k8s.io/v1','kind':'EndpointSlice','addressType':'IPv4','endpoints':[],"
		       "'metadata':{'namespace':'shop','name':'some-1','labels':{'kubernetes.io/service-name':'some'}}}"));
	synced(rig);
	assert_int_equal(store_count(rig->store, KIND_POD), 1);
	assert_int_equal(store_count(rig->store, KIND_SERVICE), 1);
	assert_int_equal(store_count(rig->store, KIND_ENDPOINTSLICE), 1);
	standin_do(&rig->standin, PUT(POD("shop", "runs", "'phase':'Failed','podIP':'10.0.0.1'")));
	wait_story(rig, "-shop/runs"); // r35: its address leaves at once
}

// ---- single pods ------------------------------------------------------------------------------------------------

#define POD_OF(uid, status) \
	"{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'shop','name':'p','uid':'" uid \
	"'},'spec':{'nodeName':'n1','containers':[]},'status':{" status "}}"
#define DELETE_POD "{'op':'delete','resource':'pods','namespace':'shop','name':'p'}"

static bool has_fetched(struct rig *rig, const void *arg)
{
	return rig->fetches;
}

static int fetch(struct rig *rig, const char *uid)
{
	rig->fetches = 0;
	assert_ok(rig->source->ops->fetch(rig->source, "shop", "p", uid));
	run_until(rig, has_fetched, NULL);
	return rig->fetched;
}

static const char *held_uid(struct rig *rig)
{
	const struct object *object = store_find(rig->store, KIND_POD, "shop", "p");

	return object ? object->uid : "none";
}

// The watch of pods says nothing more, until all connections are reset: then it goes on where it was.
static void silence(struct rig *rig)
{
	standin_do(&rig->standin, "{'op':'end','on':'watch pods','how':'silent'}");
}

static void a_pod_is_fetched_before_the_watch_shows_it(void **state)
{
	struct rig *rig = *state;

	synced(rig);
	silence(rig);
	standin_do(&rig->standin, PUT(POD_OF("b", "'phase':'Pending'")));
	assert_int_equal(fetch(rig, "b"), 0);
	assert_str(held_uid(rig), "b");
	assert_str(rig->story, "+shop/p");
	rig->story[0] = '\0';
	standin_do(&rig->standin, "{'op':'drop'}");
	standin_do(&rig->standin, PUT(POD("shop", "later", "'phase':'Running'")));
	run_until(rig, told, "+shop/later");
	assert_str(rig->story, "+shop/later"); // and that it was shown changed nothing
	standin_do(&rig->standin, DELETE_POD);
	wait_story(rig, "-shop/p");
}

static void the_end_of_an_older_pod_of_the_name_is_passed_over(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, PUT(POD_OF("a", "'phase':'Running','podIP':'10.0.0.1'")));
	synced(rig);
	silence(rig);
	standin_do(&rig->standin, PUT(POD_OF("a", "'phase':'Running','podIP':'10.0.0.2'")));
	standin_do(&rig->standin, DELETE_POD);
	standin_do(&rig->standin, PUT(POD_OF("b", "'phase':'Pending'")));
	assert_int_equal(fetch(rig, "b"), 0);
	assert_str(held_uid(rig), "b");
	rig->story[0] = '\0';
	standin_do(&rig->standin, "{'op':'drop'}");
	standin_do(&rig->standin, PUT(POD("shop", "later", "'phase':'Running'")));
	run_until(rig, told, "+shop/later");
	assert_str(rig->story, "+shop/later");
	assert_str(held_uid(rig), "b");
}

static void a_list_that_begins_later_takes_a_fetched_pod_away(void **state)
{
	struct rig *rig = *state;

	synced(rig);
	silence(rig);
	standin_do(&rig->standin, PUT(POD_OF("b", "'phase':'Pending'")));
	assert_int_equal(fetch(rig, "b"), 0);
	standin_do(&rig->standin, DELETE_POD);
	standin_do(&rig->standin, "{'op':'compact'}");
	standin_do(&rig->standin, "{'op':'drop'}");
	wait_story(rig, "-shop/p");
}

static void what_is_deleted_while_it_is_asked_for_does_not_come_back(void **state)
{
	static const char body[] = "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"p\","
				   "\"namespace\":\"shop\",\"uid\":\"b\"},\"spec\":{\"nodeName\":\"n1\"}}";
	struct rig *rig = *state;
	char text[512];

	synced(rig);
	snprintf(text, sizeof(text),
		 "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	test_write(rig->standin.dir, "old", text);
	standin_do(&rig->standin, "{'op':'fault','on':'get pods','http':'%s/old','delay_ms':2000}", rig->standin.dir);
	rig->fetches = 0;
	assert_ok(rig->source->ops->fetch(rig->source, "shop", "p", "b"));
	standin_do(&rig->standin, PUT(POD_OF("b", "'phase':'Pending'")));
	standin_do(&rig->standin, DELETE_POD);
	run_until(rig, told, "-shop/p");
	run_until(rig, has_fetched, NULL);
	assert_int_equal(rig->fetched, -ENOENT);
	assert_str(held_uid(rig), "none");
}

static void a_recorded_pod_is_fetched(void **state)
{
	_cleanup_(object_putp) struct object *want = NULL;
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_free_ char *text = NULL;
	char head[PATH_MAX], body[PATH_MAX];
	struct rig *rig = *state;
	struct err err = { 0 };

	test_shared(head, "fixtures/apiserver/list/pod-get.headers");
	text = test_read(test_shared(body, "fixtures/apiserver/list/pod-get.json"), NULL);
	json = json_tokener_parse(text);
	assert_ok_err(object_parse(KIND_POD, json, &want, &err), &err);
	synced(rig);
	standin_do(&rig->standin, "{'op':'fault','on':'get pods','head':'%s','body':'%s','slice':50}", head, body);
	rig->fetches = 0;
	assert_ok(rig->source->ops->fetch(rig->source, want->ns, want->name, want->uid));
	run_until(rig, has_fetched, NULL);
	assert_int_equal(rig->fetched, 0);
	assert_true(object_equal(store_find(rig->store, KIND_POD, want->ns, want->name), want));
	assert_true(((const struct pod *)want)->naddrs > 0);
}

static void what_cannot_be_fetched_is_said(void **state)
{
	struct rig *rig = *state;

	synced(rig);
	silence(rig);
	assert_int_equal(fetch(rig, "b"), -ENOENT);
	assert_str(rig->why, "shop/p b: the API server knows no such pod");
	standin_do(&rig->standin, PUT(POD_OF("c", "'phase':'Pending'")));
	assert_int_equal(fetch(rig, "b"), -ENOENT);
	assert_str_contains(rig->why, "another UID");
	standin_do(&rig->standin, PUT(POD_OF("c", "'phase':'Failed'")));
	assert_int_equal(fetch(rig, "c"), -ENOENT);
	assert_str_contains(rig->why, "the pod has ended");
	standin_do(&rig->standin, "{'op':'fault','on':'get pods','status':503}");
	assert_int_equal(fetch(rig, "c"), -EAGAIN);
	assert_str_contains(rig->why, "HTTP 503");
	assert_str(held_uid(rig), "none");
}

static void cut_off_it_says_so_and_keeps_what_it_knows(void **state)
{
	struct rig *rig = *state;

	put_policies(rig);
	synced(rig);
	assert_true(source_current(rig->source));
	standin_do(&rig->standin, "{'op':'down'}");
	run_until(rig, is_current, NULL);
	assert_true(source_synced(rig->source));
	assert_int_equal(store_count(rig->store, KIND_NETPOL), 3);
	assert_true(has_problem(rig, "networkpolicies.networking.k8s.io: "));
	assert_str(rig->story, "");
	standin_do(&rig->standin, "{'op':'up'}");
	run_until(rig, is_current, "");
	run_until(rig, has_problem, NULL);
	assert_int_equal(store_count(rig->store, KIND_NETPOL), 3);
}

static void what_cannot_be_opened_is_said(void **state)
{
	struct rig *rig = *state;
	static const struct {
		const char *spec, *why;
	} cases[] = {
		{ "kube:/nowhere", "/nowhere: No such file or directory" },
		{ "kube:/dev/null", "/dev/null: Invalid argument" },
		{ "kube", "this is no pod" },
		{ "cube", "unknown source \"cube\"; there are: dir:PATH, kube, kube:KUBECONFIG" },
	};

	unsetenv("KUBERNETES_SERVICE_HOST");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = { 0 };

		assert_true(source_open(cases[i].spec, rig->base, rig->store, NULL, &rig->source, &err) < 0);
		assert_str_contains(err.text, cases[i].why);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_compiled_before_everything_is_read),
		TEST(what_is_gone_leaves_when_the_new_list_is_whole),
		TEST(a_policy_that_cannot_be_read_keeps_its_predecessor),
		TEST(problems_go_with_their_objects),
		TEST(names_are_told_as_text),
		TEST(what_cannot_matter_is_not_watched),
		TEST(a_pod_is_fetched_before_the_watch_shows_it),
		TEST(the_end_of_an_older_pod_of_the_name_is_passed_over),
		TEST(a_list_that_begins_later_takes_a_fetched_pod_away),
		TEST(what_is_deleted_while_it_is_asked_for_does_not_come_back),
		TEST(a_recorded_pod_is_fetched),
		TEST(what_cannot_be_fetched_is_said),
		TEST(cut_off_it_says_so_and_keeps_what_it_knows),
		TEST(what_cannot_be_opened_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
