// SPDX-License-Identifier: Apache-2.0
// list.c - GET of one object and of many: pages, revisions, selectors.
#include <errno.h>
#include <event2/http.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/base/cleanup.h"
#include "tests/apiserver/apiserver.h"

void answer_get(struct call *call)
{
	const struct target *t = &call->target;
	const char *ns = t->resource->namespaced ? t->ns : "";
	const struct entry *entry = db_find(&call->server->db, t->resource, ns, t->name);
	char title[160];

	if (entry)
		answer_entry(call, 200, entry);
	else
		answer_status(call, 404, "NotFound", DETAIL_TARGET, "%s \"%s\" not found",
			      target_title(t, title, sizeof(title)), t->name);
}

// ---- continue tokens -------------------------------------------------------------------------------------------------
struct place {
	int64_t rv; // -1: whatever is there now
	char ns[64], name[256]; // of the last object that was listed
};

static char *token_make(int64_t rv, const struct entry *last)
{
	struct json_object *json = json_object_new_object();
	char start[512], *out;
	const char *text;
	size_t len;

	// The first key that may come: behind the last one, whose end a zero marks.
	snprintf(start, sizeof(start), "%s%s%s", last->traits.ns, *last->traits.ns ? "/" : "",
		 last->traits.name);
	json_object_object_add(json, "v", json_object_new_string("meta.k8s.io/v1"));
	json_object_object_add(json, "rv", json_object_new_int64(rv));
	json_object_object_add(json, "start",
			       json_object_new_string_len(start, (int)strlen(start) + 1));
	text = json_object_to_json_string_ext(json, JSON_PLAIN);
	len = strlen(text);
	out = malloc(len * 4 / 3 + 8);
	EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)text, (int)len);
	out[strcspn(out, "=")] = 0;
	json_object_put(json);
	return out;
}

static int token_read(const char *token, struct place *ret)
{
	size_t len = strlen(token), padded = (len + 3) / 4 * 4;
	_cleanup_free_ char *in = malloc(padded + 1), *out = calloc(1, padded + 1);
	_cleanup_json_ struct json_object *json = NULL;
	const char *start, *slash;

	if (!in || !out)
		return -ENOMEM;
	memset(in, '=', padded);
	memcpy(in, token, len);
	in[padded] = 0;
	if (EVP_DecodeBlock((unsigned char *)out, (unsigned char *)in, (int)padded) < 0)
		return -EINVAL;
	json = json_tokener_parse(out);
	start = json_object_get_string(json_object_object_get(json, "start"));
	if (!start)
		return -EINVAL;
	slash = strchr(start, '/');
	ret->rv = json_object_get_int64(json_object_object_get(json, "rv"));
	snprintf(ret->ns, sizeof(ret->ns), "%.*s", slash ? (int)(slash - start) : 0, start);
	snprintf(ret->name, sizeof(ret->name), "%s", slash ? slash + 1 : start);
	return 0;
}

// ---- snapshots -------------------------------------------------------------------------------------------------------
static void snapshot_fini(struct snapshot *s)
{
	vec_each(struct entry *, entry, &s->entries)
		entry_put(*entry);
	vec_fini(&s->entries);
	*s = (struct snapshot){ 0 };
}

void snapshots_drop(struct apiserver *server)
{
	for (size_t i = 0; i < SNAPSHOTS; i++)
		snapshot_fini(&server->snapshots[i]);
}

static struct snapshot *snapshot_find(struct apiserver *server, const struct resource *resource,
				      uint64_t rv)
{
	for (size_t i = 0; i < SNAPSHOTS; i++)
		if (server->snapshots[i].resource == resource && server->snapshots[i].rv == rv)
			return &server->snapshots[i];
	return NULL;
}

static struct snapshot *snapshot_take(struct apiserver *server, const struct resource *resource)
{
	const entry_vec *objects = &server->db.objects[resource_index(resource)];
	struct snapshot *s = snapshot_find(server, resource, server->db.rv);

	if (s)
		return s;
	s = &server->snapshots[server->next_snapshot++ % SNAPSHOTS];
	snapshot_fini(s);
	*s = (struct snapshot){ .rv = server->db.rv, .resource = resource };
	if (vec_reserve(&s->entries, objects->n) == 0)
		vec_each(struct entry *, entry, objects)
			vec_push(&s->entries, entry_get(*entry));
	return s;
}

// ---- a page -------------------------------------------------------------------------------------------------------------
struct page {
	uint64_t rv;
	const entry_vec *entries;
	size_t at, limit; // limit 0: all
	struct filter filter;
	bool whole; // no selector: what remains can be counted
};

static size_t behind(const entry_vec *vec, const struct place *place)
{
	size_t i = 0;

	while (i < vec->n && (strcmp(vec->v[i]->traits.ns, place->ns) < 0 ||
			      (!strcmp(vec->v[i]->traits.ns, place->ns) &&
			       strcmp(vec->v[i]->traits.name, place->name) <= 0)))
		i++;
	return i;
}

static void print_meta(FILE *out, const struct resource *resource, uint64_t rv, const char *token,
		       size_t remain)
{
	if (resource->custom) {
		fprintf(out, "\"metadata\":{\"continue\":\"%s\",", token ? token : "");
		if (remain)
			fprintf(out, "\"remainingItemCount\":%zu,", remain);
		fprintf(out, "\"resourceVersion\":\"%llu\"}", (unsigned long long)rv);
		return;
	}
	fprintf(out, "\"metadata\":{\"resourceVersion\":\"%llu\"", (unsigned long long)rv);
	if (token)
		fprintf(out, ",\"continue\":\"%s\"", token);
	if (remain)
		fprintf(out, ",\"remainingItemCount\":%zu", remain);
	fprintf(out, "}");
}

static void print(FILE *out, const struct resource *resource, const entry_vec *items, uint64_t rv,
		  const char *token, size_t remain)
{
	char head[192], api[96];

	resource_api(resource, api, sizeof(api));
	if (resource->custom) {
		fprintf(out, "{\"apiVersion\":\"%s\",\"items\":[", api);
	} else {
		fprintf(out, "{\"kind\":\"%sList\",\"apiVersion\":\"%s\",", resource->kind, api);
		print_meta(out, resource, rv, token, remain);
		fprintf(out, ",\"items\":[");
	}
	entry_head(resource, true, head, sizeof(head));
	for (size_t i = 0; i < items->n; i++) {
		fprintf(out, "%s%s", i ? "," : "", head);
		fwrite(items->v[i]->text, 1, items->v[i]->len, out);
	}
	fprintf(out, "]");
	if (resource->custom) {
		fprintf(out, ",\"kind\":\"%sList\",", resource->kind);
		print_meta(out, resource, rv, token, remain);
	}
	fprintf(out, "}\n");
}

static void answer_page(struct call *call, const struct page *page)
{
	_cleanup_free_ char *text = NULL, *token = NULL;
	entry_vec items = { 0 };
	size_t len = 0, at = page->at;
	FILE *out = open_memstream(&text, &len);

	for (; at < page->entries->n && (!page->limit || items.n < page->limit); at++)
		if (filter_match(&page->filter, &page->entries->v[at]->traits))
			vec_push(&items, page->entries->v[at]);
	if (at < page->entries->n && items.n)
		token = token_make((int64_t)page->rv, items.v[items.n - 1]);
	print(out, call->target.resource, &items, page->rv, token,
	      page->whole ? page->entries->n - at : 0);
	fclose(out);
	conn_reply(call->conn, 200, "application/json", NULL, text, len);
	vec_fini(&items);
}

static const char *asked(const struct call *call, const char *name)
{
	const char *value = evhttp_find_header(&call->request->query, name);

	return value && *value ? value : NULL;
}

static void answer_expired(struct call *call, const struct place *place)
{
	const struct entry last = { .traits = { .ns = place->ns, .name = place->name } };
	_cleanup_free_ char *token = token_make(-1, &last);
	struct json_object *json = status_json(
		410, "Expired",
		"The provided continue parameter is too old to display a consistent list result. You can start a new list "
		"without the continue parameter, or use the continue token in this response to retrieve the remainder of "
		"the results. Continuing with the provided token results in an inconsistent list - objects that were "
		"created, modified, or deleted between the time the first chunk was returned and now may show up in the "
		"list.");

	json_object_object_add(json_object_object_get(json, "metadata"), "continue",
			       json_object_new_string(token));
	answer_json(call, 410, json);
}

// Where a continued list goes on. False: answered.
static bool go_on(struct call *call, const char *token, struct page *page)
{
	struct apiserver *server = call->server;
	const struct snapshot *s;
	struct place place;

	if (token_read(token, &place) < 0) {
		answer_status(
			call, 400, "BadRequest", DETAIL_NONE,
			"invalid continue token: continue key is not valid: illegal base64 data");
		return false;
	}
	if (place.rv == -1) {
		page->at = behind(page->entries, &place);
		return true;
	}
	s = snapshot_find(server, call->target.resource, (uint64_t)place.rv);
	if (!s) {
		answer_expired(call, &place);
		return false;
	}
	page->rv = s->rv;
	page->entries = &s->entries;
	page->at = behind(page->entries, &place);
	return true;
}

static bool check_revision(struct call *call)
{
	const char *rv = asked(call, "resourceVersion"),
		   *match = asked(call, "resourceVersionMatch");
	struct db *db = &call->server->db;
	uint64_t n = rv ? strtoull(rv, NULL, 10) : 0;

	if (match && !rv) {
		answer_invalid(
			call, "ListOptions.meta.k8s.io", "resourceVersionMatch",
			"resourceVersionMatch is forbidden unless resourceVersion is provided");
		return false;
	}
	if (n > db->rv) {
		answer_too_large(call, n);
		return false;
	}
	if (match && !strcmp(match, "Exact") && n != db->rv) {
		answer_status(call, 410, "Expired", DETAIL_NONE,
			      "The resourceVersion for the provided list is too old.");
		return false;
	}
	return true;
}

void answer_list(struct call *call)
{
	const struct resource *resource = call->target.resource;
	const char *limit = asked(call, "limit"), *rv = asked(call, "resourceVersion");
	const char *labels = asked(call, "labelSelector"), *fields = asked(call, "fieldSelector");
	const char *token = asked(call, "continue");
	struct apiserver *server = call->server;
	struct page page = { .rv = server->db.rv,
			     .entries = &server->db.objects[resource_index(resource)],
			     .whole = !labels && !fields };
	struct err err = { 0 };

	if (!check_revision(call))
		return;
	if (filter_parse(resource->plural, resource->namespaced ? call->target.ns : NULL, labels,
			 fields, &page.filter, &err) < 0) {
		answer_status(call, 400, "BadRequest", DETAIL_NONE, "%s", err.text);
		return;
	}
	// A list from the cache is never cut at a limit.
	page.limit = limit && !(rv && !strcmp(rv, "0")) ? strtoul(limit, NULL, 10) : 0;
	page.whole = page.whole && !page.filter.ns;
	if (token ? go_on(call, token, &page) : true) {
		if (page.limit && !token)
			page.entries = &snapshot_take(server, resource)->entries;
		answer_page(call, &page);
	}
	filter_fini(&page.filter);
}
