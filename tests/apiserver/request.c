// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/base/cleanup.h"
#include "tests/apiserver/http_private.h"

#define HEAD_MAX 65536
#define BODY_MAX (16u << 20)

void request_fini(struct request *request)
{
	if (request->path) {
		evhttp_clear_headers(&request->query);
		evhttp_clear_headers(&request->headers);
	}
	free(request->path);
	free(request->body);
	*request = (struct request){ 0 };
}

static int parse_line(struct request *request, char *line)
{
	char *target = strchr(line, ' '), *version, *query;

	if (!target)
		return -EBADMSG;
	*target++ = 0;
	version = strchr(target, ' ');
	if (!version || strncmp(version + 1, "HTTP/1.", 7))
		return -EBADMSG;
	*version = 0;
	request->close = !strcmp(version + 1, "HTTP/1.0");
	snprintf(request->method, sizeof(request->method), "%s", line);
	query = strchr(target, '?');
	if (query)
		*query++ = 0;
	TAILQ_INIT(&request->headers);
	TAILQ_INIT(&request->query);
	request->path = strdup(target);
	if (query && *query && evhttp_parse_query_str(query, &request->query) < 0)
		return -EBADMSG;
	return 0;
}

static int parse_header(struct request *request, char *line)
{
	char *value = strchr(line, ':');

	if (!value)
		return -EBADMSG;
	*value++ = 0;
	value += strspn(value, " \t");
	return evhttp_add_header(&request->headers, line, value);
}

static int parse_head(struct request *request, char *head)
{
	char *save = NULL, *line = strtok_r(head, "\r\n", &save);
	const char *connection;
	int r = line ? parse_line(request, line) : -EBADMSG;

	while (r == 0 && (line = strtok_r(NULL, "\r\n", &save)))
		r = parse_header(request, line);
	if (r < 0)
		return -EBADMSG;
	connection = evhttp_find_header(&request->headers, "Connection");
	if (connection && !strcasecmp(connection, "close"))
		request->close = true;
	return 0;
}

// The head is taken from the buffer when the body is there, too: until then it is parsed again each time.
int request_read(struct request *request, struct evbuffer *in, struct evbuffer *out)
{
	struct evbuffer_ptr end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	_cleanup_free_ char *head = NULL;
	const char *length, *expect;
	size_t bytes;

	if (end.pos < 0)
		return evbuffer_get_length(in) > HEAD_MAX ? -EBADMSG : 0;
	request_fini(request);
	bytes = (size_t)end.pos + 4;
	head = calloc(1, bytes + 1);
	evbuffer_copyout(in, head, bytes);
	if (parse_head(request, head) < 0)
		return -EBADMSG;
	if (evhttp_find_header(&request->headers, "Transfer-Encoding"))
		return -EBADMSG; // no client of ours sends bodies of unknown length
	length = evhttp_find_header(&request->headers, "Content-Length");
	request->body_len = length ? strtoull(length, NULL, 10) : 0;
	if (request->body_len > BODY_MAX)
		return -EBADMSG;
	if (evbuffer_get_length(in) < bytes + request->body_len) {
		expect = evhttp_find_header(&request->headers, "Expect");
		if (expect && evbuffer_get_length(in) == bytes)
			evbuffer_add_printf(out, "HTTP/1.1 100 Continue\r\n\r\n");
		return 0;
	}
	evbuffer_drain(in, bytes);
	if (request->body_len) {
		request->body = calloc(1, request->body_len + 1);
		evbuffer_remove(in, request->body, request->body_len);
	}
	return 1;
}
