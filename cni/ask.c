// SPDX-License-Identifier: Apache-2.0
// ask.c - the control socket, as the command line uses it.
#include "cni/ask.h"

#include <errno.h>
#include <time.h>

#include "agent/base/cleanup.h"
#include "agent/control/control.h"

#define AGAIN_MS 20

int64_t ask_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void ask_pause(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = AGAIN_MS * 1000000L }, NULL);
}

static int ask_once(const struct conf *conf, struct json_object *request, int64_t deadline,
		    struct json_object **ret, struct err *reterr)
{
	_cleanup_close_ int fd = control_open(conf->socket, reterr);
	int64_t left = (deadline - ask_now_ms() + 999) / 1000;

	if (fd == -EAGAIN) // its queue is full
		return -EBUSY;
	if (fd < 0)
		return err_set(reterr, -ECONNABORTED, "no agent answers on '%s'", conf->socket);
	return control_ask(fd, request, left > 0 ? (int)left : 1, ret, reterr);
}

int ask_agent(const struct conf *conf, const char *op, struct json_object *request,
	      struct json_object **ret, struct err *reterr)
{
	int64_t deadline = ask_now_ms() + ((int64_t)conf->timeout_sec + ASK_MARGIN_SEC) * 1000;
	int r;

	json_object_object_add(request, "op", json_object_new_string(op));
	do {
		r = ask_once(conf, request, deadline, ret, reterr);
		if (r == -EBUSY)
			ask_pause();
	} while (r == -EBUSY && ask_now_ms() < deadline);
	return r;
}
