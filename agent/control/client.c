// SPDX-License-Identifier: Apache-2.0
// client.c - one question to the agent.
#include "agent/control/control.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define ANSWER_DEPTH 64
#define READ_BYTES 65536

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int unreachable(int code, const char *path, struct err *reterr)
{
	switch (code) {
	case -ENOENT:
	case -ECONNREFUSED:
		return err_set(reterr, code,
			       "no agent listens on '%s': start bulkheadd, or name its socket with "
			       "--socket",
			       path);
	case -EACCES:
	case -EPERM:
		return err_set(reterr, code,
			       "only root may speak to the agent on '%s': run as root", path);
	default:
		return err_set(reterr, code, "cannot reach the agent on '%s': %s", path,
			       strerror(-code));
	}
}

int control_open(const char *path, struct err *reterr)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	assert(path);

	if (strlen(path) >= sizeof(address.sun_path))
		return unreachable(-ENAMETOOLONG, path, reterr);
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return unreachable(-errno, path, reterr);
	return TAKE_FD(fd);
}

static int wait_for(int fd, short events, int64_t deadline, struct err *reterr)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};

	for (;;) {
		int64_t left = deadline - now_ms();
		int n = left > 0 ? poll(&poll_fd, 1, (int)left) : 0;

		if (n > 0)
			return 0;
		if (n == 0)
			return err_set(reterr, -ETIMEDOUT,
				       "the agent did not answer in time: look at its log");
		if (errno != EINTR)
			return err_set(reterr, -ECONNABORTED, "cannot wait for the agent: %s",
				       strerror(errno));
	}
}

// An agent that turns us away closes before it reads: EPIPE is no error here, its answer says more.
static int send_line(int fd, struct json_object *request, int64_t deadline, struct err *reterr)
{
	size_t len = 0, sent = 0;
	const char *text = json_object_to_json_string_length(request, JSON_C_TO_STRING_PLAIN, &len);
	_cleanup_free_ char *line = malloc(len + 1);

	if (!text || !line)
		return err_set(reterr, -ENOMEM, "out of memory");
	memcpy(line, text, len);
	line[len] = '\n';
	while (sent < len + 1) {
		ssize_t n = send(fd, line + sent, len + 1 - sent, MSG_NOSIGNAL);
		int r;

		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return err_set(reterr, -ECONNABORTED, "cannot ask the agent: %s",
				       strerror(errno));
		r = wait_for(fd, POLLOUT, deadline, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

struct input {
	char *text;
	size_t len, cap;
};

static void input_fini(struct input *input)
{
	free(input->text);
}

// Reads what is there. 1: a line is whole, its length in *retlen.
static int read_some(int fd, struct input *input, size_t *retlen, struct err *reterr)
{
	char *end;
	ssize_t n;

	if (input->cap - input->len < READ_BYTES) {
		size_t cap = input->cap * 2 + READ_BYTES;
		char *grown = realloc(input->text, cap);

		if (!grown)
			return err_set(reterr, -ENOMEM, "out of memory");
		input->text = grown;
		input->cap = cap;
	}
	n = read(fd, input->text + input->len, input->cap - input->len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return err_set(
			reterr, -ECONNABORTED,
			"the agent closed the connection before it answered: look at its log");
	end = memchr(input->text + input->len, '\n', (size_t)n);
	input->len += (size_t)n;
	if (end)
		*retlen = (size_t)(end - input->text);
	else if (input->len > CONTROL_ANSWER_BYTES)
		return err_set(reterr, -ECONNABORTED, "the agent's answer is too long");
	return !!end;
}

static int errno_by_name(const char *name)
{
	for (int i = 1; i < 256; i++) {
		const char *known = strerrorname_np(i);

		if (known && !strcmp(known, name))
			return i;
	}
	return EIO;
}

// {"ok": false}: the agent's sentence and code.
static int take_answer(struct json_object *json, struct json_object **ret, struct err *reterr)
{
	struct json_object *ok = NULL;
	const char *text = NULL, *code = NULL;

	json_object_object_get_ex(json, "ok", &ok);
	if (json_object_get_boolean(ok)) {
		json_object_object_del(json, "ok");
		*ret = json_object_get(json);
		return 0;
	}
	control_string_or(json, "error", NULL, &text, NULL);
	control_string_or(json, "code", NULL, &code, NULL);
	return err_set(reterr, -errno_by_name(code ? code : "EIO"), "%s",
		       text ? text : "the agent failed and did not say why");
}

int control_ask(int fd, struct json_object *request, int timeout_sec, struct json_object **ret,
		struct err *reterr)
{
	_cleanup_(input_fini) struct input input = {0};
	_cleanup_json_ struct json_object *json = NULL;
	int64_t deadline = now_ms() + (int64_t)timeout_sec * 1000;
	size_t len = 0;
	int r;

	assert(request);
	assert(ret);

	r = send_line(fd, request, deadline, reterr);
	while (r == 0) {
		r = wait_for(fd, POLLIN, deadline, reterr);
		if (r == 0)
			r = read_some(fd, &input, &len, reterr);
	}
	if (r < 0)
		return r;
	r = control_json(input.text, len, ANSWER_DEPTH, &json, reterr);
	if (r < 0) {
		err_wrap(reterr, "the agent's answer");
		return -ECONNABORTED;
	}
	return take_answer(json, ret, reterr);
}

int control_call(const char *path, struct json_object *request, int timeout_sec,
		 struct json_object **ret, struct err *reterr)
{
	_cleanup_close_ int fd = control_open(path, reterr);

	return fd < 0 ? fd : control_ask(fd, request, timeout_sec, ret, reterr);
}
