// SPDX-License-Identifier: Apache-2.0
// control_fuzz.c - any bytes on the control socket: no crash, no leak, and one line of JSON per answer.
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/control/control.h"

#define TURNS 4096 // of the loop until the server must have closed the connection

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct event_base *base;
static struct control_server *server;
static char path[64];

static int op_echo(void *arg, struct json_object *request, struct json_object **ret,
		   struct err *reterr)
{
	const char *text;
	int64_t number;
	int r;

	r = control_string(request, "text", &text, reterr);
	if (r == 0)
		r = control_number(request, "n", 0, 9, 1, &number, reterr);
	if (r < 0)
		return r;
	*ret = json_object_new_object();
	json_object_object_add(*ret, "text", json_object_new_string(text));
	return 0;
}

static void stop(void)
{
	control_server_free(server); // removes the socket file
	event_base_free(base);
}

static void start(void)
{
	static const struct control_op ops[] = { { "echo", op_echo }, { NULL } };
	struct err err = { 0 };

	snprintf(path, sizeof(path), "/tmp/bulkhead-control-fuzz-%d.sock", (int)getpid());
	base = event_base_new();
	assert(base);
	if (control_server_new(base, path, ops, NULL, &server, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	atexit(stop);
}

static int connect_to(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert(fd >= 0);
	memcpy(address.sun_path, path, strlen(path));
	assert(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static void check_line(char *line, size_t len)
{
	_cleanup_json_ struct json_object *json = NULL;
	struct json_object *ok = NULL;

	assert(control_json(line, len, 64, &json, NULL) == 0);
	assert(json_object_object_get_ex(json, "ok", &ok));
}

// Reads what is there into line; whole lines are checked. False: the connection ended.
static bool drain(int fd, char *line, size_t bytes, size_t *len)
{
	for (;;) {
		ssize_t n = read(fd, line + *len, bytes - *len);
		char *end;

		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		*len += (size_t)n;
		while ((end = memchr(line, '\n', *len))) {
			check_line(line, (size_t)(end - line));
			*len -= (size_t)(end - line) + 1;
			memmove(line, end + 1, *len);
		}
		assert(*len < bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char line[1 << 20];
	size_t len = 0, sent = 0;
	bool open = true;
	int fd;

	if (!base)
		start();
	fd = connect_to();
	for (int turn = 0; open && turn < TURNS; turn++) {
		ssize_t n = sent < size ? send(fd, data + sent, size - sent, MSG_NOSIGNAL) : 0;

		if (n > 0)
			sent += (size_t)n;
		if (sent == size)
			shutdown(fd, SHUT_WR);
		event_base_loop(base, EVLOOP_NONBLOCK);
		open = drain(fd, line, sizeof(line), &len);
	}
	assert(!open && len == 0);
	close(fd);
	event_base_loop(base, EVLOOP_NONBLOCK);
	return 0;
}
