// SPDX-License-Identifier: Apache-2.0
// raw_client.c - a unix socket, byte by byte.
#include "tests/harness/test.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/harness/raw_client.h"

#define WAIT_MS 10000
#define PEEK_BYTES 65536

int raw_open(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(strlen(path) < sizeof(address.sun_path));
	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

void raw_send(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0)
			return; // the other side closed: the answer says why
		text += n;
		len -= (size_t)n;
	}
}

// What stands before the line's end is taken, nothing behind it.
char *raw_line(int fd)
{
	char *text = NULL, *end = NULL;
	size_t len = 0;

	while (!end) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&poll_fd, 1, WAIT_MS) != 1)
			fail_msg("no line within %d ms", WAIT_MS);
		text = realloc(text, len + PEEK_BYTES);
		n = recv(fd, text + len, PEEK_BYTES, MSG_PEEK);
		if (n <= 0) {
			free(text);
			return NULL;
		}
		end = memchr(text + len, '\n', (size_t)n);
		n = recv(fd, text + len, end ? (size_t)(end - text) - len + 1 : (size_t)n, 0);
		len += (size_t)n;
	}
	*end = '\0';
	return text;
}

void raw_expect(int fd, const char *part)
{
	_cleanup_free_ char *line = raw_line(fd);

	assert_str_contains(line, part);
}

void raw_expect_end(int fd)
{
	_cleanup_free_ char *line = raw_line(fd);

	assert_null(line);
}

void raw_say(int fd, const char *text)
{
	raw_send(fd, text, strlen(text));
}
