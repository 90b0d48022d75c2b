// SPDX-License-Identifier: Apache-2.0
// source_test.c - the source as the agent has it: what it leaves out unread is not missed, over HTTP/2, as a pod and
// by a client certificate.
#include "tests/harness/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <bulkhead/policy.h>

#include "agent/base/log.h"
#include "agent/kube/reflect.h"
#include "agent/source/source.h"
#include "tests/harness/standin.h"

#define UNTIL_MS 20000

static struct standin standin;

struct rig {
	struct event_base *base;
	struct store *store;
	struct source *source;
};

static void open_source(struct rig *rig, const char *spec, const char *service_account)
{
	const struct source_events events = { .server = { .service_account = service_account,
							  .pause_sec = 1 } };
	struct timeval tick = { 0, 5000 };
	int64_t end = reflect_now_ms() + UNTIL_MS;
	struct err err = { 0 };

	rig->base = event_base_new();
	assert_ok(store_new(&rig->store));
	assert_ok_err(source_open(spec, rig->base, rig->store, &events, &rig->source, &err), &err);
	while (!source_synced(rig->source) && reflect_now_ms() < end) {
		event_base_loopexit(rig->base, &tick);
		event_base_dispatch(rig->base);
	}
	assert_true(source_synced(rig->source));
}

static void close_source(struct rig *rig)
{
	source_close(rig->source);
	store_free(rig->store);
	event_base_free(rig->base);
}

static void open_by(struct rig *rig, const char *kubeconfig)
{
	char path[PATH_MAX], spec[PATH_MAX + 8];

	snprintf(spec, sizeof(spec), "kube:%s", standin_path(&standin, kubeconfig, path));
	open_source(rig, spec, NULL);
}

// ---- what is read of objects ----------------------------------------------------------------------------------------
static int same_as_whole(void *arg, const struct object *object)
{
	_cleanup_json_ struct json_object *json = standin_ask(
		&standin, "{'op':'get','resource':'%s','namespace':'%s','name':'%s'}",
		object_kind(object->kind)->plural, object->ns ? object->ns : "", object->name);
	_cleanup_(object_putp) struct object *whole = NULL;
	unsigned int *n = arg;
	struct err err = { 0 };
	char title[512];

	assert_ok_err(object_parse(object->kind, json, &whole, &err), &err);
	if (!object_equal(object, whole))
		fail_msg("%s '%s' lacks something", object_kind(object->kind)->name,
			 object_title(object, title, sizeof(title)));
	if (!whole->problem != !object->problem)
		fail_msg("'%s' has another problem", object_title(object, title, sizeof(title)));
	++*n;
	return 0;
}

static void what_is_left_out_is_not_missed(void **state)
{
	unsigned int n = 0;
	struct rig rig;

	open_by(&rig, "kubeconfig");
	for (enum kind kind = 0; kind < KIND_MAX; kind++) {
		unsigned int before = n;

		assert_ok(store_each(rig.store, kind, NULL, same_as_whole, &n));
		if (n == before)
			fail_msg("no %s was read", object_kind(kind)->name);
	}
	close_source(&rig);
}

// Older servers let these be stored; what they mean is shown in tests/unit/object/fixtures_test.c.
static void blocks_that_strict_servers_refuse_are_taken(void **state)
{
	static const char *const names[] = { "cidr-hostbits", "cidr-leading-zero", "v4mapped-v6",
					     "v6-uncompressed" };
	struct rig rig;

	open_by(&rig, "kubeconfig");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char name[64], text[64];
		const struct object *object;
		const struct bh_cidr *cidr;

		snprintf(name, sizeof(name), "bad-nonstrict-%s", names[i]);
		object = store_find(rig.store, KIND_NETPOL, "shop", name);
		assert_non_null(object);
		assert_null(object->problem);
		cidr = &((const struct netpol *)object)->rules[BH_INGRESS].v[0].peers[0].cidr;
		assert_str(cidr_format(cidr, text, sizeof(text)),
			   i < 3 ? "10.0.0.0/8" : "2001:db8::/64");
	}
	close_source(&rig);
}

// ---- who asks ---------------------------------------------------------------------------------------------------------
static void a_client_certificate_is_enough(void **state)
{
	struct rig rig;

	open_by(&rig, "admin.kubeconfig");
	assert_non_null(store_find(rig.store, KIND_NETPOL, "shop", "web-ingress"));
	close_source(&rig);
}

static void as_a_pod_of_the_cluster(void **state)
{
	char folder[PATH_MAX], port[16];
	struct rig rig;

	snprintf(port, sizeof(port), "%u", standin.port);
	setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", port, 1);
	open_source(&rig, "kube", standin_path(&standin, "serviceaccount", folder));
	assert_non_null(store_find(rig.store, KIND_NETPOL, "shop", "web-ingress"));
	close_source(&rig);
}

// ---- HTTP/2 -------------------------------------------------------------------------------------------------------------
// A port that nobody has, for a program that cannot say which one it got.
static uint16_t free_port(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_ok(bind(fd, (struct sockaddr *)&in, sizeof(in)));
	assert_ok(getsockname(fd, (struct sockaddr *)&in, &len));
	return ntohs(in.sin_port);
}

static bool listens(uint16_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return connect(fd, (struct sockaddr *)&in, sizeof(in)) == 0;
}

static pid_t nghttpx_start(uint16_t port, const char *log)
{
	char from[64], to[64], access[PATH_MAX], key[PATH_MAX], cert[PATH_MAX];
	const char *const argv[] = { "nghttpx",
				     "--conf=/dev/null",
				     from,
				     to,
				     "--insecure",
				     "--no-ocsp",
				     "--workers=1",
				     access,
				     "--accesslog-format=$alpn $status",
				     "--log-level=ERROR",
				     standin_path(&standin, "server.key", key),
				     standin_path(&standin, "server.crt", cert),
				     NULL };
	int64_t end = reflect_now_ms() + UNTIL_MS;
	pid_t pid;

	snprintf(from, sizeof(from), "--frontend=127.0.0.1,%u", port);
	snprintf(to, sizeof(to), "--backend=127.0.0.1,%u;;tls;proto=http/1.1", standin.port);
	snprintf(access, sizeof(access), "--accesslog-file=%s", log);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		execv("/usr/sbin/nghttpx", (char *const *)argv);
		_exit(127);
	}
	while (!listens(port)) {
		if (waitpid(pid, NULL, WNOHANG) == pid || reflect_now_ms() > end)
			fail_msg("nghttpx does not start");
		usleep(2000);
	}
	return pid;
}

// The kubeconfig with another port.
static void write_kubeconfig(uint16_t port)
{
	char path[PATH_MAX], old[32], fresh[32];
	_cleanup_free_ char *text = test_read(standin_path(&standin, "kubeconfig", path), NULL);
	char *at;

	snprintf(old, sizeof(old), ":%u\"", standin.port);
	snprintf(fresh, sizeof(fresh), ":%u\"", port);
	at = strstr(text, old);
	assert_non_null(at);
	assert_ok(asprintf(&at, "%.*s%s%s", (int)(at - text), text, fresh, at + strlen(old)));
	test_write(standin.dir, "h2.kubeconfig", at);
	free(at);
}

static void over_http2(void **state)
{
	char path[PATH_MAX];
	_cleanup_free_ char *log = NULL;
	uint16_t port = free_port();
	unsigned int n = 0;
	struct rig rig;
	pid_t pid;

	// Lists end, and so are logged.
	standin_do(&standin, "{'op':'set','watchlist':false}");
	write_kubeconfig(port);
	pid = nghttpx_start(port, standin_path(&standin, "access.log", path));
	open_by(&rig, "h2.kubeconfig");
	for (enum kind kind = 0; kind < KIND_MAX; kind++)
		assert_ok(store_each(rig.store, kind, NULL, same_as_whole, &n));
	assert_true(n > 20);
	close_source(&rig);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	log = test_read(standin_path(&standin, "access.log", path), NULL);
	assert_str_contains(log, "h2 200");
	assert_str_lacks(log, "http/1.1");
	standin_do(&standin, "{'op':'set','watchlist':true}");
}

static int setup(void **state)
{
	static const char *const paths[] = {
		"fixtures/apiserver/input",
		"fixtures/apiserver/list/pods.json",
		"fixtures/apiserver/list/nodes.json",
		"fixtures/apiserver/list/services.json",
		"fixtures/apiserver/list/endpointslices.json",
		"fixtures/apiserver/invalid/nonstrict-cidr-hostbits.json",
		"fixtures/apiserver/invalid/nonstrict-cidr-leading-zero.json",
		"fixtures/apiserver/invalid/nonstrict-v4mapped-v6.json",
		"fixtures/apiserver/invalid/nonstrict-v6-uncompressed.json"
	};
	char path[PATH_MAX];

	log_set_levels("error");
	test_shared(path, paths[0]);
	standin_start(&standin, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		standin_do(&standin, "{'op':'load','path':'%s'}", test_shared(path, paths[i]));
	return 0;
}

static int teardown(void **state)
{
	standin_stop(&standin);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_is_not_missed),
		cmocka_unit_test(blocks_that_strict_servers_refuse_are_taken),
		cmocka_unit_test(a_client_certificate_is_enough),
		cmocka_unit_test(as_a_pod_of_the_cluster),
		cmocka_unit_test(over_http2),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
