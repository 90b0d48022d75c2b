// SPDX-License-Identifier: Apache-2.0
// reply.c - answers of http.h: heads, bodies in chunks, compressed ones, and what a shape does to them.
#include <event2/http.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "agent/base/cleanup.h"
#include "tests/apiserver/http_private.h"

#define CHUNKED_BYTES 2048 // longer bodies are chunked
#define CHUNK_BYTES 4096
#define GZIP_BYTES (128u << 10) // longer bodies are compressed

static const char *status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} texts[] = {
		{ 200, "OK" },
		{ 201, "Created" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 415, "Unsupported Media Type" },
		{ 422, "Unprocessable Entity" },
		{ 429, "Too Many Requests" },
		{ 500, "Internal Server Error" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Unknown";
}

static uint32_t rnd(struct http *http, uint32_t below) // xorshift64*
{
	http->random ^= http->random >> 12;
	http->random ^= http->random << 25;
	http->random ^= http->random >> 27;
	return (uint32_t)((http->random * 0x2545f4914f6cdd1dull) >> 32) % below;
}

static void head(struct conn *conn, int status, const char *type, const char *extra,
		 const char *length)
{
	char text[2048], date[64];
	time_t now = time(NULL);
	struct tm tm;
	int n;

	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &tm));
	n = snprintf(
		text, sizeof(text),
		"HTTP/1.1 %d %s\r\nAudit-Id: 00000000-0000-4000-8000-000000000000\r\n"
		"Cache-Control: no-cache, private\r\nContent-Type: %s\r\n%s%sDate: %s\r\n%s\r\n\r\n",
		status, status_text(status), type, extra ? extra : "",
		conn->request.close ? "Connection: close\r\n" : "", date, length);
	conn_raw(conn, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

// Body bytes as they stand, up to the place where the shape cuts. False: it has cut.
static bool body(struct conn *conn, const char *data, size_t len)
{
	uint64_t left = conn->shape.cut ? conn->shape.cut - conn->sent : UINT64_MAX;

	conn_raw(conn, data, len < left ? len : left);
	conn->sent += len;
	if (len < left)
		return true;
	conn_break(conn, conn->shape.rst);
	return false;
}

void conn_piece(struct conn *conn, const char *data, size_t len)
{
	char size[24];

	while (len && !conn->broken && !conn->ending) {
		size_t n = conn->shape.slice ? 1 + rnd(conn->http, conn->shape.slice) : len;

		if (n > len)
			n = len;
		snprintf(size, sizeof(size), "%zx\r\n", n);
		conn_raw(conn, size, strlen(size));
		if (!body(conn, data, n))
			return;
		conn_raw(conn, "\r\n", 2);
		data += n;
		len -= n;
	}
}

void conn_stream(struct conn *conn, int status, const char *type, const char *extra)
{
	conn->chunked = true;
	head(conn, status, type, extra, "Transfer-Encoding: chunked");
}

void conn_end(struct conn *conn)
{
	if (conn->shape.no_end) {
		conn_break(conn, conn->shape.rst);
		return;
	}
	if (conn->chunked)
		conn_raw(conn, "0\r\n\r\n", 5);
	conn_done(conn);
}

static char *compress_gzip(const char *data, size_t len, size_t *retlen)
{
	z_stream z = { 0 };
	size_t bound;
	char *out;

	if (deflateInit2(&z, 4, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return NULL;
	bound = deflateBound(&z, len);
	out = malloc(bound);
	z.next_in = (unsigned char *)data;
	z.avail_in = (uInt)len;
	z.next_out = (unsigned char *)out;
	z.avail_out = (uInt)bound;
	deflate(&z, Z_FINISH);
	*retlen = z.total_out;
	deflateEnd(&z);
	return out;
}

static bool takes_gzip(const struct request *request)
{
	const char *accept = evhttp_find_header(&request->headers, "Accept-Encoding");

	return accept && strstr(accept, "gzip");
}

void conn_reply(struct conn *conn, int status, const char *type, const char *extra,
		const char *data, size_t len)
{
	_cleanup_free_ char *packed = NULL, *lines = NULL;
	char length[48];

	if (len > GZIP_BYTES && takes_gzip(&conn->request)) {
		packed = compress_gzip(data, len, &len);
		data = packed;
		if (asprintf(&lines, "%sContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n",
			     extra ? extra : "") < 0)
			return;
	}
	conn->chunked = len > CHUNKED_BYTES || conn->shape.slice;
	snprintf(length, sizeof(length), "Content-Length: %zu", len);
	head(conn, status, type, lines ? lines : extra,
	     conn->chunked ? "Transfer-Encoding: chunked" : length);
	if (!strcmp(conn->request.method, "HEAD")) {
		conn_done(conn);
		return;
	}
	if (!conn->chunked) {
		if (body(conn, data, len))
			conn_end(conn);
		return;
	}
	for (size_t at = 0; at < len && !conn->ending && !conn->broken; at += CHUNK_BYTES)
		conn_piece(conn, data + at, len - at < CHUNK_BYTES ? len - at : CHUNK_BYTES);
	conn_end(conn);
}
