// SPDX-License-Identifier: Apache-2.0
// config_test.c - kubeconfigs and service accounts: what is read, what is refused in which words, what is rotated.
#include "tests/harness/test.h"

#include <sys/stat.h>

#include "agent/kube/config.h"

static char dir[PATH_MAX];

static int setup(void **state)
{
	test_mkdir(dir);
	return 0;
}

static int teardown(void **state)
{
	test_rmdir(dir);
	return 0;
}

// A kubeconfig of one context with these fields of its cluster and its user.
static int read_config(const char *cluster, const char *user, struct kube_config **ret,
		       struct err *reterr)
{
	_cleanup_json_ struct json_object *json = NULL;
	_cleanup_free_ char *text = NULL;

	assert_true(asprintf(&text,
			     "{'current-context':'c','contexts':[{'name':'other','context':{}},"
			     "{'name':'c','context':{'cluster':'k','user':'u','namespace':'team'}}],"
			     "'clusters':[{'name':'k','cluster':{%s}}],'users':[{'name':'u','user':{%s}}]}",
			     cluster, user) > 0);
	json = test_json(text);
	return kube_config_read(json, dir, ret, reterr);
}

static struct kube_config *good(const char *cluster, const char *user)
{
	struct kube_config *config = NULL;
	struct err err = { 0 };

	assert_ok_err(read_config(cluster, user, &config, &err), &err);
	return config;
}

static void bad(const char *cluster, const char *user, const char *why)
{
	struct kube_config *config = NULL;
	struct err err = { 0 };

	assert_true(read_config(cluster, user, &config, &err) < 0);
	assert_null(config);
	assert_str(err.text, why);
}

#define SERVER "'server':'https://example:6443'"

static void addresses_of_servers(void **state)
{
	static const struct {
		const char *server, *host, *prefix;
	} cases[] = {
		{ "https://example", "example:443", "" },
		{ "https://example:6443/", "example:6443", "" },
		{ "https://[fd00::1]", "[fd00::1]:443", "" },
		{ "https://[fd00::1]:6443", "[fd00::1]:6443", "" },
		{ "https://rancher/k8s/clusters/c-1/", "rancher:443", "/k8s/clusters/c-1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(kube_config_freep) struct kube_config *config = NULL;
		char cluster[128];

		snprintf(cluster, sizeof(cluster), "'server':'%s'", cases[i].server);
		config = good(cluster, "");
		assert_str(config->host, cases[i].host);
		assert_str(config->prefix, cases[i].prefix);
	}
}

static void servers_without_tls_are_refused(void **state)
{
	bad("'server':'http://example:8080'", "",
	    "cluster \"k\": server: \"http://example:8080\" does not begin with https://: without TLS nobody could "
	    "tell whose policies they are");
	bad("", "",
	    "cluster \"k\": server: \"\" does not begin with https://: without TLS nobody could tell whose "
	    "policies they are");
	bad("'server':'https://user@example'", "", "cluster \"k\": server: no address of a server");
	bad("'server':'https:///path'", "", "cluster \"k\": server: no address of a server");
	bad(SERVER ",'insecure-skip-tls-verify':true", "",
	    "cluster \"k\": insecure-skip-tls-verify is not followed: give the server's certificate-authority");
}

static void fields_of_a_cluster(void **state)
{
	_cleanup_(kube_config_freep) struct kube_config *config = good(
		SERVER ",'tls-server-name':'kubernetes','proxy-url':'http://proxy:3128',"
		       "'insecure-skip-tls-verify':false,'certificate-authority-data':'UEVN\\nTQ=='",
		"'token':'abc'");

	assert_str(config->server_name, "kubernetes");
	assert_str(config->proxy, "http://proxy:3128");
	assert_str(config->namespace, "team");
	assert_str(config->ca.text, "PEMM");
	assert_str(config->token.text, "abc");
	assert_null(config->cert.text);
}

static void data_goes_before_files(void **state)
{
	_cleanup_(kube_config_freep) struct kube_config *config = NULL;

	test_write(dir, "crt", "CRT");
	test_write(dir, "key", "KEY");
	test_write(dir, "token", "from-file\n");
	config = good(SERVER, "'client-certificate':'crt','client-key':'nowhere','client-key-data':'S0VZMg==',"
			      "'token':'abc','tokenFile':'token'");
	assert_str(config->cert.text, "CRT");
	assert_str(config->key.text, "KEY2");
	assert_str(config->token.text, "from-file"); // it is rotated: it goes before
}

static void plugins_are_refused(void **state)
{
	bad(SERVER, "'exec':{'command':'aws'}",
	    "user \"u\": exec is not supported (plugins are not run by a node agent): use a client certificate, a "
	    "token or a tokenFile");
	bad(SERVER, "'auth-provider':{'name':'gcp'}",
	    "user \"u\": auth-provider is not supported (plugins are not run by a node agent): use a client "
	    "certificate, a token or a tokenFile");
	bad(SERVER, "'username':'a','password':'b'",
	    "user \"u\": username is not supported (servers take no passwords any more): use a client certificate, "
	    "a token or a tokenFile");
	bad(SERVER, "'as':'root'",
	    "user \"u\": as is not supported (the agent speaks as itself only): use a client certificate, a token "
	    "or a tokenFile");
}

static void what_is_wrong_is_named(void **state)
{
	char text[PATH_MAX + 64];

	bad(SERVER ",'certificate-authority-data':'***'", "",
	    "cluster \"k\": certificate-authority-data: is no base64");
	bad(SERVER, "'client-certificate-data':'UEVN'",
	    "user \"u\": client-key: is missing beside client-certificate");
	bad(SERVER, "'token':'a\\r\\nX-Evil: 1'", "user \"u\": token: a token has no blanks inside");
	bad(SERVER, "'token':7", "user \"u\": token: is no text");
	snprintf(text, sizeof(text), "%s/gone: No such file or directory", dir);
	bad(SERVER, "'tokenFile':'gone'", text);
}

static void contexts_are_found(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "[]", "is no kubeconfig" },
		{ "{}", "current-context: is missing" },
		{ "{'current-context':'c'}", "there is no context \"c\"" },
		{ "{'current-context':'c','contexts':[7,{'name':'c','context':{'user':'u'}}]}",
		  "context \"c\": cluster: is missing" },
		{ "{'current-context':'c','contexts':[{'name':'c','context':{'user':'u','cluster':'k'}}]}",
		  "there is no cluster \"k\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_json_ struct json_object *json = test_json(cases[i].text);
		struct kube_config *config = NULL;
		struct err err = { 0 };

		assert_err(kube_config_read(json, dir, &config, &err), -EINVAL);
		assert_str(err.text, cases[i].why);
	}
}

static void write_account(const char *token, const char *ca)
{
	test_write_atomic(dir, "token", token);
	test_write_atomic(dir, "ca.crt", ca);
	test_write_atomic(dir, "namespace", "bulkhead-system\n");
}

static void a_pod_finds_its_account(void **state)
{
	_cleanup_(kube_config_freep) struct kube_config *config = NULL;
	struct err err = { 0 };

	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_err(kube_config_in_cluster(dir, &config, &err), -ENOENT);
	assert_str_contains(err.text, "KUBERNETES_SERVICE_HOST");
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_err(kube_config_in_cluster(dir, &config, &err), -ENOENT);
	assert_str_contains(err.text, "/token: No such file");
	write_account("one", "CA1");
	assert_ok_err(kube_config_in_cluster(dir, &config, &err), &err);
	assert_str(config->host, "[fd00::1]:443");
	assert_str(config->namespace, "bulkhead-system");
	assert_str(config->token.text, "one");
	assert_str(config->ca.text, "CA1");
}

static void rotated_files_are_read_again(void **state)
{
	_cleanup_(kube_config_freep) struct kube_config *config = NULL;
	struct err err = { 0 };
	char path[PATH_MAX + 16];

	write_account("one", "CA1");
	setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_ok_err(kube_config_in_cluster(dir, &config, &err), &err);
	write_account("two\n", "CA2");
	assert_ok_err(kube_config_refresh(config, &err), &err);
	assert_str(config->token.text, "two");
	assert_str(config->ca.text, "CA2");

	// what cannot be used keeps what it said, until it can
	write_account("\n", "");
	assert_err(kube_config_refresh(config, &err), -EINVAL);
	assert_str_contains(err.text, "/token: the token is empty");
	assert_str(config->token.text, "two");
	assert_str(config->ca.text, "CA2");
	snprintf(path, sizeof(path), "%s/token", dir);
	unlink(path);
	assert_err(kube_config_refresh(config, &err), -ENOENT);
	assert_str(config->token.text, "two");
	write_account("three", "CA3");
	assert_ok(kube_config_refresh(config, NULL));
	assert_str(config->token.text, "three");
	assert_str(config->ca.text, "CA3");
}

static void a_rotated_client_certificate_is_read_again(void **state)
{
	_cleanup_(kube_config_freep) struct kube_config *config = NULL;
	struct err err = { 0 };
	char path[PATH_MAX + 16];

	test_write(dir, "crt", "CRT1");
	test_write(dir, "key", "KEY1");
	config = good(SERVER, "'client-certificate':'crt','client-key':'key'");
	assert_str(config->cert.text, "CRT1");
	assert_str(config->key.text, "KEY1");
	test_write_atomic(dir, "crt", "CRT2");
	test_write_atomic(dir, "key", "KEY2");
	assert_ok_err(kube_config_refresh(config, &err), &err);
	assert_str(config->cert.text, "CRT2");
	assert_str(config->key.text, "KEY2");

	// what cannot be used keeps what it said, until it can
	test_write_atomic(dir, "crt", "");
	assert_err(kube_config_refresh(config, &err), -EINVAL);
	assert_str_contains(err.text, "/crt: is empty");
	snprintf(path, sizeof(path), "%s/key", dir);
	unlink(path);
	test_write_atomic(dir, "crt", "CRT3");
	assert_err(kube_config_refresh(config, &err), -ENOENT);
	assert_str_contains(err.text, "/key: No such file");
	assert_str(config->cert.text, "CRT3");
	assert_str(config->key.text, "KEY2");
	test_write_atomic(dir, "key", "KEY3");
	assert_ok(kube_config_refresh(config, NULL));
	assert_str(config->key.text, "KEY3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_servers),
		cmocka_unit_test(servers_without_tls_are_refused),
		cmocka_unit_test(fields_of_a_cluster),
		cmocka_unit_test_setup_teardown(data_goes_before_files, setup, teardown),
		cmocka_unit_test(plugins_are_refused),
		cmocka_unit_test_setup_teardown(what_is_wrong_is_named, setup, teardown),
		cmocka_unit_test(contexts_are_found),
		cmocka_unit_test_setup_teardown(a_pod_finds_its_account, setup, teardown),
		cmocka_unit_test_setup_teardown(rotated_files_are_read_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rotated_client_certificate_is_read_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
