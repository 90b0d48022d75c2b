// SPDX-License-Identifier: Apache-2.0
// Sinks to standard output: a pipe that nobody reads holds nobody up, and the open file stays as it was for others.
#include "tests/unit/sink/rig.h"

#include <fcntl.h>
#include <signal.h>

// Standard output is `fd` while a test runs; what cmocka says comes later.
static int swap(int fd)
{
	int before;

	fflush(stdout);
	before = dup(STDOUT_FILENO);
	assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
	close(fd);
	return before;
}

static unsigned int count_lines(int fd)
{
	unsigned int lines = 0;
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			lines += buf[i] == '\n';
	return lines;
}

static void open_stdout(struct rig *rig, const char *options)
{
	struct err err = { 0 };

	snprintf(rig->url, sizeof(rig->url), "json+stdout:%s", options);
	assert_ok_err(sink_new(rig->base, rig->url, "node-a", &rig->sink, &err), &err);
}

// Reads all there is, and lets the sink go on, until nothing waits.
static unsigned int read_on(struct rig *rig, int fd)
{
	unsigned int lines = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (sink_stats(rig->sink)->queued) {
		lines += count_lines(fd);
		event_base_loop(rig->base, EVLOOP_NONBLOCK);
	}
	return lines + count_lines(fd);
}

static void stalls(struct rig *rig, int ends[2])
{
	int before = swap(ends[1]), flags = fcntl(STDOUT_FILENO, F_GETFL);
	unsigned int lines;

	open_stdout(rig, "?queue=64K");
	rig_put(rig, 5000);
	sink_flush(rig->sink);
	assert_int_equal(fcntl(STDOUT_FILENO, F_GETFL), flags);
	assert_false(flags & O_NONBLOCK);
	swap(before);
	assert_true(rig_stats(rig)->lost_full > 0);
	lines = read_on(rig, ends[0]);
	assert_int_equal(lines, rig_stats(rig)->delivered);
	assert_int_equal(lines + rig_stats(rig)->lost_full, 5000);
	close(ends[0]);
}

static void a_pipe_that_stalls(void **state)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	stalls(*state, ends);
}

static void a_socket_that_stalls(void **state)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	stalls(*state, ends);
}

static void a_file_goes_on_where_it_ended(void **state)
{
	struct rig *rig = *state;
	char path[PATH_MAX + 16];
	_cleanup_free_ char *text = NULL;
	int fd, before;
	size_t len;

	snprintf(path, sizeof(path), "%s/out", rig->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "before\n", 7), 7);
	before = swap(fd);
	open_stdout(rig, "");
	rig_put(rig, 2);
	sink_flush(rig->sink);
	swap(before);
	text = test_read(path, &len);
	assert_str_starts(text, "before\n{\"version\":1,");
	assert_int_equal(rig_stats(rig)->delivered, 2);
}

static void a_reader_that_is_gone(void **state)
{
	struct rig *rig = *state;
	int ends[2], before;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	before = swap(ends[1]);
	open_stdout(rig, "");
	close(ends[0]);
	rig_put(rig, 2);
	sink_flush(rig->sink);
	swap(before);
	assert_str_contains(rig_stats(rig)->problem, "Broken pipe");
	assert_int_equal(rig_stats(rig)->queued, 2);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(a_pipe_that_stalls),
		WITH_RIG(a_socket_that_stalls),
		WITH_RIG(a_file_goes_on_where_it_ended),
		WITH_RIG(a_reader_that_is_gone),
	};

	signal(SIGPIPE, SIG_IGN); // as the agent does
	return cmocka_run_group_tests(tests, NULL, NULL);
}
