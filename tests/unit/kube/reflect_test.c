// SPDX-License-Identifier: Apache-2.0
// reflect_test.c - one resource against a server that answers as scripted: after whatever it says or does not say,
// the reader is told every object, and of none that is not there.
//
// A story is what the sink was told: "[" a list begins, "]" it is whole, "+a" "-a" objects; "!" a problem, "." it is over.
#include "tests/harness/test.h"

#include "agent/kube/reflect.h"
#include "agent/kube/split.h"
#include "tests/harness/standin.h"

#define DEADLINE_SEC 20
#define LOOP_TICK_MS 20 // the loop's clock is behind by less

static const struct reflect_resource namespaces = { "v1", "Namespace", "/api/v1/namespaces", "namespaces" };
static const struct reflect_resource narrowed = { "v1", "Namespace", "/api/v1/namespaces", "namespaces",
						  .narrow = "fieldSelector=spec.nonsense%3D1" };
static const struct reflect_resource clusternetpols = {
	"policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy",
	"/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies",
	"clusternetworkpolicies.policy.networking.k8s.io", .optional = true
};

struct rig {
	struct standin standin;
	struct event_base *base;
	struct http *http;
	struct reflect_times times;
	struct reflect *reflect;
	char story[4096];
	char problem[ERR_TEXT_BYTES];
	size_t puts;
	bool troubled; // a problem was told
	bool quiet; // objects are counted only
	int refuse; // what put() returns from now on, once
	int scripts;
};

// ---- the sink -----------------------------------------------------------------------------------------------------

static void tell(struct rig *rig, const char *what, const char *name)
{
	size_t len = strlen(rig->story);

	snprintf(rig->story + len, sizeof(rig->story) - len, "%s%s", what, name);
}

static const char *name_of(struct json_object *json)
{
	return json_object_get_string(
		json_object_object_get(json_object_object_get(json, "metadata"), "name"));
}

static void on_listing(void *arg)
{
	tell(arg, "[", "");
}

static int on_listed(void *arg)
{
	tell(arg, "]", "");
	return 0;
}

static int on_put(void *arg, struct json_object *json)
{
	struct rig *rig = arg;
	int r = rig->refuse;

	rig->refuse = 0;
	rig->puts++;
	if (!rig->quiet)
		tell(rig, "+", name_of(json));
	return r;
}

static int on_gone(void *arg, struct json_object *json)
{
	tell(arg, "-", name_of(json));
	return 0;
}

static void on_problem(void *arg, const char *text)
{
	struct rig *rig = arg;

	if (!text || !rig->troubled)
		tell(rig, text ? "!" : ".", "");
	rig->troubled = text != NULL;
	if (text)
		snprintf(rig->problem, sizeof(rig->problem), "%s", text);
}

// ---- the rig --------------------------------------------------------------------------------------------------------

static void add(struct rig *rig, const char *name)
{
	standin_do(&rig->standin,
		   "{'op':'put','object':{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'%s'}}}", name);
}

static void take(struct rig *rig, const char *name)
{
	standin_do(&rig->standin, "{'op':'delete','resource':'namespaces','name':'%s'}", name);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	standin_start(&rig->standin, NULL);
	rig->base = event_base_new();
	rig->times = (struct reflect_times){ .pause_min_ms = 5, .pause_max_ms = 20, .watch_sec = 300,
					     .head_ms = 5000, .idle_ms = 5000, .silence_ms = 20000, .page_ms = 20000,
					     .absent_ms = 20 };
	add(rig, "a");
	add(rig, "b");
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	reflect_free(rig->reflect);
	http_free(rig->http);
	event_base_free(rig->base);
	standin_stop(&rig->standin);
	free(rig);
	return 0;
}

static void open_client(struct rig *rig)
{
	struct kube_config *config = NULL;
	char folder[PATH_MAX], port[8];
	struct err err = { 0 };

	snprintf(port, sizeof(port), "%u", rig->standin.port);
	setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", port, 1);
	assert_ok_err(kube_config_in_cluster(standin_path(&rig->standin, "serviceaccount", folder), &config,
					     &err),
		      &err);
	assert_ok_err(http_new(rig->base, config, &rig->http, &err), &err);
}

static void start(struct rig *rig, const struct reflect_resource *resource)
{
	const struct reflect_events events = { rig, on_listing, on_listed, on_put, on_gone, on_problem };

	open_client(rig);
	assert_ok(reflect_new(rig->base, rig->http, resource, &rig->times, &events, &rig->reflect));
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

// Runs the loop until done() says so.
static void run_until(struct rig *rig, bool (*done)(struct rig *rig, const void *arg), const void *arg)
{
	const struct timeval deadline = { DEADLINE_SEC, 0 };
	bool late = false;
	struct event *timer = evtimer_new(rig->base, on_deadline, &late);
	struct reflect_status status;

	event_add(timer, &deadline);
	while (!late && !done(rig, arg))
		event_base_loop(rig->base, EVLOOP_ONCE);
	event_free(timer);
	reflect_status(rig->reflect, &status);
	if (late)
		fail_msg("nothing more in %d s; story: %s; %zu objects; last error: %s", DEADLINE_SEC,
			 rig->story, rig->puts, status.error);
}

static bool ends_with(struct rig *rig, const void *arg)
{
	size_t len = strlen(rig->story), want = strlen(arg);

	return len >= want && !strcmp(rig->story + len - want, arg);
}

static bool has(struct rig *rig, const void *arg)
{
	return strstr(rig->story, arg);
}

static bool is_connected(struct rig *rig, const void *arg)
{
	struct reflect_status status;

	reflect_status(rig->reflect, &status);
	return status.state == REFLECT_WATCHING && !status.lost_ms;
}

// Up to `end`, and the whole of it is `want`.
static void story(struct rig *rig, const char *end, const char *want)
{
	run_until(rig, ends_with, end);
	assert_str(rig->story, want);
	rig->story[0] = '\0';
}

static struct reflect_status status_now(struct rig *rig)
{
	struct reflect_status status;

	reflect_status(rig->reflect, &status);
	return status;
}

// The next answer to `on` is this, byte for byte.
static void script_raw(struct rig *rig, const char *on, const char *then, const char *text)
{
	char name[32], path[PATH_MAX];

	snprintf(name, sizeof(name), "script-%d", rig->scripts++);
	test_write(rig->standin.dir, name, text);
	standin_do(&rig->standin, "{'op':'fault','on':'%s','http':'%s','then':'%s'}", on,
		   standin_path(&rig->standin, name, path), then);
}

// A 200 whose body is this, written with ' in place of ".
static void script(struct rig *rig, const char *on, const char *then, const char *body)
{
	_cleanup_free_ char *text = NULL;
	const char *last = strcmp(then, "done") ? "" : "0\r\n\r\n";

	assert_true(asprintf(&text,
			     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: "
			     "chunked\r\n\r\n%zx\r\n%s\r\n%s",
			     strlen(body), body, last) > 0);
	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	script_raw(rig, on, then, text);
}

static void script_recorded(struct rig *rig, const char *on, const char *name)
{
	char head[PATH_MAX], body[PATH_MAX], file[128];
	bool watch = strstr(name, "instream") || strstr(name, "504-watchlist");

	snprintf(file, sizeof(file), "fixtures/apiserver/errors/%s.headers", name);
	test_shared(head, file);
	snprintf(file, sizeof(file), "fixtures/apiserver/errors/%s.%s", name, watch ? "jsonl" : "json");
	standin_do(&rig->standin, "{'op':'fault','on':'%s','head':'%s','body':'%s'}", on, head,
		   test_shared(body, file));
}

static void script_status(struct rig *rig, const char *on, int status, int times)
{
	standin_do(&rig->standin, "{'op':'fault','on':'%s','status':%d,'times':%d}", on, status, times);
}

#define OBJECT(name, rv) \
	"{'kind':'Namespace','apiVersion':'v1','metadata':{'name':'" name "','resourceVersion':'" rv "'}}"
#define EVENT(type, name) "{'type':'" type "','object':" OBJECT(name, "1") "}\n"
#define END_AT(rv) \
	"{'type':'BOOKMARK','object':{'kind':'Namespace','apiVersion':'v1','metadata':{'resourceVersion':" rv \
	",'annotations':{'k8s.io/initial-events-end':'true'}}}}\n"

// A stream of a and b, then a watch.
static void begin(struct rig *rig)
{
	start(rig, &namespaces);
	story(rig, "]", "[+a+b]");
}

// Whatever happened: what changes is seen again, and nothing else was told.
static void goes_on(struct rig *rig, const char *want)
{
	add(rig, "z");
	story(rig, "+z", want);
}

// ---- how it begins -----------------------------------------------------------------------------------------------

static void a_stream_then_a_watch(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	assert_true(status_now(rig).synced);
	add(rig, "c");
	story(rig, "+c", "+c");
	take(rig, "a");
	story(rig, "-a", "-a");
	standin_do(&rig->standin, "{'op':'put','object':{'apiVersion':'v1','kind':'Namespace','metadata':"
				  "{'name':'b','labels':{'x':'y'}}}}");
	story(rig, "+b", "+b");
	assert_int_equal(status_now(rig).lists, 1);
}

static void a_server_without_streams_is_asked_for_pages(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, "{'op':'set','watchlist':false}");
	start(rig, &namespaces);
	story(rig, "]", "[[+a+b]");
	goes_on(rig, "+z");
}

static void add_many(struct rig *rig, int n)
{
	_cleanup_free_ char *text = malloc((size_t)n * 96);
	size_t len = 0;
	char path[PATH_MAX];

	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, 96,
					"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":"
					"\"n-%d\"}}\n",
					i);
	test_write(rig->standin.dir, "many.jsonl", text);
	standin_do(&rig->standin, "{'op':'load','path':'%s'}",
		   standin_path(&rig->standin, "many.jsonl", path));
	rig->quiet = true;
}

static void lists_come_in_pages(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, "{'op':'set','watchlist':false,'slice':3000}");
	add_many(rig, 2 * REFLECT_PAGE);
	start(rig, &namespaces);
	run_until(rig, has, "]");
	assert_int_equal(rig->puts, 2 * REFLECT_PAGE + 2);
	rig->quiet = false;
	rig->story[0] = '\0';
	goes_on(rig, "+z");
}

static void pages_that_expire_are_read_in_one_piece(void **state)
{
	struct rig *rig = *state;
	char head[PATH_MAX], body[PATH_MAX];

	standin_do(&rig->standin, "{'op':'set','watchlist':false}");
	add_many(rig, 2 * REFLECT_PAGE);
	standin_do(&rig->standin, "{'op':'fault','on':'list namespaces','skip':1,'head':'%s','body':'%s'}",
		   test_shared(head, "fixtures/apiserver/errors/410-list-continue-expired.headers"),
		   test_shared(body, "fixtures/apiserver/errors/410-list-continue-expired.json"));
	start(rig, &namespaces);
	run_until(rig, has, "]");
	assert_str(rig->story, "[[[]");
	assert_int_equal(rig->puts, REFLECT_PAGE + 2 * REFLECT_PAGE + 2);
}

static void a_page_that_breaks_is_asked_for_again(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, "{'op':'set','watchlist':false}");
	add_many(rig, 2 * REFLECT_PAGE);
	standin_do(&rig->standin, "{'op':'fault','on':'list namespaces','skip':1,'cut':20000}");
	start(rig, &namespaces);
	run_until(rig, has, "]");
	assert_str(rig->story, "[[]"); // it went on where it was
	assert_true(rig->puts > 2 * REFLECT_PAGE + 2);
}

static void a_stream_that_breaks_is_followed_by_pages(void **state)
{
	struct rig *rig = *state;

	script(rig, "watch namespaces", "break", EVENT("ADDED", "a") "{'type':'ADD");
	start(rig, &namespaces);
	story(rig, "]", "[+a[+a+b]");
	goes_on(rig, "+z");
}

static void a_stream_without_an_end_is_followed_by_pages(void **state)
{
	struct rig *rig = *state;

	rig->times.idle_ms = 100;
	script(rig, "watch namespaces", "hang", EVENT("ADDED", "a"));
	start(rig, &namespaces);
	story(rig, "]", "[+a[+a+b]");
	goes_on(rig, "+z");
}

static void streams_refused_inside(void **state)
{
	static const char *const names[] = { "504-watchlist-resourceVersion-too-large",
					     "500-etcd-down-watchlist-instream", "410-watch-instream" };
	struct rig *rig = *state;

	// the first two lead to pages, of which the one is refused; then a stream again, and one that is too old
	script_recorded(rig, "watch namespaces", names[0]);
	script_status(rig, "list namespaces", 504, 1);
	script_recorded(rig, "watch namespaces", names[1]);
	script_status(rig, "list namespaces", 503, 1);
	script_recorded(rig, "watch namespaces", names[2]);
	start(rig, &namespaces);
	story(rig, "].", "[[![[[[+a+b].");
	assert_str_contains(rig->problem, "watch namespaces: too old resource version: 349 (606)");
	goes_on(rig, "+z");
}

static void events_before_the_initial_ones_end(void **state)
{
	struct rig *rig = *state;

	script(rig, "watch namespaces", "hang",
	       EVENT("ADDED", "a") EVENT("ADDED", "a") EVENT("MODIFIED", "a") EVENT("DELETED", "a")
		       "{'type':'BOOKMARK','object':{'kind':'Namespace','apiVersion':'v1','metadata':"
		       "{'resourceVersion':'7'}}}\n" EVENT("ADDED", "c") END_AT("'9'") EVENT("ADDED", "d"));
	start(rig, &namespaces);
	story(rig, "+d", "[+a+a+a-a+c]+d");
}

static void selectors_that_a_server_does_not_know_are_left_out(void **state)
{
	struct rig *rig = *state;

	start(rig, &narrowed);
	story(rig, "]", "[[[+a+b]"); // streamed, then in pages, then without it
	assert_int_equal(status_now(rig).failures, 0);
	goes_on(rig, "+z");
}

// ---- how watches end ------------------------------------------------------------------------------------------------

static void watches_that_end_go_on_where_they_were(void **state)
{
	static const char *const ways[] = { "clean", "cut", "reset", "silent" };
	struct rig *rig = *state;

	rig->times.silence_ms = 300;
	begin(rig);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		char name[] = "w0", want[] = "+w0";

		name[1] = want[2] = (char)('0' + i);
		standin_do(&rig->standin, "{'op':'end','on':'watch namespaces','how':'%s'}", ways[i]);
		add(rig, name); // while nobody watches, or tells
		story(rig, want, want);
	}
	assert_int_equal(status_now(rig).lists, 1);
}

static void chunks_end_inside_of_events(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, "{'op':'set','slice':3}");
	begin(rig);
	goes_on(rig, "+z");
}

static void an_event_that_breaks_off_is_read_again(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	script(rig, "watch namespaces", "break",
	       "{'type':'MODIFIED','object':{'kind':'Namespace','apiVersion':'v1','metadata':{'name':'a");
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	goes_on(rig, "+z");
	assert_int_equal(status_now(rig).lists, 1);
}

static void a_server_that_restarts(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	standin_do(&rig->standin, "{'op':'down','up_ms':300}");
	take(rig, "a");
	// its cache begins anew, so it may call our place too old; then a list tells it, else the watch
	add(rig, "z");
	run_until(rig, ends_with, "+z");
	assert_true(has(rig, "-a") || has(rig, "[+b+z"));
}

static void watches_that_never_last_are_told(void **state)
{
	static const char *const ways[] = { "done", "break" };
	struct rig *rig = *state;

	begin(rig);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		for (int n = 0; n < 5; n++)
			script(rig, "watch namespaces", ways[i], " ");
		standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
		run_until(rig, has, "!");
		run_until(rig, ends_with, ".");
		add(rig, ways[i]);
		run_until(rig, has, ways[i]);
		rig->story[0] = '\0';
	}
	assert_int_equal(status_now(rig).lists, 1);
}

static void continuations_that_are_nonsense_begin_anew(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, "{'op':'set','watchlist':false}");
	script(rig, "list namespaces", "done",
	       "{'metadata':{'resourceVersion':'1','continue':'b&c=%'},'items':[" OBJECT("a", "1") "]}");
	start(rig, &namespaces);
	story(rig, "]", "[[+a[+a+b]");
	assert_str_contains(status_now(rig).error, "list namespaces: HTTP 400: ");
}

// ---- refusals ---------------------------------------------------------------------------------------------------------

static void both_forms_of_410_list_again(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	script_recorded(rig, "watch namespaces", "410-watch-instream");
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	story(rig, "]", "[+a+b]");
	script_recorded(rig, "watch namespaces", "410-list-exact");
	take(rig, "a");
	story(rig, "-a", "-a");
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	story(rig, "]", "[+b]");
	assert_int_equal(status_now(rig).failures, 0);
	goes_on(rig, "+z");
}

static void real_compaction_lists_again(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'silent'}");
	take(rig, "a");
	add(rig, "c");
	standin_do(&rig->standin, "{'op':'compact'}");
	standin_do(&rig->standin, "{'op':'drop'}");
	run_until(rig, ends_with, "]");
	// -a only if the server still knew it; the list lacks it in any case
	assert_str_contains(rig->story, "[+b+c]");
}

static void busy_servers_are_not_asked_for_more(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	script_status(rig, "watch namespaces", 429, 3 * REFLECT_REFUSALS);
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	goes_on(rig, "!.+z");
	assert_int_equal(status_now(rig).lists, 1);
	assert_str_contains(rig->problem,
			    "watch namespaces: HTTP 429: Too many requests, please try again later.");
}

// One that is refused at once, and asked to wait a second.
struct asker {
	struct reflect *reflect;
	int asked;
	int64_t refused_ms, again_ms;
};

static void on_asker_asks(void *arg)
{
	struct asker *asker = arg;

	if (++asker->asked == 2)
		asker->again_ms = reflect_now_ms();
}

static int on_asker_listed(void *arg)
{
	return 0;
}

static int on_asker_object(void *arg, struct json_object *json)
{
	return 0;
}

static void on_asker_problem(void *arg, const char *text)
{
}

// now_ms: before the turn of the loop in which it may have been refused.
static void notice_refusal(struct asker *asker, int64_t now_ms)
{
	struct reflect_status status;

	reflect_status(asker->reflect, &status);
	if (status.failures && !asker->refused_ms)
		asker->refused_ms = now_ms;
}

// In a header, in the Status beside it, and in an event of a stream that has begun.
static void script_waits(struct rig *rig)
{
	static const char status[] =
		"{\"kind\":\"Status\",\"status\":\"Failure\",\"code\":429,\"details\":{\"retryAfterSeconds\":1}}";
	char text[400];

	standin_do(&rig->standin, "{'op':'fault','on':'watch namespaces','status':503,'retry_after':1}");
	standin_do(&rig->standin, "{'op':'fault','on':'watch pods','status':429,'retry_after':1}");
	snprintf(text, sizeof(text),
		 "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(status), status);
	script_raw(rig, "watch nodes", "done", text);
	snprintf(text, sizeof(text), "{'type':'ERROR','object':%s}", status);
	script(rig, "watch services", "done", text);
}

static void as_long_as_a_server_asks_nothing_is_asked(void **state)
{
	static const struct reflect_resource resources[] = {
		{ "v1", "Namespace", "/api/v1/namespaces", "namespaces" },
		{ "v1", "Pod", "/api/v1/pods", "pods" },
		{ "v1", "Node", "/api/v1/nodes", "nodes" },
		{ "v1", "Service", "/api/v1/services", "services" },
	};
	struct asker askers[ARRAY_SIZE(resources)] = { 0 };
	const int64_t deadline = reflect_now_ms() + DEADLINE_SEC * 1000;
	struct rig *rig = *state;
	size_t left = ARRAY_SIZE(askers);

	open_client(rig);
	script_waits(rig);
	for (size_t i = 0; i < ARRAY_SIZE(askers); i++) {
		const struct reflect_events events = { &askers[i],	on_asker_asks,	 on_asker_listed,
						       on_asker_object, on_asker_object, on_asker_problem };

		assert_ok(reflect_new(rig->base, rig->http, &resources[i], &rig->times, &events,
				      &askers[i].reflect));
	}
	while (left && reflect_now_ms() < deadline) {
		int64_t now_ms = reflect_now_ms();

		event_base_loop(rig->base, EVLOOP_ONCE);
		left = 0;
		for (size_t i = 0; i < ARRAY_SIZE(askers); i++) {
			notice_refusal(&askers[i], now_ms);
			left += !askers[i].again_ms;
		}
	}
	assert_int_equal(left, 0);
	for (size_t i = 0; i < ARRAY_SIZE(askers); i++) {
		if (askers[i].again_ms - askers[i].refused_ms < 1000 - LOOP_TICK_MS)
			fail_msg("%s: asked again after %lld ms", resources[i].name,
				 (long long)(askers[i].again_ms - askers[i].refused_ms));
		reflect_free(askers[i].reflect);
	}
}

static void a_refusal_that_is_repeated_is_believed(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	script_recorded(rig, "watch namespaces", "500-watch-bad-resourceVersion");
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	add(rig, "c");
	story(rig, "+c", "+c"); // one says nothing
	for (int i = 0; i < REFLECT_REFUSALS; i++)
		script_recorded(rig, "watch namespaces", "500-watch-bad-resourceVersion");
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	story(rig, "].", "![+a+b+c].");
	assert_str_contains(rig->problem, "watch namespaces: HTTP 500: resourceVersion: Invalid value: \"abc\"");
	goes_on(rig, "+z");
}

static void what_must_be_there_is_not_forgotten_by_a_404(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	script_status(rig, "* namespaces", 404, 8);
	story(rig, "].", "![[[[[[+a+b].");
	assert_str_contains(rig->problem, "HTTP 404: upstream connect error");
}

static void redirects_are_not_followed(void **state)
{
	struct rig *rig = *state;
	char text[256];

	snprintf(text, sizeof(text),
		 "HTTP/1.1 307 Temporary Redirect\r\nLocation: %s/api/v1/nodes\r\nContent-Length: 0\r\n\r\n",
		 rig->standin.url);
	script_raw(rig, "watch namespaces", "done", text);
	script_raw(rig, "list namespaces", "done", text);
	start(rig, &namespaces);
	story(rig, "].", "[[![+a+b].");
	assert_str_contains(rig->problem, "list namespaces: HTTP 307: ");
}

static void missing_rights_are_named(void **state)
{
	struct rig *rig = *state;
	char path[PATH_MAX];

	test_write(rig->standin.dir, "rbac.yaml",
		   "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules:\n"
		   "- {apiGroups: [\"\"], resources: [namespaces], verbs: [list]}\n---\n"
		   "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: r}\n"
		   "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}\n"
		   "subjects: [{kind: ServiceAccount, name: bulkhead, namespace: bulkhead-system}]\n");
	standin_do(&rig->standin, "{'op':'rbac','path':'%s'}",
		   standin_path(&rig->standin, "rbac.yaml", path));
	start(rig, &namespaces);
	story(rig, "!", "[[!");
	assert_str(rig->problem,
		   "watch namespaces is forbidden for system:serviceaccount:bulkhead-system:bulkhead: grant it in "
		   "the ClusterRole that is bound to this user");
	test_write(rig->standin.dir, "rbac.yaml",
		   "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: r}\nrules:\n"
		   "- {apiGroups: [\"\"], resources: [namespaces], verbs: [watch]}\n---\n"
		   "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: r}\n"
		   "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: r}\n"
		   "subjects: [{kind: ServiceAccount, name: bulkhead, namespace: bulkhead-system}]\n");
	standin_do(&rig->standin, "{'op':'rbac','path':'%s'}", path);
	run_until(rig, ends_with, "+a+b].");
}

static void tokens_are_rotated(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	standin_do(&rig->standin, "{'op':'token'}"); // the files still have the old one
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	story(rig, "!", "!");
	assert_str_contains(rig->problem, "watch namespaces: HTTP 401: Unauthorized");
	standin_do(&rig->standin, "{'op':'token','write':true}");
	story(rig, ".", ".");
	assert_int_equal(status_now(rig).lists, 1);
	goes_on(rig, "+z");
}

// ---- absent ---------------------------------------------------------------------------------------------------------------

static void put_policy(struct rig *rig, const char *name)
{
	standin_do(&rig->standin,
		   "{'op':'put','object':{'apiVersion':'policy.networking.k8s.io/v1alpha2','kind':"
		   "'ClusterNetworkPolicy','metadata':{'name':'%s'},'spec':{'tier':'Admin','priority':1,'subject':"
		   "{'namespaces':{}}}}}",
		   name);
}

static void a_definition_comes_and_goes(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, "{'op':'crd','resource':'clusternetworkpolicies','present':false}");
	start(rig, &clusternetpols);
	run_until(rig, ends_with, "]");
	assert_int_equal(status_now(rig).state, REFLECT_ABSENT);
	assert_true(status_now(rig).synced);
	assert_int_equal(status_now(rig).lost_ms, 0);
	standin_do(&rig->standin, "{'op':'crd','resource':'clusternetworkpolicies','present':true}");
	put_policy(rig, "p");
	run_until(rig, has, "+p");
	run_until(rig, is_connected, NULL);
	rig->story[0] = '\0';
	standin_do(&rig->standin, "{'op':'crd','resource':'clusternetworkpolicies','present':false}");
	run_until(rig, ends_with, "].");
	// its object went by an event; that nothing is there at all is believed when it was said three times
	assert_str_starts(rig->story, "-p!");
	assert_int_equal(status_now(rig).state, REFLECT_ABSENT);
}

static void one_404_forgets_no_policy(void **state)
{
	struct rig *rig = *state;

	standin_do(&rig->standin, "{'op':'crd','resource':'clusternetworkpolicies','present':true}");
	put_policy(rig, "p");
	start(rig, &clusternetpols);
	story(rig, "]", "[+p]");
	script_status(rig, "watch clusternetworkpolicies", 404, REFLECT_REFUSALS - 1);
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	put_policy(rig, "q");
	story(rig, "+q", "!.+q");
}

// ---- nonsense ---------------------------------------------------------------------------------------------------------

static void nonsense_forgets_nothing(void **state)
{
	static const struct {
		const char *body, *why;
	} cases[] = {
		{ "{'type':'ADDED','object':{'kind':'Pod','apiVersion':'v1','metadata':{'name':'x'}}}",
		  "it holds an object of kind Pod (v1)" },
		{ "{'type':'RENAMED','object':" OBJECT("x", "1") "}", "an event of type RENAMED" },
		{ "{'type':'ADDED'}", "no event of a watch" },
		{ "{'type':'ERROR','object':{'kind':'Status'}}", "an ERROR event without a Status" },
		{ "{'type':'ADDED','object':{'kind':nonsense}}", "no JSON: " },
		{ "404 page not found", "no JSON: character 0x34" },
		{ "[{}]", "where an object should begin" },
		{ "{}}", "no event of a watch" },
	};
	struct rig *rig = *state;

	begin(rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		// twice, the second time where the list should stream in
		script(rig, "watch namespaces", "done", cases[i].body);
		script(rig, "watch namespaces", "done", cases[i].body);
		standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
		story(rig, "].", "![[+a+b].");
		assert_str_contains(rig->problem, cases[i].why);
		// only a watch that brought something ends a row of failures
		standin_do(&rig->standin, "{'op':'bookmark'}");
		standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
		run_until(rig, is_connected, NULL);
	}
	goes_on(rig, "+z");
}

static void lists_that_are_none(void **state)
{
	static const struct {
		const char *body, *why;
	} cases[] = {
		{ "{'kind':'PodList','apiVersion':'v1','metadata':{'resourceVersion':'1'},'items':[]}",
		  "it is of kind \"PodList\", not \"NamespaceList\"" },
		{ "{'kind':'NamespaceList','metadata':{},'items':[]}", "the list has no resourceVersion" },
		{ "{'kind':'NamespaceList','metadata':{'resourceVersion':''},'items':[]}",
		  "the list has no resourceVersion" },
		{ "{'kind':'NamespaceList','metadata':{'resourceVersion':7},'items':[]}",
		  "the list has no resourceVersion" },
		{ "{'kind':'NamespaceList','metadata':{'resourceVersion':'1'}}", "no list: it has no items" },
		{ "{'kind':'Status','status':'Failure','code':500}", "it is of kind \"Status\"" },
		{ "{'metadata':{'resourceVersion':'1'},'items':[{'kind':'Pod'}]}",
		  "it holds an object of kind Pod ()" },
		{ "", "it broke off" },
	};
	struct rig *rig = *state;

	standin_do(&rig->standin, "{'op':'set','watchlist':false}");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		script(rig, "list namespaces", "done", cases[i].body);
		script(rig, "list namespaces", "done", cases[i].body);
	}
	start(rig, &namespaces);
	run_until(rig, ends_with, "+a+b].");
	assert_null(strchr(strchr(rig->story, ']') + 1, ']')); // one list was whole
	assert_str_contains(rig->problem, cases[ARRAY_SIZE(cases) - 1].why);
	rig->story[0] = '\0';
	goes_on(rig, "+z");
}

static void endless_answers_are_cut(void **state)
{
	struct rig *rig = *state;
	size_t len = SPLIT_VALUE_MAX + 4096;
	char *text = malloc(len + 1);

	memset(text, ' ', len);
	text[0] = '{';
	text[len] = '\0';
	begin(rig);
	script(rig, "watch namespaces", "hang", text);
	script(rig, "watch namespaces", "hang", text);
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	story(rig, "].", "![[+a+b].");
	assert_str_contains(rig->problem, "a value has more than");
	free(text);
	goes_on(rig, "+z");
}

static void large_heads_and_errors_are_cut(void **state)
{
	struct rig *rig = *state;
	char *text = malloc(HTTP_HEAD_MAX + 4096);
	size_t n = (size_t)snprintf(text, 64, "HTTP/1.1 200 OK\r\n");

	for (int i = 0; n < HTTP_HEAD_MAX + 1024; i++)
		n += (size_t)snprintf(text + n, 128, "X-%d: 0123456789012345678901234567890123456789\r\n", i);
	snprintf(text + n, 8, "\r\n");
	script_raw(rig, "watch namespaces", "hang", text);
	script_raw(rig, "list namespaces", "hang", text);
	free(text);
	start(rig, &namespaces);
	story(rig, "].", "[[![+a+b].");
	assert_str_contains(rig->problem, "the answer's head is too large");
}

static void resource_versions_are_opaque(void **state)
{
	struct rig *rig = *state;
	char version[REFLECT_VERSION_MAX + 64], *text;

	// one that is no number goes back to the server as it was: this one calls it nonsense, three times
	script(rig, "watch namespaces", "done", EVENT("ADDED", "a") END_AT("'x/y?&z=#%20'"));
	start(rig, &namespaces);
	story(rig, "].", "[+a]![+a+b].");
	assert_str_contains(rig->problem, "x/y?&z=#%20");
	add(rig, "c");
	story(rig, "+c", "+c");
	// one without an end is refused
	memset(version, '9', sizeof(version));
	version[0] = version[sizeof(version) - 2] = '\'';
	version[sizeof(version) - 1] = '\0';
	assert_true(asprintf(&text, EVENT("ADDED", "a") "{'type':'BOOKMARK','object':{'metadata':{'resourceVersion':%s}}}",
			     version) > 0);
	script(rig, "watch namespaces", "done", text);
	free(text);
	standin_do(&rig->standin, "{'op':'end','on':'*','how':'clean'}");
	story(rig, "].", "+a![+a+b+c].");
	assert_str_contains(rig->problem, "more than 1024 bytes");
}

// ---- silence, and what does not fit -----------------------------------------------------------------------------

static void a_server_that_does_not_answer_is_asked_again(void **state)
{
	struct rig *rig = *state;

	rig->times.head_ms = 200;
	standin_do(&rig->standin, "{'op':'fault','on':'watch namespaces','silent':true}");
	standin_do(&rig->standin, "{'op':'fault','on':'list namespaces','silent':true}");
	start(rig, &namespaces);
	story(rig, "].", "[[![+a+b].");
	assert_str(rig->problem, "list namespaces: the server does not answer");
	assert_true(status_now(rig).failures == 2);
}

static void a_list_that_falls_silent_is_asked_for_again(void **state)
{
	struct rig *rig = *state;

	rig->times.idle_ms = 200;
	standin_do(&rig->standin, "{'op':'set','watchlist':false}");
	script(rig, "list namespaces", "hang", "{'kind':'NamespaceList','items':[" OBJECT("a", "1"));
	start(rig, &namespaces);
	story(rig, "]", "[[+a[+a+b]");
	assert_str_contains(status_now(rig).error, "list namespaces: the server has gone silent");
	goes_on(rig, "+z");
}

static void a_list_without_an_end_is_left(void **state)
{
	struct rig *rig = *state;

	rig->times.page_ms = 200;
	standin_do(&rig->standin, "{'op':'set','watchlist':false}");
	script(rig, "list namespaces", "hang", "{'kind':'NamespaceList','items':[" OBJECT("a", "1"));
	start(rig, &namespaces);
	story(rig, "]", "[[+a[+a+b]");
	assert_str_contains(status_now(rig).error, "list namespaces: the answer takes too long");
}

static void what_the_sink_does_not_take_is_told_again(void **state)
{
	struct rig *rig = *state;

	begin(rig);
	rig->refuse = -ENOMEM;
	add(rig, "c");
	story(rig, "].", "+c![+a+b+c].");
	rig->refuse = -E2BIG;
	add(rig, "d");
	story(rig, "].", "+d![+a+b+c+d].");
	assert_str_contains(rig->problem, "more objects than the agent takes");
}

// Freed in whatever it is doing: what sanitizers see.
static void it_can_be_left_at_any_time(void **state)
{
	struct rig *rig = *state;

	start(rig, &namespaces);
	for (int turns = 0; turns < 40; turns++) {
		for (int i = 0; i < turns; i++)
			event_base_loop(rig->base, EVLOOP_NONBLOCK);
		reflect_free(rig->reflect);
		rig->reflect = NULL;
		if (turns % 2) {
			http_free(rig->http);
			rig->http = NULL;
			start(rig, &namespaces);
		} else {
			const struct reflect_events events = { rig, on_listing, on_listed, on_put, on_gone,
							       on_problem };

			assert_ok(reflect_new(rig->base, rig->http, &namespaces, &rig->times, &events,
					      &rig->reflect));
		}
	}
	rig->story[0] = '\0';
	run_until(rig, ends_with, "+a+b]");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stream_then_a_watch),
		TEST(a_server_without_streams_is_asked_for_pages),
		TEST(lists_come_in_pages),
		TEST(pages_that_expire_are_read_in_one_piece),
		TEST(a_page_that_breaks_is_asked_for_again),
		TEST(a_stream_that_breaks_is_followed_by_pages),
		TEST(a_stream_without_an_end_is_followed_by_pages),
		TEST(streams_refused_inside),
		TEST(events_before_the_initial_ones_end),
		TEST(selectors_that_a_server_does_not_know_are_left_out),
		TEST(watches_that_end_go_on_where_they_were),
		TEST(chunks_end_inside_of_events),
		TEST(an_event_that_breaks_off_is_read_again),
		TEST(a_server_that_restarts),
		TEST(watches_that_never_last_are_told),
		TEST(continuations_that_are_nonsense_begin_anew),
		TEST(both_forms_of_410_list_again),
		TEST(real_compaction_lists_again),
		TEST(busy_servers_are_not_asked_for_more),
		TEST(as_long_as_a_server_asks_nothing_is_asked),
		TEST(a_refusal_that_is_repeated_is_believed),
		TEST(what_must_be_there_is_not_forgotten_by_a_404),
		TEST(redirects_are_not_followed),
		TEST(missing_rights_are_named),
		TEST(tokens_are_rotated),
		TEST(a_definition_comes_and_goes),
		TEST(one_404_forgets_no_policy),
		TEST(nonsense_forgets_nothing),
		TEST(lists_that_are_none),
		TEST(endless_answers_are_cut),
		TEST(large_heads_and_errors_are_cut),
		TEST(resource_versions_are_opaque),
		TEST(a_server_that_does_not_answer_is_asked_again),
		TEST(a_list_that_falls_silent_is_asked_for_again),
		TEST(a_list_without_an_end_is_left),
		TEST(what_the_sink_does_not_take_is_told_again),
		TEST(it_can_be_left_at_any_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
