// SPDX-License-Identifier: Apache-2.0
// prune.c - one pass that copies; only along the few ways that lead to what is left out are values looked into.
#include "agent/kube/prune.h"

#include <stdbool.h>
#include <string.h>

// A field of an object; arrays are looked through. No fields below: it is left out.
struct way {
	const char *key;
	const struct way *below; // ended by {NULL}
};

static const struct way annotations[] = {
	{ "kubectl.kubernetes.io/last-applied-configuration" },
	{ NULL },
};

static const struct way metadata[] = {
	{ "managedFields" },
	{ "annotations", annotations },
	{ NULL },
};

// names, ports and restart policies stay
static const struct way containers[] = {
	{ "args" },	      { "command" },	    { "env" },	     { "envFrom" },
	{ "lifecycle" },      { "livenessProbe" },  { "readinessProbe" }, { "resources" },
	{ "securityContext" }, { "startupProbe" },   { "volumeMounts" },   { NULL },
};

static const struct way spec[] = {
	{ "affinity" },
	{ "containers", containers },
	{ "initContainers", containers },
	{ "tolerations" },
	{ "topologySpreadConstraints" },
	{ "volumes" },
	{ NULL },
};

static const struct way status[] = {
	{ "containerStatuses" },
	{ "images" },
	{ "initContainerStatuses" },
	{ NULL },
};

static const struct way object[] = {
	{ "metadata", metadata },
	{ "spec", spec },
	{ "status", status },
	{ NULL },
};

// An event has its object under a key that objects do not have.
static const struct way top[] = {
	{ "object", object },
	{ "metadata", metadata },
	{ "spec", spec },
	{ "status", status },
	{ NULL },
};

struct pruner {
	const char *at, *end;
	char *out;
};

static bool copy_value(struct pruner *p, const struct way *ways);

static void skip_blanks(struct pruner *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\n' || *p->at == '\r' || *p->at == '\t'))
		p->at++;
}

// Takes this character, which must be next.
static bool take(struct pruner *p, char c)
{
	skip_blanks(p);
	if (p->at == p->end || *p->at != c)
		return false;
	p->at++;
	return true;
}

static bool next_is(struct pruner *p, char c)
{
	skip_blanks(p);
	return p->at < p->end && *p->at == c;
}

static bool skip_string(struct pruner *p)
{
	if (!take(p, '"'))
		return false;
	for (; p->at < p->end && *p->at != '"'; p->at++)
		p->at += *p->at == '\\';
	if (p->at >= p->end)
		return false;
	p->at++;
	return true;
}

// Brackets are only counted: whether they match was seen when the text was cut.
static bool skip_value(struct pruner *p)
{
	size_t depth = 0;

	skip_blanks(p);
	while (p->at < p->end) {
		switch (*p->at) {
		case '"':
			if (!skip_string(p))
				return false;
			break;
		case '{':
		case '[':
			depth++;
			p->at++;
			break;
		case '}':
		case ']':
			if (!depth)
				return true;
			depth--;
			p->at++;
			break;
		case ',':
			if (!depth)
				return true;
			p->at++;
			continue;
		default:
			p->at++;
			continue;
		}
		if (!depth)
			return true;
	}
	return false;
}

static void copy(struct pruner *p, const char *from)
{
	memcpy(p->out, from, (size_t)(p->at - from));
	p->out += p->at - from;
}

static const struct way *way_of(const struct way *ways, const char *key, size_t len)
{
	for (const struct way *way = ways; way->key; way++)
		if (strlen(way->key) == len && !memcmp(way->key, key, len))
			return way;
	return NULL;
}

static bool copy_member(struct pruner *p, const struct way *ways, bool *first)
{
	const struct way *way;
	const char *key;

	skip_blanks(p);
	key = p->at;
	if (!skip_string(p))
		return false;
	way = way_of(ways, key + 1, (size_t)(p->at - key) - 2);
	if (way && !way->below)
		return take(p, ':') && skip_value(p);
	if (!*first)
		*p->out++ = ',';
	*first = false;
	copy(p, key);
	*p->out++ = ':';
	return take(p, ':') && copy_value(p, way ? way->below : NULL);
}

static bool copy_members(struct pruner *p, const struct way *ways)
{
	bool first = true;

	p->at++;
	*p->out++ = '{';
	if (!next_is(p, '}'))
		do {
			if (!copy_member(p, ways, &first))
				return false;
		} while (take(p, ','));
	*p->out++ = '}';
	return take(p, '}');
}

static bool copy_items(struct pruner *p, const struct way *ways)
{
	p->at++;
	*p->out++ = '[';
	if (!next_is(p, ']'))
		for (;;) {
			if (!copy_value(p, next_is(p, '{') ? ways : NULL))
				return false;
			if (!take(p, ','))
				break;
			*p->out++ = ',';
		}
	*p->out++ = ']';
	return take(p, ']');
}

// Looked into as deep as the ways lead.
static bool copy_value(struct pruner *p, const struct way *ways)
{
	const char *from;

	if (ways && next_is(p, '{'))
		return copy_members(p, ways);
	if (ways == containers && next_is(p, '['))
		return copy_items(p, ways);
	skip_blanks(p);
	from = p->at;
	if (!skip_value(p) || p->at == from)
		return false;
	copy(p, from);
	return true;
}

size_t prune(const char *text, size_t len, char *out)
{
	struct pruner p = { text, text + len, out };

	if (!next_is(&p, '{') || !copy_value(&p, top))
		return 0;
	skip_blanks(&p);
	return p.at == p.end ? (size_t)(p.out - out) : 0;
}
