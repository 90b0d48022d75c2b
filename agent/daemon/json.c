// SPDX-License-Identifier: Apache-2.0
// json.c - rules, endpoints and addresses as answers show them.
#include "agent/daemon/json.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

const char *reason_name(uint32_t reason)
{
	switch (reason) {
#define NAME(sym, num, name, text) \
	case num:                  \
		return name;
		BH_REASONS(NAME)
#undef NAME
	}
	return "unknown";
}

const char *reason_text(uint32_t reason)
{
	switch (reason) {
#define TEXT(sym, num, name, text) \
	case num:                  \
		return text;
		BH_REASONS(TEXT)
#undef TEXT
	}
	return "a reason that this version does not know";
}

static const char *const rule_kinds[] = {
	[RULE_NONE] = "none",
	[RULE_NETPOL] = "networkpolicy",
	[RULE_CLUSTERNETPOL] = "clusternetworkpolicy",
	[RULE_DEFAULT_DENY] = "default-deny",
	[RULE_UNKNOWN] = "unknown",
};

struct json_object *rule_json(const struct policy *policy, uint32_t rule)
{
	struct json_object *json = json_object_new_object(), *names;
	struct rule_info info = { .kind = RULE_UNKNOWN };
	char text[512];

	policy_rule_info(policy, rule, &info);
	add_number(json, "id", rule);
	add_text(json, "kind", rule_kinds[info.kind]);
	add_text(json, "policy", info.npolicies ? info.policies[0] : NULL);
	names = add_array(json, "policies");
	for (uint32_t i = 0; i < info.npolicies; i++)
		json_object_array_add(names, json_object_new_string(info.policies[i]));
	if (info.kind == RULE_NETPOL || info.kind == RULE_CLUSTERNETPOL)
		add_number(json, "index", info.index);
	if (info.name)
		add_text(json, "name", info.name);
	add_text(json, "text", policy_rule_text(policy, rule, text, sizeof(text)));
	return json;
}

// What the tables and the programs make of it, whatever is on its way.
const char *endpoint_state(const struct daemon *daemon, const struct endpoint *e)
{
	const volatile struct bh_endpoint *slot;
	bool open;

	if (e->phase == ENDPOINT_ORPHAN || e->phase == ENDPOINT_FOUND)
		return e->attached ? "quarantine" : "waiting";
	if (e->phase != ENDPOINT_ATTACHED)
		return "waiting";
	slot = tables_endpoint(daemon->tables, e->slot);
	open = slot->policy[BH_INGRESS] == BH_POLICY_ALLOW && slot->policy[BH_EGRESS] == BH_POLICY_ALLOW;
	if (slot->state != BH_STATE_ACTIVE || (e->variant == PROGRAM_OPEN && !open))
		return "quarantine";
	return open ? "open" : "enforce";
}

static void add_policy_name(void *arg, const struct object *object)
{
	char title[400];

	json_object_array_add(arg, json_object_new_string(
					   object_title(object, title, sizeof(title))));
}

static void add_direction(struct json_object *json, const struct daemon *daemon,
			  const struct endpoint *e, enum bh_dir dir)
{
	struct json_object *side = add_object(json, dir_name(dir)), *names;
	const volatile struct bh_endpoint *slot = tables_endpoint(daemon->tables, e->slot);

	add_bool(side, "isolated",
		 e->phase != ENDPOINT_WAITING && slot->policy[dir] != BH_POLICY_ALLOW);
	names = add_array(side, "policies");
	if (e->enrolled)
		policy_selecting_each(daemon->policy, e->slot, dir, add_policy_name, names);
}

static void add_addresses(struct json_object *json, const struct daemon *daemon,
			  const struct endpoint *e)
{
	const struct object *object = store_find(daemon->store, KIND_POD, e->ns, e->name);
	const struct pod *pod = (const struct pod *)object;
	struct json_object *list = add_array(json, "addresses");
	char text[64];

	for (uint32_t i = 0; pod && i < pod->naddrs; i++)
		json_object_array_add(list, json_object_new_string(addr_format(
						    &pod->addrs[i], text, sizeof(text))));
}

static void add_passed(struct json_object *json, const struct daemon *daemon,
		       const struct endpoint *e)
{
	struct json_object *passed = add_object(json, "passed");

	for (enum bh_dir dir = 0; dir < BH_DIR_MAX; dir++) {
		struct json_object *side = add_object(passed, dir_name(dir));
		struct bh_count count = { 0 };

		if (e->phase != ENDPOINT_WAITING)
			tables_count_get(daemon->tables, e->slot, dir, &count);
		add_number(side, "packets", count.packets);
		add_number(side, "bytes", count.bytes);
	}
}

// Of a device that the CNI plugin told of.
static void add_attachment(struct json_object *json, const struct daemon *daemon, const struct endpoint *e)
{
	const struct attachment *attachment = endpoints_attachment_of(daemon->endpoints, e->ifindex);
	struct json_object *cni;

	if (!attachment)
		return;
	cni = add_object(json, "cni");
	add_text(cni, "container", attachment->container);
	add_text(cni, "ifname", attachment->ifname);
}

struct json_object *endpoint_json(struct daemon *daemon, const struct endpoint *e)
{
	static const char *const attaches[] = { "none", "tcx", "clsact" };
	struct json_object *json = json_object_new_object();
	char device[IF_NAMESIZE] = "";

	add_text(json, "namespace", e->ns);
	add_text(json, "name", e->name);
	add_text(json, "uid", e->uid);
	add_text(json, "state", endpoint_state(daemon, e));
	add_addresses(json, daemon, e);
	if (e->phase == ENDPOINT_WAITING)
		return json;
	add_number(json, "slot", e->slot);
	add_number(json, "ifindex", (uint64_t)e->ifindex);
	add_text(json, "interface", if_indextoname((unsigned)e->ifindex, device));
	add_text(json, "attach", e->phase == ENDPOINT_ATTACHED ? attaches[e->attach] : "none");
	add_attachment(json, daemon, e);
	add_direction(json, daemon, e, BH_INGRESS);
	add_direction(json, daemon, e, BH_EGRESS);
	add_number(json, "connections", tables_endpoint(daemon->tables, e->slot)->ct_count);
	add_passed(json, daemon, e);
	return json;
}

struct owner {
	const struct bh_addr *addr;
	char *buf;
	size_t bytes;
};

static int pod_owns(void *arg, const struct object *object)
{
	const struct pod *pod = (const struct pod *)object;
	struct owner *owner = arg;

	for (uint32_t i = 0; !pod->host_network && i < pod->naddrs; i++) {
		if (!bh_addr_equal(&pod->addrs[i], owner->addr))
			continue;
		object_title(object, owner->buf, owner->bytes);
		return 1;
	}
	return 0;
}

static int node_owns(void *arg, const struct object *object)
{
	const struct node *node = (const struct node *)object;
	struct owner *owner = arg;

	for (uint32_t i = 0; i < node->naddrs; i++) {
		if (!bh_addr_equal(&node->addrs[i], owner->addr))
			continue;
		snprintf(owner->buf, owner->bytes, "node %s", object->name);
		return 1;
	}
	return 0;
}

const char *address_owner(const struct daemon *daemon, const struct bh_addr *addr, char *buf,
			  size_t bytes)
{
	struct owner owner = { addr, buf, bytes };

	if (store_each(daemon->store, KIND_POD, NULL, pod_owns, &owner) > 0 ||
	    store_each(daemon->store, KIND_NODE, NULL, node_owns, &owner) > 0)
		return buf;
	return NULL;
}

static const char *optional(struct json_object *request, const char *field)
{
	struct json_object *value;

	if (!json_object_object_get_ex(request, field, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

int request_endpoint(struct daemon *daemon, struct json_object *request, struct endpoint **ret,
		     struct err *reterr)
{
	const char *ns = optional(request, "namespace"), *name = optional(request, "name");
	struct endpoint *e;

	if (!ns && !name) {
		*ret = NULL;
		return 0;
	}
	if (!ns || !name)
		return err_set(reterr, -EINVAL, "namespace and name belong together");
	e = endpoints_find(daemon->endpoints, ns, name);
	if (!e)
		return err_set(reterr, -ENOENT,
			       "no pod '%s/%s' on this node: 'bulkhead endpoint list' names them", ns,
			       name);
	*ret = e;
	return 0;
}
