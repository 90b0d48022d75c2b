// SPDX-License-Identifier: Apache-2.0
// ops_endpoint.c - endpoint.list and endpoint.get: what a pod is allowed, what it was denied.
#include <errno.h>
#include <string.h>

#include <arpa/inet.h>
#include <bulkhead/conntrack.h>

#include "agent/daemon/json.h"

struct denials {
	uint64_t packets[BH_MAX_ENDPOINTS];
	const struct daemon *daemon;
};

static int count_denied(void *arg, const struct total_entry *entry)
{
	struct denials *denials = arg;

	if (entry->key.reason >= BH_REASON_DROP &&
	    endpoints_by_ident(denials->daemon->endpoints, entry->key.ident))
		denials->packets[BH_SLOT(entry->key.ident)] += entry->packets;
	return 0;
}

int op_endpoint_list(void *arg, struct json_object *request, struct json_object **ret,
		     struct err *reterr)
{
	struct daemon *daemon = arg;
	_cleanup_free_ struct denials *denials = calloc(1, sizeof(*denials));
	struct json_object *json, *list;
	const struct endpoint *e;

	if (!denials)
		return err_set(reterr, -ENOMEM, "out of memory");
	denials->daemon = daemon;
	tables_total_each(daemon->tables, count_denied, denials);
	json = json_object_new_object();
	list = add_array(json, "endpoints");
	for (size_t i = 0; (e = endpoints_at(daemon->endpoints, i)); i++) {
		struct json_object *one = endpoint_json(daemon, e);

		add_number(one, "denied_packets",
			   e->phase == ENDPOINT_WAITING ? 0 : denials->packets[e->slot]);
		json_object_array_add(list, one);
	}
	*ret = json;
	return 0;
}

struct listing {
	struct daemon *daemon;
	struct json_object *list;
	uint32_t ident;
	uint64_t denied;
};

static int add_total(void *arg, const struct total_entry *entry)
{
	struct listing *listing = arg;
	struct json_object *one;

	if (entry->key.ident != listing->ident)
		return 0;
	one = json_object_new_object();
	add_text(one, "direction", dir_name(entry->key.dir));
	add_text(one, "reason", reason_name(entry->key.reason));
	json_object_object_add(one, "rule",
			       rule_json(listing->daemon->policy, BH_CELL_RULE(entry->key.rule)));
	add_number(one, "packets", entry->packets);
	add_number(one, "bytes", entry->bytes);
	json_object_array_add(listing->list, one);
	if (entry->key.reason >= BH_REASON_DROP)
		listing->denied += entry->packets;
	return 0;
}

static int add_denied(void *arg, const struct denied_entry *entry)
{
	struct listing *listing = arg;
	struct bh_addr remote;
	struct json_object *one;
	char text[400];

	if (entry->key.ident != listing->ident)
		return 0;
	memcpy(&remote, entry->key.remote, sizeof(remote));
	one = json_object_new_object();
	add_text(one, "direction", dir_name(entry->key.dir));
	add_text(one, "reason", reason_name(entry->key.reason));
	add_text(one, "remote", addr_format(&remote, text, sizeof(text)));
	add_text(one, "remote_name", address_owner(listing->daemon, &remote, text, sizeof(text)));
	add_number(one, "port", ntohs(entry->key.port));
	add_text(one, "protocol", protocol_name(entry->key.proto));
	json_object_object_add(one, "rule",
			       rule_json(listing->daemon->policy, BH_CELL_RULE(entry->key.rule)));
	add_number(one, "packets", entry->value.packets);
	add_number(one, "bytes", entry->value.bytes);
	add_number(one, "age_sec", (tables_now() - entry->value.last) / BH_TIME_HZ);
	json_object_array_add(listing->list, one);
	return 0;
}

int op_endpoint_get(void *arg, struct json_object *request, struct json_object **ret,
		    struct err *reterr)
{
	struct daemon *daemon = arg;
	struct listing listing = { .daemon = daemon };
	struct endpoint *e = NULL;
	struct json_object *json;
	int r;

	r = request_endpoint(daemon, request, &e, reterr);
	if (r < 0)
		return r;
	if (!e)
		return err_set(reterr, -EINVAL, "namespace and name are missing");
	json = endpoint_json(daemon, e);
	if (e->phase != ENDPOINT_WAITING) {
		listing.ident = e->ident;
		listing.list = add_array(json, "totals");
		tables_total_each(daemon->tables, add_total, &listing);
		listing.list = add_array(json, "denied");
		tables_denied_each(daemon->tables, add_denied, &listing);
	}
	add_number(json, "denied_packets", listing.denied);
	*ret = json;
	return 0;
}
