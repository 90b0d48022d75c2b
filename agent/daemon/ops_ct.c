// SPDX-License-Identifier: Apache-2.0
// ops_ct.c - ct.list and ct.flush.
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <bulkhead/conntrack.h>

#include "agent/daemon/json.h"

#define CT_LIST_LIMIT 10000 // connections in one answer unless the request says otherwise

static const char *const states[BH_CT_STATE_MAX] = {
	[BH_CT_NEW] = "new", [BH_CT_REPLY] = "reply", [BH_CT_ESTABLISHED] = "established",
	[BH_CT_FIN] = "fin", [BH_CT_CLOSED] = "closed",
};

struct ct_listing {
	struct daemon *daemon;
	struct json_object *list;
	uint32_t ident; // 0: all
	uint64_t limit, total, shown;
	uint32_t now;
};

static const char *state_of(const struct ct_entry *entry)
{
	if (entry->half)
		return "half-open";
	return entry->value.state < BH_CT_STATE_MAX ? states[entry->value.state] : "?";
}

static void add_flags(struct json_object *json, uint8_t flags)
{
	static const struct {
		uint8_t flag;
		const char *name;
	} names[] = { { BH_CT_NODE, "node" }, { BH_CT_SEEDED, "seeded" }, { BH_CT_CUT, "cut" },
		    { BH_CT_SERVICE, "service" } };
	struct json_object *list = add_array(json, "flags");

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (flags & names[i].flag)
			json_object_array_add(list, json_object_new_string(names[i].name));
	}
}

// Of a flow to a Service, as far as it is known. Until it is, a mixed Service's flow is judged by nobody but the netfilter
// program, packet by packet.
static void add_backend(struct json_object *json, const struct daemon *daemon,
			const struct ct_entry *entry)
{
	struct bh_backend backend;
	struct json_object *one;
	struct bh_addr addr;
	char text[64];

	if (!(entry->value.flags & BH_CT_SERVICE))
		return;
	if (BH_CELL_VERDICT(entry->value.rule) == BH_VERDICT_MIXED)
		add_bool(json, "unjudged", true);
	if (tables_backend(daemon->tables, entry, &backend) < 0)
		return;
	memcpy(&addr, backend.addr, sizeof(addr));
	one = add_object(json, "backend");
	add_text(one, "address", addr_format(&addr, text, sizeof(text)));
	add_number(one, "port", ntohs(backend.port));
}

static int list_one(void *arg, const struct ct_entry *entry)
{
	struct ct_listing *l = arg;
	const struct endpoint *e = endpoints_by_ident(l->daemon->endpoints, entry->ident);
	struct json_object *one;
	char text[64];

	if (!e || (l->ident && entry->ident != l->ident))
		return 0;
	if (l->total++ >= l->limit)
		return 0;
	l->shown++;
	one = json_object_new_object();
	add_text(one, "namespace", e->ns);
	add_text(one, "name", e->name);
	add_text(one, "direction", dir_name(entry->value.flags & BH_CT_EGRESS ? BH_EGRESS : BH_INGRESS));
	add_text(one, "protocol", protocol_name(entry->proto));
	add_text(one, "remote", addr_format(&entry->remote, text, sizeof(text)));
	add_number(one, "remote_port", entry->remote_port);
	add_number(one, "local_port", entry->local_port);
	add_text(one, "state", state_of(entry));
	add_flags(one, entry->value.flags);
	add_backend(one, l->daemon, entry);
	json_object_object_add(one, "rule",
			       rule_json(l->daemon->policy, BH_CELL_RULE(entry->value.rule)));
	add_number(one, "age_sec", (l->now - entry->value.created) / BH_TIME_HZ);
	add_number(one, "idle_sec", (l->now - entry->value.last) / BH_TIME_HZ);
	json_object_array_add(l->list, one);
	return 0;
}

int op_ct_list(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct ct_listing l = { .daemon = arg, .limit = CT_LIST_LIMIT, .now = tables_now() };
	struct json_object *json, *limit;
	struct endpoint *e;
	int r;

	r = request_endpoint(l.daemon, request, &e, reterr);
	if (r < 0)
		return r;
	if (json_object_object_get_ex(request, "limit", &limit) && json_object_get_int64(limit) > 0)
		l.limit = (uint64_t)json_object_get_int64(limit);
	l.ident = e ? e->ident : 0;
	json = json_object_new_object();
	l.list = add_array(json, "connections");
	r = tables_ct_each(l.daemon->tables, list_one, &l);
	if (r == 0)
		r = tables_half_each(l.daemon->tables, list_one, &l);
	if (r < 0) {
		json_object_put(json);
		return err_set(reterr, r, "reading the connection table failed");
	}
	add_number(json, "total", l.total);
	add_number(json, "shown", l.shown);
	*ret = json;
	return 0;
}

int op_ct_flush(void *arg, struct json_object *request, struct json_object **ret, struct err *reterr)
{
	struct daemon *daemon = arg;
	struct endpoint *e;
	int r;

	r = request_endpoint(daemon, request, &e, reterr);
	if (r < 0)
		return r;
	r = tables_ct_flush(daemon->tables, e ? e->ident : 0);
	if (r < 0)
		return err_set(reterr, r, "flushing the connection table failed");
	*ret = json_object_new_object();
	add_number(*ret, "flushed", (uint64_t)r);
	return 0;
}
