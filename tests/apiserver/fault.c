// SPDX-License-Identifier: Apache-2.0
// fault.c - answers that a test has scripted: recorded bytes, errors, delays, breaks. They come before
// authentication, as a broken network does, and in the order in which they were added.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/cleanup.h"
#include "agent/base/file.h"
#include "tests/apiserver/apiserver.h"

#define FILE_BYTES (64u << 20)

enum then { THEN_DONE, THEN_BREAK, THEN_RESET, THEN_HANG };

struct fault { // kept until the server ends: an answer may be on its way
	struct apiserver *server;
	char on[128]; // "list pods", "* *"
	int64_t times; // how often yet; -1: always
	int64_t skip; // so many of these requests go by before
	int64_t delay_ms;
	int64_t status; // an error of the server's own making; 0: none
	int64_t retry_after; // -1: none
	char *raw; // exact bytes of the whole answer
	size_t raw_len;
	char *head, *body; // a recorded head and body
	size_t body_len;
	enum then then;
	bool silent;
	struct shape shape;
};

static void fault_free(struct fault *fault)
{
	free(fault->raw);
	free(fault->head);
	free(fault->body);
	free(fault);
}
DEFINE_CLEANUP(struct fault *, fault_free)

static int read_named(struct json_object *json, const char *field, char **ret, size_t *retlen,
		      struct err *reterr)
{
	const char *path;
	int r = control_string_or(json, field, "", &path, reterr);

	if (r < 0 || !*path)
		return r;
	r = file_read(path, FILE_BYTES, ret, retlen);
	return r < 0 ? err_set(reterr, r, "%s '%s': %s", field, path, strerror(-r)) : 0;
}

static int read_shape(struct json_object *json, struct shape *ret, struct err *reterr)
{
	int64_t cut, slice;
	int r = control_number(json, "cut", 0, INT64_MAX, 0, &cut, reterr);

	if (r < 0)
		return r;
	r = control_number(json, "slice", 0, 1 << 20, 0, &slice, reterr);
	if (r < 0)
		return r;
	ret->cut = (uint64_t)cut;
	ret->slice = (uint32_t)slice;
	ret->rst = json_object_get_boolean(json_object_object_get(json, "rst"));
	ret->no_end = json_object_get_boolean(json_object_object_get(json, "no_end"));
	return 0;
}

static int read_then(struct json_object *json, enum then *ret, struct err *reterr)
{
	static const char *const words[] = { "done", "break", "reset", "hang" };
	const char *word;
	int r = control_string_or(json, "then", "done", &word, reterr);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(words); i++)
		if (!strcmp(words[i], word)) {
			*ret = (enum then)i;
			return 0;
		}
	return r < 0 ? r :
		       err_set(reterr, -EINVAL, "then '%s': say done, break, reset or hang", word);
}

int fault_add(struct apiserver *server, struct json_object *json, struct err *reterr)
{
	_cleanup_(fault_freep) struct fault *fault = calloc(1, sizeof(*fault));
	size_t len;
	const char *on;
	int r = control_string(json, "on", &on, reterr);

	if (r < 0)
		return r;
	fault->server = server;
	snprintf(fault->on, sizeof(fault->on), "%s", on);
	fault->silent = json_object_get_boolean(json_object_object_get(json, "silent"));
	if ((r = control_number(json, "times", -1, INT64_MAX, 1, &fault->times, reterr)) < 0 ||
	    (r = control_number(json, "skip", 0, INT64_MAX, 0, &fault->skip, reterr)) < 0 ||
	    (r = control_number(json, "delay_ms", 0, 3600000, 0, &fault->delay_ms, reterr)) < 0 ||
	    (r = control_number(json, "status", 0, 599, 0, &fault->status, reterr)) < 0 ||
	    (r = control_number(json, "retry_after", -1, 3600, -1, &fault->retry_after, reterr)) <
		    0 ||
	    (r = read_shape(json, &fault->shape, reterr)) < 0 ||
	    (r = read_then(json, &fault->then, reterr)) < 0 ||
	    (r = read_named(json, "http", &fault->raw, &fault->raw_len, reterr)) < 0 ||
	    (r = read_named(json, "head", &fault->head, &len, reterr)) < 0 ||
	    (r = read_named(json, "body", &fault->body, &fault->body_len, reterr)) < 0)
		return r;
	return vec_push(&server->faults, TAKE_PTR(fault));
}

void fault_clear(struct apiserver *server)
{
	vec_each(struct fault *, fault, &server->faults)
		(*fault)->times = 0;
}

void fault_fini(struct apiserver *server)
{
	vec_each(struct fault *, fault, &server->faults)
		fault_free(*fault);
	vec_fini(&server->faults);
}

size_t fault_left(const struct apiserver *server)
{
	size_t n = 0;

	vec_each(struct fault *, fault, &server->faults)
		n += (*fault)->times > 0 ? (size_t)(*fault)->times : 0;
	return n;
}

// ---- answers ---------------------------------------------------------------------------------------------------------
static void finish(struct conn *conn, const struct fault *fault)
{
	if (fault->then == THEN_DONE)
		conn_done(conn);
	else if (fault->then != THEN_HANG)
		conn_break(conn, fault->then == THEN_RESET);
}

// The recorded head's line that frames the body is set anew: bodies were recorded without their chunks.
static void answer_recorded(struct call *call, const struct fault *fault)
{
	_cleanup_free_ char *copy = strdup(fault->head), *body = NULL, *lines = NULL;
	char *save = NULL, *line = strtok_r(copy, "\r\n", &save), *type = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&lines, &len);
	int status = line && strchr(line, ' ') ? atoi(strchr(line, ' ')) : 500;

	while ((line = strtok_r(NULL, "\r\n", &save))) {
		if (!strncasecmp(line, "Content-Type: ", 14))
			type = line + 14;
		else if (strncasecmp(line, "Content-Length:", 15) &&
			 strncasecmp(line, "Transfer-Encoding:", 18) &&
			 strncasecmp(line, "Date:", 5))
			fprintf(out, "%s\r\n", line);
	}
	fclose(out);
	if (strstr(fault->head, "chunked")) {
		conn_stream(call->conn, status, type ? type : "application/json", lines);
		conn_piece(call->conn, fault->body, fault->body_len);
		if (fault->then == THEN_DONE)
			conn_end(call->conn);
		else
			finish(call->conn, fault);
		return;
	}
	conn_reply(call->conn, status, type ? type : "application/json", lines, fault->body,
		   fault->body_len);
}

static void answer_error(struct call *call, const struct fault *fault)
{
	static const struct {
		int status;
		const char *reason, *text;
	} texts[] = {
		{ 429, NULL, "Too many requests, please try again later.\n" },
		{ 500, "InternalError", "Internal error occurred: etcdserver: request timed out" },
		{ 503, "ServiceUnavailable", "apiserver is shutting down" },
		{ 504, "Timeout", "Timeout: request did not complete within the allotted timeout" },
	};
	char retry[48] = "";
	struct json_object *json;
	_cleanup_free_ char *body = NULL;

	if (fault->retry_after >= 0)
		snprintf(retry, sizeof(retry), "Retry-After: %lld\r\n",
			 (long long)fault->retry_after);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (texts[i].status != fault->status)
			continue;
		if (!texts[i].reason) {
			conn_reply(call->conn, 429, "text/plain; charset=utf-8", retry,
				   texts[i].text, strlen(texts[i].text));
			return;
		}
		json = status_json(texts[i].status, texts[i].reason, texts[i].text);
		body = strdup(json_object_to_json_string_ext(json, JSON_PLAIN));
		json_object_put(json);
		conn_reply(call->conn, texts[i].status, "application/json", retry, body,
			   strlen(body));
		return;
	}
	conn_reply(call->conn, (int)fault->status, "text/plain; charset=utf-8", retry,
		   "upstream connect error\n", 23);
}

static void answer(struct call *call, const struct fault *fault)
{
	conn_shape(call->conn, &fault->shape);
	if (fault->silent)
		return;
	if (fault->raw) {
		conn_raw(call->conn, fault->raw, fault->raw_len);
		finish(call->conn, fault);
	} else if (fault->head) {
		answer_recorded(call, fault);
	} else if (fault->status) {
		answer_error(call, fault);
	} else if (fault->then == THEN_BREAK || fault->then == THEN_RESET) {
		finish(call->conn, fault);
	} else if (!who_asks(&call->server->who, call->conn, call->request, &call->identity)) {
		answer_status(call, 401, "Unauthorized", DETAIL_NONE, "Unauthorized");
	} else {
		api_call(call); // the server's own answer in this shape
	}
}

static void answer_later(void *arg, struct conn *conn)
{
	const struct fault *fault = arg;
	struct call call = { .server = fault->server, .conn = conn, .request = conn_request(conn) };
	char on[128];

	call.on = call_name(&call, on, sizeof(on));
	answer(&call, fault);
}

bool fault_serve(struct call *call)
{
	struct apiserver *server = call->server;

	for (size_t i = 0; i < server->faults.n; i++) {
		struct fault *fault = server->faults.v[i];

		if (!fault->times || !on_matches(call->on, fault->on))
			continue;
		if (fault->skip > 0) {
			fault->skip--;
			continue;
		}
		if (fault->delay_ms)
			conn_after(call->conn, fault->delay_ms, answer_later, fault);
		else
			answer(call, fault);
		if (fault->times > 0)
			fault->times--;
		return true;
	}
	return false;
}
