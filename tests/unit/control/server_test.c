// SPDX-License-Identifier: Apache-2.0
// server_test.c - the control socket against clients that behave, and others.
#include "tests/harness/test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "tests/harness/stub_agent.h"

#define BIG_BYTES 200000
#define WAIT_MS 10000

static atomic_uint served; // operations run
static struct control_deferred *_Atomic waiting;

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

static int op_later(void *arg, struct json_object *request, struct json_object **ret,
		    struct err *reterr)
{
	struct control_server *const *server = arg;

	waiting = control_defer(*server);
	return -EINPROGRESS;
}

static int op_now(void *arg, struct json_object *request, struct json_object **ret,
		  struct err *reterr)
{
	struct control_deferred *deferred = atomic_exchange(&waiting, NULL);

	if (!deferred)
		return err_set(reterr, -EAGAIN, "nobody waits");
	control_answer(deferred, test_json("{'late': true}"), NULL);
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

// ---- raw clients -------------------------------------------------------------------------------

static int raw_open(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void raw_send(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0)
			return; // the other side closed: the answer says why
		text += n;
		len -= (size_t)n;
	}
}

// Reads one line (without '\n') into a malloc'd text; NULL: the connection ended.
static char *raw_line(int fd)
{
	char *text = NULL, c;
	size_t len = 0;

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

		if (poll(&poll_fd, 1, WAIT_MS) != 1)
			fail_msg("no line within %d ms", WAIT_MS);
		if (read(fd, &c, 1) != 1) {
			free(text);
			return NULL;
		}
		if ((len & 4095) == 0)
			text = realloc(text, len + 4097);
		text[len] = c == '\n' ? '\0' : c;
		if (c == '\n')
			return text;
		len++;
	}
}

static void expect_line(int fd, const char *part)
{
	_cleanup_free_ char *line = raw_line(fd);

	assert_str_contains(line, part);
}

static void expect_end(int fd)
{
	_cleanup_free_ char *line = raw_line(fd);

	assert_null(line);
}

static void say(int fd, const char *text)
{
	raw_send(fd, text, strlen(text));
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
		say(fd, text);
	}
	// Half a connection is enough to hear the answers.
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 500; i++) {
		snprintf(text, sizeof(text), "\"value\":%d,", i);
		expect_line(fd, text);
	}
	expect_end(fd);
}

static void lines_may_come_in_pieces(void **state)
{
	static const char text[] = "\n{\"op\":\"echo\",\"value\":\"slow\"}\r\n\n";
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		raw_send(fd, &text[i], 1);
	expect_line(fd, "slow");
}

static void the_longest_line_is_served(void **state)
{
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));
	_cleanup_free_ char *text = malloc(CONTROL_REQUEST_BYTES + 2);

	memset(text, ' ', CONTROL_REQUEST_BYTES + 2);
	memcpy(text, "{\"op\":\"echo\"}", 13);
	text[CONTROL_REQUEST_BYTES] = '\n';
	raw_send(fd, text, CONTROL_REQUEST_BYTES + 1);
	expect_line(fd, "\"ok\":true");
	text[CONTROL_REQUEST_BYTES] = ' ';
	text[CONTROL_REQUEST_BYTES + 1] = '\n';
	raw_send(fd, text, CONTROL_REQUEST_BYTES + 2);
	expect_line(fd, "EMSGSIZE");
	expect_end(fd);
}

static void an_endless_line_is_refused(void **state)
{
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));
	_cleanup_free_ char *text = malloc(CONTROL_REQUEST_BYTES * 2);

	memset(text, '[', CONTROL_REQUEST_BYTES * 2);
	raw_send(fd, text, CONTROL_REQUEST_BYTES * 2);
	expect_line(fd, "EMSGSIZE");
	expect_end(fd);
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
		say(fd, lines[i]);
		expect_line(fd, "EBADMSG");
	}
	raw_send(fd, zero, sizeof(zero) - 1);
	expect_line(fd, "EBADMSG");
	say(fd, "{\"op\":\"echo\"}\n");
	expect_line(fd, "\"ok\":true");
}

// A client that only sends makes the server stop reading it, not swell.
static void who_does_not_read_is_not_served(void **state)
{
	_cleanup_close_ int fd = raw_open(stub_agent_path(*state));
	_cleanup_close_ int other = -1;
	unsigned before;

	for (int i = 0; i < 100; i++)
		say(fd, "{\"op\":\"big\"}\n");
	// Another client's answers tell that the loop has been round.
	other = raw_open(stub_agent_path(*state));
	for (int i = 0; i < 50; i++) {
		say(other, "{\"op\":\"echo\"}\n");
		expect_line(other, "true");
	}
	before = served - 50;
	assert_in_range(before, 1, CONTROL_QUEUE_BYTES / BIG_BYTES + 10);
	for (int i = 0; i < 100; i++)
		expect_line(fd, "xxx");
	assert_int_equal(served, 150);
}

// ---- who may speak -----------------------------------------------------------------------------

static void one_client_too_many_is_told_so(void **state)
{
	int fds[CONTROL_CLIENTS];
	_cleanup_close_ int late = -1;

	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		fds[i] = raw_open(stub_agent_path(*state));
		say(fds[i], "{\"op\":\"echo\"}\n");
		expect_line(fds[i], "true");
	}
	late = raw_open(stub_agent_path(*state));
	expect_line(late, "EBUSY");
	expect_end(late);
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

// ---- the file ----------------------------------------------------------------------------------

struct place {
	char folder[PATH_MAX], path[PATH_MAX + 32];
	struct event_base *base;
};

static void place_init(struct place *place)
{
	test_mkdir(place->folder);
	snprintf(place->path, sizeof(place->path), "%s/run/control.sock", place->folder);
	place->base = event_base_new();
}

static void place_fini(struct place *place)
{
	event_base_free(place->base);
	test_rmdir(place->folder);
}

static void the_file_is_for_root_alone(void **state)
{
	_cleanup_(control_server_freep) struct control_server *server = NULL;
	struct err err = { 0 };
	struct place place;
	char folder[PATH_MAX];
	struct stat st;

	place_init(&place);
	assert_ok_err(control_server_new(place.base, place.path, ops, NULL, &server, &err), &err);
	assert_int_equal(stat(place.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	snprintf(folder, sizeof(folder), "%.4000s/run", place.folder);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	control_server_free(TAKE_PTR(server));
	assert_int_equal(access(place.path, F_OK), -1);
	place_fini(&place);
}

static void a_stale_file_is_replaced_a_served_one_is_not(void **state)
{
	_cleanup_(control_server_freep) struct control_server *first = NULL;
	struct control_server *second = NULL;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct err err = { 0 };
	struct place place;
	int fd;

	place_init(&place);
	assert_ok_err(control_server_new(place.base, place.path, ops, NULL, &first, &err), &err);
	assert_err(control_server_new(place.base, place.path, ops, NULL, &second, &err),
		   -EADDRINUSE);
	assert_null(second);
	control_server_free(TAKE_PTR(first));

	memcpy(address.sun_path, place.path, strlen(place.path));
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_ok_err(control_server_new(place.base, place.path, ops, NULL, &first, &err), &err);
	// A file that is not ours any more stays.
	assert_int_equal(unlink(place.path), 0);
	assert_ok_err(control_server_new(place.base, place.path, ops, NULL, &second, &err), &err);
	control_server_free(TAKE_PTR(first));
	assert_int_equal(access(place.path, F_OK), 0);
	control_server_free(second);
	place_fini(&place);
}

static void what_is_no_socket_stays(void **state)
{
	struct control_server *server = NULL;
	struct err err = { 0 };
	struct place place;
	char path[PATH_MAX + 64];

	place_init(&place);
	test_write(place.folder, "file", "precious");
	snprintf(path, sizeof(path), "%s/file", place.folder);
	assert_err(control_server_new(place.base, path, ops, NULL, &server, &err), -EEXIST);
	assert_str_contains(err.text, "no socket");
	memset(path, 'x', 200);
	path[200] = '\0';
	assert_err(control_server_new(place.base, path, ops, NULL, &server, &err), -ENAMETOOLONG);
	assert_err(control_server_new(place.base, "/nonexistent/a/b", ops, NULL, &server, &err),
		   -ENOENT);
	place_fini(&place);
}

// ---- answers that come later -------------------------------------------------------------------

static const struct control_op late_ops[] = {
	{ "later", op_later },
	{ "now", op_now },
	{ "echo", op_echo },
	{ NULL },
};

// One thread: the loop is driven step by step.
static void turn(struct event_base *base)
{
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void a_deferred_answer_keeps_its_place(void **state)
{
	struct control_server *server = NULL;
	struct err err = { 0 };
	struct place place;
	int asks, other;

	place_init(&place);
	assert_ok_err(control_server_new(place.base, place.path, late_ops, &server, &server, &err),
		      &err);
	asks = raw_open(place.path);
	other = raw_open(place.path);
	say(asks, "{\"op\":\"later\"}\n{\"op\":\"echo\",\"value\":\"second\"}\n");
	turn(place.base);
	assert_non_null(waiting);
	say(other, "{\"op\":\"now\"}\n");
	turn(place.base);
	expect_line(other, "true");
	expect_line(asks, "late");
	expect_line(asks, "second");
	close(asks);
	close(other);
	turn(place.base);
	control_server_free(server);
	place_fini(&place);
}

static void a_deferred_answer_outlives_its_client(void **state)
{
	struct control_server *server = NULL;
	struct err err = { 0 };
	struct place place;
	int asks, other;

	place_init(&place);
	assert_ok_err(control_server_new(place.base, place.path, late_ops, &server, &server, &err),
		      &err);
	asks = raw_open(place.path);
	say(asks, "{\"op\":\"later\"}\n");
	turn(place.base);
	close(asks);
	turn(place.base);
	other = raw_open(place.path);
	say(other, "{\"op\":\"now\"}\n");
	turn(place.base);
	expect_line(other, "true");
	close(other);
	control_server_free(server);
	place_fini(&place);
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
		cmocka_unit_test(the_file_is_for_root_alone),
		cmocka_unit_test(a_stale_file_is_replaced_a_served_one_is_not),
		cmocka_unit_test(what_is_no_socket_stays),
		cmocka_unit_test(a_deferred_answer_keeps_its_place),
		cmocka_unit_test(a_deferred_answer_outlives_its_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
