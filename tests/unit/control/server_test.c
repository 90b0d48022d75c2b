// SPDX-License-Identifier: Apache-2.0
// server_test.c - the control socket against clients that behave, and others.
#include "tests/harness/test.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/harness/raw_client.h"
#include "tests/harness/stub_agent.h"

#define BIG_BYTES 200000

static atomic_uint served; // operations run

static int op_echo(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	struct json_object *value = NULL;

	served++;
	*ret = json_object_new_object();
	json_object_object_get_ex(request, "value", &value);
	json_object_object_add(*ret, "value", json_object_get(value));
	return 0;
}

static int op_fail(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	return err_set(reterr, -ENOENT, "there is no pod 'a/b'");
}

static int op_silent_fail(void *arg, struct json_object *request, struct json_object **ret,
			  struct err *reterr)
{
	return -ENOSPC;
}

static int op_big(void *arg, struct json_object *request, struct json_object **ret,
		  struct err *reterr)
{
	static char text[BIG_BYTES];

	served++;
	memset(text, 'x', sizeof(text) - 1);
	*ret = json_object_new_object();
	json_object_object_add(*ret, "text", json_object_new_string(text));
	return 0;
}

static const struct control_op ops[] = {
	{ "echo", op_echo },
	{ "fail", op_fail },
	{ "silent", op_silent_fail },
	{ "big", op_big },
	{ NULL },
};

static int setup(void **state)
{
	served = 0;
	*state = stub_agent_start(ops, NULL);
	return 0;
}

static int teardown(void **state)
{
	stub_agent_stop(*state);
	return 0;
}

// ---- requests ----------------------------------------------------------------------------------

static int call(struct stub_agent *agent, const char *text, struct json_object **ret,
		struct err *reterr)
{
	_cleanup_json_ struct json_object *request = test_json(text);

	return control_call(stub_agent_path(agent), request, 10, ret, reterr);
}

static void answers_without_ok(void **state)
{
	_cleanup_json_ struct json_object *answer = NULL;
	struct err err = { 0 };

	assert_ok_err(call(*state, "{'op': 'echo', 'value': [1, 'a/b']}", &answer, &err), &err);
	assert_str(json_object_to_json_string_ext(answer, JSON_C_TO_STRING_PLAIN |
								  JSON_C_TO_STRING_NOSLASHESCAPE),
		   "{\"value\":[1,\"a/b\"]}");
}

static void errors_keep_code_and_sentence(void **state)
{
	struct json_object *answer = NULL;
	struct err err = { 0 };

	assert_err(call(*state, "{'op': 'fail'}", &answer, &err), -ENOENT);
	assert_str(err.text, "there is no pod 'a/b'");
	assert_err(call(*state, "{'op': 'silent'}", &answer, &err), -ENOSPC);
	assert_str(err.text, "No space left on device");
	assert_err(call(*state, "{'op': 'nonsense'}", &answer, &err), -EOPNOTSUPP);
	assert_str_contains(err.text, "nonsense");
	assert_err(call(*state, "{}", &answer, &err), -EINVAL);
	assert_err(call(*state, "{'op': 7}", &answer, &err), -EINVAL);
	assert_null(answer);
}

static void big_answers_come_whole(void **state)
{
	_cleanup_json_ struct json_object *answer = NULL;
	struct err err = { 0 };

	assert_ok_err(call(*state, "{'op': 'big'}", &answer, &err), &err);
	assert_int_equal(json_object_get_string_len(json_object_object_get(answer, "text")),
			 BIG_BYTES - 1);
}

// ---- framing -----------------------------------------------------------------------------------

static void pipelined_requests_are_answered_in_order(void **state)
{
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));
	char text[64];

	for (int i = 0; i < 500; i++) {
		snprintf(text, sizeof(text), "{\"op\":\"echo\",\"value\":%d}\n", i);
		raw_say(fd, text);
	}
	// Half a connection is enough to hear the answers.
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 500; i++) {
		snprintf(text, sizeof(text), "\"value\":%d,", i);
		raw_expect(fd, text);
	}
	raw_expect_end(fd);
}

static void lines_may_come_in_pieces(void **state)
{
	static const char text[] = "\n{\"op\":\"echo\",\"value\":\"slow\"}\r\n\n";
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		raw_send(fd, &text[i], 1);
	raw_expect(fd, "slow");
}

static void the_longest_line_is_served(void **state)
{
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));
	_cleanup_free_ char *text = malloc(CONTROL_REQUEST_BYTES + 2);

	memset(text, ' ', CONTROL_REQUEST_BYTES + 2);
	memcpy(text, "{\"op\":\"echo\"}", 13);
	text[CONTROL_REQUEST_BYTES] = '\n';
	raw_send(fd, text, CONTROL_REQUEST_BYTES + 1);
	raw_expect(fd, "\"ok\":true");
	text[CONTROL_REQUEST_BYTES] = ' ';
	text[CONTROL_REQUEST_BYTES + 1] = '\n';
	raw_send(fd, text, CONTROL_REQUEST_BYTES + 2);
	raw_expect(fd, "EMSGSIZE");
	raw_expect_end(fd);
}

static void an_endless_line_is_refused(void **state)
{
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));
	_cleanup_free_ char *text = malloc(CONTROL_REQUEST_BYTES * 2);

	memset(text, '[', CONTROL_REQUEST_BYTES * 2);
	raw_send(fd, text, CONTROL_REQUEST_BYTES * 2);
	raw_expect(fd, "EMSGSIZE");
	raw_expect_end(fd);
}

static void bad_lines_do_not_end_a_connection(void **state)
{
	static const char zero[] = "{\"op\":\"echo\"}\0x\n";
	static const char *const lines[] = {
		"nonsense\n",
		"[]\n",
		"{\"op\":\"echo\"} {}\n",
		"{\"op\":\"echo\"\n",
		"7\n",
		"null\n",
		"{\"op\":\"\xff\xfe\"}\n",
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{}}}}}}}}}}}}}}}}}}\n",
		"{'op': 'echo'}\n",
	};
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		raw_say(fd, lines[i]);
		raw_expect(fd, "EBADMSG");
	}
	raw_send(fd, zero, sizeof(zero) - 1);
	raw_expect(fd, "EBADMSG");
	raw_say(fd, "{\"op\":\"echo\"}\n");
	raw_expect(fd, "\"ok\":true");
}

// A client that only sends makes the server stop reading it, not swell.
static void who_does_not_read_is_not_served(void **state)
{
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));
	_cleanup_close_ int other = -1;
	unsigned before;

	for (int i = 0; i < 100; i++)
		raw_say(fd, "{\"op\":\"big\"}\n");
	// Another client's answers tell that the loop has been round.
	other = raw_open(stub_agent_path(*state));
	for (int i = 0; i < 50; i++) {
		raw_say(other, "{\"op\":\"echo\"}\n");
		raw_expect(other, "true");
	}
	before = served - 50;
	assert_in_range(before, 1, CONTROL_QUEUE_BYTES / BIG_BYTES + 10);
	for (int i = 0; i < 100; i++)
		raw_expect(fd, "xxx");
	assert_int_equal(served, 150);
}

// ---- who may speak -----------------------------------------------------------------------------

static void one_client_too_many_is_told_so(void **state)
{
	int fds[CONTROL_CLIENTS];
	_cleanup_close_ int late = -1;

	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		fds[i] = raw_open(stub_agent_path(*state));
		raw_say(fds[i], "{\"op\":\"echo\"}\n");
		raw_expect(fds[i], "true");
	}
	late = raw_open(stub_agent_path(*state));
	raw_expect(late, "EBUSY");
	raw_expect_end(late);
	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		close(fds[i]);
}

static void only_root_may_speak(void **state)
{
	char folder[PATH_MAX];
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	// Even where somebody opened the file to all.
	snprintf(folder, sizeof(folder), "%s", stub_agent_path(*state));
	assert_int_equal(chmod(folder, 0666), 0);
	*strrchr(folder, '/') = '\0';
	assert_int_equal(chmod(folder, 0755), 0);
	pid = fork();
	if (pid == 0) {
		_cleanup_json_ struct json_object *request = test_json("{'op': 'echo'}");
		struct json_object *answer = NULL;
		struct err err = { 0 };

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		_exit(control_call(stub_agent_path(*state), request, 10, &answer, &err) == -EPERM &&
				      strstr(err.text, "root") ?
			      0 :
			      2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(served, 0);
}

int main(void)
{
#define SERVED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		SERVED(answers_without_ok),
		SERVED(errors_keep_code_and_sentence),
		SERVED(big_answers_come_whole),
		SERVED(pipelined_requests_are_answered_in_order),
		SERVED(lines_may_come_in_pieces),
		SERVED(the_longest_line_is_served),
		SERVED(an_endless_line_is_refused),
		SERVED(bad_lines_do_not_end_a_connection),
		SERVED(who_does_not_read_is_not_served),
		SERVED(one_client_too_many_is_told_so),
		SERVED(only_root_may_speak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
