// SPDX-License-Identifier: Apache-2.0
#include "tests/harness/test.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <pthread.h>

#include "agent/base/log.h"

static struct log_room room = { .name = "alpha", .level = -1 };
static struct log_room other = { .name = "beta", .level = -1 };

// Standard error goes to a file while a test runs; log_text() is what came.
static int saved = -1, captured = -1;
static char text[65536];

static int begin(void **state)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	captured = dup(fileno(f));
	fclose(f);
	saved = dup(STDERR_FILENO);
	dup2(captured, STDERR_FILENO);
	return 0;
}

static const char *log_text(void)
{
	ssize_t n = pread(captured, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static int end(void **state)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(captured);
	log_set_json(false);
	return log_set_levels("info");
}

static void lines_have_time_level_and_room(void **state)
{
	int ms, year, n = 0;

	log_write(&room, LOG_INFO, "hello %d", 7);
	log_write(&room, LOG_DEBUG, "not this");
	assert_int_equal(sscanf(log_text(), "%d-%*d-%*dT%*d:%*d:%*d.%dZ info  alpha: hello 7\n%n",
				&year, &ms, &n),
			 2);
	assert_int_equal(n, strlen(text));
	assert_int_equal(strcspn(text, " "), 24);
	assert_true(year >= 2024);
}

static void levels_change_per_room(void **state)
{
	assert_ok(log_set_levels("alpha=debug,error"));
	log_write(&room, LOG_DEBUG, "one");
	log_write(&other, LOG_WARN, "two");
	assert_true(log_enabled(&room, LOG_DEBUG));
	assert_false(log_enabled(&other, LOG_WARN));
	assert_ok(log_set_levels("warn"));
	log_write(&room, LOG_INFO, "three");
	log_write(&other, LOG_WARN, "four");
	assert_str_contains(log_text(), "one");
	assert_str_lacks(text, "two");
	assert_str_lacks(text, "three");
	assert_str_contains(text, "four");
	assert_err(log_set_levels("loud"), -EINVAL);
	assert_err(log_set_levels("alpha="), -EINVAL);
	assert_err(log_set_levels("=info"), -EINVAL);
}

static void foreign_text_forges_no_line(void **state)
{
	log_write(&room, LOG_WARN, "a\nb\033[31m");
	assert_str_contains(log_text(), "alpha: a b [31m\n");
}

static void lines_can_be_json(void **state)
{
	_cleanup_json_ struct json_object *json = NULL;

	log_set_json(true);
	log_write(&room, LOG_ERROR, "say \"%s\"\n", "x");
	json = json_tokener_parse(log_text());
	assert_non_null(json);
	assert_str(json_object_get_string(json_object_object_get(json, "level")), "error");
	assert_str(json_object_get_string(json_object_object_get(json, "room")), "alpha");
	assert_str(json_object_get_string(json_object_object_get(json, "text")), "say \"x\"\n");
	assert_true(strchr(text, '\n') == text + strlen(text) - 1);
}

static void *write_lines(void *arg)
{
	for (int i = 0; i < 100; i++)
		log_write(arg, LOG_INFO, "0123456789012345678901234567890123456789");
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	pthread_t threads[4];
	size_t lines = 0;

	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, write_lines, i % 2 ? &room : &other), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	log_text();
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++)
		assert_str_contains(line, ": 0123456789012345678901234567890123456789");
	assert_int_equal(lines, 400);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_have_time_level_and_room), TEST(levels_change_per_room),
		TEST(foreign_text_forges_no_line),    TEST(lines_can_be_json),
		TEST(lines_of_threads_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
