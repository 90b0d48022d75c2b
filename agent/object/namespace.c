// SPDX-License-Identifier: Apache-2.0
// namespace.c - Namespace: labels, and what its owner may set for its pods.
#include <errno.h>
#include <string.h>

#include "agent/object/kind.h"

#define NAME_LABEL "kubernetes.io/metadata.name"
#define CIDR_TEXT_BYTES 64

// One sentence if an element is no CIDR; the others stay in force.
static int check_extra(const struct at *at, const char *text, struct err *reterr)
{
	while (*text) {
		size_t len = strcspn(text, ","), skip = strspn(text, " ");
		char cidr[CIDR_TEXT_BYTES];
		struct bh_cidr parsed;

		if (skip > len)
			skip = len;
		snprintf(cidr, sizeof(cidr), "%.*s", (int)(len - skip), text + skip);
		cidr[strcspn(cidr, " ")] = '\0';
		if (cidr_parse(cidr, &parsed) < 0)
			return at_fail(at, reterr, "\"%s\" is no CIDR", cidr);
		text += len;
		text += *text == ',';
	}
	return 0;
}

static int read_extra(const struct at *meta, struct namespace_ *ns, struct err *reterr)
{
	struct at annotations = at_field(meta, "annotations");
	struct at extra = at_field(&annotations, EXTRA_ANNOTATION);
	struct err problem = {0};
	int r;

	r = at_intern(&extra, &ns->extra_addrs, &problem);
	if (r > 0)
		r = check_extra(&extra, ns->extra_addrs, &problem);
	if (r == -EBADMSG)
		r = object_set_problem(&ns->object, problem.text);
	return r < 0 ? no_memory(reterr) : 0;
}

static int namespace_parse(struct json_object *json, struct object *object, struct err *reterr)
{
	struct namespace_ *ns = (struct namespace_ *)object;
	struct at root = at_root(json);
	struct at meta = at_field(&root, "metadata");
	struct at labels = at_field(&meta, "labels");
	int r;

	r = labels_read(&labels, &ns->labels, reterr);
	if (r < 0)
		return r;
	if (labels_default(&ns->labels, NAME_LABEL, object->name) < 0)
		return no_memory(reterr);
	ns->audit = object_says_true(&root, "labels", AUDIT_KEY);
	return read_extra(&meta, ns, reterr);
}

static void namespace_fini(struct object *object)
{
	struct namespace_ *ns = (struct namespace_ *)object;

	labels_fini(&ns->labels);
	intern_put(ns->extra_addrs);
}

static bool namespace_equal(const struct object *a, const struct object *b)
{
	const struct namespace_ *x = (const struct namespace_ *)a;
	const struct namespace_ *y = (const struct namespace_ *)b;

	return x->audit == y->audit && x->extra_addrs == y->extra_addrs &&
	       labels_equal(&x->labels, &y->labels);
}

const struct kind_ops namespace_kind = {
	.name = "Namespace",
	.api_version = "v1",
	.plural = "namespaces",
	.parse = namespace_parse,
	.fini = namespace_fini,
	.equal = namespace_equal,
	.size = sizeof(struct namespace_),
};
