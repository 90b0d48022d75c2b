// SPDX-License-Identifier: Apache-2.0
// http_test.c - requests: who is believed, what is sent and collected, what calls may do to each other.
#include "tests/harness/test.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>

#include "agent/kube/http.h"
#include "tests/harness/standin.h"

#define DEADLINE_SEC 20
#define LEASES "/apis/coordination.k8s.io/v1/namespaces/n/leases"

struct rig {
	struct standin standin, other;
	struct event_base *base;
	struct http *http;
	char folder[PATH_MAX];
	int ended; // calls
	int status, error; // of the last one
	char text[256];
	char *body;
	struct http_call *victim; // cancelled by the next end
	int again; // so many more calls begin at the next ends
};

static void copy(const char *from, const char *to_dir, const char *name)
{
	char path[PATH_MAX + 64];
	_cleanup_free_ char *text = NULL;
	size_t len;

	snprintf(path, sizeof(path), "%s/%s", from, name);
	text = test_read(path, &len);
	test_write_atomic(to_dir, name, text);
}

static int setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	standin_start(&rig->standin, NULL);
	rig->base = event_base_new();
	test_mkdir(rig->folder);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	http_free(rig->http);
	event_base_free(rig->base);
	standin_stop(&rig->standin);
	if (rig->other.pid)
		standin_stop(&rig->other);
	test_rmdir(rig->folder);
	free(rig->body);
	free(rig);
	return 0;
}

// As the service account of `from`, whose files are copied.
static void open_as(struct rig *rig, const struct standin *from)
{
	struct kube_config *config = NULL;
	char port[8], path[PATH_MAX];
	struct err err = { 0 };

	standin_path(from, "serviceaccount", path);
	copy(path, rig->folder, "token");
	copy(path, rig->folder, "ca.crt");
	snprintf(port, sizeof(port), "%u", rig->standin.port);
	setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", port, 1);
	assert_ok_err(kube_config_in_cluster(rig->folder, &config, &err), &err);
	assert_ok_err(http_new(rig->base, config, &rig->http, &err), &err);
}

static void on_done(void *arg, const struct http_answer *answer);

static struct http_call *begin(struct rig *rig, const char *method, const char *path, const char *type,
			       const char *body)
{
	const struct http_request request = { .method = method, .path = path, .content_type = type,
					      .body = body, .len = body ? strlen(body) : 0 };
	const struct http_events events = { .arg = rig, .done = on_done };
	struct http_call *call = NULL;

	assert_ok(http_start(rig->http, &request, &events, &call));
	return call;
}

static void on_done(void *arg, const struct http_answer *answer)
{
	struct rig *rig = arg;

	rig->ended++;
	rig->status = answer->status;
	rig->error = answer->error;
	snprintf(rig->text, sizeof(rig->text), "%s", answer->text);
	free(rig->body);
	rig->body = strndup(answer->body, answer->len);
	http_cancel(TAKE_PTR(rig->victim));
	if (rig->again > 0 && rig->again--)
		begin(rig, NULL, "/version", NULL, NULL);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

static void run(struct rig *rig, int ends)
{
	const struct timeval deadline = { DEADLINE_SEC, 0 };
	bool late = false;
	struct event *timer = evtimer_new(rig->base, on_deadline, &late);

	event_add(timer, &deadline);
	while (!late && rig->ended < ends)
		event_base_loop(rig->base, EVLOOP_ONCE);
	event_free(timer);
	if (late)
		fail_msg("%d of %d calls ended in %d s", rig->ended, ends, DEADLINE_SEC);
	rig->ended = 0;
}

static void ask(struct rig *rig, const char *method, const char *path, const char *type, const char *body)
{
	begin(rig, method, path, type, body);
	run(rig, 1);
}

static void only_the_configured_authority_is_believed(void **state)
{
	struct rig *rig = *state;
	char path[PATH_MAX];

	standin_start(&rig->other, NULL); // another cluster, with another authority
	open_as(rig, &rig->other);
	ask(rig, NULL, "/version", NULL, NULL);
	assert_int_equal(rig->status, 0);
	assert_err(rig->error, -EKEYREJECTED);
	assert_str_starts(rig->text, "no TLS (1.2 or later) with certificates that both sides accept: ");
	// rotated: the next request believes the new one
	standin_path(&rig->standin, "serviceaccount", path);
	copy(path, rig->folder, "ca.crt");
	copy(path, rig->folder, "token");
	ask(rig, NULL, "/api/v1/pods", NULL, NULL);
	assert_int_equal(rig->status, 200);
	assert_err(rig->error, 0);
	// and the old one no more, though a connection of before is there
	standin_path(&rig->other, "serviceaccount", path);
	copy(path, rig->folder, "ca.crt");
	ask(rig, NULL, "/version", NULL, NULL);
	assert_err(rig->error, -EKEYREJECTED);
}

// A field of the stand-in's admin.kubeconfig, in base64.
static const char *field_of(const char *text, const char *name, char *ret, size_t bytes)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	at += strlen(name) + strlen(": ");
	snprintf(ret, bytes, "%.*s", (int)strcspn(at, ",}\n"), at);
	return ret;
}

static struct kube_config *config_of(const struct rig *rig, const char *user)
{
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_free_ char *text = NULL;
	struct kube_config *config = NULL;
	char ca[PATH_MAX];
	struct err err = { 0 };

	assert_true(asprintf(&text,
			     "{'current-context':'c','contexts':[{'name':'c','context':{'cluster':'k','user':'u'}}],"
			     "'clusters':[{'name':'k','cluster':{'server':'%s','certificate-authority':'%s'}}],"
			     "'users':[{'name':'u','user':{%s}}]}",
			     rig->standin.url, standin_path(&rig->standin, "ca.crt", ca), user) > 0);
	json = test_json(text);
	assert_ok_err(kube_config_read(json, rig->folder, &config, &err), &err);
	return config;
}

// As if somebody had renewed them: `from`'s administrator, as files.
static void write_certificate(struct rig *rig, const struct standin *from)
{
	_cleanup_(kube_config_freep) struct kube_config *config = NULL;
	char path[PATH_MAX], cert[8192], key[8192];
	_cleanup_free_ char *text = test_read(standin_path(from, "admin.kubeconfig", path), NULL), *user = NULL;

	assert_true(asprintf(&user, "'client-certificate-data':'%s','client-key-data':'%s'",
			     field_of(text, "client-certificate-data", cert, sizeof(cert)),
			     field_of(text, "client-key-data", key, sizeof(key))) > 0);
	config = config_of(rig, user);
	test_write_atomic(rig->folder, "client.crt", config->cert.text);
	test_write_atomic(rig->folder, "client.key", config->key.text);
}

static void rotated_client_certificates_are_shown(void **state)
{
	struct rig *rig = *state;
	struct err err = { 0 };

	standin_start(&rig->other, NULL); // its administrator is nobody here
	write_certificate(rig, &rig->other);
	assert_ok_err(http_new(rig->base,
			       config_of(rig, "'client-certificate':'client.crt','client-key':'client.key'"),
			       &rig->http, &err),
		      &err);
	ask(rig, NULL, "/api/v1/pods", NULL, NULL);
	assert_int_equal(rig->status, 0);
	write_certificate(rig, &rig->standin);
	ask(rig, NULL, "/api/v1/pods", NULL, NULL);
	assert_int_equal(rig->status, 200);
	// and not the one before, though its connection is there
	write_certificate(rig, &rig->other);
	ask(rig, NULL, "/api/v1/pods", NULL, NULL);
	assert_int_equal(rig->status, 0);
}

static void bodies_are_sent_and_collected(void **state)
{
	static const char lease[] = "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{"
				    "\"name\":\"l\",\"namespace\":\"n\"},\"spec\":{\"holderIdentity\":\"a\"}}";
	struct rig *rig = *state;

	open_as(rig, &rig->standin);
	ask(rig, "POST", LEASES, HTTP_JSON, lease);
	assert_int_equal(rig->status, 201);
	ask(rig, "POST", LEASES, HTTP_JSON, lease);
	assert_int_equal(rig->status, 409);
	assert_str_contains(rig->body, "AlreadyExists");
	ask(rig, "PATCH", LEASES "/l", HTTP_MERGE_PATCH, "{\"spec\":{\"holderIdentity\":\"b\"}}");
	assert_int_equal(rig->status, 200);
	assert_str_contains(rig->body, "\"holderIdentity\":\"b\"");
	ask(rig, "PATCH", LEASES "/m?fieldManager=me", HTTP_APPLY_PATCH,
	    "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":\"m\",\"namespace\":"
	    "\"n\"},\"spec\":{\"holderIdentity\":\"c\"}}");
	assert_int_equal(rig->status, 201);
	ask(rig, NULL, LEASES "/m", NULL, NULL);
	assert_int_equal(rig->status, 200);
	assert_str_contains(rig->body, "\"holderIdentity\":\"c\"");
}

static void large_bodies_are_given_up(void **state)
{
	const struct http_request request = { .path = "/api/v1/pods", .body_max = 50 };
	struct rig *rig = *state;
	const struct http_events events = { .arg = rig, .done = on_done };

	open_as(rig, &rig->standin);
	assert_ok(http_start(rig->http, &request, &events, NULL));
	run(rig, 1);
	assert_int_equal(rig->status, 200);
	assert_err(rig->error, -EMSGSIZE);
	assert_str(rig->text, "the answer is too large");
}

static void calls_begin_and_end_in_each_other(void **state)
{
	struct rig *rig = *state;

	open_as(rig, &rig->standin);
	standin_do(&rig->standin, "{'op':'fault','on':'* *','silent':true}");
	rig->victim = begin(rig, NULL, "/api/v1/pods", NULL, NULL); // would never end
	rig->again = 5;
	begin(rig, NULL, "/version", NULL, NULL);
	http_cancel(begin(rig, NULL, "/version", NULL, NULL)); // before it began
	run(rig, 6);
	assert_int_equal(rig->status, 200);
	begin(rig, NULL, "/version", NULL, NULL); // left when all is closed
}

// ---- data that may wait ------------------------------------------------------------------------------------------

struct stream {
	struct http_call *call;
	bool stands, brought; // its head is here; something came in this turn of the loop
	unsigned int events, looks;
};

static void on_stream_head(void *arg, int status)
{
	struct stream *stream = arg;

	assert_int_equal(status, 200);
	http_pace(stream->call);
	stream->stands = true;
}

static int on_stream_data(void *arg, const char *data, size_t len)
{
	struct stream *stream = arg;

	for (size_t i = 0; i < len; i++)
		stream->events += data[i] == '\n';
	stream->brought = true;
	return 0;
}

static void turn(struct rig *rig, struct stream *stream, int how)
{
	stream->brought = false;
	event_base_loop(rig->base, how);
	stream->looks += stream->brought;
}

static void open_stream(struct rig *rig, struct stream *stream)
{
	const struct http_request request = { .path = "/api/v1/pods?watch=1" };
	const struct http_events events = { .arg = stream, .head = on_stream_head, .data = on_stream_data };

	assert_ok(http_start(rig->http, &request, &events, &stream->call));
	while (!stream->stands)
		turn(rig, stream, EVLOOP_ONCE);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Returns the milliseconds in which so many events were made and read.
static int64_t events_come(struct rig *rig, struct stream *stream, unsigned int n)
{
	int64_t began = now_ms();

	stream->events = stream->looks = 0;
	for (unsigned int i = 0; i < n; i++) {
		standin_do(&rig->standin,
			   "{'op':'put','object':{'apiVersion':'v1','kind':'Pod','metadata':{'namespace':'shop','name':'p','labels':{'n':'%u'}},"
			   "'spec':{'containers':[]}}}", i);
		turn(rig, stream, EVLOOP_NONBLOCK);
	}
	while (stream->events < n)
		turn(rig, stream, EVLOOP_ONCE);
	return now_ms() - began;
}

// In a burst, which a busy machine may break, no more than one look per pace; all of it comes.
static void a_burst_is_read_at_a_pace(void **state)
{
	enum { N = 500 };
	struct stream stream = { 0 };
	struct rig *rig = *state;
	int64_t took;

	open_as(rig, &rig->standin);
	open_stream(rig, &stream);
	took = events_come(rig, &stream, N);
	assert_int_equal(stream.events, N);
	assert_in_range(stream.looks, 1, took / HTTP_PACE_MS + 2);
	begin(rig, NULL, "/version", NULL, NULL); // not held up by the other's pause, nor for long by what comes for it
	run(rig, 1);
	assert_int_equal(rig->status, 200);
}

// While a call that is not paced goes on, its data may be on the same connection.
static void no_pace_beside_a_call_that_cannot_wait(void **state)
{
	enum { N = 500 };
	struct stream stream = { 0 };
	struct rig *rig = *state;

	open_as(rig, &rig->standin);
	open_stream(rig, &stream);
	standin_do(&rig->standin, "{'op':'fault','on':'get /version','silent':true}");
	begin(rig, NULL, "/version", NULL, NULL);
	events_come(rig, &stream, N);
	assert_in_range(stream.looks, N / 4, N);
}

// ---- a path that is gone ---------------------------------------------------------------------------------------------

// This process's connection to the stand-in; there is one.
static int connection(const struct rig *rig)
{
	int found = -1;

	for (int fd = 0; fd < 1024; fd++) {
		struct sockaddr_in peer = { 0 };
		socklen_t len = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0 || peer.sin_family != AF_INET ||
		    ntohs(peer.sin_port) != rig->standin.port)
			continue;
		assert_int_equal(found, -1);
		found = fd;
	}
	assert_true(found >= 0);
	return found;
}

static int option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	assert_ok(getsockopt(fd, level, name, &value, &len));
	return value;
}

static void set_option(int fd, int name, int value)
{
	assert_ok(setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)));
}

// From now on nothing of the server arrives, neither data nor acknowledgements. What the kernel was told to wait for
// is shortened to a second and a half.
static void lose_path(int fd)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { 1, &drop };

	set_option(fd, TCP_KEEPIDLE, 1);
	set_option(fd, TCP_KEEPINTVL, 1);
	set_option(fd, TCP_USER_TIMEOUT, 1500);
	assert_ok(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
}

static int on_ignored(void *arg, const char *data, size_t len)
{
	return 0;
}

static void on_head(void *arg, int status)
{
	((struct rig *)arg)->status = status;
}

static void connections_that_are_dead_are_left(void **state)
{
	const struct http_request request = { .path = "/api/v1/pods?watch=1", .idle_ms = 60000 };
	struct rig *rig = *state;
	const struct http_events events = { rig, on_ignored, on_done, on_head };
	int fd;

	open_as(rig, &rig->standin);
	assert_ok(http_start(rig->http, &request, &events, NULL));
	while (rig->status != 200)
		event_base_loop(rig->base, EVLOOP_ONCE);
	fd = connection(rig);
	assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 10);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 10);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), HTTP_DEAD_MS);
	lose_path(fd);
	run(rig, 1); // nothing is sent: probes have no answer
	assert_err(rig->error, -ECONNRESET);
	assert_str_contains(rig->text, strerror(ETIMEDOUT));
	ask(rig, NULL, "/version", NULL, NULL);
	assert_int_equal(rig->status, 200);
	lose_path(connection(rig));
	ask(rig, NULL, "/version", NULL, NULL); // what is sent is not acknowledged
	ask(rig, NULL, "/version", NULL, NULL);
	assert_int_equal(rig->status, 200);
}

static void nobody_listens(void **state)
{
	struct rig *rig = *state;

	open_as(rig, &rig->standin);
	standin_do(&rig->standin, "{'op':'down'}");
	ask(rig, NULL, "/version", NULL, NULL);
	assert_int_equal(rig->status, 0);
	assert_err(rig->error, -ECONNREFUSED);
	standin_do(&rig->standin, "{'op':'up'}");
	ask(rig, NULL, "/version", NULL, NULL);
	assert_int_equal(rig->status, 200);
	standin_do(&rig->standin, "{'op':'fault','on':'get /version','then':'break','times':2}"); // one on an old connection does not count
	ask(rig, NULL, "/version", NULL, NULL);
	assert_int_equal(rig->status, 0);
	assert_err(rig->error, -ECONNRESET);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_the_configured_authority_is_believed),
		TEST(rotated_client_certificates_are_shown),
		TEST(bodies_are_sent_and_collected),
		TEST(large_bodies_are_given_up),
		TEST(calls_begin_and_end_in_each_other),
		TEST(a_burst_is_read_at_a_pace),
		TEST(no_pace_beside_a_call_that_cannot_wait),
		TEST(connections_that_are_dead_are_left),
		TEST(nobody_listens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
