// SPDX-License-Identifier: Apache-2.0
// listen_test.c - the socket file: for root alone, never taken from who serves it.
#include "tests/harness/test.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "agent/control/control.h"

static const struct control_op ops[] = { { NULL } };

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

#define STARTS 2000

static bool is_refused(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	bool refused;

	memcpy(address.sun_path, path, strlen(path));
	refused = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 &&
		  errno == ECONNREFUSED;
	close(fd);
	return refused;
}

// A child makes the socket again and again: whoever finds the file while it is being made finds a listener.
static void who_sees_the_file_is_heard(void **state)
{
	// odd: being made
	volatile unsigned *turn = mmap(NULL, sizeof(*turn), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct place place;
	unsigned refused = 0;
	int status;
	pid_t pid;

	assert_true(turn != MAP_FAILED);
	place_init(&place);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < STARTS; i++) {
			struct control_server *server;
			struct err err;

			++*turn;
			if (control_server_new(place.base, place.path, ops, NULL, &server, &err) < 0)
				_exit(1);
			++*turn;
			control_server_free(server);
		}
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		unsigned before = *turn;

		refused += is_refused(place.path) && before % 2 && *turn == before;
	}
	assert_int_equal(status, 0);
	assert_int_equal(refused, 0);
	munmap((void *)turn, sizeof(*turn));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_file_is_for_root_alone),
		cmocka_unit_test(a_stale_file_is_replaced_a_served_one_is_not),
		cmocka_unit_test(who_sees_the_file_is_heard),
		cmocka_unit_test(what_is_no_socket_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
