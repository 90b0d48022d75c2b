// SPDX-License-Identifier: Apache-2.0
// client_test.c - asking an agent that is not there, falls silent, or talks nonsense.
#include "tests/harness/test.h"

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/control/control.h"

// A listener that reads one line and says a text back (NULL: nothing and stays).
struct liar {
	char folder[PATH_MAX], path[PATH_MAX + 16];
	const char *text;
	int fd;
	pthread_t thread;
};

static void *lie(void *arg)
{
	struct liar *liar = arg;
	int fd = accept(liar->fd, NULL, NULL);
	char c = 0;

	while (read(fd, &c, 1) == 1 && c != '\n')
		;
	if (liar->text)
		send(fd, liar->text, strlen(liar->text), MSG_NOSIGNAL);
	else
		while (read(fd, &c, 1) == 1)
			;
	close(fd);
	return NULL;
}

static void liar_start(struct liar *liar, const char *text)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	test_mkdir(liar->folder);
	snprintf(liar->path, sizeof(liar->path), "%s/s", liar->folder);
	liar->text = text;
	liar->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(address.sun_path, liar->path, strlen(liar->path));
	assert_int_equal(bind(liar->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(liar->fd, 1), 0);
	assert_int_equal(pthread_create(&liar->thread, NULL, lie, liar), 0);
}

static void liar_stop(struct liar *liar)
{
	pthread_join(liar->thread, NULL);
	close(liar->fd);
	test_rmdir(liar->folder);
}

static int call(const char *path, struct err *err)
{
	_cleanup_json_ struct json_object *request = test_json("{'op': 'status'}"), *answer = NULL;

	return control_call(path, request, 1, &answer, err);
}

static int call_liar(const char *text, struct err *err)
{
	struct liar liar;
	int r;

	liar_start(&liar, text);
	r = call(liar.path, err);
	liar_stop(&liar);
	return r;
}

static void no_agent_says_what_to_do(void **state)
{
	char folder[PATH_MAX], path[PATH_MAX + 16];
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct err err = { 0 };
	int fd;

	assert_err(call("/nonexistent/control.sock", &err), -ENOENT);
	assert_str_contains(err.text, "start bulkheadd");
	test_mkdir(folder);
	snprintf(path, sizeof(path), "%s/s", folder);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_err(call(path, &err), -ECONNREFUSED);
	assert_str_contains(err.text, path);
	memset(path, 'x', 300);
	path[300] = '\0';
	assert_err(call(path, &err), -ENAMETOOLONG);
	test_rmdir(folder);
}

static void an_agent_that_leaves_is_told_apart(void **state)
{
	struct err err = { 0 };

	assert_err(call_liar("", &err), -ECONNABORTED);
	assert_str_contains(err.text, "closed the connection");
	assert_err(call_liar("{\"ok\":tr", &err), -ECONNABORTED);
}

static void nonsense_is_no_answer(void **state)
{
	struct err err = { 0 };

	assert_err(call_liar("nonsense\n", &err), -ECONNABORTED);
	assert_str_contains(err.text, "the agent's answer");
	assert_err(call_liar("[]\n", &err), -ECONNABORTED);
	assert_err(call_liar("{}\n", &err), -EIO);
	assert_err(call_liar("{\"ok\":false,\"error\":\"no\",\"code\":\"ENOWHAT\"}\n", &err), -EIO);
	assert_str(err.text, "no");
	assert_err(call_liar("{\"ok\":false,\"error\":5,\"code\":\"ENOENT\"}\n", &err), -ENOENT);
}

static void a_silent_agent_times_out(void **state)
{
	struct err err = { 0 };

	assert_err(call_liar(NULL, &err), -ETIMEDOUT);
	assert_str_contains(err.text, "in time");
}

static void fields_are_checked(void **state)
{
	_cleanup_json_ struct json_object *request =
		test_json("{'a': 'x', 'n': 7, 'b': true, 'z': 'x\\u0000y', 'null': null}");
	struct err err = { 0 };
	const char *text = "unset";
	int64_t number = 0;

	assert_ok(control_string(request, "a", &text, &err));
	assert_str(text, "x");
	assert_err(control_string(request, "n", &text, &err), -EINVAL);
	assert_err(control_string(request, "null", &text, &err), -EINVAL);
	assert_err(control_string(request, "z", &text, &err), -EINVAL);
	assert_str(text, "x");
	assert_ok(control_string_or(request, "gone", "else", &text, &err));
	assert_str(text, "else");
	assert_ok(control_number(request, "n", 0, 7, 1, &number, &err));
	assert_int_equal(number, 7);
	assert_err(control_number(request, "n", 0, 6, 1, &number, &err), -EINVAL);
	assert_err(control_number(request, "b", 0, 6, 1, &number, &err), -EINVAL);
	assert_ok(control_number(request, "gone", 0, 6, 3, &number, &err));
	assert_int_equal(number, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_agent_says_what_to_do),
		cmocka_unit_test(an_agent_that_leaves_is_told_apart),
		cmocka_unit_test(nonsense_is_no_answer),
		cmocka_unit_test(a_silent_agent_times_out),
		cmocka_unit_test(fields_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
