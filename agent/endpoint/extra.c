// SPDX-License-Identifier: Apache-2.0
// extra.c - reads the annotation, numbers the addresses, writes the prefixes.
#include "agent/endpoint/extra.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PREFIXES_MAX 64

struct prefixes {
	uint32_t n;
	struct bh_cidr v[PREFIXES_MAX];
	uint32_t number[PREFIXES_MAX]; // of the first address
};

static int add(struct prefixes *list, const char *text, uint32_t *next, struct err *reterr)
{
	struct bh_cidr cidr;
	uint32_t bits;

	if (cidr_parse(text, &cidr) < 0)
		return err_set(reterr, -EINVAL, "'%s' is no prefix such as 10.1.2.3/32", text);
	bits = 128 - cidr.prefixlen;
	if (list->n == PREFIXES_MAX || bits > 16 || *next + (1u << bits) - 1 > EXTRA_ADDRS_MAX)
		return err_set(reterr, -E2BIG, "'%s' is beyond %u prefixes or %u addresses", text,
			       PREFIXES_MAX, EXTRA_ADDRS_MAX);
	list->v[list->n] = cidr;
	list->number[list->n++] = *next;
	*next += 1u << bits;
	return 0;
}

static int parse(const char *text, struct prefixes *ret, struct err *reterr)
{
	_cleanup_free_ char *copy = strdup(text);
	uint32_t next = 1; // 0 is the pod's own address
	char *rest = copy, *word;
	int r;

	if (!copy)
		return err_set(reterr, -ENOMEM, "out of memory");
	while ((word = strsep(&rest, ", "))) {
		if (!*word)
			continue;
		r = add(ret, word, &next, reterr);
		if (r < 0)
			return r;
	}
	return 0;
}

static int write_all(struct tables *tables, uint32_t ident, const struct prefixes *list)
{
	int r;

	r = tables_extra_clear(tables, ident);
	for (uint32_t i = 0; r >= 0 && i < list->n; i++)
		r = tables_extra_set(tables, ident, &list->v[i], list->number[i]);
	return r;
}

void extra_update(struct tables *tables, const struct store *store,
		  const struct endpoint_events *events, struct endpoint *e)
{
	const struct object *object = store_find(store, KIND_NAMESPACE, NULL, e->ns);
	const struct namespace_ *ns = (const struct namespace_ *)object;
	volatile struct bh_endpoint *slot = tables_endpoint(tables, e->slot);
	struct prefixes list = { 0 };
	struct err err = { 0 };
	char where[320];

	snprintf(where, sizeof(where), "Namespace %.250s annotation allowed-addresses", e->ns);
	if (ns && ns->extra_addrs && parse(ns->extra_addrs, &list, &err) < 0) {
		events->problem(events->arg, where, err.text);
		return;
	}
	events->problem(events->arg, where, NULL);
	if (!list.n && !e->extra)
		return;
	if (write_all(tables, e->ident, &list) < 0) {
		events->problem(events->arg, where, "the addresses could not be written to bh_extra");
		return;
	}
	slot->flags = list.n ? slot->flags | BH_EP_EXTRA : slot->flags & ~BH_EP_EXTRA;
	if (e->extra != (list.n > 0))
		e->refresh = true;
	e->extra = list.n > 0;
}
