// SPDX-License-Identifier: Apache-2.0
// config_test.c - the daemon's options: defaults, the file, the command line in front of it, bad input.
#include "tests/harness/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bulkhead/abi.h>

#include "agent/base/cleanup.h"
#include "agent/daemon/config.h"

#define ARGS(...) ((char *const[]){ "bulkheadd", __VA_ARGS__, NULL })

static int parse(struct config *config, char *const *argv, struct err *err)
{
	int argc = 0;

	while (argv[argc])
		argc++;
	return config_parse(config, argc, argv, err);
}

static void file_with(char path[32], const char *text)
{
	int fd;

	snprintf(path, 32, "/tmp/config_test.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void defaults_are_those_of_the_abi(void **state)
{
	struct config config;
	struct err err = { 0 };

	assert_int_equal(parse(&config, ARGS("--source", "dir:/x", "--node", "n1"), &err), 0);
	assert_string_equal(config.pin_dir, BH_PIN_DIR);
	assert_int_equal(config.endpoints, BH_LIMIT_ENDPOINTS);
	assert_int_equal(config.ct, BH_LIMIT_CT);
	assert_int_equal(config.attach, 0);
	assert_false(config.cleanup);
	config_fini(&config);
}

static void source_and_node_are_needed(void **state)
{
	struct config config;
	struct err err = { 0 };

	assert_int_equal(parse(&config, ARGS("--node", "n1"), &err), -EINVAL);
	assert_non_null(strstr(err.text, "--source"));
	assert_int_equal(parse(&config, ARGS("--source", "dir:/x"), &err), -EINVAL);
	assert_non_null(strstr(err.text, "--node"));
	assert_int_equal(parse(&config, ARGS("--cleanup"), &err), 0);
}

static void the_command_line_goes_before_the_file(void **state)
{
	struct config config;
	struct err err = { 0 };
	char path[32];

	file_with(path, "# a comment\nsource=dir:/file\n\nnode=from-file\nmax-endpoints=7\n");
	assert_int_equal(parse(&config, ARGS("--config", path, "--node", "n1"), &err), 0);
	assert_string_equal(config.source, "dir:/file");
	assert_string_equal(config.node, "n1");
	assert_int_equal(config.endpoints, 7);
	config_fini(&config);
	unlink(path);
}

static void a_bad_line_is_named(void **state)
{
	struct config config;
	struct err err = { 0 };
	char path[32];

	file_with(path, "node=x\nno-such-option=1\n");
	assert_int_equal(parse(&config, ARGS("--config", path), &err), -EINVAL);
	assert_non_null(strstr(err.text, ":2:"));
	assert_non_null(strstr(err.text, "no-such-option"));
	config_fini(&config);
	unlink(path);
}

static void help_is_an_answer_not_an_error(void **state)
{
	struct config config;
	struct err err = { 0 };

	assert_int_equal(parse(&config, ARGS("--help"), &err), 1);
	assert_int_equal(parse(&config, ARGS("-h"), &err), 1);
}

static void limits_are_bounded(void **state)
{
	struct config config;
	struct err err = { 0 };

	assert_int_equal(parse(&config, ARGS("-s", "dir:/x", "-n", "n", "--max-endpoints", "4097"),
			       &err), -EINVAL);
	assert_non_null(strstr(err.text, "max-endpoints"));
	assert_int_equal(parse(&config, ARGS("-s", "dir:/x", "-n", "n", "--max-peers", "0"), &err),
			 -EINVAL);
}

static void the_http_address_is_checked(void **state)
{
	struct config config;
	struct err err = { 0 };

	assert_int_equal(parse(&config, ARGS("-s", "dir:/x", "-n", "n"), &err), 0);
	assert_str(config.http, "127.0.0.1:9964");
	assert_int_equal(parse(&config, ARGS("-s", "dir:/x", "-n", "n", "--http", "off"), &err), 0);
	assert_int_equal(parse(&config, ARGS("-s", "dir:/x", "-n", "n", "--http", "9964"), &err), -EINVAL);
	assert_str_contains(err.text, "--http: '9964'");
}

static void a_certificate_needs_its_key(void **state)
{
	struct config config;
	struct err err = { 0 };

	assert_int_equal(parse(&config, ARGS("-s", "dir:/x", "-n", "n", "--http-cert", "/c", "--http-key", "/k"), &err), 0);
	assert_str(config.http_tls.key, "/k");
	assert_int_equal(parse(&config, ARGS("-s", "dir:/x", "-n", "n", "--http-cert", "/c"), &err), -EINVAL);
	assert_str_contains(err.text, "--http-key");
	assert_int_equal(parse(&config, ARGS("-s", "dir:/x", "-n", "n", "--http-client-ca", "/c"), &err), -EINVAL);
	assert_str_contains(err.text, "--http-client-ca");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_the_abi),
		cmocka_unit_test(source_and_node_are_needed),
		cmocka_unit_test(the_command_line_goes_before_the_file),
		cmocka_unit_test(a_bad_line_is_named),
		cmocka_unit_test(help_is_an_answer_not_an_error),
		cmocka_unit_test(limits_are_bounded),
		cmocka_unit_test(the_http_address_is_checked),
		cmocka_unit_test(a_certificate_needs_its_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
