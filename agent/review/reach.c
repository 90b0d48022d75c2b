// SPDX-License-Identifier: Apache-2.0
// reach.c - spans of ports, sorted and merged.
#include "agent/review/reach.h"

#include <string.h>

#include "agent/policy/must.h"

static const struct {
	const char *name;
	uint8_t protocol;
	uint16_t last;
} protos[REACH_PROTO_MAX] = {
	[REACH_TCP] = { "TCP", PROTOCOL_TCP, UINT16_MAX },
	[REACH_UDP] = { "UDP", PROTOCOL_UDP, UINT16_MAX },
	[REACH_SCTP] = { "SCTP", PROTOCOL_SCTP, UINT16_MAX },
	[REACH_OTHER] = { "other protocols", 1, 1 },
};

uint8_t reach_protocol(enum reach_proto proto)
{
	return protos[proto].protocol;
}

static int compare(const void *a, const void *b)
{
	const struct reach_span *x = a, *y = b;

	if (x->proto != y->proto)
		return x->proto - y->proto;
	return x->lo != y->lo ? x->lo - y->lo : x->hi - y->hi;
}

static void merge(struct reach *reach)
{
	size_t n = 0;

	vec_sort(reach, compare);
	for (size_t i = 0; i < reach->n; i++) {
		struct reach_span *last = n ? &reach->v[n - 1] : NULL, span = reach->v[i];

		if (!last || last->proto != span.proto || span.lo > (uint32_t)last->hi + 1)
			reach->v[n++] = span;
		else if (span.hi > last->hi)
			last->hi = span.hi;
	}
	reach->n = n;
}

void reach_add(struct reach *reach, struct reach_span span)
{
	must_push(reach, span);
	merge(reach);
}

static bool covers(const struct reach *reach, const struct reach_span *span)
{
	for (size_t i = 0; i < reach->n; i++)
		if (reach->v[i].proto == span->proto && reach->v[i].lo <= span->lo &&
		    span->hi <= reach->v[i].hi)
			return true;
	return false;
}

void reach_union(struct reach *reach, const struct reach *other)
{
	size_t before = reach->n;

	for (size_t i = 0; i < other->n; i++)
		if (!covers(reach, &other->v[i]))
			must_push(reach, other->v[i]);
	if (reach->n != before)
		merge(reach);
}

void reach_common(const struct reach *a, const struct reach *b, struct reach *ret)
{
	struct reach found = { 0 };

	for (size_t i = 0, k = 0; i < a->n && k < b->n;) {
		const struct reach_span *x = &a->v[i], *y = &b->v[k];
		struct reach_span both = { x->proto, x->lo > y->lo ? x->lo : y->lo,
					   x->hi < y->hi ? x->hi : y->hi };

		if (x->proto == y->proto && both.lo <= both.hi)
			must_push(&found, both);
		if (x->proto < y->proto || (x->proto == y->proto && x->hi < y->hi))
			i++;
		else
			k++;
	}
	reach_union(ret, &found);
	reach_fini(&found);
}

void reach_fini(struct reach *reach)
{
	vec_fini(reach);
}

bool reach_has(const struct reach *reach, enum reach_proto proto, uint16_t port)
{
	const struct reach_span span = { proto, port, port };

	return covers(reach, &span);
}

static bool is_whole(const struct reach_span *span)
{
	return span->lo == 1 && span->hi == protos[span->proto].last;
}

bool reach_is_all(const struct reach *reach)
{
	for (size_t i = 0; i < reach->n; i++)
		if (!is_whole(&reach->v[i]))
			return false;
	return reach->n == REACH_PROTO_MAX;
}

bool reach_is_whole(const struct reach *reach)
{
	for (size_t i = 0; i < reach->n; i++)
		if (reach->v[i].proto != REACH_OTHER && is_whole(&reach->v[i]))
			return true;
	return false;
}

static int span_text(const struct reach_span *span, bool first, char *buf, size_t bytes)
{
	if (span->proto == REACH_OTHER)
		return snprintf(buf, bytes, "%s", "");
	if (is_whole(span))
		return snprintf(buf, bytes, " any port");
	if (span->lo == span->hi)
		return snprintf(buf, bytes, "%s%u", first ? " " : ", ", span->lo);
	return snprintf(buf, bytes, "%s%u-%u", first ? " " : ", ", span->lo, span->hi);
}

const char *reach_text(const struct reach *reach, char *buf, size_t bytes)
{
	size_t len = 0;
	int last = -1;

	snprintf(buf, bytes, "%s", reach_is_all(reach) ? "everything" : "");
	if (reach_is_all(reach))
		return buf;
	for (size_t i = 0; i < reach->n; i++) {
		const struct reach_span *span = &reach->v[i];
		bool first = span->proto != last;

		if (len + 64 > bytes) {
			snprintf(buf + len, bytes - len, ", ...");
			break;
		}
		if (first)
			len += (size_t)snprintf(buf + len, bytes - len, "%s%s", i ? "; " : "",
						protos[span->proto].name);
		len += (size_t)span_text(span, first, buf + len, bytes - len);
		last = span->proto;
	}
	return buf;
}
