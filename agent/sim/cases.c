// SPDX-License-Identifier: Apache-2.0
// cases.c - the index of a file of cases, and the difference between two states.
#include "agent/sim/cases.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "agent/base/vec.h"
#include "agent/sim/cases_private.h"

struct line {
	long offset;
	size_t len;
	unsigned number; // in the file, from 1
	unsigned step;
	char *sequence; // NULL: stands alone
	size_t group; // where its sequence's first line stands among the lines
};

struct cases {
	FILE *file;
	VEC(struct line) lines;
	char *text; // the line read last
	size_t cap;
};

void cases_close(struct cases *cases)
{
	if (!cases)
		return;
	vec_each(struct line, line, &cases->lines)
		free(line->sequence);
	vec_fini(&cases->lines);
	free(cases->text);
	if (cases->file)
		fclose(cases->file);
	free(cases);
}

size_t cases_count(const struct cases *cases)
{
	return cases->lines.n;
}

// Most lines are of no sequence, and parsing a line costs more than all else here.
static int read_sequence(struct line *line, const char *text)
{
	_cleanup_(case_freep) struct sim_case *c = NULL;

	if (!strstr(text, "\"sequence\""))
		return 0;
	// A line that cannot be read says so when its turn comes.
	if (case_parse(text, line->len, &c, NULL) < 0 || !c->sequence)
		return 0;
	line->step = c->step;
	line->sequence = strdup(c->sequence);
	return line->sequence ? 0 : -ENOMEM;
}

static void find_group(struct cases *cases, struct line *line)
{
	line->group = cases->lines.n;
	if (!line->sequence)
		return;
	for (size_t i = 0; i < cases->lines.n; i++) {
		const struct line *other = &cases->lines.v[i];

		if (other->sequence && !strcmp(other->sequence, line->sequence)) {
			line->group = other->group;
			return;
		}
	}
}

static int index_lines(struct cases *cases)
{
	for (unsigned number = 1;; number++) {
		struct line line = { .offset = ftell(cases->file), .number = number };
		ssize_t n = getline(&cases->text, &cases->cap, cases->file);
		int r;

		if (n < 0)
			return ferror(cases->file) ? -errno : 0;
		if ((size_t)n > CASE_LINE_BYTES)
			return -EFBIG;
		if (strspn(cases->text, " \t\r\n") == (size_t)n)
			continue;
		line.len = (size_t)n;
		r = read_sequence(&line, cases->text);
		if (r < 0)
			return r;
		find_group(cases, &line);
		r = vec_push(&cases->lines, line);
		if (r < 0) {
			free(line.sequence);
			return r;
		}
	}
}

static int compare_lines(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int cases_open(const char *path, struct cases **ret, struct err *reterr)
{
	_cleanup_(cases_closep) struct cases *cases = calloc(1, sizeof(*cases));
	int r;

	assert(path);
	assert(ret);

	if (!cases)
		return err_set(reterr, -ENOMEM, "out of memory");
	cases->file = fopen(path, "re");
	if (!cases->file)
		return err_set(reterr, -errno, "cannot open '%s': %s", path, strerror(errno));
	r = index_lines(cases);
	if (r < 0)
		return err_set(reterr, r, "cannot read '%s': %s", path, strerror(-r));
	vec_sort(&cases->lines, compare_lines);
	*ret = TAKE_PTR(cases);
	return 0;
}

int case_read(struct cases *cases, size_t index, struct sim_case **ret, struct err *reterr)
{
	const struct line *line = &cases->lines.v[index];
	int r;

	assert(index < cases->lines.n);

	if (fseek(cases->file, line->offset, SEEK_SET) < 0 ||
	    getline(&cases->text, &cases->cap, cases->file) < (ssize_t)line->len)
		return err_set(reterr, -EIO, "line %u: the file changed while it was read",
			       line->number);
	r = case_parse(cases->text, line->len, ret, reterr);
	if (r < 0)
		err_wrap(reterr, "line %u", line->number);
	return r;
}

const char *case_title(struct cases *cases, size_t index, char *buf, size_t bytes)
{
	_cleanup_(case_freep) struct sim_case *c = NULL;

	if (case_read(cases, index, &c, NULL) == 0)
		snprintf(buf, bytes, "%s", c->name);
	else
		snprintf(buf, bytes, "line %u", cases->lines.v[index].number);
	return buf;
}

bool case_follows(const struct sim_case *before, const struct sim_case *after)
{
	return before && before->sequence && after->sequence &&
	       !strcmp(before->sequence, after->sequence) && before->step < after->step;
}

// ---- difference -----------------------------------------------------------------------------

static int compare_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

// Namespaces and nodes come before the pods that live there.
static int rank(enum kind kind)
{
	static const int ranks[KIND_MAX] = {
		[KIND_NAMESPACE] = 0,     [KIND_NODE] = 1,          [KIND_POD] = 2,
		[KIND_NETPOL] = 3,        [KIND_CLUSTERNETPOL] = 4, [KIND_SERVICE] = 5,
		[KIND_ENDPOINTSLICE] = 6,
	};

	return ranks[kind];
}

int case_object_compare(const struct case_object *a, const struct case_object *b)
{
	int r;

	if (a->kind != b->kind)
		return rank(a->kind) - rank(b->kind);
	r = compare_text(a->ns, b->ns);
	return r ? r : compare_text(a->name, b->name);
}

static const struct case_object *object_in(const struct sim_case *c, const struct case_object *key)
{
	size_t lo = 0, hi = c ? c->nobjects : 0;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int r = case_object_compare(key, &c->objects[mid]);

		if (r == 0)
			return &c->objects[mid];
		if (r < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

int case_difference(const struct sim_case *before, const struct sim_case *after,
		    struct case_change **ret, size_t *retn)
{
	size_t nbefore = before ? before->nobjects : 0, n = 0;
	struct case_change *changes = calloc(nbefore + after->nobjects + 1, sizeof(*changes));

	if (!changes)
		return -ENOMEM;
	for (size_t i = 0; i < after->nobjects; i++) {
		const struct case_object *object = &after->objects[i];
		const struct case_object *old = object_in(before, object);

		if (!old || !json_object_equal(old->json, object->json))
			changes[n++] = (struct case_change){ false, object };
	}
	for (size_t i = nbefore; i > 0; i--) {
		if (!object_in(after, &before->objects[i - 1]))
			changes[n++] = (struct case_change){ true, &before->objects[i - 1] };
	}
	*ret = changes;
	*retn = n;
	return 0;
}

// ---- looking up -----------------------------------------------------------------------------

const struct case_pod *case_pod_find(const struct sim_case *c, const char *end)
{
	const char *slash = strchr(end, '/');

	if (!slash)
		return NULL;
	for (size_t i = 0; i < c->npods; i++) {
		const struct case_pod *pod = &c->pods[i];
		size_t len = strlen(pod->ns);

		if ((size_t)(slash - end) == len && !memcmp(pod->ns, end, len) &&
		    !strcmp(pod->name, slash + 1))
			return pod;
	}
	return NULL;
}

const struct case_node *case_node_find(const struct sim_case *c, const char *end)
{
	if (strncmp(end, "node:", 5))
		return NULL;
	for (size_t i = 0; i < c->nnodes; i++) {
		if (!strcmp(c->nodes[i].name, end + 5))
			return &c->nodes[i];
	}
	return NULL;
}
